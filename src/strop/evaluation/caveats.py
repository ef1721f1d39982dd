"""What a reader must know of the rows on which scores stand.

Dimensions: L labels, R rows.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FEW_GROUPS = 10


def caveats_of_rows(
    target_R: NDArray[np.int64], labels: Sequence[str], group_R: NDArray[np.int64] | None
) -> tuple[str, ...]:
    """Sentences on classes that cannot be measured here, and on intervals that stand on few groups.

    Args:
        target_R: True label numbers.
        labels: Names of the labels.
        group_R: Group number of every row, or None.
    """
    caveats = []
    n_rows_L = np.bincount(target_R, minlength=len(labels))
    absent = [label for label, n_rows in zip(labels, n_rows_L, strict=True) if n_rows == 0]
    if len(labels) - len(absent) == 1:
        lone = labels[int(n_rows_L.argmax())]
        caveats.append(f"all rows here have the label '{lone}': auroc cannot be measured and stands at 0.5")
    elif absent:
        shown = ", ".join(f"'{label}'" for label in absent)
        caveats.append(
            f"no row here has the label {shown}: its recall and F1 are 0 by convention, and auroc leaves it out"
        )
    n_groups = None if group_R is None else len(np.unique(group_R))
    if n_groups is not None and n_groups < FEW_GROUPS:
        caveats.append(f"the rows come from {n_groups} group(s) only: intervals over so few groups are rough")
    return tuple(caveats)
