"""Score what was looked up against what matters, with intervals over questions.

Dimensions: B resamples, Q questions.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strop.evaluation.intervals import (
    bootstrap_p_value,
    difference_interval,
    numbers_of_groups,
    resample_weights,
    score_with_interval,
)
from strop.metrics.ranking import Gains, gains, ndcg_at, recall_at, reciprocal_rank
from strop.records.dataset import Strings
from strop.records.scores import Difference, Score

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RetrievalScores:
    """How well one way of looking up does.

    Attributes:
        metrics: Means over questions, by name: recall@k, ndcg@k, mrr.
        per_question: By name, one value a question, shape (Q,).
        resampled: By name, the mean on every bootstrap resample, shape (B,).
    """

    metrics: Mapping[str, Score]
    per_question: Mapping[str, Floats]
    resampled: Mapping[str, Floats]


def score_retrieval(
    found: Sequence[Sequence[Hashable]],
    gold: Sequence[Mapping[Hashable, float]],
    *,
    k: int = 10,
    n_bootstrap: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    groups: Strings | None = None,
) -> RetrievalScores:
    """Score rankings by recall@k, nDCG@k and MRR, each with a percentile bootstrap interval over questions.

    Args:
        found: For every question what was found, best first.
        gold: For every question what matters, with its gain; questions for which nothing matters must be left out.
        k: How many ranks count for recall and nDCG; the MRR takes all that were found.
        n_bootstrap: Resamples.
        confidence: Level of the intervals.
        seed: Draws the resamples; the same for systems that are to be compared.
        groups: Group of every question; whole groups are then resampled.

    Raises:
        ValueError: There are no questions, lengths differ, or for a question nothing matters.
    """
    gained = gains(found, gold)
    measures: Mapping[str, Callable[[Gains], Floats]] = {
        f"recall@{k}": lambda one: recall_at(one, k),
        f"ndcg@{k}": lambda one: ndcg_at(one, k),
        "mrr": reciprocal_rank,
    }
    per_question = {name: measure(gained) for name, measure in measures.items()}
    stacked_QM = np.stack(list(per_question.values()), axis=1)
    weights = resample_weights(len(found), n_bootstrap, seed, numbers_of_groups(groups))
    means_BM = np.concatenate([weight_BQ @ stacked_QM / weight_BQ.sum(axis=1, keepdims=True) for weight_BQ in weights])
    resampled = {name: means_BM[:, at] for at, name in enumerate(per_question)}
    scores = {
        name: score_with_interval(name, float(value_Q.mean()), resampled[name], confidence, limits=(0.0, 1.0))
        for name, value_Q in per_question.items()
    }
    return RetrievalScores(scores, per_question, resampled)


def retrieval_difference(
    one: RetrievalScores, other: RetrievalScores, metric: str, *, name: str, confidence: float = 0.95
) -> Difference:
    """How much better one way is than another on the same questions and resamples; positive favours the first.

    Args:
        one: The first.
        other: The second, scored with the same questions, seed and number of resamples.
        metric: For example "recall@10".
        name: What the second is called.
        confidence: Level of the interval.
    """
    value = one.metrics[metric].value - other.metrics[metric].value
    of_resamples_B = one.resampled[metric] - other.resampled[metric]
    low, high = difference_interval(value, of_resamples_B, confidence)
    p_value = bootstrap_p_value(of_resamples_B, len(one.per_question[metric]))
    return Difference(name, metric, value, low, high, p_value)
