"""Bootstrap intervals and paired tests on saved predictions.

Dimensions: B resamples, R rows, L labels.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strop.metrics.classification import confusion_counts, f1_by_class, precision_by_class, recall_by_class
from strop.metrics.guards import check_rows
from strop.metrics.registry import Metric
from strop.records.dataset import Strings
from strop.records.scores import Score

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

# Weights held at once: an array of so many numbers takes 20 MB, and a handful of such arrays are alive.
MOST_WEIGHTS = 2_500_000
LARGEST_CHUNK = 256
OF_CLASSES = {"precision": precision_by_class, "recall": recall_by_class, "f1": f1_by_class}


@dataclass(frozen=True)
class Resampled:
    """Metrics of one system on every bootstrap resample.

    Attributes:
        values: By metric name, shape (B,).
        classes: Precision, recall and f1 of every class, shape (B, L).
    """

    values: Mapping[str, Floats]
    classes: Mapping[str, Floats]


def numbers_of_groups(groups: Strings | None) -> Numbers | None:
    """Number of every row's group, from 0, shape (R,); None where the rows have no groups."""
    if groups is None:
        return None
    return np.unique(np.array(groups.tolist(), dtype=str), return_inverse=True)[1].astype(np.int64)


def resample_weights(
    n_rows: int, n_resamples: int, seed: int, group_R: Numbers | None = None, most_weights: int = MOST_WEIGHTS
) -> Iterator[Floats]:
    """Bootstrap resamples as multiplicities of rows (Efron 1979), in chunks of shape (up to 256, R).

    Args:
        n_rows: R.
        n_resamples: How many in all.
        seed: The same seed gives the same resamples, so that systems can be compared on each.
        group_R: Where rows come in groups, the group number of each: whole groups are drawn, since rows of a group
            are not independent. There are as many draws as groups, so the number of rows varies.
        most_weights: A chunk has no more multiplicities than these, but at least one resample. It changes no result.
    """
    generator = np.random.default_rng(seed)
    n_units = n_rows if group_R is None else int(group_R.max()) + 1
    for size in _chunks(n_resamples, n_rows, most_weights):
        drawn = generator.integers(n_units, size=(size, n_units))
        drawn += np.arange(size)[:, None] * n_units
        counts = np.bincount(drawn.ravel(), minlength=size * n_units).reshape(size, n_units).astype(np.float64)
        yield counts if group_R is None else counts[:, group_R]


