"""When a difference between systems counts as clear."""

import numpy as np
from numpy.typing import NDArray


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """P-values corrected for several tests by the step-down method of Holm (1979), in the order given."""
    order = np.argsort(p_values)
    n_tests = len(p_values)
    stepped = np.maximum.accumulate(p_values[order] * (n_tests - np.arange(n_tests)))
    corrected = np.empty(n_tests)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def is_clear(low: float, high: float, p_value: float, confidence: float) -> bool:
    """Whether a difference is clear: its interval leaves out zero, and the test agrees.

    Args:
        low: Lower end of the paired interval.
        high: Upper end.
        p_value: Two-sided, corrected where it is one of several.
        confidence: Level of the interval; the p-value must be at most what it leaves.
    """
    return (low > 0 or high < 0) and p_value <= 1.0 - confidence
