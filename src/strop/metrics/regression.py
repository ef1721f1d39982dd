"""Metrics of many targets at once, for any weighting of the rows.

A missing target is NaN; it leaves its row out for that target alone. A row's weight says how many times it counts, so
that bootstrap resamples are weightings by whole numbers.

Dimensions: B weightings, R rows, T targets, J cells: rows alike in target and prediction.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strop.metrics.guards import check_weights

Floats = NDArray[np.float64]

# Weightings ranked at once: with 6,000 rows an array takes 3 MB, which stays in the processor's cache.
CHUNK = 64
# Variance below this fraction of its scale is rounding: the column is constant.
ROUNDING = 1e-13


def check_values(target_RT: Floats, values_RT: Floats) -> None:
    """Check targets together with predicted values.

    Raises:
        ValueError: There are no rows or targets, shapes differ, values are not finite, or a target is infinite.
    """
    if target_RT.ndim != 2 or 0 in target_RT.shape:
        raise ValueError(f"the target must have shape (rows, targets) and not be empty, came {target_RT.shape}")
    if values_RT.shape != target_RT.shape:
        raise ValueError(f"values must have shape {target_RT.shape} as the target has, came {values_RT.shape}")
    if not np.isfinite(values_RT).all():
        raise ValueError("values must be finite, came NaN or infinity")
    if np.isinf(target_RT).any():
        raise ValueError("the target must be finite, or NaN where it is missing, came infinity")


def spearman_by_target(target_RT: Floats, values_RT: Floats, weight_BR: Floats) -> Floats:
    """Spearman's rank correlation of every target, shape (B, T); higher is better.

    It is Pearson's correlation of midranks (Kendall 1945): rows with equal values share the mean of their ranks.

    Args:
        target_RT: True values, NaN where missing.
        values_RT: Predicted values.
        weight_BR: How many times every row counts.

    Returns:
        NaN where a weighting leaves a target, or what is predicted for it, constant or without rows.

    Raises:
        ValueError: Shapes differ, there are no rows, values are not finite, or weights are negative.
    """
    check_values(target_RT, values_RT)
    check_weights(weight_BR, len(target_RT))
    correlation_BT = np.empty((len(weight_BR), target_RT.shape[1]))
    cells_T = [_Cells.of(target_RT[:, target], values_RT[:, target]) for target in range(target_RT.shape[1])]
    for start in range(0, len(weight_BR), CHUNK):
        weight_RB = np.ascontiguousarray(weight_BR[start : start + CHUNK].T, dtype=np.float64)
        for target, cells in enumerate(cells_T):
            correlation_BT[start : start + CHUNK, target] = cells.spearman(weight_RB)
    return correlation_BT


@dataclass(frozen=True)
class _Cells:
    """Rows sorted once by prediction, then target; those alike in both make a cell.

    Attributes:
        row_R: The rows in order, without those whose target is missing.
        start_J: Where in this order every cell starts.
        value_J: Number of every cell's predicted value, ascending.
        target_J: Number of every cell's target value, ascending with the target.
    """

    row_R: NDArray[np.intp]
    start_J: NDArray[np.intp]
    value_J: NDArray[np.intp]
    target_J: NDArray[np.intp]

    @classmethod
    def of(cls, target_R: Floats, value_R: Floats) -> "_Cells":
        known = np.flatnonzero(~np.isnan(target_R))
        target_of = np.unique(target_R[known], return_inverse=True)[1]
        value_of = np.unique(value_R[known], return_inverse=True)[1]
        order = np.lexsort((target_of, value_of))
        target_of, value_of = target_of[order], value_of[order]
        is_start = np.ones(len(order), dtype=np.bool_)
        is_start[1:] = (np.diff(target_of) != 0) | (np.diff(value_of) != 0)
        start_J = np.flatnonzero(is_start)
        return cls(known[order], start_J, value_of[start_J], target_of[start_J])

    def spearman(self, weight_RB: Floats) -> Floats:
        if len(self.row_R) == 0:
            return np.full(weight_RB.shape[1], np.nan)
        weight_JB = weight_RB[self.row_R]
        if len(self.start_J) < len(self.row_R):
            weight_JB = np.add.reduceat(weight_JB, self.start_J, axis=0)
        value_JB, value_spread_B = _midranks(weight_JB, self.value_J)
        order = np.argsort(self.target_J, kind="stable")
        target_JB, target_spread_B = _midranks(weight_JB[order], self.target_J[order])
        together_B = np.einsum("jb,jb,jb->b", weight_JB[order], value_JB[order], target_JB)
        return _correlation(together_B, value_spread_B, target_spread_B, weight_JB.sum(axis=0) ** 3)


def _midranks(weight_JB: Floats, number_J: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Centred midranks of sorted cells, and the sum of their squares, for every weighting."""
    is_start = np.ones(len(number_J), dtype=np.bool_)
    is_start[1:] = np.diff(number_J) != 0
    starts = np.flatnonzero(is_start)
    weight_KB = weight_JB if len(starts) == len(number_J) else np.add.reduceat(weight_JB, starts, axis=0)
    rank_KB = np.cumsum(weight_KB, axis=0)
    total_B = rank_KB[-1].copy()
    rank_KB -= weight_KB / 2
    rank_KB -= total_B / 2
    spread_B = np.einsum("kb,kb,kb->b", weight_KB, rank_KB, rank_KB)
    return rank_KB if len(starts) == len(number_J) else rank_KB[np.cumsum(is_start) - 1], spread_B


