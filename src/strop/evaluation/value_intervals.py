"""Metrics of many targets on bootstrap resamples.

A system that predicts the same value for every row ranks nothing: its correlation with a target that varies counts as
0, so that it stays in the mean over targets. A target that does not vary has no correlation with anything: it is NaN,
and the mean leaves it out, for every system alike.

Dimensions: B resamples, R rows, T targets.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from strop.evaluation.intervals import bootstrap_p_value, difference_interval, resample_weights, score_with_interval
from strop.metrics.registry import Metric
from strop.metrics.regression import RegressionMetric, mean_over_targets, pearson_by_target
from strop.records.predictions import Predictions
from strop.records.scores import Difference, Score

Floats = NDArray[np.float64]


def without_levels_of_folds(predictions: Predictions) -> Floats:
    """The values, shape (R, T); a target that every fold predicts by a constant of its own gets one constant.

    Such constants differ from fold to fold by chance, against the rows held out, and would rank rows by their fold.
    """
    values_RT = predictions.outputs_RL.astype(np.float64)
    of_folds = [values_RT[predictions.fold_R == fold] for fold in np.unique(predictions.fold_R)]
    is_level_T = np.all([np.ptp(one, axis=0) == 0.0 for one in of_folds], axis=0)
    return np.where(is_level_T, values_RT.mean(axis=0), values_RT)


def varies_by_target(target_RT: Floats, weight_BR: Floats) -> NDArray[np.bool_]:
    """Whether every target has more than one value under a weighting of the rows, shape (B, T)."""
    # With itself a target correlates wherever it varies.
    return np.asarray(~np.isnan(pearson_by_target(target_RT, np.nan_to_num(target_RT), weight_BR)))


def measured(metric: RegressionMetric, target_RT: Floats, values_RT: Floats) -> Floats:
    """A metric of every target on all rows, shape (T,); NaN where it is not defined."""
    weight_BR = np.ones((1, len(target_RT)))
    return np.asarray(_measured(metric, target_RT, values_RT, weight_BR, varies_by_target(target_RT, weight_BR))[0])


def resampled(
    metrics: Sequence[RegressionMetric],
    target_RT: Floats,
    systems: Mapping[str, Floats],
    *,
    n_resamples: int,
    seed: int,
    group_R: NDArray[np.int64] | None = None,
) -> dict[str, dict[str, Floats]]:
    """Measure systems on the same bootstrap resamples, a few resamples at a time.

    Args:
        metrics: What is measured.
        target_RT: True values, NaN where missing.
        systems: Predicted values by system, each of shape (R, T).
        n_resamples: B.
        seed: Draws the resamples.
        group_R: Group number of every row, where rows come in groups; whole groups are then drawn.

    Returns:
        By system and metric name, shape (B, T); NaN where a resample leaves a target constant or without rows.
    """
    found: dict[str, dict[str, list[Floats]]] = {name: {one.name: [] for one in metrics} for name in systems}
    for weight_BR in resample_weights(len(target_RT), n_resamples, seed, group_R):
        varies_BT = varies_by_target(target_RT, weight_BR)
        for system, values_RT in systems.items():
            for metric in metrics:
                by_target_BT = _measured(metric, target_RT, values_RT, weight_BR, varies_BT)
                found[system][metric.name].append(by_target_BT)
    return {
        system: {name: np.concatenate(chunks) for name, chunks in of_system.items()}
        for system, of_system in found.items()
    }


def under_weights(metric: RegressionMetric, target_RT: Floats, values_RT: Floats, weight_BR: Floats) -> Floats:
    """A metric under every weighting of the rows, shape (B, T); NaN where the target does not vary among the rows."""
    return _measured(metric, target_RT, values_RT, weight_BR, varies_by_target(target_RT, weight_BR))


def _measured(
    metric: RegressionMetric, target_RT: Floats, values_RT: Floats, weight_BR: Floats, varies_BT: NDArray[np.bool_]
) -> Floats:
    by_target_BT = metric.by_target(target_RT, values_RT, weight_BR)
    # Undefined although the target varies: the system predicts a constant, which ranks nothing.
    return np.where(varies_BT & np.isnan(by_target_BT), 0.0, by_target_BT)


def score_of(metric: RegressionMetric | Metric, value: float, values_B: Floats, confidence: float) -> Score:
    """A value with its percentile interval over the resamples where it is defined; without one where none is."""
    known_B = values_B[~np.isnan(values_B)]
    if len(known_B) == 0:
        return Score(metric.name, value, higher_is_better=metric.higher_is_better)
    return score_with_interval(
        metric.name,
        value,
        known_B,
        confidence,
        higher_is_better=metric.higher_is_better,
        limits=(min(metric.worst, metric.best), max(metric.worst, metric.best)),
    )


def mean_of_resamples(by_target_BT: Floats) -> Floats:
    """Mean over targets on every resample, shape (B,), over the same targets in each.

    A rare target that a resample leaves constant must not drop out of that resample's mean: a mean without it is
    another quantity. Such resamples are NaN, which leaves them out of the interval. Targets that no resample measures
    do not count.
    """
    is_measured_T = ~np.isnan(by_target_BT).all(axis=0)
    return by_target_BT[:, is_measured_T].mean(axis=1) if is_measured_T.any() else np.full(len(by_target_BT), np.nan)


def mean_value(by_target_T: Floats) -> float:
    """Mean over the targets where a metric is defined; 0 where it is for none."""
    value = float(mean_over_targets(by_target_T[None])[0])
    return 0.0 if np.isnan(value) else value


def difference_of(
    other: str,
    metric: RegressionMetric,
    values: tuple[float, float],
    values_B: tuple[Floats, Floats],
    confidence: float,
    n_units: int,
) -> Difference:
    """Paired difference of two systems with its interval and its bootstrap p-value; positive favours the first.

    Args:
        other: Name of the second system.
        metric: What is compared.
        values: The metric of both on all rows.
        values_B: The metric of both on the same resamples.
        confidence: Level of the interval.
        n_units: How many rows, or groups where whole groups are resampled.
    """
    sign = 1.0 if metric.higher_is_better else -1.0
    value, of_resamples_B = sign * (values[0] - values[1]), sign * (values_B[0] - values_B[1])
    known_B = of_resamples_B[~np.isnan(of_resamples_B)]
    if len(known_B) == 0:
        return Difference(other, metric.name, value, value, value, 1.0)
    low, high = difference_interval(value, known_B, confidence)
    return Difference(other, metric.name, value, low, high, bootstrap_p_value(known_B, n_units))
