"""Folds for cross-fitting: what is fitted after training is judged on rows, and groups, that it was not fitted on.

Dimensions: R rows.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def held_folds(group_R: NDArray[np.int64], n_folds: int, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Which rows every fold holds back; whole groups, dealt at random.

    Args:
        group_R: Group number of every row.
        n_folds: How many folds; fewer where there are fewer groups.
        seed: Deals the groups.

    Raises:
        ValueError: Fewer than two folds are asked for, or there are fewer than two groups.
    """
    groups = np.unique(group_R)
    if n_folds < 2:
        raise ValueError(f"cross-fitting needs at least 2 folds, came {n_folds}")
    if len(groups) < 2:
        raise ValueError(f"cross-fitting needs at least 2 groups, came {len(groups)}")
    dealt = np.random.default_rng(seed).permutation(groups)
    for held in np.array_split(dealt, min(n_folds, len(dealt))):
        yield np.isin(group_R, held)


def numbered_groups(group_R: NDArray[np.int64] | None, n_rows: int) -> NDArray[np.int64]:
    """Group of every row; each row is its own where they come in none.

    Raises:
        ValueError: There are not as many group numbers as rows.
    """
    if group_R is None:
        return np.arange(n_rows)
    if group_R.shape != (n_rows,):
        raise ValueError(f"groups must have shape ({n_rows},) as the rows have, came {group_R.shape}")
    return group_R
