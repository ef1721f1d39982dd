"""Score saved predictions against the truth, with intervals, baselines beside them, and calibration.

Dimensions: B resamples, L labels, R rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from strop.ensembling.calibrate import cross_fitted_probabilities, fit_temperature
from strop.evaluation.caveats import caveats_of_few_rows, caveats_of_rows
from strop.evaluation.folds import fold_scores, known_folds
from strop.evaluation.intervals import (
    OF_CLASSES,
    Resampled,
    bootstrap_scores,
    difference_interval,
    numbers_of_groups,
    resample,
    score_with_interval,
    swap_p_value,
)
from strop.evaluation.labels import label_numbers
from strop.evaluation.refuse import refuse_unfair_rows
from strop.metrics.classification import confusion_counts
from strop.metrics.probability import calibration_error, row_log_loss
from strop.metrics.registry import METRICS, Metric
from strop.recipe.sections import Evaluation
from strop.records.dataset import Strings
from strop.records.predictions import Predictions
from strop.records.scores import ClassScores, Difference, FoldScores, Score, Scores, SystemScores

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


def score_predictions(
    model: Predictions,
    target: Strings,
    *,
    baselines: Mapping[str, Predictions],
    evaluation: Evaluation,
    part: str,
    seed: int,
    groups: Strings | None = None,
    temperature: float | None = None,
    calibrated: Predictions | None = None,
    caveats: Sequence[str] = (),
) -> Scores:
    """Score a model and its baselines on the same rows, together and, where models of folds predicted them, by fold.

    Args:
        model: The model's predictions.
        target: True labels, in the order of the predictions, shape (R,).
        baselines: Predictions of the same rows by baselines.
        evaluation: The recipe's section.
        part: What the rows are: validation, test, or out of fold.
        seed: Draws resamples, swaps and folds.
        groups: Group of every row; whole groups are then resampled, swapped, and held out of the temperature.
        temperature: A temperature fitted on other rows. Without one it is fitted on these rows, and the calibrated
            scores are cross-fitted.
        calibrated: The model's predictions after calibration, where they are not its logits divided by the temperature.
        caveats: What a reader must know; what these rows cannot show is added.

    Raises:
        RunError: There are no rows, a row was predicted by a system that was trained on it, logits are not finite, or
            baselines predicted other rows.
        DataError: A true label is unknown to the model.
        ValueError: The target has another number of rows than the predictions.
    """
    refuse_unfair_rows(model, baselines, part)
    target_R, group_R = label_numbers(target, model.labels), numbers_of_groups(groups)
    rows = _Rows(target_R, group_R, known_folds(model.fold_R), evaluation, seed)
    ours = _measure(rows, "model", model)
    others = [_measure(rows, name, baseline) for name, baseline in baselines.items()]
    if temperature is None:
        calibrated_RL = cross_fitted_probabilities(model.outputs_RL, target_R, seed=seed, group_R=group_R)
        temperature = fit_temperature(model.outputs_RL, target_R)
    elif calibrated is not None:
        calibrated_RL = calibrated.probabilities_RL()
    else:
        calibrated_RL = model.probabilities_RL(temperature)
    return Scores(
        part=part,
        primary=evaluation.primary_metric,
        confidence=evaluation.confidence,
        labels=model.labels,
        ids=tuple(model.ids.tolist()),
        model=_system_scores(rows, ours, model.labels),
        baselines=tuple(_system_scores(rows, other, model.labels) for other in others),
        differences=tuple(_difference(rows, ours, other) for other in others),
        temperature=temperature,
        calibrated=_scores_of(rows, calibrated_RL, ("log_loss", "calibration_error")),
        caveats=(*caveats, *caveats_of_rows(target_R, model.labels, group_R), *caveats_of_few_rows(len(target_R))),
    )


@dataclass(frozen=True)
class _Rows:
    """The rows and settings that all systems share."""

    target_R: Numbers
    group_R: Numbers | None
    fold_R: Numbers | None
    evaluation: Evaluation
    seed: int

    def metrics(self, names: Sequence[str] = tuple(METRICS)) -> list[Metric]:
        """These metrics, the calibration error with the recipe's bins."""
        with_bins = partial(calibration_error, n_bins=self.evaluation.calibration_bins)
        return [
            replace(METRICS[name], weighted=with_bins) if name == "calibration_error" else METRICS[name]
            for name in names
        ]

    def resample(self, metrics: Sequence[Metric], probabilities_RL: Floats) -> Resampled:
        """The metrics on the resamples that all systems share."""
        return resample(
            metrics,
            self.target_R,
            probabilities_RL,
            n_resamples=self.evaluation.n_bootstrap,
            seed=self.seed,
            group_R=self.group_R,
        )

    def by_fold(self, probabilities_RL: Floats) -> FoldScores | None:
        """The primary metric of every fold."""
        if self.fold_R is None:
            return None
        metric = METRICS[self.evaluation.primary_metric]

        def of_rows(rows: NDArray[np.intp], weight_BN: Floats) -> Floats:
            return metric.weighted(self.target_R[rows], probabilities_RL[rows], weight_BN)[:, None]

        return fold_scores(
            metric, of_rows, self.fold_R, evaluation=self.evaluation, seed=self.seed, group_R=self.group_R
        )


