"""Ranges about predictions that hold the true value with a stated confidence.

Split conformal prediction (Vovk, Gammerman and Shafer 2005; Lei et al. 2018) with residuals of out-of-fold predictions.
For new rows that come like the old ones, and a model like those of the folds, the share of true values inside is at
least the confidence on average over all rows: it says nothing of any single kind of row. Where rows come in groups,
`cross_fitted_coverage` shows what the dependence between them costs.

Dimensions: R rows, T targets.
"""

import math

import numpy as np
from numpy.typing import NDArray

from strop.ensembling.group_folds import held_folds, numbered_groups
from strop.metrics.regression import check_values

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


def fit_half_widths(target_RT: Floats, values_RT: Floats, confidence: float) -> Floats:
    """How far a range must reach to both sides of a prediction, in units of the target, shape (T,).

    Of n rows it is the residual that is number ceil((n + 1) confidence) in ascending order (Lei et al. 2018, section
    2.2); infinite where there are too few rows for the confidence.

    Args:
        target_RT: True values, NaN where missing.
        values_RT: Predictions by models that were not trained on the row.
        confidence: Share of true values that ranges should hold, for example 0.9.

    Raises:
        ValueError: The confidence is not between 0 and 1, shapes differ, there are no rows, or values are not finite.
    """
    check_values(target_RT, values_RT)
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"the confidence must lie between 0 and 1, came {confidence}")
    # Missing residuals sort behind all others.
    residual_RT = np.sort(np.abs(target_RT - values_RT), axis=0)
    n_known_T = (~np.isnan(target_RT)).sum(axis=0)
    half_widths_T = np.full(len(n_known_T), np.inf)
    for target, n_known in enumerate(n_known_T):
        # A hair less, so that (9 + 1) * 0.9 is the ninth in spite of rounding.
        number = math.ceil((int(n_known) + 1) * confidence - 1e-9)
        if number <= n_known:
            half_widths_T[target] = residual_RT[number - 1, target]
    return half_widths_T


def ranges(values_RT: Floats, half_widths_T: Floats, low_T: Floats, high_T: Floats) -> tuple[Floats, Floats]:
    """Both ends of the range about every prediction, shape (R, T) each, cut off at the ends of the target's range.

    Args:
        values_RT: Predictions.
        half_widths_T: What `fit_half_widths` found.
        low_T: Lowest value that each target can take; minus infinity where there is none.
        high_T: Highest value that each target can take.

    Raises:
        ValueError: Shapes differ, a half width is negative, or a low end is above a high one.
    """
    n_targets = values_RT.shape[-1]
    for what, numbers_T in (("half widths", half_widths_T), ("low ends", low_T), ("high ends", high_T)):
        if numbers_T.shape != (n_targets,):
            raise ValueError(f"{what} must have shape ({n_targets},) as there are targets, came {numbers_T.shape}")
    if not (half_widths_T >= 0).all():
        raise ValueError(f"half widths must not be negative or NaN, came {half_widths_T.tolist()}")
    if not (low_T <= high_T).all():
        raise ValueError(f"low ends must not be above high ends, came {low_T.tolist()} and {high_T.tolist()}")
    return np.clip(values_RT - half_widths_T, low_T, high_T), np.clip(values_RT + half_widths_T, low_T, high_T)


def cross_fitted_coverage(
    target_RT: Floats,
    values_RT: Floats,
    confidence: float,
    *,
    group_R: Numbers | None = None,
    n_folds: int = 5,
    seed: int = 0,
) -> Floats:
    """Share of true values inside their ranges, shape (T,), each row's range fitted without it and its group.

    Args:
        target_RT: True values, NaN where missing.
        values_RT: Predictions by models that were not trained on the row.
        confidence: Share of true values that ranges should hold.
        group_R: Group number of every row, where rows come in groups.
        n_folds: How many times ranges are fitted; fewer where there are fewer groups.
        seed: Deals the folds.

    Returns:
        NaN for a target that is missing everywhere.

    Raises:
        ValueError: As `fit_half_widths`, or there are fewer than two groups.
    """
    check_values(target_RT, values_RT)
    is_inside_RT = np.zeros(target_RT.shape, dtype=np.bool_)
    for is_held_R in held_folds(numbered_groups(group_R, len(target_RT)), n_folds, seed):
        half_widths_T = fit_half_widths(target_RT[~is_held_R], values_RT[~is_held_R], confidence)
        is_inside_RT[is_held_R] = np.abs(target_RT[is_held_R] - values_RT[is_held_R]) <= half_widths_T
    n_known_T = (~np.isnan(target_RT)).sum(axis=0)
    return np.where(n_known_T > 0, is_inside_RT.sum(axis=0) / np.maximum(n_known_T, 1), np.nan)
