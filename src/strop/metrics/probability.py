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
    n_labels = probabilities_RL.shape[1]
    classes = [1] if n_labels == 2 else np.unique(target_R).tolist()
    areas_BC = np.stack(
        [_area_under_curve(target_R == label, probabilities_RL[:, label], weight_BR) for label in classes], axis=1
    )
    known_BC = np.isfinite(areas_BC)
    n_known_B = known_BC.sum(axis=1)
    sums_B = np.where(known_BC, areas_BC, 0.0).sum(axis=1)
    return np.asarray(np.divide(sums_B, n_known_B, out=np.full(len(weight_BR), 0.5), where=n_known_B > 0))


def _area_under_curve(is_positive_R: NDArray[np.bool_], score_R: Floats, weight_BR: Floats) -> Floats:
    """Weighted Mann-Whitney statistic, ties counted half, shape (B,); NaN where a side has no weight."""
    positives, negatives = np.flatnonzero(is_positive_R), np.flatnonzero(~is_positive_R)
    negatives = negatives[np.argsort(score_R[negatives], kind="stable")]
    # The weight of all negatives that score below the k-th, by k: what a positive has won is looked up in it.
    below_BK = np.zeros((len(weight_BR), len(negatives) + 1))
    np.cumsum(weight_BR[:, negatives], axis=1, out=below_BK[:, 1:])
    n_below = np.searchsorted(score_R[negatives], score_R[positives], side="left")
    n_not_above = np.searchsorted(score_R[negatives], score_R[positives], side="right")
    positive_BP = weight_BR[:, positives]
    won_B = (positive_BP * (below_BK[:, n_below] + below_BK[:, n_not_above])).sum(axis=1) / 2
    pairs_B = positive_BP.sum(axis=1) * below_BK[:, -1]
    return np.asarray(np.divide(won_B, pairs_B, out=np.full(len(weight_BR), np.nan), where=pairs_B > 0))
