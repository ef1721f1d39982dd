"""Score saved predictions against the truth, with intervals, baselines beside them, and calibration.

Dimensions: L labels, R rows.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from strop.ensembling.calibrate import cross_fitted_probabilities, fit_temperature
from strop.errors import Problem, RunError
from strop.evaluation.intervals import interval, resample_weights, resampled_values, swap_p_value
from strop.evaluation.labels import label_numbers
from strop.metrics.classification import confusion_counts, f1_by_class, precision_by_class, recall_by_class
from strop.metrics.probability import calibration_error, row_log_loss
from strop.metrics.registry import METRICS, Metric
from strop.recipe.sections import Evaluation
from strop.records.dataset import Strings
from strop.records.predictions import Predictions
from strop.records.scores import ClassScores, Difference, Score, Scores, SystemScores

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
    caveats: Sequence[str] = (),
) -> Scores:
    """Score a model and its baselines on the same rows.

    Args:
        model: The model's predictions.
        target: True labels, in the order of the predictions, shape (R,).
        baselines: Predictions of the same rows by baselines.
        evaluation: The recipe's section.
        part: What the rows are: validation, test, or out of fold.
        seed: Draws resamples and folds.
        groups: Group of every row; whole groups are then resampled.
        temperature: A temperature fitted on other rows. Without one it is fitted on these rows, and the calibrated
            scores are cross-fitted.
        caveats: What a reader must know.

    Raises:
        RunError: A row was predicted by a model that was trained on it, or baselines predicted other rows.
        DataError: A true label is unknown to the model.
    """
    _must_be_unseen(model, part)
    for name, baseline in baselines.items():
        _must_match(model, baseline, name)
    target_R = label_numbers(target, model.labels)
    judge = _Judge(target_R, model.labels, evaluation, seed, numbers_of_groups(groups))
    scored = judge.system("model", model.probabilities_RL())
    others = [judge.system(name, baseline.probabilities_RL()) for name, baseline in baselines.items()]
    differences = [
        judge.difference(name, model.probabilities_RL(), baseline.probabilities_RL())
        for name, baseline in baselines.items()
    ]
    if temperature is None:
        calibrated_RL = cross_fitted_probabilities(model.logits_RL, target_R, seed=seed)
        temperature = fit_temperature(model.logits_RL, target_R)
    else:
        calibrated_RL = model.probabilities_RL(temperature)
    return Scores(
        part=part,
        primary=evaluation.primary_metric,
        confidence=evaluation.confidence,
        labels=model.labels,
        ids=tuple(model.ids.tolist()),
        model=scored,
        baselines=tuple(others),
        differences=tuple(differences),
        temperature=temperature,
        calibrated={name: judge.score(METRICS[name], calibrated_RL) for name in ("log_loss", "calibration_error")},
        caveats=tuple(caveats),
    )


def numbers_of_groups(groups: Strings | None) -> Numbers | None:
    """Number of every row's group, from 0, shape (R,)."""
    if groups is None:
        return None
    return np.unique(np.array(groups.tolist(), dtype=str), return_inverse=True)[1].astype(np.int64)