@dataclass(frozen=True)
class _Measured:
    """A system's probabilities and what its metrics are on every resample."""

    system: str
    probabilities_RL: Floats
    resampled: Resampled


def _measure(rows: _Rows, system: str, predictions: Predictions) -> _Measured:
    probabilities_RL = predictions.probabilities_RL()
    return _Measured(system, probabilities_RL, rows.resample(rows.metrics(), probabilities_RL))


def _scores_of(rows: _Rows, probabilities_RL: Floats, names: Sequence[str]) -> dict[str, Score]:
    metrics = rows.metrics(names)
    resampled = rows.resample(metrics, probabilities_RL)
    return bootstrap_scores(metrics, rows.target_R, probabilities_RL, resampled, rows.evaluation.confidence)


def _system_scores(rows: _Rows, measured: _Measured, labels: Sequence[str]) -> SystemScores:
    target_R, probabilities_RL, confidence = rows.target_R, measured.probabilities_RL, rows.evaluation.confidence
    predicted_R = probabilities_RL.argmax(axis=1)
    counts_LL = confusion_counts(target_R, predicted_R, len(labels), np.ones((1, len(target_R))))[0]
    return SystemScores(
        system=measured.system,
        metrics=bootstrap_scores(rows.metrics(), target_R, probabilities_RL, measured.resampled, confidence),
        classes=_class_scores(counts_LL, measured.resampled, labels, confidence),
        confusion=tuple(tuple(int(count) for count in row) for row in counts_LL),
        per_row={
            "log_loss": tuple(row_log_loss(target_R, probabilities_RL).tolist()),
            "correct": tuple((predicted_R == target_R).astype(float).tolist()),
        },
        folds=rows.by_fold(probabilities_RL),
    )


def _class_scores(
    counts_LL: Floats, resampled: Resampled, labels: Sequence[str], confidence: float
) -> tuple[ClassScores, ...]:
    value_L = {name: of_class(counts_LL[None])[0] for name, of_class in OF_CLASSES.items()}

    def score(name: str, at: int) -> Score:
        return score_with_interval(name, float(value_L[name][at]), resampled.classes[name][:, at], confidence)

    return tuple(
        ClassScores(label, int(counts_LL[at].sum()), score("precision", at), score("recall", at), score("f1", at))
        for at, label in enumerate(labels)
    )


def _difference(rows: _Rows, ours: _Measured, other: _Measured) -> Difference:
    """Paired difference on the primary metric; positive favours the model."""
    metric = METRICS[rows.evaluation.primary_metric]
    sign = 1.0 if metric.higher_is_better else -1.0
    one_RL, other_RL = ours.probabilities_RL, other.probabilities_RL
    value = sign * (metric.value(rows.target_R, one_RL) - metric.value(rows.target_R, other_RL))
    # The same resamples for both, so that what is hard for both cancels out.
    values_B = sign * (ours.resampled.values[metric.name] - other.resampled.values[metric.name])
    low, high = difference_interval(value, values_B, rows.evaluation.confidence)
    p_value = swap_p_value(metric, rows.target_R, one_RL, other_RL, seed=rows.seed, group_R=rows.group_R)
    return Difference(other.system, metric.name, value, low, high, p_value)