def _correlation(together: Floats, one_spread: Floats, other_spread: Floats, scale: Floats) -> Floats:
    """Correlation of sums of products, NaN where a spread is but rounding."""
    is_defined = (one_spread > ROUNDING * scale) & (other_spread > ROUNDING * scale)
    product = np.sqrt(np.where(is_defined, one_spread, 1.0)) * np.sqrt(np.where(is_defined, other_spread, 1.0))
    return np.where(is_defined, np.clip(together / product, -1.0, 1.0), np.nan)


def pearson_by_target(target_RT: Floats, values_RT: Floats, weight_BR: Floats) -> Floats:
    """Pearson's correlation of every target, shape (B, T); higher is better.

    Arguments, errors and where it is NaN are as in `spearman_by_target`.
    """
    check_values(target_RT, values_RT)
    check_weights(weight_BR, len(target_RT))
    is_known_RT = ~np.isnan(target_RT)
    one_RT, other_RT = _standardised(target_RT, is_known_RT), _standardised(values_RT, is_known_RT)
    weight_BT = weight_BR @ is_known_RT
    divisor_BT = np.where(weight_BT > 0, weight_BT, 1.0)
    one_mean_BT, other_mean_BT = weight_BR @ one_RT / divisor_BT, weight_BR @ other_RT / divisor_BT
    return _correlation(
        weight_BR @ (one_RT * other_RT) / divisor_BT - one_mean_BT * other_mean_BT,
        weight_BR @ one_RT**2 / divisor_BT - one_mean_BT**2,
        weight_BR @ other_RT**2 / divisor_BT - other_mean_BT**2,
        np.ones_like(weight_BT),
    )


def _standardised(values_RT: Floats, is_known_RT: NDArray[np.bool_]) -> Floats:
    """Centred and at most 1 in size, so that sums of squares lose no digits; 0 where unknown."""
    n_known_T = np.maximum(is_known_RT.sum(axis=0), 1)
    # Equal values are told from their range: their mean may be off by a rounding, which scaling would blow up.
    low_T = np.min(values_RT, axis=0, initial=np.inf, where=is_known_RT)
    centred_RT = np.where(is_known_RT, values_RT - np.where(np.isfinite(low_T), low_T, 0.0), 0.0)
    centred_RT = np.where(is_known_RT, centred_RT - centred_RT.sum(axis=0) / n_known_T, 0.0)
    largest_T = np.abs(centred_RT).max(axis=0)
    return np.asarray(centred_RT / np.where(largest_T > 0, largest_T, 1.0))


def mae_by_target(target_RT: Floats, values_RT: Floats, weight_BR: Floats) -> Floats:
    """Mean absolute error of every target in its own units, shape (B, T); lower is better.

    Arguments and errors are as in `spearman_by_target`. NaN where a weighting leaves a target without rows.
    """
    check_values(target_RT, values_RT)
    check_weights(weight_BR, len(target_RT))
    is_known_RT = ~np.isnan(target_RT)
    error_RT = np.where(is_known_RT, np.abs(values_RT - target_RT), 0.0)
    weight_BT = weight_BR @ is_known_RT
    return np.where(weight_BT > 0, weight_BR @ error_RT / np.where(weight_BT > 0, weight_BT, 1.0), np.nan)


def mean_over_targets(values_BT: Floats) -> Floats:
    """Mean over the targets that are defined, shape (B,); NaN where none is."""
    is_defined_BT = ~np.isnan(values_BT)
    n_defined_B = is_defined_BT.sum(axis=1)
    total_B = np.where(is_defined_BT, values_BT, 0.0).sum(axis=1)
    return np.where(n_defined_B > 0, total_B / np.maximum(n_defined_B, 1), np.nan)


@dataclass(frozen=True)
class RegressionMetric:
    """A metric of regression.

    Attributes:
        name: As recipes call it.
        by_target: The metric of every target under every row weighting: (target_RT, values_RT, weight_BR) to (B, T).
        higher_is_better: Its direction.
        worst: The value nothing falls below (or exceeds, where lower is better).
        best: The value of perfect predictions.
    """

    name: str
    by_target: Callable[[Floats, Floats, Floats], Floats]
    higher_is_better: bool
    worst: float
    best: float

    def value(self, target_RT: Floats, values_RT: Floats) -> float:
        """Mean over the targets where the metric is defined, all rows weighing the same; NaN where it is for none.

        Raises:
            ValueError: Shapes differ, there are no rows, or values are not finite.
        """
        return float(mean_over_targets(self.by_target_values(target_RT, values_RT)[None])[0])

    def by_target_values(self, target_RT: Floats, values_RT: Floats) -> Floats:
        """The metric of every target, shape (T,), all rows weighing the same; NaN where it is not defined.

        Raises:
            ValueError: Shapes differ, there are no rows, or values are not finite.
        """
        return np.asarray(self.by_target(target_RT, values_RT, np.ones((1, len(target_RT))))[0])


REGRESSION_METRICS: Mapping[str, RegressionMetric] = {
    metric.name: metric
    for metric in (
        RegressionMetric("spearman", spearman_by_target, higher_is_better=True, worst=-1.0, best=1.0),
        RegressionMetric("pearson", pearson_by_target, higher_is_better=True, worst=-1.0, best=1.0),
        RegressionMetric("mae", mae_by_target, higher_is_better=False, worst=float("inf"), best=0.0),
    )
}
