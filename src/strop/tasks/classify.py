"""The task `classify`: one of a few classes.

Dimensions: L labels, R rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from accelerate import Accelerator
from numpy.typing import NDArray

from strop.evaluation.baselines import linear_probe, majority, tfidf
from strop.inference.predict import predict_logits
from strop.metrics.registry import METRICS
from strop.models.network import Network
from strop.records.dataset import Strings, strings
from strop.records.examples import Examples
from strop.records.predictions import Predictions
from strop.records.split import Fold
from strop.training.stage import Evaluated

WATCHED_METRICS = ("macro_f1", "accuracy", "log_loss")


def score_logits(target_R: NDArray[np.int64], predictions: Predictions, primary: str) -> tuple[float, dict[str, float]]:
    """The primary metric, and the few metrics that are watched in training."""
    probabilities_RL = predictions.probabilities_RL()
    wanted = dict.fromkeys((primary, *WATCHED_METRICS))
    metrics = {name: METRICS[name].value(target_R, probabilities_RL) for name in wanted}
    return metrics[primary], metrics


def build_evaluation(
    examples: Examples,
    target_R: NDArray[np.int64],
    labels: Sequence[str],
    accelerator: Accelerator,
    *,
    primary: str,
    fold: Fold,
    pad_id: int,
) -> Callable[[Network], Evaluated]:
    """Build what a stage calls to be evaluated: predict these rows, score them.

    Args:
        examples: The rows held out by the fold.
        target_R: Their label numbers.
        labels: Names of the labels.
        accelerator: Device and precision.
        primary: Name of the primary metric.
        fold: The fold whose held-out rows these are.
        pad_id: Token id that fills short windows.
    """

    def evaluate(network: Network) -> Evaluated:
        logits_RL = predict_logits(network, examples, accelerator, pad_id=pad_id)
        predictions = held_out_predictions(logits_RL, examples.ids, labels, fold, "validation", {"system": "model"})
        score, metrics = score_logits(target_R, predictions, primary)
        return Evaluated(score, metrics, predictions)

    return evaluate


def held_out_predictions(
    logits_RL: NDArray[np.float32],
    ids: Strings,
    labels: Sequence[str],
    fold: Fold,
    part: str,
    made_by: Mapping[str, str],
) -> Predictions:
    """Predictions of rows that no model of the fold was trained on."""
    n_rows = len(ids)
    return Predictions(
        ids=ids,
        labels=tuple(labels),
        logits_RL=logits_RL,
        part=strings([part] * n_rows),
        seen_R=np.zeros(n_rows, dtype=np.bool_),
        fold_R=np.full(n_rows, -1 if fold.number is None else fold.number, dtype=np.int64),
        made_by=made_by,
    )


@dataclass(frozen=True)
class BaselineRows:
    """What baselines see of some rows: texts, shape (R,), and features of the frozen body, shape (R, H), or None."""

    texts: Strings
    features_RH: NDArray[np.float32] | None


def baseline_logits(
    name: str, train: BaselineRows, train_target_R: NDArray[np.int64], rows: BaselineRows, *, n_labels: int, seed: int
) -> NDArray[np.float32]:
    """Fit a baseline on training rows and predict others, shape (R, L).

    Raises:
        ValueError: A linear probe is asked for without features.
    """
    if name == "majority":
        return majority(train_target_R, n_labels, len(rows.texts))
    if name == "tfidf":
        return tfidf(train.texts, train_target_R, rows.texts, n_labels=n_labels, seed=seed)
    if train.features_RH is None or rows.features_RH is None:
        raise ValueError("a linear probe needs features")
    return linear_probe(train.features_RH, train_target_R, rows.features_RH, n_labels=n_labels, seed=seed)
