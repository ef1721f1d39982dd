"""Score saved predictions of numbers against the truth, with intervals and baselines beside them.

Dimensions: B resamples, R rows, T targets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strop.evaluation.caveats import (
    caveats_of_few_rows,
    caveats_of_rare_targets,
    caveats_of_resamples,
    caveats_of_targets,
)
from strop.evaluation.folds import fold_scores, known_folds
from strop.evaluation.intervals import numbers_of_groups
from strop.evaluation.refuse import refuse_unfair_rows, refuse_without_targets
from strop.evaluation.value_intervals import (
    difference_of,
    mean_of_resamples,
    mean_value,
    measured,
    resampled,
    score_of,
    under_weights,
    without_levels_of_folds,
)
from strop.metrics.regression import REGRESSION_METRICS, RegressionMetric
from strop.recipe.sections import Evaluation
from strop.records.dataset import Strings
from strop.records.predictions import Predictions
from strop.records.scores import Difference, FoldScores, Score, Scores, SystemScores, TargetScores, Treated

Floats = NDArray[np.float64]


def score_values(
    model: Predictions,
    target_RT: Floats,
    *,
    baselines: Mapping[str, Predictions],
    evaluation: Evaluation,
    part: str,
    seed: int,
    groups: Strings | None = None,
    caveats: Sequence[str] = (),
    treated: Mapping[str, Predictions] | None = None,
) -> Scores:
    """Score a model and its baselines on the same rows.

    Every metric is measured by target and averaged over the targets that vary in these rows (or in a fold); the mean
    absolute error averages targets in their own units. A system that predicts a constant, as the baseline `mean` does
    in every fold, has the correlation 0. For intervals see `mean_of_resamples`, for p-values `bootstrap_p_value`.

    Args:
        model: The model's predictions, of the kind "values".
        target_RT: True values, NaN where one is missing, in the order of the predictions and their labels.
        baselines: Predictions of the same rows by baselines.
        evaluation: The recipe's section.
        part: What the rows are: validation, test, or out of fold.
        seed: Draws the resamples.
        groups: Group of every row; whole groups are then resampled.
        caveats: What a reader must know; what these rows cannot show is added.
        treated: The model's predictions after a treatment that was fitted on other rows, by name ("snapped").

    Raises:
        RunError: There are no rows or no targets, a row was predicted by a system that was trained on it, values are
            not finite, or baselines or treatments predicted other rows.
        ValueError: The targets have another shape than the predictions.
    """
    _must_be_judgeable(model, target_RT, baselines, treated or {}, part)
    group_R = numbers_of_groups(groups)
    rows = _Rows(target_RT, model.labels, group_R, known_folds(model.fold_R), evaluation, seed)
    systems = [("model", model), *baselines.items(), *(treated or {}).items()]
    ours, *rest = rows.measure(systems)
    others, changed = rest[: len(baselines)], rest[len(baselines) :]
    return Scores(
        part=part,
        primary=evaluation.primary_metric,
        confidence=evaluation.confidence,
        labels=model.labels,
        ids=tuple(model.ids.tolist()),
        model=rows.system_scores(ours),
        baselines=tuple(rows.system_scores(other) for other in others),
        differences=tuple(rows.difference(ours, other, other.system) for other in others),
        caveats=(
            *caveats,
            *caveats_of_targets(target_RT, ours.values_RT, model.labels, group_R),
            *caveats_of_rare_targets(ours.resampled[evaluation.primary_metric], model.labels),
            *caveats_of_resamples(evaluation.n_bootstrap, len(baselines), evaluation.confidence),
            *caveats_of_few_rows(model.n_rows),
        ),
        treated=tuple(
            Treated(one.system, rows.system_scores(one), rows.difference(one, ours, "model")) for one in changed
        ),
    )


def _must_be_judgeable(
    model: Predictions,
    target_RT: Floats,
    baselines: Mapping[str, Predictions],
    treated: Mapping[str, Predictions],
    part: str,
) -> None:
    refuse_unfair_rows(model, baselines, part, treated)
    if target_RT.shape != model.outputs_RL.shape:
        raise ValueError(f"targets must have shape {model.outputs_RL.shape}, came {target_RT.shape}")
    refuse_without_targets(target_RT, part)


@dataclass(frozen=True)
class _Measured:
    """A system's values and what its metrics are on every resample, by metric name, shape (B, T).

    Attributes:
        system: Its name.
        predicted_RT: The values as they were predicted, for single folds.
        values_RT: The values for all rows together, see `without_levels_of_folds`.
        resampled: Measured on these.
    """

    system: str
    predicted_RT: Floats
    values_RT: Floats
    resampled: Mapping[str, Floats]


@dataclass(frozen=True)
class _Rows:
    """The rows and settings that all systems share."""

    target_RT: Floats
    targets: tuple[str, ...]
    group_R: NDArray[np.int64] | None
    fold_R: NDArray[np.int64] | None
    evaluation: Evaluation
    seed: int

    @property
    def n_units(self) -> int:
        """How many rows or groups are drawn."""
        return len(self.target_RT) if self.group_R is None else len(np.unique(self.group_R))

    @property
    def primary(self) -> RegressionMetric:
        return REGRESSION_METRICS[self.evaluation.primary_metric]

    def measure(self, systems: Sequence[tuple[str, Predictions]]) -> list[_Measured]:
        """Values and resampled metrics of systems with their names."""
        # Numbered, so that a treatment may bear the name of a baseline.
        values = {str(number): without_levels_of_folds(one) for number, (_, one) in enumerate(systems)}
        metrics, n_resamples = list(REGRESSION_METRICS.values()), self.evaluation.n_bootstrap
        found = resampled(
            metrics, self.target_RT, values, n_resamples=n_resamples, seed=self.seed, group_R=self.group_R
        )
        return [
            _Measured(name, one.outputs_RL.astype(np.float64), values[number], found[number])
            for number, (name, one) in zip(values, systems, strict=True)
        ]

    def system_scores(self, system: _Measured) -> SystemScores:
        confidence = self.evaluation.confidence
        by_target = {
            name: measured(metric, self.target_RT, system.values_RT) for name, metric in REGRESSION_METRICS.items()
        }
        return SystemScores(
            system=system.system,
            metrics={
                name: score_of(
                    metric, mean_value(by_target[name]), mean_of_resamples(system.resampled[name]), confidence
                )
                for name, metric in REGRESSION_METRICS.items()
            },
            classes=(),
            confusion=(),
            targets=tuple(self._target_scores(at, by_target, system) for at in range(len(self.targets))),
            folds=self._by_fold(system.predicted_RT),
        )

    def _by_fold(self, values_RT: Floats) -> FoldScores | None:
        """The primary metric of every fold."""
        if self.fold_R is None:
            return None

        def of_rows(rows: NDArray[np.intp], weight_BN: Floats) -> Floats:
            return under_weights(self.primary, self.target_RT[rows], values_RT[rows], weight_BN)

        return fold_scores(
            self.primary,
            of_rows,
            self.fold_R,
            evaluation=self.evaluation,
            seed=self.seed,
            group_R=self.group_R,
            targets=self.targets,
        )

    def _target_scores(self, at: int, by_target: Mapping[str, Floats], system: _Measured) -> TargetScores:
        metrics: dict[str, Score | None] = {}
        for name, metric in REGRESSION_METRICS.items():
            value = float(by_target[name][at])
            of_resamples_B = system.resampled[name][:, at]
            is_defined = not np.isnan(value)
            metrics[name] = score_of(metric, value, of_resamples_B, self.evaluation.confidence) if is_defined else None
        return TargetScores(self.targets[at], int((~np.isnan(self.target_RT[:, at])).sum()), metrics)

    def difference(self, one: _Measured, other: _Measured, name: str) -> Difference:
        """Paired difference on the primary metric; positive favours the first."""
        metric, pair = self.primary, (one, other)
        first, second = (mean_value(measured(metric, self.target_RT, system.values_RT)) for system in pair)
        first_B, second_B = (mean_of_resamples(system.resampled[metric.name]) for system in pair)
        return difference_of(
            name, metric, (first, second), (first_B, second_B), self.evaluation.confidence, self.n_units
        )
