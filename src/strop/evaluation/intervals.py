"""Bootstrap intervals and paired tests on saved predictions.

Dimensions: B resamples, R rows, L labels.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from strop.metrics.classification import confusion_counts
from strop.metrics.registry import Metric

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

# Resamples held at once: 256 x 10,000 rows are 20 MB.
CHUNK = 256


def resample_weights(n_rows: int, n_resamples: int, seed: int, group_R: Numbers | None = None) -> Iterator[Floats]:
    """Bootstrap resamples as multiplicities of rows (Efron 1979), in chunks of shape (up to 256, R).

    Args:
        n_rows: R.
        n_resamples: How many in all.
        seed: The same seed gives the same resamples, so that systems can be compared on each.
        group_R: Where rows come in groups, the group number of each: whole groups are drawn, since rows of a group
            are not independent.
    """
    generator = np.random.default_rng(seed)
    n_units = n_rows if group_R is None else int(group_R.max()) + 1
    share = np.full(n_units, 1.0 / n_units)
    for start in range(0, n_resamples, CHUNK):
        size = min(CHUNK, n_resamples - start)
        drawn = generator.multinomial(n_units, share, size=size).astype(np.float64)
        yield drawn if group_R is None else drawn[:, group_R]


def resampled_values(
    metric: Metric,
    target_R: Numbers,
    probabilities_RL: Floats,
    *,
    n_resamples: int,
    seed: int,
    group_R: Numbers | None = None,
) -> Floats:
    """The metric on every bootstrap resample, shape (n_resamples,)."""
    chunks = resample_weights(len(target_R), n_resamples, seed, group_R)
    return np.concatenate([metric.weighted(target_R, probabilities_RL, weights) for weights in chunks])


def interval(values_B: Floats, confidence: float) -> tuple[float, float]:
    """Percentile interval of resampled values; each tail leaves out half of what the confidence leaves."""
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(values_B, [tail, 1.0 - tail])
    return float(low), float(high)


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
    are swapped with probability 1/2, and the difference is measured again.

    Args:
        metric: What is compared.
        target_R: True label numbers.
        one_RL: Probabilities of one system.
        other_RL: Probabilities of the other.
        n_swaps: Random swappings; the smallest p-value is 1 / (n_swaps + 1).
        seed: Draws the swappings.
        group_R: Group number of every row, where rows come in groups.
    """
    observed = abs(metric.value(target_R, one_RL) - metric.value(target_R, other_RL))
    generator = np.random.default_rng(seed)
    unit_R = np.arange(len(target_R)) if group_R is None else group_R
    n_units = int(unit_R.max()) + 1
    at_least = 0
    for start in range(0, n_swaps, CHUNK):
        size = min(CHUNK, n_swaps - start)
        is_kept_BR = (generator.random((size, n_units)) < 0.5)[:, unit_R]
        difference_B = _differences(metric, target_R, one_RL, other_RL, is_kept_BR)
        # A hair below the observed value, so that equal differences count in spite of rounding.
        at_least += int((np.abs(difference_B) >= observed - 1e-12).sum())
    return (at_least + 1) / (n_swaps + 1)


def _differences(
    metric: Metric, target_R: Numbers, one_RL: Floats, other_RL: Floats, is_kept_BR: NDArray[np.bool_]
) -> Floats:
    """The metric's difference under every swapping, shape (B,)."""
    n_labels = one_RL.shape[1]
    if metric.of_confusion is not None:
        kept = is_kept_BR.astype(np.float64)
        one_R, other_R = one_RL.argmax(axis=1), other_RL.argmax(axis=1)
        # Confusion counts are sums over rows, so a swapped system's are those of its two halves.
        first = _counts(target_R, one_R, n_labels, kept) + _counts(target_R, other_R, n_labels, 1.0 - kept)
        second = _counts(target_R, other_R, n_labels, kept) + _counts(target_R, one_R, n_labels, 1.0 - kept)
        return metric.of_confusion(first) - metric.of_confusion(second)
    values = []
    for is_kept_R in is_kept_BR:
        first_RL = np.where(is_kept_R[:, None], one_RL, other_RL)
        second_RL = np.where(is_kept_R[:, None], other_RL, one_RL)
        values.append(metric.value(target_R, first_RL) - metric.value(target_R, second_RL))
    return np.array(values)


def _counts(target_R: Numbers, predicted_R: Numbers, n_labels: int, weight_BR: Floats) -> Floats:
    # A swapping may leave a side without rows, which is no weighting for a metric: one weightless row more is harmless.
    padded = np.concatenate([weight_BR, np.full((len(weight_BR), 1), 1e-300)], axis=1)
    return confusion_counts(np.append(target_R, 0), np.append(predicted_R, 0), n_labels, padded)
