"""The primary metric of every fold by itself, and the mean over folds.

One score over all rows together mixes the predictions of several models, whose scales may differ; the mean over folds
does not. It is the score that is usually called cross-validated.

A metric of several targets is averaged over folds target by target, and then over targets: a target that is constant in
a fold would otherwise count in the other folds alone, and a hard one that is left out would raise the mean.

Dimensions: B resamples, F folds, N rows of one fold, R rows, T targets (1 where a metric has none).
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from strop.evaluation.intervals import resample_weights
from strop.evaluation.value_intervals import mean_of_resamples, score_of
from strop.metrics.registry import Metric
from strop.metrics.regression import RegressionMetric, mean_over_targets
from strop.recipe.sections import Evaluation
from strop.records.scores import FoldScore, FoldScores

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
# The metric of the rows at some positions under weightings of these rows (B, N), shape (B, T); NaN where not defined.
OfRows = Callable[[NDArray[np.intp], Floats], Floats]


def known_folds(fold_R: Numbers) -> Numbers | None:
    """The fold of every row, shape (R,); None where rows have none, or all have the same."""
    return fold_R if len(np.unique(fold_R)) > 1 and fold_R.min() >= 0 else None


def fold_scores(
    metric: Metric | RegressionMetric,
    of_rows: OfRows,
    fold_R: Numbers,
    *,
    evaluation: Evaluation,
    seed: int,
    group_R: Numbers | None = None,
    targets: Sequence[str] = ("",),
) -> FoldScores | None:
    """Score every fold by itself, and take the mean; None where the metric is defined in no fold.

    Intervals are percentile intervals over resamples of all rows, the same as those of the score over all rows: the
    mean is taken anew in each, without folds that have no rows in it or where the metric is not defined.

    Args:
        metric: What is measured.
        of_rows: Measures rows of one fold; called with their positions.
        fold_R: The fold of every row.
        evaluation: Resamples and confidence.
        seed: Draws the resamples.
        group_R: Group number of every row, where rows come in groups; whole groups are then drawn.
        targets: Names of the targets, T of them.
    """
    folds_F = np.unique(fold_R)
    rows_F = [np.flatnonzero(fold_R == fold) for fold in folds_F]
    value_FT = np.stack([of_rows(rows, np.ones((1, len(rows))))[0] for rows in rows_F])
    if np.isnan(value_FT).all():
        return None
    chunks = [
        np.stack([_resampled(of_rows, rows, weight_BR[:, rows], value_FT.shape[1]) for rows in rows_F])
        for weight_BR in resample_weights(len(fold_R), evaluation.n_bootstrap, seed, group_R)
    ]
    values_FBT = np.concatenate(chunks, axis=1)
    value = float(mean_over_targets(_mean_over_folds(value_FT[:, None]))[0])
    return FoldScores(
        score_of(metric, value, mean_of_resamples(_mean_over_folds(values_FBT)), evaluation.confidence),
        tuple(
            FoldScore(
                int(fold),
                len(rows),
                None
                if np.isnan(value_T).all()
                else score_of(metric, float(np.nanmean(value_T)), mean_of_resamples(values_BT), evaluation.confidence),
                left_out=tuple(name for name, value in zip(targets, value_T, strict=True) if np.isnan(value)),
            )
            for fold, rows, value_T, values_BT in zip(folds_F, rows_F, value_FT, values_FBT, strict=True)
        ),
    )


def _resampled(of_rows: OfRows, rows: NDArray[np.intp], weight_BN: Floats, n_targets: int) -> Floats:
    """The metric of one fold on some resamples, shape (B, T); NaN where none of its rows was drawn."""
    is_drawn_B = weight_BN.any(axis=1)
    values_BT = np.full((len(weight_BN), n_targets), np.nan)
    if is_drawn_B.any():
        values_BT[is_drawn_B] = of_rows(rows, weight_BN[is_drawn_B])
    return values_BT


def _mean_over_folds(values_FBT: Floats) -> Floats:
    """Mean over the folds where a target is defined, shape (B, T); NaN where it is in none."""
    n_folds, n_resamples, n_targets = values_FBT.shape
    by_target = np.moveaxis(values_FBT, 0, -1).reshape(-1, n_folds)
    return mean_over_targets(by_target).reshape(n_resamples, n_targets)