class _Judge:
    """Rows and settings that all systems share."""

    def __init__(
        self,
        target_R: Numbers,
        labels: Sequence[str],
        evaluation: Evaluation,
        seed: int,
        group_R: Numbers | None,
    ) -> None:
        self.target_R, self.labels, self.evaluation = target_R, labels, evaluation
        self.seed, self.group_R = seed, group_R

    def score(self, metric: Metric, probabilities_RL: Floats) -> Score:
        """A metric with its interval."""
        if metric.name == "calibration_error":
            metric = _with_bins(metric, self.evaluation.calibration_bins)
        value = metric.value(self.target_R, probabilities_RL)
        return self._with_interval(
            metric.name, value, self._resampled(metric, probabilities_RL), metric.higher_is_better
        )

    def _resampled(self, metric: Metric, probabilities_RL: Floats) -> Floats:
        return resampled_values(
            metric,
            self.target_R,
            probabilities_RL,
            n_resamples=self.evaluation.n_bootstrap,
            seed=self.seed,
            group_R=self.group_R,
        )

    def _with_interval(self, name: str, value: float, values_B: Floats, higher_is_better: bool = True) -> Score:
        low, high = interval(values_B, self.evaluation.confidence)
        return Score(name, value, low, high, higher_is_better)

    def system(self, name: str, probabilities_RL: Floats) -> SystemScores:
        """All scores of one system."""
        predicted_R = probabilities_RL.argmax(axis=1)
        counts_LL = confusion_counts(self.target_R, predicted_R, len(self.labels), np.ones((1, len(self.target_R))))[0]
        return SystemScores(
            system=name,
            metrics={metric.name: self.score(metric, probabilities_RL) for metric in METRICS.values()},
            classes=self._classes(predicted_R, counts_LL),
            confusion=tuple(tuple(int(count) for count in row) for row in counts_LL),
            per_row={
                "log_loss": tuple(row_log_loss(self.target_R, probabilities_RL).tolist()),
                "correct": tuple((predicted_R == self.target_R).astype(float).tolist()),
            },
        )

    def _classes(self, predicted_R: Numbers, counts_LL: Floats) -> tuple[ClassScores, ...]:
        n_labels, n_rows = len(self.labels), len(self.target_R)
        chunks = resample_weights(n_rows, self.evaluation.n_bootstrap, self.seed, self.group_R)
        resampled = np.concatenate([confusion_counts(self.target_R, predicted_R, n_labels, one) for one in chunks])
        whole = counts_LL[None]
        by_name = {
            "precision": (precision_by_class(whole)[0], precision_by_class(resampled)),
            "recall": (recall_by_class(whole)[0], recall_by_class(resampled)),
            "f1": (f1_by_class(whole)[0], f1_by_class(resampled)),
        }
        return tuple(
            ClassScores(
                label=label,
                n_rows=int(counts_LL[at].sum()),
                **{
                    name: self._with_interval(name, float(value_L[at]), values_BL[:, at])
                    for name, (value_L, values_BL) in by_name.items()
                },
            )
            for at, label in enumerate(self.labels)
        )

    def difference(self, other: str, model_RL: Floats, other_RL: Floats) -> Difference:
        """Paired difference on the primary metric; positive favours the model."""
        metric = METRICS[self.evaluation.primary_metric]
        sign = 1.0 if metric.higher_is_better else -1.0
        value = sign * (metric.value(self.target_R, model_RL) - metric.value(self.target_R, other_RL))
        # The same resamples for both, so that what is hard for both cancels out.
        values_B = sign * (self._resampled(metric, model_RL) - self._resampled(metric, other_RL))
        low, high = interval(values_B, self.evaluation.confidence)
        p_value = swap_p_value(metric, self.target_R, model_RL, other_RL, seed=self.seed, group_R=self.group_R)
        return Difference(other, metric.name, value, low, high, p_value)


def _with_bins(metric: Metric, n_bins: int) -> Metric:
    def weighted(target_R: Numbers, probabilities_RL: Floats, weight_BR: Floats) -> Floats:
        return calibration_error(target_R, probabilities_RL, weight_BR, n_bins)

    return Metric(metric.name, weighted, metric.higher_is_better, metric.worst, metric.best)


def _must_be_unseen(model: Predictions, part: str) -> None:
    n_seen = int(model.seen_R.sum())
    if n_seen:
        problem = Problem(
            where=f"predictions of the part '{part}'",
            must="no row may be judged by a model that was trained on it",
            came=f"{n_seen} of {model.n_rows} rows were trained on",
            do="judge validation, out-of-fold or test rows",
        )
        raise RunError(problem)


def _must_match(model: Predictions, other: Predictions, name: str) -> None:
    if model.labels != other.labels or model.ids.tolist() != other.ids.tolist():
        problem = Problem(
            where=f"predictions of {name}",
            must="a baseline must have predicted the same rows with the same labels in the same order",
            came=f"{other.n_rows} rows and labels {list(other.labels)}",
            do="remove the folder predictions/ of the run and give its `strop fit` command again",
        )
        raise RunError(problem)
