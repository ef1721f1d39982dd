"""Blend several systems: the weights whose mean of predictions has the highest mean Spearman correlation.

Dimensions: S systems, R rows, T targets.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from strop.ensembling.cuts import centred_midranks
from strop.ensembling.group_folds import held_folds, numbered_groups
from strop.ensembling.snap import OUTER_FOLDS, fit_grids, snap
from strop.metrics.regression import REGRESSION_METRICS, check_values

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

# Weight moved at once from one system to another, coarse to fine.
STEPS = (0.1, 0.05)
# What a move must add to the mean correlation: less is rounding.
LEAST_GAIN = 1e-6


def fit_blend(values_SRT: Floats, target_RT: Floats) -> Floats:
    """One weight a system, shape (S,), not negative and with sum 1; the same input gives the same weights.

    The search starts from equal weights, from each system alone, or from the weights under which the blend's Pearson
    correlation with the target's ranks is highest (a smooth stand-in for Spearman's), whichever is best, and then moves
    weight between two systems at a time while that helps.

    Args:
        values_SRT: Predictions of every system for the same rows, none trained on them.
        target_RT: True values, NaN where missing.

    Raises:
        ValueError: There are no systems or rows, shapes differ, or values are not finite.
    """
    _check_systems(values_SRT, target_RT)
    n_systems = len(values_SRT)
    starts = [np.full(n_systems, 1 / n_systems), *np.eye(n_systems), _smooth_start(values_SRT, target_RT)]
    scores = [_mean_spearman(values_SRT, target_RT, weights_S) for weights_S in starts]
    best = int(np.argmax(scores))
    weights_S, score = starts[best], scores[best]
    for step in STEPS:
        is_better = True
        while is_better:
            is_better = False
            for moved_S in _moves(weights_S, step):
                moved_score = _mean_spearman(values_SRT, target_RT, moved_S)
                if moved_score > score + LEAST_GAIN:
                    weights_S, score, is_better = moved_S, moved_score, True
                    break
    return np.asarray(weights_S)


def blend(values_SRT: Floats, weights_S: Floats) -> Floats:
    """Weighted mean of the systems' predictions, shape (R, T).

    Args:
        values_SRT: Predictions of every system.
        weights_S: One weight a system.

    Raises:
        ValueError: There are not as many weights as systems, one is negative, or their sum is not 1.
    """
    if weights_S.shape != values_SRT.shape[:1]:
        raise ValueError(f"there must be one weight for each of {len(values_SRT)} systems, came {weights_S.shape}")
    if not (weights_S >= 0).all() or not np.isclose(weights_S.sum(), 1.0):
        raise ValueError(f"weights must not be negative and must sum to 1, came {weights_S.tolist()}")
    return np.asarray(np.tensordot(weights_S, values_SRT, axes=1))


def cross_fitted_blend(
    values_SRT: Floats,
    target_RT: Floats,
    *,
    group_R: Numbers | None = None,
    n_folds: int = OUTER_FOLDS,
    seed: int = 0,
) -> Floats:
    """Blended predictions, shape (R, T), each row's by weights that were fitted without it and its group.

    Args:
        values_SRT: Predictions of every system for the same rows, none trained on them.
        target_RT: True values, NaN where missing.
        group_R: Group number of every row, where rows come in groups.
        n_folds: How many times weights are fitted; fewer where there are fewer groups.
        seed: Deals the folds.

    Raises:
        ValueError: As `fit_blend`, or there are fewer than two groups.
    """
    _check_systems(values_SRT, target_RT)
    return cross_fitted_blend_by(
        lambda is_kept_R: fit_blend(values_SRT[:, is_kept_R], target_RT[is_kept_R]),
        values_SRT,
        group_R=group_R,
        n_folds=n_folds,
        seed=seed,
    )


def cross_fitted_blend_and_snap(
    values_SRT: Floats,
    target_RT: Floats,
    *,
    group_R: Numbers | None = None,
    n_folds: int = OUTER_FOLDS,
    seed: int = 0,
) -> tuple[Floats, Floats]:
    """What `cross_fitted_blend` gives, and the same snapped, shape (R, T) each.

    Each row is snapped by grids that were fitted without it and its group, on values that were blended by weights that
    were fitted without them too.

    Args:
        values_SRT: Predictions of every system for the same rows, none trained on them.
        target_RT: True values, NaN where missing.
        group_R: Group number of every row, where rows come in groups.
        n_folds: How many times weights and grids are fitted; fewer where there are fewer groups.
        seed: Deals the folds.

    Raises:
        ValueError: As `fit_blend`, or there are fewer than two groups.
    """
    _check_systems(values_SRT, target_RT)
    group_R = numbered_groups(group_R, len(target_RT))
    names = [str(number) for number in range(target_RT.shape[1])]
    blended_RT, snapped_RT = np.empty(target_RT.shape), np.empty(target_RT.shape)
    for is_held_R in held_folds(group_R, n_folds, seed):
        kept = ~is_held_R
        weights_S = fit_blend(values_SRT[:, kept], target_RT[kept])
        kept_RT = blend(values_SRT[:, kept], weights_S)
        grids = fit_grids(target_RT[kept], kept_RT, names, group_R=group_R[kept], seed=seed + 1)
        blended_RT[is_held_R] = blend(values_SRT[:, is_held_R], weights_S)
        snapped_RT[is_held_R] = snap(grids, blended_RT[is_held_R])
    return blended_RT, snapped_RT


def cross_fitted_blend_by(
    fit: Callable[[NDArray[np.bool_]], Floats],
    values_SRT: Floats,
    *,
    group_R: Numbers | None = None,
    n_folds: int = 5,
    seed: int = 0,
) -> Floats:
    """Blended predictions, shape (R, T), each row's by weights that `fit` found without it and its group.

    Args:
        fit: One weight a system, shape (S,), from the rows of a mask of shape (R,).
        values_SRT: Predictions of every system for the same rows.
        group_R: Group number of every row, where rows come in groups.
        n_folds: How many times weights are fitted; fewer where there are fewer groups.
        seed: Deals the folds.

    Raises:
        ValueError: There are fewer than two groups.
    """
    blended_RT = np.empty(values_SRT.shape[1:])
    for is_held_R in held_folds(numbered_groups(group_R, values_SRT.shape[1]), n_folds, seed):
        blended_RT[is_held_R] = blend(values_SRT[:, is_held_R], fit(~is_held_R))
    return blended_RT


def _check_systems(values_SRT: Floats, target_RT: Floats) -> None:
    if values_SRT.ndim != 3 or len(values_SRT) == 0:
        raise ValueError(f"values must have shape (systems, rows, targets), came {values_SRT.shape}")
    for values_RT in values_SRT:
        check_values(target_RT, values_RT)


def _mean_spearman(values_SRT: Floats, target_RT: Floats, weights_S: Floats) -> float:
    by_target_T = REGRESSION_METRICS["spearman"].by_target_values(target_RT, blend(values_SRT, weights_S))
    # A constant prediction ranks nothing: without the 0 it would be left out of the mean, and pay.
    return float(np.nan_to_num(by_target_T, nan=0.0).mean())


def _moves(weights_S: Floats, step: float) -> Iterator[Floats]:
    for giver in np.flatnonzero(weights_S > 0):
        for taker in range(len(weights_S)):
            if taker != giver:
                moved_S = weights_S.copy()
                moved_S[giver] -= min(step, weights_S[giver])
                moved_S[taker] += weights_S[giver] - moved_S[giver]
                yield moved_S / moved_S.sum()


def _smooth_start(values_SRT: Floats, target_RT: Floats) -> Floats:
    from scipy.optimize import minimize
    from scipy.special import softmax

    n_systems, n_targets = len(values_SRT), target_RT.shape[1]
    with_rank_TS, with_each_TSS = np.zeros((n_targets, n_systems)), np.zeros((n_targets, n_systems, n_systems))
    for target in range(n_targets):
        is_known_R = ~np.isnan(target_RT[:, target])
        rank_R, of_SR = centred_midranks(target_RT[is_known_R, target]), values_SRT[:, is_known_R, target]
        if not rank_R.any():
            continue
        of_SR = of_SR - of_SR.mean(axis=1, keepdims=True)
        of_SR = of_SR / (np.sqrt((of_SR**2).sum(axis=1).mean()) or 1.0)
        with_rank_TS[target] = of_SR @ rank_R / np.sqrt(rank_R @ rank_R)
        with_each_TSS[target] = of_SR @ of_SR.T

    def loss(logits_S: Floats) -> float:
        weights_S = softmax(logits_S)
        spread_T = np.einsum("s,tsu,u->t", weights_S, with_each_TSS, weights_S)
        return -float((with_rank_TS @ weights_S / np.sqrt(spread_T + 1e-12)).sum())

    # Beyond these logits the other systems have no weight to speak of.
    found = minimize(loss, np.zeros(n_systems), method="L-BFGS-B", bounds=[(-6.0, 6.0)] * n_systems)
    return np.asarray(softmax(found.x))
