"""Compare systems row by row on the rows that none of their models was trained on.

Dimensions: R rows, L labels.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from operator import ne
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from strop.errors import Problem, RunError
from strop.evaluation.clarity import holm, is_clear
from strop.evaluation.comparison import Comparison, Pair
from strop.evaluation.intervals import (
    bootstrap_scores,
    difference_interval,
    numbers_of_groups,
    resample,
    swap_p_value,
)
from strop.evaluation.labels import label_numbers
from strop.evaluation.refuse import Judged, refuse_broken_outputs
from strop.metrics.registry import METRICS
from strop.recipe.sections import Evaluation
from strop.records.dataset import strings
from strop.records.predictions import Predictions
from strop.records.scores import Score

__all__ = ["Comparison", "Pair", "compare_runs", "disagreements", "must_agree", "ranked_pairs", "shared_unseen_ids"]

Truth = TypeVar("Truth")


def compare_runs(
    predictions: Mapping[str, Predictions],
    targets: Mapping[str, Mapping[str, str]],
    *,
    evaluation: Evaluation,
    seed: int,
    groups: Mapping[str, str] | None = None,
) -> Comparison:
    """Compare systems on the primary metric.

    Args:
        predictions: By system, at least two.
        targets: By system, the true label of every row by id.
        evaluation: Primary metric, resamples, confidence.
        seed: Draws resamples and swaps.
        groups: The group of every row by id, where rows come in groups; whole groups are then resampled and swapped.

    Raises:
        RunError: Systems have no unseen rows in common, disagree on a row's true label, know other labels, or have
            logits that are not finite.
        DataError: A true label is unknown to the systems.
        ValueError: There are fewer than two systems.
    """
    if len(predictions) < 2:
        raise ValueError(f"there must be at least two systems to compare, came {len(predictions)}")
    ids = shared_unseen_ids(predictions)
    must_agree(ids, predictions, targets, "label", "labels", ne)
    first = next(iter(predictions))
    target_R = label_numbers(strings([targets[first][row_id] for row_id in ids]), predictions[first].labels)
    group_R = None if groups is None else numbers_of_groups(strings([groups[row_id] for row_id in ids]))
    shared = {name: one.select(ids) for name, one in predictions.items()}
    refuse_broken_outputs(shared)
    probabilities = {name: one.probabilities_RL() for name, one in shared.items()}
    metric = METRICS[evaluation.primary_metric]
    resampled = {
        name: resample([metric], target_R, one_RL, n_resamples=evaluation.n_bootstrap, seed=seed, group_R=group_R)
        for name, one_RL in probabilities.items()
    }
    scores = {
        name: bootstrap_scores([metric], target_R, one_RL, resampled[name], evaluation.confidence)[metric.name]
        for name, one_RL in probabilities.items()
    }
    values = {name: one.values[metric.name] for name, one in resampled.items()}
    ranked = sorted(scores, key=lambda name: scores[name].value, reverse=metric.higher_is_better)
    p_values = [
        swap_p_value(metric, target_R, probabilities[one], probabilities[other], seed=seed, group_R=group_R)
        for one, other in combinations(ranked, 2)
    ]
    n_seen = {name: int(one.seen_R.sum()) for name, one in predictions.items()}
    return Comparison(
        metric=metric.name,
        confidence=evaluation.confidence,
        n_rows=len(ids),
        n_seen=n_seen,
        n_not_shared={name: one.n_rows - n_seen[name] - len(ids) for name, one in predictions.items()},
        scores={name: scores[name] for name in ranked},
        pairs=ranked_pairs(ranked, scores, values, p_values, evaluation.confidence),
    )


def ranked_pairs(
    ranked: Sequence[str],
    scores: Mapping[str, Score],
    values: Mapping[str, NDArray[np.float64]],
    p_values: Sequence[float],
    confidence: float,
) -> tuple[Pair, ...]:
    """Every better system beside every worse one.

    Args:
        ranked: The systems, best first.
        scores: Their scores.
        values: By system, the metric on every resample, the same resamples for all.
        p_values: One a pair, in the order of `itertools.combinations`; they are corrected here.
        confidence: Level of the intervals.
    """
    pairs = []
    for (one, other), p_value in zip(combinations(ranked, 2), holm(np.array(p_values)).tolist(), strict=True):
        better, worse = scores[one], scores[other]
        sign = 1.0 if better.higher_is_better else -1.0
        values_B = sign * (values[one] - values[other])
        value = abs(better.value - worse.value)
        # The same resamples for both, so that what is hard for both cancels out.
        low, high = difference_interval(value, values_B, confidence)
        pairs.append(
            Pair(
                one=one,
                other=other,
                value=value,
                low=low,
                high=high,
                p_value=p_value,
                is_clear=is_clear(low, high, p_value, confidence),
                intervals_overlap=_overlap(better, worse),
            )
        )
    return tuple(pairs)


def _overlap(one: Score, other: Score) -> bool:
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return True
    return one.low <= other.high and other.low <= one.high


def shared_unseen_ids(predictions: Mapping[str, Judged]) -> list[str]:
    """Ids of the rows that all systems have predicted and none was trained on, in the order of the first.

    Args:
        predictions: By system; answers in words are predictions here.

    Raises:
        RunError: There is no such row.
    """
    unseen = [set(one.ids[~one.seen_R].tolist()) for one in predictions.values()]
    shared = set.intersection(*unseen)
    if not shared:
        counts = ", ".join(
            f"{name} predicted {one.n_rows} rows and was trained on {int(one.seen_R.sum())} of them"
            for name, one in predictions.items()
        )
        problem = Problem(
            where="the compared runs",
            must="runs must have predicted some of the same rows, unseen in training",
            came=f"no such row: {counts}",
            do="compare runs with the same data, ids and split (same seed)",
        )
        raise RunError(problem)
    first = next(iter(predictions.values()))
    return [row_id for row_id in first.ids.tolist() if row_id in shared]


def must_agree(
    ids: Sequence[str],
    predictions: Mapping[str, Predictions],
    targets: Mapping[str, Mapping[str, Truth]],
    truth: str,
    outputs: str,
    differ: Callable[[Truth, Truth], bool],
) -> None:
    """Check that systems agree on what is true and on what is to be predicted.

    Args:
        ids: The rows they share.
        predictions: By system.
        targets: By system, what is true of every row by id.
        truth: What that is called.
        outputs: What the columns of the predictions are called.
        differ: Whether two truths are unlike.

    Raises:
        RunError: With every disagreement with the first system.
    """
    first, *others = predictions
    # Where the columns differ, so do the rows of truths: that says nothing more.
    is_one_set = len({one.labels for one in predictions.values()}) == 1 or outputs == "labels"
    problems = disagreements(ids, targets, truth, differ) if is_one_set else []
    for other in others:
        if predictions[first].labels != predictions[other].labels:
            problems.append(
                Problem(
                    where=f"{first} and {other}",
                    must=f"runs must know the same {outputs}",
                    came="; ".join(_only_in(first, other, predictions)) or "the same in another order",
                    do="fit both on the same data",
                )
            )
    if problems:
        raise RunError(*problems)


def _only_in(first: str, other: str, predictions: Mapping[str, Predictions]) -> Iterator[str]:
    """What one of two systems alone knows, five names at most."""
    for one, another in ((first, other), (other, first)):
        known = set(predictions[another].labels)
        alone = [label for label in predictions[one].labels if label not in known]
        if alone:
            more = f" and {len(alone) - 5} more" if len(alone) > 5 else ""
            yield f"only in {one}: {', '.join(alone[:5])}{more}"


def disagreements(
    ids: Sequence[str], targets: Mapping[str, Mapping[str, Truth]], truth: str, differ: Callable[[Truth, Truth], bool]
) -> list[Problem]:
    """A problem for every system that does not agree with the first on what is true.

    Args:
        ids: The rows they share.
        targets: By system, what is true of every row by id.
        truth: What that is called.
        differ: Whether two truths are unlike.
    """
    first, *others = targets
    problems = []
    for other in others:
        differing = [row_id for row_id in ids if differ(targets[first][row_id], targets[other][row_id])]
        if differing:
            shown = ", ".join(differing[:5])
            problems.append(
                Problem(
                    where=f"{first} and {other}",
                    must=f"runs must agree on the true {truth} of every shared row",
                    came=f"{len(differing)} rows differ, for example {shown}",
                    do="fit both on the same version of the data",
                )
            )
    return problems
