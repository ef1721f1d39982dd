"""The task `classify`: one of a few classes.

Dimensions: L labels, R rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from strop.evaluation.baselines import linear_probe, majority, tfidf
from strop.evaluation.labels import label_numbers
from strop.metrics.registry import METRICS
from strop.recipe.sections import Recipe
from strop.records.dataset import Dataset
from strop.records.predictions import Predictions
from strop.tasks.task import BaselineRows, Floats, Rows

WATCHED_METRICS = ("macro_f1", "accuracy", "log_loss")


@dataclass(frozen=True)
class Classify:
    """Classification of a run's rows.

    Attributes:
        names: The labels.
        targets: Label number of every row, shape (R,); -1 for sealed rows.
        primary: Name of the primary metric.
    """

    names: tuple[str, ...]
    targets: NDArray[np.int64]
    primary: str
    is_regression: bool = False

    @classmethod
    def of(cls, recipe: Recipe, dataset: Dataset, sealed: Rows) -> Self:
        """The task on rows of which some are sealed.

        Raises:
            ValueError: The rows have no target.
        """
        if dataset.target is None:
            raise ValueError("the rows must have a target")
        labels = dataset.labels()
        target_R = label_numbers(dataset.target, labels)
        target_R[sealed] = -1
        return cls(labels, target_R, recipe.evaluation.primary_metric)

    @property
    def higher_is_better(self) -> bool:
        """Direction of the primary metric."""
        return METRICS[self.primary].higher_is_better

    def fitted_on(self, rows: Rows) -> Self:
        """Itself: labels need no fitting."""
        del rows
        return self

    def saved(self) -> Mapping[str, Any]:
        """Nothing beside the labels."""
        return {}

    def predictions_of(self, outputs_RL: Floats) -> Floats:
        """The logits as they are."""
        return outputs_RL

    def score(self, rows: Rows, predictions: Predictions) -> dict[str, float]:
        """The primary metric, and the few metrics that are watched in training."""
        probabilities_RL = predictions.probabilities_RL()
        wanted = dict.fromkeys((self.primary, *WATCHED_METRICS))
        return {name: METRICS[name].value(self.targets[rows], probabilities_RL) for name in wanted}

    def baseline(self, name: str, train: BaselineRows, train_rows: Rows, asked: BaselineRows, *, seed: int) -> Floats:
        """Fit a baseline on training rows and predict others, shape (R, L).

        Raises:
            ValueError: A linear probe is asked for without features.
        """
        target_R, n_labels = self.targets[train_rows], len(self.names)
        if name == "majority":
            return majority(target_R, n_labels, len(asked.texts))
        if name == "tfidf":
            return tfidf(train.texts, target_R, asked.texts, n_labels=n_labels, seed=seed, groups=train.groups)
        if train.features_RH is None or asked.features_RH is None:
            raise ValueError("a linear probe needs features")
        return linear_probe(
            train.features_RH, target_R, asked.features_RH, n_labels=n_labels, seed=seed, groups=train.groups
        )
