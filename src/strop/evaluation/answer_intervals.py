"""Metrics of answers on bootstrap resamples, and paired differences; every metric is a mean over rows.

Dimensions: B resamples, R rows.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from strop.evaluation.intervals import difference_interval, resample_weights, score_with_interval, swap_p_value
from strop.metrics.answer_failures import FAILURES
from strop.metrics.answers import ANSWER_METRICS, RULES, Accepted
from strop.metrics.probability import weighted_mean
from strop.metrics.registry import Metric
from strop.records.answers import Answers
from strop.records.scores import Difference, Score

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

# Whether more is better, of everything that is measured of answers, in the order in which it is shown.
HIGHER_IS_BETTER: Mapping[str, bool] = {
    **{name: metric.higher_is_better for name, metric in ANSWER_METRICS.items()},
    **{name: failure.higher_is_better for name, failure in FAILURES.items()},
}


def measured_by_row(
    answers: Answers, accepted: Accepted, rules: str, no_answer: str | None = None
) -> dict[str, Floats]:
    """Everything that is measured of the answers that stand, by name, shape (R,) each.

    Args:
        answers: As they are judged: cleaned, where the recipe cleans.
        accepted: The accepted answers of every row, in the order of the answers.
        rules: Name of the rules by which texts are compared.
        no_answer: Words by which a question is said to have no answer.

    Raises:
        ValueError: There are not as many rows of accepted answers as answers.
    """
    values = {
        name: metric.by_row(answers.text_R, accepted, RULES[rules], no_answer)
        for name, metric in ANSWER_METRICS.items()
    }
    return values | {name: failure.by_row(answers) for name, failure in FAILURES.items()}


def means(by_row: Mapping[str, Floats]) -> dict[str, float]:
    """Mean over rows of everything that was measured, by name."""
    return {name: float(values_R.mean()) for name, values_R in by_row.items()}


def resampled_means(
    values: Mapping[str, Floats], *, n_resamples: int, seed: int, group_R: Numbers | None = None
) -> dict[str, Floats]:
    """Means over rows on every bootstrap resample, by name, shape (B,) each; the same resamples for all.

    Args:
        values: By name, one value a row, at least one name.
        n_resamples: B.
        seed: Draws the resamples.
        group_R: Group number of every row, where rows come in groups; whole groups are then drawn.
    """
    n_rows = len(next(iter(values.values())))
    found: dict[str, list[Floats]] = {name: [] for name in values}
    for weight_BR in resample_weights(n_rows, n_resamples, seed, group_R):
        for name, values_R in values.items():
            found[name].append(weighted_mean(values_R, weight_BR))
    return {name: np.concatenate(chunks) for name, chunks in found.items()}


def score_of(name: str, values_R: Floats, means_B: Floats, confidence: float) -> Score:
    """The mean over rows with its percentile interval."""
    return score_with_interval(
        name,
        float(values_R.mean()),
        means_B,
        confidence,
        higher_is_better=HIGHER_IS_BETTER[name],
        limits=(0.0, 1.0),
    )


def difference_of(
    other: str,
    name: str,
    values: tuple[Floats, Floats],
    means: tuple[Floats, Floats],
    *,
    confidence: float,
    seed: int,
    group_R: Numbers | None = None,
) -> Difference:
    """Paired difference of two systems with its interval and its swap p-value; positive favours the first.

    Args:
        other: Name of the second system.
        name: What is compared.
        values: One value a row of both systems.
        means: Their means on the same resamples.
        confidence: Level of the interval.
        seed: Draws the swaps.
        group_R: Group number of every row, where rows come in groups; whole groups are then swapped.
    """
    sign = 1.0 if HIGHER_IS_BETTER[name] else -1.0
    value = sign * float(values[0].mean() - values[1].mean())
    low, high = difference_interval(value, sign * (means[0] - means[1]), confidence)
    p_value = swap_p_value_of_rows(values, seed=seed, group_R=group_R)
    return Difference(other, name, value, low, high, p_value)


def swap_p_value_of_rows(values: tuple[Floats, Floats], *, seed: int, group_R: Numbers | None = None) -> float:
    """Two-sided p-value of a paired permutation test that two systems have the same mean over rows.

    Args:
        values: One value a row of both systems.
        seed: Draws the swaps.
        group_R: Group number of every row, where rows come in groups; whole groups are then swapped.
    """
    one_R1, other_R1 = (values_R[:, None] for values_R in values)
    truth_R = np.zeros(len(one_R1), dtype=np.int64)
    return swap_p_value(ROW_MEAN, truth_R, one_R1, other_R1, seed=seed, group_R=group_R)


# In the form that the permutation test takes: the values of rows stand where probabilities do, in one column.
ROW_MEAN = Metric(
    "row_mean",
    weighted=lambda _target_R, values_R1, weight_BR: weighted_mean(values_R1[:, 0], weight_BR),
    higher_is_better=True,
    worst=0.0,
    best=1.0,
    difference_by_row=lambda _target_R, one_R1, other_R1: (one_R1 - other_R1)[:, 0] / len(one_R1),
)
