"""How many rows fit which length."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LIMITS = (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
QUANTILES = (0.5, 0.9, 0.95, 0.99, 1.0)


@dataclass(frozen=True)
class Coverage:
    """Lengths of all rows in tokens, special tokens included.

    Attributes:
        n_rows: How many rows there are.
        n_tokens: Tokens of all rows together.
        fitting: For a length in tokens, the fraction of rows that are not longer; ends at the first that fits all.
        quantiles: For a fraction of the rows, the length that so many do not exceed; 1.0 is the longest row.
    """

    n_rows: int
    n_tokens: int
    fitting: Mapping[int, float]
    quantiles: Mapping[float, int]


def token_coverage(n_tokens_R: NDArray[np.int64]) -> Coverage:
    """Count what share of rows fits 32, 64, 128 ... tokens.

    Args:
        n_tokens_R: Length of every row in tokens, shape (R,).

    Returns:
        The coverage; without rows it has no lengths and no quantiles. Quantiles are lengths that occur (the inverse of
        the empirical distribution), not interpolated.
    """
    n_rows = len(n_tokens_R)
    if not n_rows:
        return Coverage(0, 0, {}, {})
    longest = int(n_tokens_R.max())
    # At least up to 4,096, so that reports of different data have the same first columns.
    limits = [limit for at, limit in enumerate(LIMITS) if limit <= 4096 or LIMITS[at - 1] < longest]
    at_quantiles = np.quantile(n_tokens_R, QUANTILES, method="inverted_cdf")
    return Coverage(
        n_rows=n_rows,
        n_tokens=int(n_tokens_R.sum()),
        fitting={limit: float(np.mean(n_tokens_R <= limit)) for limit in limits},
        quantiles={share: int(length) for share, length in zip(QUANTILES, at_quantiles, strict=True)},
    )
