"""Compare systems that answer in words, row by row, on the rows that none of their models was trained on.

Dimensions: B resamples, R rows.
"""

from collections.abc import Mapping
from itertools import combinations

from strop.errors import RunError
from strop.evaluation.answer_intervals import (
    HIGHER_IS_BETTER,
    resampled_means,
    score_of,
    swap_p_value_of_rows,
)
from strop.evaluation.compare import disagreements, ranked_pairs, shared_unseen_ids
from strop.evaluation.comparison import Comparison
from strop.evaluation.evaluate_answers import refuse_without_answers
from strop.evaluation.intervals import numbers_of_groups
from strop.metrics.answers import ANSWER_METRICS, RULES
from strop.recipe.sections import Evaluation
from strop.records.answers import Answers
from strop.records.dataset import strings


def compare_answers(
    answers: Mapping[str, Answers],
    accepted: Mapping[str, Mapping[str, tuple[str, ...]]],
    *,
    evaluation: Evaluation,
    seed: int,
    groups: Mapping[str, str] | None = None,
    no_answer: str | None = None,
) -> Comparison:
    """Compare runs, decodings or votes on the primary metric, by the answers that stand.

    The p-values are of a paired permutation test, see `intervals.swap_p_value`, corrected after Holm (1979).

    Args:
        answers: By system, at least two.
        accepted: By system, the accepted answers of every row by id.
        evaluation: Primary metric, rules, resamples, confidence.
        seed: Draws resamples and swaps.
        groups: The group of every row by id, where rows come in groups; whole groups are then resampled and swapped.
        no_answer: Words by which a question is said to have no answer.

    Raises:
        RunError: Systems have no unseen rows in common, disagree on a row's accepted answers, or no shared row has any.
        ValueError: There are fewer than two systems.
    """
    if len(answers) < 2:
        raise ValueError(f"there must be at least two systems to compare, came {len(answers)}")
    ids = shared_unseen_ids(answers)
    # In another order they are the same answers to be judged by.
    if problems := disagreements(ids, accepted, "answers", lambda one, other: set(one) != set(other)):
        raise RunError(*problems)
    texts = [accepted[next(iter(answers))][row_id] for row_id in ids]
    refuse_without_answers(texts, "shared rows")
    group_R = None if groups is None else numbers_of_groups(strings([groups[row_id] for row_id in ids]))
    metric, rules = ANSWER_METRICS[evaluation.primary_metric], RULES[evaluation.answer_rules]
    values = {name: metric.by_row(one.select(ids).text_R, texts, rules, no_answer) for name, one in answers.items()}
    means = resampled_means(values, n_resamples=evaluation.n_bootstrap, seed=seed, group_R=group_R)
    scores = {
        name: score_of(metric.name, values_R, means[name], evaluation.confidence) for name, values_R in values.items()
    }
    ranked = sorted(scores, key=lambda name: scores[name].value, reverse=HIGHER_IS_BETTER[metric.name])
    p_values = [
        swap_p_value_of_rows((values[one], values[other]), seed=seed, group_R=group_R)
        for one, other in combinations(ranked, 2)
    ]
    n_seen = {name: int(one.seen_R.sum()) for name, one in answers.items()}
    return Comparison(
        metric=metric.name,
        confidence=evaluation.confidence,
        n_rows=len(ids),
        n_seen=n_seen,
        n_not_shared={name: one.n_rows - n_seen[name] - len(ids) for name, one in answers.items()},
        scores={name: scores[name] for name in ranked},
        pairs=ranked_pairs(ranked, scores, means, p_values, evaluation.confidence),
    )
