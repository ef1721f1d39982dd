"""What differs from task to task, and nothing else does.

Dimensions: L labels or targets, R rows, H features, M metadata values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from strop.records.dataset import Strings
from strop.records.predictions import Predictions

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class BaselineRows:
    """What baselines see of some rows.

    Attributes:
        texts: Shape (R,).
        features_RH: Features of the frozen body, None where no baseline needs them.
        metadata_RM: Encoded metadata, None where there is none.
        groups: Group of every row, None where rows have none; a baseline's own folds keep groups whole.
    """

    texts: Strings
    features_RH: Floats | None = None
    metadata_RM: Floats | None = None
    groups: Strings | None = None


class Task(Protocol):
    """A task on the rows of a run; the targets of sealed rows are masked, so that nothing can be fitted to them."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the labels or targets, in the order of the network's outputs."""

    @property
    def primary(self) -> str:
        """Name of the primary metric."""

    @property
    def higher_is_better(self) -> bool:
        """Direction of the primary metric."""

    @property
    def is_regression(self) -> bool:
        """Whether outputs are targets rather than labels."""

    @property
    def targets(self) -> NDArray[Any]:
        """What objectives read: label numbers (R,), or targets scaled to [0, 1], NaN where one is missing (R, L)."""

    def fitted_on(self, rows: Rows) -> Self:
        """The task with what it learns from training rows; `rows` are positions among the run's rows."""

    def saved(self) -> Mapping[str, Any]:
        """What it learnt, as plain values that are saved with the model."""

    def predictions_of(self, outputs_RL: Floats) -> Floats:
        """A network's outputs as what is saved in Predictions: logits of labels, or values of targets."""

    def score(self, rows: Rows, predictions: Predictions) -> dict[str, float]:
        """The primary metric first, then the few metrics that are watched in training."""

    def baseline(self, name: str, train: BaselineRows, train_rows: Rows, asked: BaselineRows, *, seed: int) -> Floats:
        """Fit a baseline on training rows and predict others: logits or values, shape (R, L)."""
