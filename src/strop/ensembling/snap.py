"""Snap predictions to a few levels, where a target takes few values.

A target that takes few values (ratings averaged over raters, say) has heavy ties. Spearman's correlation gives tied
rows the mean of their ranks, so predictions that order rows which are tied in truth are marked down for it; predictions
with ties of their own in the right places do better. Grids are fitted on out-of-fold predictions, and on no row that
they are judged on.

A grid's thresholds lie on the scale of single models' predictions, so that rows are snapped one by one. A mean of many
models' predictions varies less than those of one, and the gain on it may be smaller.

Dimensions: R rows, T targets, K levels of one target, F rows of one fold.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from strop.ensembling.cuts import (
    best_cuts,
    centred_midranks,
    copula_sums,
    corrected_sums,
    places_for_cuts,
    worthwhile_cuts,
)
from strop.ensembling.group_folds import held_folds, numbered_groups
from strop.metrics.regression import check_values

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

RAW = "raw"
# A target with more distinct values, or with more for its rows, is continuous.
MOST_VALUES, MOST_VALUES_FRACTION = 50, 0.1
INNER_FOLDS = 5
# A grid of rare values hangs on few rows: what is judged is fitted on nearly as many as the grids that are kept.
OUTER_FOLDS = 10
# Levels at most, and width of the kernel (see `corrected_sums`), of the cuts that are tried.
MOST_LEVELS = (6, 20)
WIDTHS = (0.8, 0.4)
MOST_DIGITS = 12


@dataclass(frozen=True)
class Grid:
    """The levels of one target.

    Attributes:
        target: Its name.
        values: What predictions become, ascending, shape (K,); empty where they stay as they are.
        thresholds: From each on, predictions belong to the next level; ascending, shape (K - 1,).
        method: How it was found: "raw" (predictions stay as they are), "nearest" (value of the target), "distribution"
            (as many rows at every level as the target has at every value), or "optimised" (for Spearman's correlation).
        n_rows: How many rows it was fitted on.
    """

    target: str
    values: tuple[float, ...]
    thresholds: tuple[float, ...]
    method: str
    n_rows: int

    def snap(self, value_R: Floats) -> Floats:
        """Predictions of the target, each moved to its level."""
        if not self.values:
            return value_R
        return np.asarray(self.values)[np.searchsorted(self.thresholds, value_R, side="right")]

    def to_json(self) -> dict[str, Any]:
        """As a mapping that JSON can hold."""
        return {
            "target": self.target,
            "values": list(self.values),
            "thresholds": list(self.thresholds),
            "method": self.method,
            "n_rows": self.n_rows,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """The grid that was saved."""
        values, thresholds = tuple(map(float, saved["values"])), tuple(map(float, saved["thresholds"]))
        return cls(str(saved["target"]), values, thresholds, str(saved["method"]), int(saved["n_rows"]))


def fit_grids(
    target_RT: Floats,
    values_RT: Floats,
    names: Sequence[str],
    *,
    group_R: Numbers | None = None,
    seed: int = 0,
) -> tuple[Grid, ...]:
    """Fit the grid of every target; see `fit_grid`.

    Args:
        target_RT: True values, NaN where missing.
        values_RT: Predictions by models that were not trained on the row.
        names: The targets.
        group_R: Group number of every row, where rows come in groups.
        seed: Deals the folds of the choice.

    Raises:
        ValueError: Shapes differ, there are no rows, or values are not finite.
    """
    check_values(target_RT, values_RT)
    if len(names) != target_RT.shape[1]:
        raise ValueError(f"there must be {target_RT.shape[1]} names as there are targets, came {len(names)}")
    group_R = numbered_groups(group_R, len(target_RT))
    columns = zip(names, target_RT.T, values_RT.T, strict=True)
    return tuple(fit_grid(name, target_R, value_R, group_R, seed=seed) for name, target_R, value_R in columns)


def fit_grid(name: str, target_R: Floats, value_R: Floats, group_R: Numbers, *, seed: int = 0) -> Grid:
    """Fit several grids, and choose among them and leaving the predictions alone by a cross-fit on these rows.

    A grid must beat the raw predictions by more than the standard error of the difference. Where a target is constant,
    continuous, or has one group alone, predictions stay as they are.

    Args:
        name: The target.
        target_R: True values, NaN where missing.
        value_R: Predictions.
        group_R: Group number of every row.
        seed: Deals the folds of the choice.
    """
    is_known_R = ~np.isnan(target_R)
    target_R, value_R, group_R = target_R[is_known_R], value_R[is_known_R], group_R[is_known_R]
    raw = Grid(name, (), (), RAW, len(target_R))
    if not _takes_few_values(target_R) or len(np.unique(value_R)) < 2 or len(np.unique(group_R)) < 2:
        return raw
    chosen = _choose(target_R, value_R, group_R, seed)
    if chosen == RAW:
        return raw
    found = dict(_candidates(target_R, value_R))
    if chosen not in found:
        return raw
    values = _level_values(found[chosen], value_R, np.unique(target_R))
    method = chosen.partition(" ")[0]
    return Grid(name, values, tuple(found[chosen].tolist()), method, len(target_R))


def snap(grids: Sequence[Grid], values_RT: Floats) -> Floats:
    """Snap predictions of all targets, shape (R, T).

    Args:
        grids: One a target, in order.
        values_RT: Predictions.

    Raises:
        ValueError: There are not as many grids as targets.
    """
    if values_RT.ndim != 2 or values_RT.shape[1] != len(grids):
        raise ValueError(f"values must have shape (rows, {len(grids)}) as there are grids, came {values_RT.shape}")
    return np.column_stack([grid.snap(value_R) for grid, value_R in zip(grids, values_RT.T, strict=True)])


def cross_fitted_snap(
    target_RT: Floats,
    values_RT: Floats,
    *,
    group_R: Numbers | None = None,
    n_folds: int = OUTER_FOLDS,
    seed: int = 0,
) -> Floats:
    """Snapped predictions, shape (R, T), each row's by grids that were fitted and chosen without it and its group.

    Args:
        target_RT: True values, NaN where missing.
        values_RT: Predictions by models that were not trained on the row.
        group_R: Group number of every row, where rows come in groups.
        n_folds: How many times grids are fitted; fewer where there are fewer groups.
        seed: Deals the folds.

    Raises:
        ValueError: Shapes differ, there are no rows, values are not finite, or there are fewer than two groups.
    """
    check_values(target_RT, values_RT)
    group_R = numbered_groups(group_R, len(target_RT))
    names = [str(number) for number in range(target_RT.shape[1])]
    snapped_RT = np.array(values_RT, dtype=np.float64)
    for is_held_R in held_folds(group_R, n_folds, seed):
        fitted = ~is_held_R
        grids = fit_grids(target_RT[fitted], values_RT[fitted], names, group_R=group_R[fitted], seed=seed + 1)
        snapped_RT[is_held_R] = snap(grids, snapped_RT[is_held_R])
    return snapped_RT


def _takes_few_values(target_R: Floats) -> bool:
    n_values = len(np.unique(target_R))
    return 2 <= n_values <= min(MOST_VALUES, MOST_VALUES_FRACTION * len(target_R))


def _candidates(target_R: Floats, value_R: Floats) -> Iterator[tuple[str, Floats]]:
    """Thresholds of every grid that is tried, by its name."""
    value_K, count_K = np.unique(target_R, return_counts=True)
    yield "nearest", (value_K[1:] + value_K[:-1]) / 2
    order = np.argsort(value_R, kind="stable")
    sorted_R = value_R[order]
    yield "distribution", _between(sorted_R, np.cumsum(count_K)[:-1])
    place_G = places_for_cuts(sorted_R)
    curve_G = copula_sums(target_R, value_R, place_G)
    row_sums_G = np.concatenate([[0.0], np.cumsum(centred_midranks(target_R)[order])])[place_G]
    for width in WIDTHS:
        sums_G = corrected_sums(curve_G, row_sums_G, place_G, width)
        for n_levels, cuts in best_cuts(place_G, sums_G, MOST_LEVELS).items():
            yield f"optimised {width} {n_levels}", _between(sorted_R, worthwhile_cuts(place_G, sums_G, cuts))


def _between(sorted_R: Floats, cuts: NDArray[np.intp]) -> Floats:
    """Thresholds half way between the predictions at both sides of every cut; none inside of a tie."""
    is_border = sorted_R[cuts - 1] < sorted_R[cuts]
    below, above = sorted_R[cuts - 1][is_border], sorted_R[cuts][is_border]
    middle = below + (above - below) / 2
    # Neighbouring floating-point numbers have none in between.
    return np.asarray(np.where(middle > below, middle, above))


def _choose(target_R: Floats, value_R: Floats, group_R: Numbers, seed: int) -> str:
    """Name of the candidate with the highest correlation on rows it was not fitted on, or "raw".

    Ranks are taken within each fold, so that grids of different folds need no common scale.
    """
    rank_R = centred_midranks(target_R)
    ranks = {RAW: np.zeros(len(target_R))}
    for is_held_R in held_folds(group_R, INNER_FOLDS, seed):
        held_F, n_held = value_R[is_held_R], int(is_held_R.sum())
        found = {RAW: held_F} | {
            name: np.searchsorted(threshold, held_F, side="right").astype(np.float64)
            for name, threshold in _candidates(target_R[~is_held_R], value_R[~is_held_R])
        }
        for name, level_F in found.items():
            # A candidate that some fold does not offer ties that fold's rows: it loses by it.
            ranks.setdefault(name, np.zeros(len(target_R)))[is_held_R] = centred_midranks(level_F) / n_held
    parts = {name: _parts_of_correlation(rank_R, of_R) for name, of_R in ranks.items() if of_R.any()}
    if RAW not in parts:
        return RAW
    best = max(parts, key=lambda name: parts[name][0])
    gain = parts[best][0] - parts[RAW][0]
    by_group = np.bincount(np.unique(group_R, return_inverse=True)[1], parts[best][1] - parts[RAW][1])
    return best if gain > float(np.sqrt((by_group**2).sum())) else RAW


def _parts_of_correlation(one_R: Floats, other_R: Floats) -> tuple[float, Floats]:
    """Pearson's correlation of centred numbers, and every row's influence on it; their variance is its own."""
    one_R, other_R = one_R / np.sqrt(one_R @ one_R), other_R / np.sqrt(other_R @ other_R)
    correlation = float(one_R @ other_R)
    return correlation, one_R * other_R - correlation * (one_R**2 + other_R**2) / 2


def _level_values(thresholds: Floats, value_R: Floats, value_K: Floats) -> tuple[float, ...]:
    """The value of every level: what the target takes there, else the shortest decimal about the mean prediction.

    Both lie within the level's own thresholds, so that snapping twice changes nothing, and hardly depend on the rows
    that the thresholds were fitted on, so that rows which were snapped by grids of different folds are tied as well.
    """
    level_R = np.searchsorted(thresholds, value_R, side="right")
    borders = [-np.inf, *thresholds.tolist(), np.inf]
    values = []
    for number, (low, high) in enumerate(pairwise(borders)):
        of_level = value_R[level_R == number]
        middle = float(of_level.mean()) if len(of_level) else float(np.clip(value_K.mean(), low, high))
        inside = value_K[(value_K >= low) & (value_K < high)]
        is_inside = len(inside) > 0
        values.append(float(inside[np.abs(inside - middle).argmin()]) if is_inside else _shortest(middle, low, high))
    return tuple(values)


def _shortest(middle: float, low: float, high: float) -> float:
    """The number with the fewest digits that rounds the middle and lies from low to below high; else low itself."""
    first = -int(np.floor(np.log10(abs(middle)))) if middle else 0
    for n_digits in range(first, first + MOST_DIGITS):
        if low <= round(middle, n_digits) < high:
            return round(middle, n_digits)
    return low if np.isfinite(low) else middle
