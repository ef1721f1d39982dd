"""Checks that come before every metric."""

import numpy as np
from numpy.typing import NDArray


def check_target(target_R: NDArray[np.int64], n_labels: int) -> None:
    """Check label numbers.

    Raises:
        ValueError: They are not a non-empty one-dimensional array of whole numbers from 0 to n_labels - 1.
    """
    if target_R.ndim != 1 or len(target_R) == 0:
        raise ValueError(f"label numbers must be one-dimensional and not empty, came shape {target_R.shape}")
    if not np.issubdtype(target_R.dtype, np.integer):
        raise ValueError(f"label numbers must be whole numbers, came {target_R.dtype}")
    if target_R.min() < 0 or target_R.max() >= n_labels:
        raise ValueError(
            f"label numbers must lie between 0 and {n_labels - 1}, came {target_R.min()} to {target_R.max()}"
        )


def check_probabilities(probabilities_RL: NDArray[np.float64], n_rows: int) -> None:
    """Check predicted probabilities.

    Raises:
        ValueError: They have another shape, hold NaN, lie outside 0 to 1, or do not sum to 1 in every row.
    """
    if probabilities_RL.ndim != 2 or len(probabilities_RL) != n_rows:
        raise ValueError(f"probabilities must have shape ({n_rows}, labels), came {probabilities_RL.shape}")
    if not np.isfinite(probabilities_RL).all():
        raise ValueError("probabilities must be finite, came NaN or infinity")
    if probabilities_RL.min() < 0 or not np.allclose(probabilities_RL.sum(axis=1), 1.0, atol=1e-4):
        raise ValueError("probabilities must not be negative and must sum to 1 in every row")


def check_weights(weight_BR: NDArray[np.float64], n_rows: int) -> None:
    """Check row weights.

    Raises:
        ValueError: They have another shape, or a weighting gives no row any weight.
    """
    if weight_BR.ndim != 2 or weight_BR.shape[1] != n_rows:
        raise ValueError(f"weights must have shape (weightings, {n_rows}), came {weight_BR.shape}")
    if (weight_BR.sum(axis=1) <= 0).any():
        raise ValueError("every weighting must give some row a weight")
