"""Average the predictions that the models of several folds made of the same rows."""

from collections.abc import Mapping, Sequence

import numpy as np

from strop.records.predictions import Predictions

SMALLEST_PROBABILITY = 1e-12


def average_folds(by_fold: Sequence[Predictions], made_by: Mapping[str, str]) -> Predictions:
    """Mean of the folds' probabilities, as logits (their logarithm).

    Probabilities are averaged rather than logits so that one overconfident model does not outvote the others.

    Args:
        by_fold: At least one; the same rows and labels in the same order.
        made_by: What made the average.

    Raises:
        ValueError: Rows or labels differ.
    """
    first = by_fold[0]
    for other in by_fold[1:]:
        if other.labels != first.labels or other.ids.tolist() != first.ids.tolist():
            raise ValueError("predictions to average must have the same rows and labels in the same order")
    mean_RL = np.mean([one.probabilities_RL() for one in by_fold], axis=0)
    return Predictions(
        ids=first.ids,
        labels=first.labels,
        logits_RL=np.log(np.clip(mean_RL, SMALLEST_PROBABILITY, 1.0)).astype(np.float32),
        part=first.part,
        seen_R=np.any([one.seen_R for one in by_fold], axis=0),
        fold_R=np.full(first.n_rows, -1, dtype=np.int64),
        made_by=made_by,
    )
