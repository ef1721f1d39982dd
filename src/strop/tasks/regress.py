"""The task `regress`: many numbers, each in its range.

A network's output is a logit; its sigmoid, stretched over the target's range or over its ranks, is the predicted value,
whatever the objective, so that stages with different objectives can follow each other.

Dimensions: T targets, R rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from strop.evaluation.value_baselines import mean_values, metadata_ridge, tfidf_ridge
from strop.evaluation.value_intervals import mean_value, measured
from strop.metrics.regression import REGRESSION_METRICS
from strop.recipe.data import Range
from strop.recipe.sections import Recipe
from strop.records.dataset import Dataset
from strop.records.predictions import Predictions
from strop.tasks.target_scale import TargetScale
from strop.tasks.task import BaselineRows, Floats, Rows

WATCHED_METRICS = ("spearman", "mae")


@dataclass(frozen=True)
class Regress:
    """Regression of a run's rows.

    Attributes:
        names: The targets.
        target_RT: Their values, shape (R, T); NaN where one is missing and for sealed rows.
        primary: Name of the primary metric.
        scale: Between values and the interval from 0 to 1: declared ranges, and what training rows have.
        declared: The declared range of every target, None where there is none.
        learns_ranks: Whether ranks among training rows stand for values, rather than places in a range.
    """

    names: tuple[str, ...]
    target_RT: NDArray[np.float64]
    primary: str
    scale: TargetScale
    declared: tuple[Range | None, ...]
    learns_ranks: bool
    is_regression: bool = True

    @classmethod
    def of(cls, recipe: Recipe, dataset: Dataset, sealed: Rows) -> Self:
        """The task on rows of which some are sealed."""
        target_RT = dataset.target_matrix()
        target_RT[sealed] = np.nan
        declared = tuple(recipe.data.range_of(name) for name in dataset.targets)
        return cls(
            names=tuple(dataset.targets),
            target_RT=target_RT,
            primary=recipe.evaluation.primary_metric,
            scale=TargetScale.of_known_ranges(np.empty((0, len(declared))), declared),
            declared=declared,
            learns_ranks=recipe.data.target_scale == "rank",
        )

    @property
    def targets(self) -> NDArray[np.float32]:
        """Targets scaled to [0, 1], shape (R, T); what lies outside of what was learnt is at its end."""
        return self.scale.encode(self.target_RT)

    @property
    def higher_is_better(self) -> bool:
        """Direction of the primary metric."""
        return REGRESSION_METRICS[self.primary].higher_is_better

    def fitted_on(self, rows: Rows) -> Self:
        """With the scale learnt from training rows, as far as it is not declared."""
        known_RT = self.target_RT[rows]
        if self.learns_ranks:
            return replace(self, scale=TargetScale.of_ranks(known_RT))
        return replace(self, scale=TargetScale.of_known_ranges(known_RT, self.declared))

    def saved(self) -> Mapping[str, Any]:
        """The scale."""
        return self.scale.saved()

    def predictions_of(self, outputs_RL: Floats) -> Floats:
        """Values of targets, shape (R, T)."""
        return self.scale.decode(outputs_RL)

    def score(self, rows: Rows, predictions: Predictions) -> dict[str, float]:
        """The primary metric, and the few that are watched in training; what ranks nothing has correlation 0."""
        wanted = dict.fromkeys((self.primary, *WATCHED_METRICS))
        target_RT, values_RT = self.target_RT[rows], predictions.outputs_RL.astype(np.float64)
        metrics = {name: REGRESSION_METRICS[name] for name in wanted}
        return {name: mean_value(measured(metric, target_RT, values_RT)) for name, metric in metrics.items()}

    def baseline(self, name: str, train: BaselineRows, train_rows: Rows, asked: BaselineRows, *, seed: int) -> Floats:
        """Fit a baseline on training rows and predict others, shape (R, T).

        Raises:
            ValueError: The metadata baseline is asked for without metadata.
        """
        target_RT = self.target_RT[train_rows]
        if name == "mean":
            return mean_values(target_RT, len(asked.texts))
        if name == "tfidf_ridge":
            return tfidf_ridge(train.texts, target_RT, asked.texts, seed=seed, groups=train.groups)
        if train.metadata_RM is None or asked.metadata_RM is None:
            raise ValueError("this baseline needs metadata")
        return metadata_ridge(train.metadata_RM, target_RT, asked.metadata_RM, seed=seed, groups=train.groups)