def _chunks(n_resamples: int, n_rows: int, most_weights: int = MOST_WEIGHTS) -> Iterator[int]:
    largest = max(1, min(LARGEST_CHUNK, most_weights // n_rows))
    for start in range(0, n_resamples, largest):
        yield min(largest, n_resamples - start)


def resample(
    metrics: Sequence[Metric],
    target_R: Numbers,
    probabilities_RL: Floats,
    *,
    n_resamples: int,
    seed: int,
    group_R: Numbers | None = None,
) -> Resampled:
    """Measure a system on every bootstrap resample.

    Args:
        metrics: What is measured.
        target_R: True label numbers.
        probabilities_RL: The system's probabilities.
        n_resamples: B.
        seed: Draws the resamples.
        group_R: Group number of every row, where rows come in groups.

    Raises:
        ValueError: There are no rows, shapes differ, or the probabilities are none.
    """
    check_rows(target_R, probabilities_RL)
    n_labels, predicted_R = probabilities_RL.shape[1], probabilities_RL.argmax(axis=1)
    values: dict[str, list[Floats]] = {metric.name: [] for metric in metrics}
    classes: dict[str, list[Floats]] = {name: [] for name in OF_CLASSES}
    for weight_BR in resample_weights(len(target_R), n_resamples, seed, group_R):
        # Counted once for all metrics that depend on the counts alone.
        counts_BLL = confusion_counts(target_R, predicted_R, n_labels, weight_BR)
        for metric in metrics:
            if metric.of_confusion is not None:
                values[metric.name].append(metric.of_confusion(counts_BLL))
            else:
                values[metric.name].append(metric.weighted(target_R, probabilities_RL, weight_BR))
        for name, of_class in OF_CLASSES.items():
            classes[name].append(of_class(counts_BLL))
    return Resampled(
        {name: np.concatenate(parts) for name, parts in values.items()},
        {name: np.concatenate(parts) for name, parts in classes.items()},
    )


def bootstrap_scores(
    metrics: Sequence[Metric],
    target_R: Numbers,
    probabilities_RL: Floats,
    resampled: Resampled,
    confidence: float,
) -> dict[str, Score]:
    """Every metric of a system with its interval, by name.

    Args:
        metrics: What is measured.
        target_R: True label numbers.
        probabilities_RL: The system's probabilities.
        resampled: The same metrics on resamples of the same rows.
        confidence: Level of the intervals.
    """
    return {
        metric.name: score_with_interval(
            metric.name,
            metric.value(target_R, probabilities_RL),
            resampled.values[metric.name],
            confidence,
            higher_is_better=metric.higher_is_better,
            is_bias_corrected=metric.is_bias_corrected,
            limits=(min(metric.worst, metric.best), max(metric.worst, metric.best)),
        )
        for metric in metrics
    }


def score_with_interval(
    name: str,
    value: float,
    values_B: Floats,
    confidence: float,
    *,
    higher_is_better: bool = True,
    is_bias_corrected: bool = False,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Score:
    """A value with the interval of its resampled values, which always holds the value and keeps to the limits."""
    low, high = interval(values_B, confidence, about=value if is_bias_corrected else None)
    lowest, highest = limits
    return Score(name, value, min(max(low, lowest), value), max(min(high, highest), value), higher_is_better)


def interval(values_B: Floats, confidence: float, about: float | None = None) -> tuple[float, float]:
    """Percentile interval of resampled values; each tail leaves out half of what the confidence leaves.

    Args:
        values_B: A metric on every resample.
        confidence: Level of the interval, for example 0.95.
        about: The metric on all rows. Where it is given, the interval is reflected at it (the basic bootstrap interval,
            Davison and Hinkley 1997): resamples that come out too high say that the rows themselves did so too.
    """
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(values_B, [tail, 1.0 - tail])
    if about is not None:
        low, high = 2.0 * about - high, 2.0 * about - low
    return float(low), float(high)


def difference_interval(value: float, values_B: Floats, confidence: float) -> tuple[float, float]:
    """Percentile interval of a paired difference; it always holds the value.

    Args:
        value: The difference on all rows.
        values_B: The difference on every resample, the same resample for both systems.
        confidence: Level of the interval.
    """
    low, high = interval(values_B, confidence)
    return min(low, value), max(high, value)


def bootstrap_p_value(values_B: Floats, n_units: int) -> float:
    """Two-sided p-value that a paired difference is zero, from its bootstrap distribution.

    Twice the smaller share of resamples on either side of zero, which is the level at which the percentile interval
    just reaches zero (Efron and Tibshirani 1993); one is added to both counts, so that it is never 0 (Davison and
    Hinkley 1997). Few units make resamples alike, which says nothing of their difference: the p-value is not below
    2^(1 - n_units), the least that swapping the answers of so many units could give.

    Args:
        values_B: The difference on every resample, at least one; a resample where it is zero counts on both sides.
        n_units: How many rows, or groups where whole groups are resampled.
    """
    n_on_smaller_side = min(int((values_B <= 0).sum()), int((values_B >= 0).sum()))
    return min(1.0, max(2 * (n_on_smaller_side + 1) / (len(values_B) + 1), 2.0 ** (1 - n_units)))


def swap_p_value(
    metric: Metric,
    target_R: Numbers,
    one_RL: Floats,
    other_RL: Floats,
    *,
    n_swaps: int = 2000,
    seed: int = 0,
    group_R: Numbers | None = None,
) -> float:
    """Two-sided p-value of a paired permutation test that two systems do equally well (Noreen 1989).

    Under that hypothesis it does not matter which system gave which answer: for every row (or group) the two answers
    are swapped with probability 1/2, and the difference is measured again. For the area under the ROC curve it is the
    ranks of the answers that are swapped.

    Args:
        metric: What is compared.
        target_R: True label numbers.
        one_RL: Probabilities of one system.
        other_RL: Probabilities of the other.
        n_swaps: Random swappings; the smallest p-value is 1 / (n_swaps + 1).
        seed: Draws the swappings.
        group_R: Group number of every row, where rows come in groups.
    """
    unit_R = np.arange(len(target_R)) if group_R is None else group_R
    differences = _under_swaps(metric, target_R, one_RL, other_RL)
    observed = abs(float(differences(np.ones((1, len(target_R)), dtype=np.bool_))[0]))
    generator = np.random.default_rng(seed)
    at_least = 0
    for size in _chunks(n_swaps, 2 * len(target_R)):
        is_kept_BR = (generator.random((size, int(unit_R.max()) + 1)) < 0.5)[:, unit_R]
        # A hair below the observed value, so that equal differences count in spite of rounding.
        at_least += int((np.abs(differences(is_kept_BR)) >= observed - 1e-12).sum())
    return (at_least + 1) / (n_swaps + 1)


def _under_swaps(
    metric: Metric, target_R: Numbers, one_RL: Floats, other_RL: Floats
) -> Callable[[NDArray[np.bool_]], Floats]:
    """What gives the difference of two systems, shape (B,), where each keeps its own answers (B, R) or swaps them.

    There are three ways, from the quickest to the one that fits every metric.
    """
    if metric.difference_by_row is not None:
        by_row_R = metric.difference_by_row(target_R, one_RL, other_RL)
        return lambda is_kept_BR: np.asarray(is_kept_BR @ (2.0 * by_row_R) - by_row_R.sum())
    if metric.of_confusion is not None:
        return _counts_under_swaps(metric.of_confusion, target_R, one_RL, other_RL)
    # The answers of both systems under each other: a weight of 0 or 1 says which of the two a swapped system gives.
    both_R, both_RL = np.concatenate([target_R, target_R]), np.concatenate([one_RL, other_RL])

    def differences(is_kept_BR: NDArray[np.bool_]) -> Floats:
        first = np.concatenate([is_kept_BR, ~is_kept_BR], axis=1).astype(np.float64)
        return metric.weighted(both_R, both_RL, first) - metric.weighted(both_R, both_RL, 1.0 - first)

    return differences


def _counts_under_swaps(
    of_confusion: Callable[[Floats], Floats], target_R: Numbers, one_RL: Floats, other_RL: Floats
) -> Callable[[NDArray[np.bool_]], Floats]:
    """The same for metrics of confusion counts: only rows that the systems answer differently are counted anew."""
    n_labels, one_R, other_R = one_RL.shape[1], one_RL.argmax(axis=1), other_RL.argmax(axis=1)
    differing = np.flatnonzero(one_R != other_R)
    if len(differing) == 0:
        return lambda is_kept_BR: np.zeros(len(is_kept_BR))
    whole = np.ones((1, len(target_R)))
    both_BLL = confusion_counts(target_R, one_R, n_labels, whole) + confusion_counts(target_R, other_R, n_labels, whole)
    truth = np.tile(target_R[differing], 2)
    answers = np.concatenate([one_R[differing], other_R[differing]])
    alike_BLL = (both_BLL - confusion_counts(truth, answers, n_labels, np.ones((1, len(truth))))) / 2

    def differences(is_kept_BR: NDArray[np.bool_]) -> Floats:
        is_kept = is_kept_BR[:, differing]
        first = np.concatenate([is_kept, ~is_kept], axis=1).astype(np.float64)
        counts_BLL = alike_BLL + confusion_counts(truth, answers, n_labels, first)
        return of_confusion(counts_BLL) - of_confusion(both_BLL - counts_BLL)

    return differences
