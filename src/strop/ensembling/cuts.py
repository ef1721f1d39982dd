"""Where to cut sorted predictions into levels so that Spearman's correlation with the target is highest.

With rows sorted by prediction, the correlation of a cutting is C / sqrt(V) times a constant: C sums over its levels the
level's centred midrank times the target's centred ranks in it, V its rows times the square of the midrank. Both depend
on where levels start and end alone. For a given price q of V, dynamic programming finds the levels with the highest
C - q V; taking q = C / (2 V) of the last cutting and solving again never lowers C / sqrt(V), and comes to rest in a few
steps (as Dinkelbach 1967 for ratios).

On the rows themselves that would fit noise. The cuts are sought on a smooth curve of the target's expected rank
instead: that of a Gaussian copula with the same correlation, corrected by what the rows say over a wide enough part.

Dimensions: R rows, G places where a cut may lie (with both ends), K levels, U points of a curve.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

# Cuts may lie at even quantiles and, since rare values hang on few rows, ever closer together towards both ends.
N_EVEN, N_TOWARDS_END, FEWEST_ROWS = 48, 24, 3
CURVE_POINTS = 512
STRONGEST = 0.99
# Rows that are taken to lie on the copula's curve before the rows themselves have a say.
PRIOR_ROWS = 10.0
FIRST_PRICES = (1.0, 0.3, 2.0)
MOST_STEPS = 8
# Of the best cutting's correlation, what a simpler one must keep. On the 30 targets of Google QUEST 0.99 to 0.999
# hardly differed.
KEPT_SHARE = 0.997


def centred_midranks(number_R: Floats) -> Floats:
    """Midranks less their mean."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(number_R) - (len(number_R) + 1) / 2)


def places_for_cuts(sorted_R: Floats) -> Places:
    """Row numbers at which a level may start: 0, R, and places between different predictions.

    Args:
        sorted_R: Predictions, ascending.
    """
    n_rows = len(sorted_R)
    towards = np.round(np.geomspace(min(FEWEST_ROWS, n_rows), max(n_rows / 2, FEWEST_ROWS), N_TOWARDS_END))
    even = np.round(np.linspace(0, n_rows, N_EVEN + 1))
    wanted = np.concatenate([even, towards, n_rows - towards]).astype(np.intp)
    wanted = wanted[(wanted > 0) & (wanted < n_rows)]
    at_border = np.searchsorted(sorted_R, sorted_R[wanted], side="left")
    return np.unique(np.concatenate([at_border, [0, n_rows]])).astype(np.intp)


