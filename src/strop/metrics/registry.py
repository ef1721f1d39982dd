"""Metrics by name. To add one, write a function and enter it below.

Dimensions: B weightings, R rows, L labels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strop.metrics import classification, probability
from strop.metrics.guards import check_rows

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Metric:
    """A metric of classification.

    Attributes:
        name: As recipes call it.
        weighted: The metric under every row weighting: (target_R, probabilities_RL, weight_BR) to shape (B,).
        higher_is_better: Its direction.
        worst: The value nothing falls below (or exceeds, where lower is better).
        best: The value of perfect predictions.
        of_confusion: The metric of confusion counts (B, L, L), where it depends on them alone.
        difference_by_row: What every row adds to the value of one system minus that of another: (target_R, one_RL,
            other_RL) to shape (R,). Given where the two systems' swapping their answers to a row does no more than turn
            the sign of what the row adds; a permutation test is then a sum over rows.
        is_bias_corrected: Whether its bootstrap interval is corrected for bias: a resample adds noise of its own, and a
            metric that takes absolute values of noise, as the calibration error does, comes out too high on each.
    """

    name: str
    weighted: Callable[[Numbers, Floats, Floats], Floats]
    higher_is_better: bool
    worst: float
    best: float
    of_confusion: Callable[[Floats], Floats] | None = None
    difference_by_row: Callable[[Numbers, Floats, Floats], Floats] | None = None
    is_bias_corrected: bool = False

    def value(self, target_R: Numbers, probabilities_RL: Floats) -> float:
        """The metric of these rows, all weighing the same.

        Raises:
            ValueError: Shapes differ, there are no rows, or the probabilities are none.
        """
        return float(self.weighted(target_R, probabilities_RL, np.ones((1, len(target_R))))[0])


def _of_confusion(name: str, of_confusion: Callable[[Floats], Floats], worst: float = 0.0) -> Metric:
    def weighted(target_R: Numbers, probabilities_RL: Floats, weight_BR: Floats) -> Floats:
        check_rows(target_R, probabilities_RL)
        predicted_R = probabilities_RL.argmax(axis=1)
        n_labels = probabilities_RL.shape[1]
        return of_confusion(classification.confusion_counts(target_R, predicted_R, n_labels, weight_BR))

    return Metric(name, weighted, higher_is_better=True, worst=worst, best=1.0, of_confusion=of_confusion)


def _of_rows(name: str, by_row: Callable[[Numbers, Floats], Floats], worst: float) -> Metric:
    def weighted(target_R: Numbers, probabilities_RL: Floats, weight_BR: Floats) -> Floats:
        return probability.weighted_mean(by_row(target_R, probabilities_RL), weight_BR)

    def difference_by_row(target_R: Numbers, one_RL: Floats, other_RL: Floats) -> Floats:
        return (by_row(target_R, one_RL) - by_row(target_R, other_RL)) / len(target_R)

    return Metric(name, weighted, higher_is_better=False, worst=worst, best=0.0, difference_by_row=difference_by_row)


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        _of_confusion("macro_f1", classification.macro_f1),
        _of_confusion("accuracy", classification.accuracy),
        _of_confusion("weighted_f1", classification.weighted_f1),
        _of_confusion("macro_precision", classification.macro_precision),
        _of_confusion("macro_recall", classification.macro_recall),
        _of_confusion("mcc", classification.mcc, worst=-1.0),
        Metric(
            "auroc",
            probability.auroc,
            higher_is_better=True,
            worst=0.0,
            best=1.0,
            difference_by_row=probability.auroc_difference_by_row,
        ),
        _of_rows("log_loss", probability.row_log_loss, worst=float("inf")),
        _of_rows("brier", probability.row_brier, worst=2.0),
        Metric(
            "calibration_error",
            probability.calibration_error,
            higher_is_better=False,
            worst=1.0,
            best=0.0,
            is_bias_corrected=True,
        ),
    )
}
