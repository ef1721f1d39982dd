"""Rows whose numbers were predicted worst, as a report shows them.

Dimensions: R rows, T targets.
"""

from dataclasses import dataclass

import numpy as np

from strop.records.dataset import Dataset
from strop.records.predictions import Predictions
from strop.reporting.rows import MOST_ERRORS, ShownText, shown_text

MOST_TARGETS = 3


@dataclass(frozen=True)
class ShownMiss:
    """One target of a row: its name, its true value and what was predicted."""

    target: str
    truth: float
    predicted: float


@dataclass(frozen=True)
class ShownValueError:
    """A row that was predicted badly.

    Attributes:
        row_id: Its id.
        error: Mean over its targets of the absolute error, as a share of the target's range.
        misses: The targets that were missed most, worst first.
        text: Its text.
    """

    row_id: str
    error: float
    misses: tuple[ShownMiss, ...]
    text: ShownText


def largest_errors(predictions: Predictions, dataset: Dataset, most: int = MOST_ERRORS) -> list[ShownValueError]:
    """The rows with the largest mean error, worst first.

    Errors are shares of the range that a target's true values have in the dataset, so that targets in different units
    count alike; a target with one value only is passed over.

    Args:
        predictions: Values of rows in the dataset.
        dataset: Rows with targets.
        most: How many at most.
    """
    rows = dataset.select(predictions.ids)
    if rows.n_rows == 0:
        return []
    truth_RT, values_RT = rows.target_matrix(), predictions.outputs_RL.astype(np.float64)
    known_RT = ~np.isnan(dataset.target_matrix())
    spread_T = np.max(dataset.target_matrix(), axis=0, initial=-np.inf, where=known_RT)
    spread_T = spread_T - np.min(dataset.target_matrix(), axis=0, initial=np.inf, where=known_RT)
    has_error_RT = ~np.isnan(truth_RT) & (spread_T > 0)
    error_RT = np.where(has_error_RT, np.abs(values_RT - truth_RT) / np.where(spread_T > 0, spread_T, 1.0), 0.0)
    error_R = error_RT.sum(axis=1) / np.maximum(has_error_RT.sum(axis=1), 1)
    # A stable sort, so that equal errors keep the order of the rows.
    worst = [at for at in np.argsort(-error_R, kind="stable")[:most].tolist() if error_R[at] > 0]
    texts = rows.joined_texts()

    def misses(at: int) -> tuple[ShownMiss, ...]:
        order = np.argsort(-error_RT[at], kind="stable")[:MOST_TARGETS].tolist()
        return tuple(
            ShownMiss(predictions.labels[target], float(truth_RT[at, target]), float(values_RT[at, target]))
            for target in order
            if error_RT[at, target] > 0
        )

    return [ShownValueError(str(rows.ids[at]), float(error_R[at]), misses(at), shown_text(texts[at])) for at in worst]
