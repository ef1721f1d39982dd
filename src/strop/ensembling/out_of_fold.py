"""Put together what the models of several folds predicted."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from strop.records.dataset import Strings
from strop.records.predictions import Predictions, concatenate

SMALLEST_PROBABILITY = 1e-12


def gather_folds(by_fold: Sequence[Predictions], ids: Strings, made_by: Mapping[str, str]) -> Predictions:
    """Predictions of all held-out rows, each by the model that was not trained on it.

    Args:
        by_fold: At least one; the rows that each fold held out.
        ids: All rows that were held out, in the order wanted.
        made_by: What made the whole.

    Raises:
        ValueError: A row is missing, was predicted twice or was not asked for, a row was trained on, or labels differ.
    """
    whole = concatenate(by_fold, made_by)
    times, wanted = Counter(whole.ids.tolist()), set(ids.tolist())
    twice = sorted(row_id for row_id, n_times in times.items() if n_times > 1)
    missing, foreign = sorted(wanted - times.keys()), sorted(times.keys() - wanted)
    for what, which in (("predicted by two folds", twice), ("by none", missing), ("not held out", foreign)):
        if which:
            raise ValueError(
                f"every held-out row must be predicted by exactly one fold, came {len(which)} {what}: {which[:5]}"
            )
    if whole.seen_R.any():
        raise ValueError(f"held-out rows must not be trained on, came {int(whole.seen_R.sum())} that were")
    return whole.select(ids)


def average_folds(
    by_fold: Sequence[Predictions], made_by: Mapping[str, str], *, temperature: float = 1.0
) -> Predictions:
    """Mean of the folds' values, or of their probabilities as logits (their logarithm); the fold of every row is -1.

    Probabilities are averaged rather than logits so that one overconfident model does not outvote the others.

    Args:
        by_fold: At least one; the same rows and labels in the same order.
        made_by: What made the average.
        temperature: Divides every fold's logits before its probabilities are averaged: it was fitted on predictions of
            single models, and an average of probabilities is no such prediction.

    Raises:
        ValueError: There are none, or rows or labels differ.
    """
    if not by_fold:
        raise ValueError("there must be predictions to average")
    first = by_fold[0]
    for other in by_fold[1:]:
        if other.labels != first.labels or other.ids.tolist() != first.ids.tolist():
            raise ValueError("predictions to average must have the same rows and labels in the same order")
    if first.kind == "values":
        mean_RL = np.mean([one.outputs_RL.astype(np.float64) for one in by_fold], axis=0)
    else:
        mean_RL = np.mean([one.probabilities_RL(temperature) for one in by_fold], axis=0)
        mean_RL = np.log(np.clip(mean_RL, SMALLEST_PROBABILITY, 1.0))
    return Predictions(
        ids=first.ids,
        labels=first.labels,
        outputs_RL=mean_RL.astype(np.float32),
        part=first.part,
        seen_R=np.any([one.seen_R for one in by_fold], axis=0),
        fold_R=np.full(first.n_rows, -1, dtype=np.int64),
        made_by=made_by,
        kind=first.kind,
    )