def copula_sums(target_R: Floats, value_R: Floats, place_G: Places) -> Floats:
    """Sums of the target's expected centred midranks below every place, shape (G,), under a Gaussian copula.

    Target and prediction are taken for the ranks of two normal variables, the target's cut into its values. Their
    correlation is the one that gives the rows' Spearman correlation.

    Args:
        target_R: True values.
        value_R: Predictions.
        place_G: Places in the order of predictions.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr, ndtri

    n_rows = len(target_R)
    count_K = np.unique(target_R, return_counts=True)[1]
    border = np.concatenate([[0], np.cumsum(count_K)])
    rank_K = (border[1:] + border[:-1] - n_rows) / 2
    quantile_U = (np.arange(CURVE_POINTS) + 0.5) / CURVE_POINTS
    normal_U, normal_border = ndtri(quantile_U), ndtri(border / n_rows)

    def expected(correlation: float) -> Floats:
        away = (normal_border - correlation * normal_U[:, None]) / np.sqrt(1 - correlation**2)
        return np.asarray(np.diff(ndtr(away), axis=1) @ rank_K)

    def excess(correlation: float) -> float:
        return float(expected(correlation) @ (quantile_U - 0.5)) * n_rows**2 / CURVE_POINTS - together

    together = float(centred_midranks(target_R) @ centred_midranks(value_R))
    if excess(STRONGEST) <= 0 or excess(-STRONGEST) >= 0:
        correlation = float(np.copysign(STRONGEST, together))
    else:
        correlation = brentq(excess, -STRONGEST, STRONGEST, xtol=1e-4)
    sums_U = np.concatenate([[0.0], np.cumsum(expected(correlation))]) * n_rows / CURVE_POINTS
    return np.interp(place_G / n_rows, np.linspace(0, 1, CURVE_POINTS + 1), sums_U)


def corrected_sums(curve_G: Floats, row_sums_G: Floats, place_G: Places, width: float) -> Floats:
    """A curve of sums moved towards the sums of the rows themselves, by kernel regression.

    Args:
        curve_G: Sums by a model.
        row_sums_G: Sums of the rows.
        place_G: Their places.
        width: Standard deviation of the kernel over the normal scores of ranks; the wider, the less the rows say.
    """
    from scipy.special import ndtri

    n_rows_between = np.diff(place_G).astype(np.float64)
    score = ndtri((place_G[1:] + place_G[:-1]) / 2 / place_G[-1])
    kernel = np.exp(-0.5 * ((score[:, None] - score) / width) ** 2)
    missed = kernel @ (np.diff(row_sums_G) - np.diff(curve_G)) / (kernel @ n_rows_between + PRIOR_ROWS)
    sums_G = np.concatenate([[0.0], np.cumsum(np.diff(curve_G) + missed * n_rows_between)])
    return np.asarray(sums_G - place_G / place_G[-1] * sums_G[-1])


def best_cuts(place_G: Places, sums_G: Floats, most_levels: Sequence[int]) -> dict[int, Places]:
    """Where levels start, ascending, for the highest Spearman correlation.

    Args:
        place_G: Places where cuts may lie; the first is 0, the last the number of rows.
        sums_G: Sum of the target's centred ranks below each; 0 at both ends.
        most_levels: For each of these, a cutting with no more levels is sought.

    Returns:
        By number of levels asked for; empty where the correlation is not positive or one level is all there is.
    """
    together_GG, spread_GG = _of_levels(place_G, sums_G)
    step = np.arange(len(place_G) - 1)
    together, spread = together_GG[step, step + 1].sum(), spread_GG[step, step + 1].sum()
    if together <= 0 or spread <= 0:
        return {}
    best: dict[int, tuple[float, Places]] = {}
    for first in FIRST_PRICES:
        price = first * together / (2 * spread)
        for _ in range(MOST_STEPS):
            next_price = price
            for n_levels, cuts in _cheapest(together_GG, spread_GG, price, most_levels):
                covered, paid = together_GG[cuts[:-1], cuts[1:]].sum(), spread_GG[cuts[:-1], cuts[1:]].sum()
                if paid <= 0:
                    continue
                if n_levels not in best or covered / np.sqrt(paid) > best[n_levels][0]:
                    best[n_levels] = (covered / np.sqrt(paid), cuts)
                next_price = covered / (2 * paid)
            if abs(next_price - price) <= 1e-3 * price:
                break
            price = next_price
    return {n_levels: place_G[cuts[1:-1]] for n_levels, (_, cuts) in best.items()}


def worthwhile_cuts(place_G: Places, sums_G: Floats, cuts: Places) -> Places:
    """The cuts without those that hardly serve: one by one the least useful goes, while nearly all is kept.

    A level for a handful of rows adds next to nothing where it was found, but it shifts the values of its neighbours:
    where the grid of one fold has it and that of another has not, many rows of the two are no longer tied.

    Args:
        place_G: Places where cuts may lie.
        sums_G: Sum of the target's centred ranks below each, as for `best_cuts`.
        cuts: Some of these places, ascending, without the first and the last.

    Returns:
        Some of the cuts, at least one of them if there is any; the correlation is at least `KEPT_SHARE` of theirs.
    """
    if len(cuts) < 2:
        return cuts
    kept = np.concatenate([[0], np.searchsorted(place_G, cuts), [len(place_G) - 1]]).astype(np.intp)
    least = KEPT_SHARE * _correlation(place_G[kept], sums_G[kept])
    while len(kept) > 3:
        fewer = [np.delete(kept, number) for number in range(1, len(kept) - 1)]
        correlations = [_correlation(place_G[some], sums_G[some]) for some in fewer]
        if max(correlations) < least:
            break
        kept = fewer[int(np.argmax(correlations))]
    return place_G[kept[1:-1]]


def _correlation(place_K: Places, sums_K: Floats) -> float:
    """C / sqrt(V) of the levels between neighbouring places."""
    midrank_K = (place_K[1:] + place_K[:-1] - place_K[-1]) / 2
    return float(midrank_K @ np.diff(sums_K) / np.sqrt(np.diff(place_K) @ midrank_K**2))


def _of_levels(place_G: Places, sums_G: Floats) -> tuple[Floats, Floats]:
    """What a level from one place to another adds to C and to V; minus infinity for C where it would end too early."""
    midrank_GG = (place_G[:, None] + place_G - place_G[-1]) / 2
    n_rows_GG = (place_G - place_G[:, None]).astype(np.float64)
    together_GG = np.where(n_rows_GG > 0, midrank_GG * (sums_G - sums_G[:, None]), -np.inf)
    return together_GG, n_rows_GG * midrank_GG**2


def _cheapest(
    together_GG: Floats, spread_GG: Floats, price: float, most_levels: Sequence[int]
) -> Iterator[tuple[int, Places]]:
    """Levels with the highest C - price V, as numbers of places from the first to the last."""
    gain_to_from = np.ascontiguousarray((together_GG - price * spread_GG).T)
    number = np.arange(len(gain_to_from))
    reached = gain_to_from[:, 0].copy()
    came_from: list[Places] = []
    for _ in range(1, max(most_levels)):
        through = gain_to_from + reached
        previous = through.argmax(axis=1)
        is_better = through[number, previous] > reached
        reached = np.where(is_better, through[number, previous], reached)
        came_from.append(np.where(is_better, previous, -1))
    for n_levels in most_levels:
        cuts = [len(number) - 1]
        for previous in reversed(came_from[: n_levels - 1]):
            if previous[cuts[-1]] >= 0:
                cuts.append(int(previous[cuts[-1]]))
        yield n_levels, np.array([0, *reversed(cuts)], dtype=np.intp)
