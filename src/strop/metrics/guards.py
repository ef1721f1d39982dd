"""Checks that come before every metric.

Dimensions: B weightings, R rows, L labels.
"""

import numpy as np
from numpy.typing import NDArray


def check_rows(target_R: NDArray[np.int64], probabilities_RL: NDArray[np.float64]) -> None:
    """Check label numbers together with predicted probabilities.

    Raises:
        ValueError: There are no rows, shapes differ, label numbers are none of 0 to L - 1, or probabilities hold NaN,
            lie outside 0 to 1, or do not sum to 1 in every row.
    """
    if probabilities_RL.ndim != 2:
        raise ValueError(f"probabilities must have shape (rows, labels), came {probabilities_RL.shape}")
    check_numbers(target_R, probabilities_RL.shape[1])
    if len(probabilities_RL) != len(target_R):
        raise ValueError(
            f"probabilities must have {len(target_R)} rows as the target has, came {len(probabilities_RL)}"
        )
    if not np.isfinite(probabilities_RL).all():
        raise ValueError("probabilities must be finite, came NaN or infinity")
    if probabilities_RL.min() < 0 or not np.allclose(probabilities_RL.sum(axis=1), 1.0, atol=1e-4):
        raise ValueError("probabilities must not be negative and must sum to 1 in every row")


def check_numbers(numbers_R: NDArray[np.int64], n_labels: int) -> None:
    """Check label numbers.

    Raises:
        ValueError: They are not a non-empty one-dimensional array of whole numbers from 0 to n_labels - 1.
    """
    if numbers_R.ndim != 1 or len(numbers_R) == 0:
        raise ValueError(f"label numbers must be one-dimensional and not empty, came shape {numbers_R.shape}")
    if not np.issubdtype(numbers_R.dtype, np.integer):
        raise ValueError(f"label numbers must be whole numbers, came {numbers_R.dtype}")
    if numbers_R.min() < 0 or numbers_R.max() >= n_labels:
        raise ValueError(
            f"label numbers must lie between 0 and {n_labels - 1}, came {numbers_R.min()} to {numbers_R.max()}"
        )


def check_weights(weight_BR: NDArray[np.float64], n_rows: int) -> None:
    """Check row weights.

    Raises:
        ValueError: They have another shape, one is negative or NaN, or a weighting gives no row any weight.
    """
    if weight_BR.ndim != 2 or weight_BR.shape[1] != n_rows:
        raise ValueError(f"weights must have shape (weightings, {n_rows}), came {weight_BR.shape}")
    if not (weight_BR >= 0).all():
        raise ValueError("weights must not be negative or NaN")
    if not weight_BR.any(axis=1).all():
        raise ValueError("every weighting must give some row a weight")
