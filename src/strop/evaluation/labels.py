"""Labels as numbers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from strop.errors import DataError, Problem, did_you_mean
from strop.records.dataset import Strings


def label_numbers(target: Strings, labels: Sequence[str]) -> NDArray[np.int64]:
    """The number of every row's label, shape (R,).

    Args:
        target: Labels.
        labels: All labels, in the order of the logits.

    Raises:
        DataError: A row has a label that is not among them.
    """
    number = {label: at for at, label in enumerate(labels)}
    unknown = sorted({label for label in target.tolist() if label not in number})
    if unknown:
        problems = [
            Problem(
                where="the label column",
                must=f"every label must be one the model was trained on ({', '.join(labels)})",
                came=repr(label),
                do=did_you_mean(label, labels),
            )
            for label in unknown
        ]
        raise DataError(*problems)
    return np.array([number[label] for label in target.tolist()], dtype=np.int64)
