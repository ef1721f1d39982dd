"""Compare systems that predict numbers, row by row, on the rows that none of their models was trained on.

Dimensions: B resamples, R rows, T targets.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from strop.errors import Problem, RunError
from strop.evaluation.compare import must_agree, ranked_pairs, shared_unseen_ids
from strop.evaluation.comparison import Comparison
from strop.evaluation.intervals import bootstrap_p_value, numbers_of_groups
from strop.evaluation.refuse import refuse_broken_outputs, refuse_without_targets
from strop.evaluation.value_intervals import (
    mean_of_resamples,
    mean_value,
    measured,
    resampled,
    score_of,
    without_levels_of_folds,
)
from strop.metrics.regression import REGRESSION_METRICS
from strop.recipe.sections import Evaluation
from strop.records.dataset import strings
from strop.records.predictions import Predictions

Floats = NDArray[np.float64]


def compare_values(
    predictions: Mapping[str, Predictions],
    targets: Mapping[str, Mapping[str, Sequence[float] | Floats]],
    *,
    evaluation: Evaluation,
    seed: int,
    groups: Mapping[str, str] | None = None,
) -> Comparison:
    """Compare systems on the primary metric, averaged over targets.

    The p-values are of the paired bootstrap, see `intervals.bootstrap_p_value`, corrected after Holm (1979).

    Args:
        predictions: By system, at least two; all of the same targets in the same order.
        targets: By system, the true values of every row by id, in the order of the predictions' labels, NaN where one
            is missing.
        evaluation: Primary metric, resamples, confidence.
        seed: Draws the resamples.
        groups: The group of every row by id, where rows come in groups; whole groups are then resampled.

    Raises:
        RunError: Systems have no unseen rows in common, disagree on a row's true values, predict other targets, or
            have values that are not finite; or no shared row has a target.
        ValueError: There are fewer than two systems.
    """
    if len(predictions) < 2:
        raise ValueError(f"there must be at least two systems to compare, came {len(predictions)}")
    ids = shared_unseen_ids(predictions)
    must_agree(ids, predictions, targets, "values", "targets", _differ)
    first = next(iter(predictions))
    target_RT = np.array([targets[first][row_id] for row_id in ids], dtype=np.float64)
    refuse_without_targets(target_RT, "shared rows")
    group_R = None if groups is None else numbers_of_groups(strings([groups[row_id] for row_id in ids]))
    shared = {name: one.select(ids) for name, one in predictions.items()}
    refuse_broken_outputs(shared)
    values = {name: without_levels_of_folds(one) for name, one in shared.items()}
    metric = REGRESSION_METRICS[evaluation.primary_metric]
    by_target = resampled([metric], target_RT, values, n_resamples=evaluation.n_bootstrap, seed=seed, group_R=group_R)
    values_B = {name: mean_of_resamples(found[metric.name]) for name, found in by_target.items()}
    scores = {
        name: score_of(metric, mean_value(measured(metric, target_RT, one_RT)), values_B[name], evaluation.confidence)
        for name, one_RT in values.items()
    }
    ranked = sorted(scores, key=lambda name: scores[name].value, reverse=metric.higher_is_better)
    # Undefined for one system is undefined for all: it says that no target varies in the resample.
    is_known_B = ~np.isnan(values_B[first])
    _must_be_measurable(is_known_B, metric.name)
    known_B = {name: one_B[is_known_B] for name, one_B in values_B.items()}
    n_units = len(ids) if group_R is None else len(np.unique(group_R))
    p_values = [bootstrap_p_value(known_B[one] - known_B[other], n_units) for one, other in combinations(ranked, 2)]
    n_seen = {name: int(one.seen_R.sum()) for name, one in predictions.items()}
    return Comparison(
        metric=metric.name,
        confidence=evaluation.confidence,
        n_rows=len(ids),
        n_seen=n_seen,
        n_not_shared={name: one.n_rows - n_seen[name] - len(ids) for name, one in predictions.items()},
        scores={name: scores[name] for name in ranked},
        pairs=ranked_pairs(ranked, scores, known_B, p_values, evaluation.confidence),
    )


def _differ(one: Sequence[float] | Floats, other: Sequence[float] | Floats) -> bool:
    return not np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True)


def _must_be_measurable(is_known_B: NDArray[np.bool_], metric: str) -> None:
    if not is_known_B.any():
        raise RunError(
            Problem(
                where="the compared runs",
                must=f"some target must vary in the shared rows, so that {metric} can be measured",
                came="every target has one value only",
                do="compare on more rows, or by mae",
            )
        )
