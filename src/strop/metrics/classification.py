"""Metrics of the likeliest label, all computed from confusion counts.

Dimensions: B weightings, R rows, L labels. A confusion array has the true label by row and the predicted by column.

Where a denominator is zero (the precision of a class that is never predicted, the recall of a class without rows) the
value is 0, as scikit-learn's `zero_division=0` has it. A macro average is taken over the classes that occur among the
targets or the predictions, as scikit-learn does by default: a class that is in neither plays no part in it. In a
bootstrap resample the classes that occur in the resample count.
"""

import numpy as np
from numpy.typing import NDArray

from strop.metrics.guards import check_numbers, check_weights

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


def confusion_counts(target_R: Numbers, predicted_R: Numbers, n_labels: int, weight_BR: Floats) -> Floats:
    """Weighted confusion counts, shape (B, L, L).

    Args:
        target_R: True label numbers.
        predicted_R: Predicted label numbers.
        n_labels: L.
        weight_BR: Weight of every row; ones for plain counts, multiplicities for a bootstrap resample.

    Raises:
        ValueError: Shapes differ, there are no rows, or a number lies outside 0 to L - 1.
    """
    check_numbers(target_R, n_labels)
    check_numbers(predicted_R, n_labels)
    if len(predicted_R) != len(target_R):
        raise ValueError(f"predictions must have {len(target_R)} rows as the target has, came {len(predicted_R)}")
    check_weights(weight_BR, len(target_R))
    # In 64 bits whatever came: small integers would overflow without a word.
    cell_R = target_R.astype(np.int64) * n_labels + predicted_R
    counts = [np.bincount(cell_R, weights=weight_R, minlength=n_labels * n_labels) for weight_R in weight_BR]
    return np.array(counts, dtype=np.float64).reshape(len(weight_BR), n_labels, n_labels)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def precision_by_class(confusion_BLL: Floats) -> Floats:
    """Share of the rows predicted as a class that have it, shape (B, L)."""
    return _ratio(np.diagonal(confusion_BLL, axis1=1, axis2=2).copy(), confusion_BLL.sum(axis=1))


def recall_by_class(confusion_BLL: Floats) -> Floats:
    """Share of the rows of a class that are found, shape (B, L)."""
    return _ratio(np.diagonal(confusion_BLL, axis1=1, axis2=2).copy(), confusion_BLL.sum(axis=2))


def f1_by_class(confusion_BLL: Floats) -> Floats:
    """Harmonic mean of precision and recall, shape (B, L)."""
    hits_BL = np.diagonal(confusion_BLL, axis1=1, axis2=2)
    return _ratio(2 * hits_BL, confusion_BLL.sum(axis=1) + confusion_BLL.sum(axis=2))


def accuracy(confusion_BLL: Floats) -> Floats:
    """Share of the rows predicted right, shape (B,)."""
    hits_B = np.trace(confusion_BLL, axis1=1, axis2=2)
    return _ratio(np.asarray(hits_B), confusion_BLL.sum(axis=(1, 2)))


def _macro(by_class_BL: Floats, confusion_BLL: Floats) -> Floats:
    occurs_BL = (confusion_BLL.sum(axis=1) + confusion_BLL.sum(axis=2)) > 0
    return _ratio((by_class_BL * occurs_BL).sum(axis=1), occurs_BL.sum(axis=1).astype(np.float64))


def macro_f1(confusion_BLL: Floats) -> Floats:
    """Plain mean of F1 over the classes that occur among targets or predictions, shape (B,)."""
    return _macro(f1_by_class(confusion_BLL), confusion_BLL)


def macro_precision(confusion_BLL: Floats) -> Floats:
    """Plain mean of precision over the classes that occur among targets or predictions, shape (B,)."""
    return _macro(precision_by_class(confusion_BLL), confusion_BLL)


def macro_recall(confusion_BLL: Floats) -> Floats:
    """Plain mean of recall over the classes that occur among targets or predictions, shape (B,)."""
    return _macro(recall_by_class(confusion_BLL), confusion_BLL)


def weighted_f1(confusion_BLL: Floats) -> Floats:
    """Mean of F1 weighted by the rows of each class, shape (B,)."""
    rows_BL = confusion_BLL.sum(axis=2)
    return _ratio((f1_by_class(confusion_BLL) * rows_BL).sum(axis=1), rows_BL.sum(axis=1))


def mcc(confusion_BLL: Floats) -> Floats:
    """Matthews correlation for several classes (Gorodkin 2004), shape (B,); 0 where one side is constant."""
    total_B = confusion_BLL.sum(axis=(1, 2))
    true_BL, predicted_BL = confusion_BLL.sum(axis=2), confusion_BLL.sum(axis=1)
    hits_B = np.trace(confusion_BLL, axis1=1, axis2=2)
    covariance_B = hits_B * total_B - (true_BL * predicted_BL).sum(axis=1)
    spread_B = (total_B**2 - (true_BL**2).sum(axis=1)) * (total_B**2 - (predicted_BL**2).sum(axis=1))
    return _ratio(np.asarray(covariance_B), np.sqrt(np.maximum(spread_B, 0.0)))
