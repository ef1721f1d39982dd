"""Metrics of predicted probabilities.

Dimensions: B weightings, R rows, L labels.
"""

import numpy as np
from numpy.typing import NDArray

from strop.metrics.guards import check_rows, check_weights

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

SMALLEST_PROBABILITY = 1e-15


def row_log_loss(target_R: Numbers, probabilities_RL: Floats) -> Floats:
    """Negative natural logarithm of the probability of the true label, shape (R,); lower is better."""
    check_rows(target_R, probabilities_RL)
    of_truth_R = probabilities_RL[np.arange(len(target_R)), target_R]
    return np.asarray(-np.log(np.clip(of_truth_R, SMALLEST_PROBABILITY, 1.0)))


def row_brier(target_R: Numbers, probabilities_RL: Floats) -> Floats:
    """Squared distance of the probabilities from the truth, summed over labels, shape (R,); 0 to 2, lower is better."""
    check_rows(target_R, probabilities_RL)
    truth_RL = np.zeros_like(probabilities_RL)
    truth_RL[np.arange(len(target_R)), target_R] = 1.0
    return np.asarray(((probabilities_RL - truth_RL) ** 2).sum(axis=1))


def weighted_mean(values_R: Floats, weight_BR: Floats) -> Floats:
    """Mean over rows under every weighting, shape (B,)."""
    check_weights(weight_BR, len(values_R))
    return np.asarray((weight_BR @ values_R) / weight_BR.sum(axis=1))


def calibration_error(target_R: Numbers, probabilities_RL: Floats, weight_BR: Floats, n_bins: int = 10) -> Floats:
    """Expected calibration error of the likeliest label (Guo et al. 2017), shape (B,); lower is better.

    Args:
        target_R: True label numbers.
        probabilities_RL: Predicted probabilities.
        weight_BR: Weight of every row.
        n_bins: Number of bins of equal width that divide the confidence, from 0 to 1.
    """
    check_rows(target_R, probabilities_RL)
    check_weights(weight_BR, len(target_R))
    confidence_R = probabilities_RL.max(axis=1)
    excess_R = confidence_R - (probabilities_RL.argmax(axis=1) == target_R)
    bin_R = confidence_bins(confidence_R, n_bins)
    in_bin = (bin_R[:, None] == np.arange(n_bins)[None, :]) * excess_R[:, None]
    return np.asarray(np.abs(weight_BR @ in_bin).sum(axis=1) / weight_BR.sum(axis=1))


def confidence_bins(confidence_R: Floats, n_bins: int) -> Numbers:
    """Number of the bin of every confidence, shape (R,); bins are open below and closed above, but the first."""
    edges = np.linspace(0.0, 1.0, n_bins + 1)[1:-1]
    return np.searchsorted(edges, confidence_R, side="left").astype(np.int64)


def auroc(target_R: Numbers, probabilities_RL: Floats, weight_BR: Floats) -> Floats:
    """Area under the ROC curve, shape (B,); higher is better.

    With two labels that of the second label; with more the mean over one-against-rest areas. A class that a weighting
    leaves without rows, or with all rows, has no area and is left out of the mean; where no class has one the value
    is 0.5, that of guessing.
    """
    check_rows(target_R, probabilities_RL)
    check_weights(weight_BR, len(target_R))
    areas_BC = np.stack(
        [
            _area_under_curve(target_R == label, probabilities_RL[:, label], weight_BR)
            for label in _classes_with_area(target_R, probabilities_RL.shape[1])
        ],
        axis=1,
    )
    known_BC = np.isfinite(areas_BC)
    n_known_B = known_BC.sum(axis=1)
    sums_B = np.where(known_BC, areas_BC, 0.0).sum(axis=1)
    return np.asarray(np.divide(sums_B, n_known_B, out=np.full(len(weight_BR), 0.5), where=n_known_B > 0))


def _classes_with_area(target_R: Numbers, n_labels: int) -> list[int]:
    return [1] if n_labels == 2 else [int(label) for label in np.unique(target_R)]


def _area_under_curve(is_positive_R: NDArray[np.bool_], score_R: Floats, weight_BR: Floats) -> Floats:
    """Weighted Mann-Whitney statistic, ties counted half, shape (B,); NaN where a side has no weight."""
    positives = np.flatnonzero(is_positive_R)
    positives = positives[np.argsort(score_R[positives], kind="stable")]
    # The weight of the first k positives in ascending order: what a negative has won is looked up in it. A positive is
    # sent to column 0, which is 0, so that the weights of the negatives need not be copied out.
    below_BK = np.zeros((len(weight_BR), len(positives) + 1))
    np.cumsum(weight_BR.take(positives, axis=1), axis=1, out=below_BK[:, 1:])
    n_below_R, n_not_above_R = (
        np.where(is_positive_R, 0, np.searchsorted(score_R[positives], score_R, side=side))
        for side in ("left", "right")
    )
    lost_B = np.einsum("br,br->b", weight_BR, below_BK.take(n_below_R, axis=1))
    if (n_below_R != n_not_above_R).any():
        lost_B = (lost_B + np.einsum("br,br->b", weight_BR, below_BK.take(n_not_above_R, axis=1))) / 2
    pairs_B = (weight_BR @ (~is_positive_R).astype(np.float64)) * below_BK[:, -1]
    return np.asarray(1.0 - np.divide(lost_B, pairs_B, out=np.full(len(weight_BR), np.nan), where=pairs_B > 0))


def auroc_difference_by_row(target_R: Numbers, one_RL: Floats, other_RL: Floats) -> Floats:
    """What every row adds to the area of one system minus that of the other, shape (R,).

    Each system's scores of a class are first replaced by their ranks, which changes no area, so that it is the order
    that is compared and not the scale (Venkatraman and Begg 1996). If the two systems then swap their answers to some
    rows, the difference of their areas is the sum over rows with the signs of these rows turned: an area is a sum over
    pairs of rows, and what depends on both rows of a pair is the same for both systems and cancels out.

    Args:
        target_R: True label numbers.
        one_RL: Probabilities of one system.
        other_RL: Probabilities of the other.
    """
    from scipy.stats import rankdata

    check_rows(target_R, one_RL)
    check_rows(target_R, other_RL)
    by_class = []
    for label in _classes_with_area(target_R, one_RL.shape[1]):
        is_positive_R = target_R == label
        n_pairs = int(is_positive_R.sum()) * int((~is_positive_R).sum())
        if not n_pairs:
            continue
        one_R, other_R = rankdata(one_RL[:, label]), rankdata(other_RL[:, label])
        both = np.concatenate([one_R, other_R])
        is_positive_both = np.concatenate([is_positive_R, is_positive_R])
        against_negatives_R = _n_beaten(one_R, both[~is_positive_both]) - _n_beaten(other_R, both[~is_positive_both])
        against_positives_R = _n_beaten(other_R, both[is_positive_both]) - _n_beaten(one_R, both[is_positive_both])
        by_class.append(np.where(is_positive_R, against_negatives_R, against_positives_R) / (2 * n_pairs))
    return np.mean(by_class, axis=0) if by_class else np.zeros(len(target_R))


def _n_beaten(score_R: Floats, rival_scores: Floats) -> Floats:
    """How many rivals every score lies above, ties counted half, shape (R,)."""
    ascending = np.sort(rival_scores)
    below_R, not_above_R = (np.searchsorted(ascending, score_R, side=side) for side in ("left", "right"))
    return np.asarray((below_R + not_above_R) / 2)
