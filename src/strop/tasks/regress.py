"""The task `regress`: many numbers, each in its range.

A network's output is a logit; its sigmoid, stretched over the target's range, is the predicted value, whatever the
objective, so that stages with different objectives can follow each other.

Dimensions: T targets, R rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from strop.evaluation.value_baselines import mean_values, metadata_ridge, tfidf_ridge
from strop.evaluation.value_intervals import mean_value, measured
from strop.metrics.regression import REGRESSION_METRICS
from strop.recipe.sections import Recipe
from strop.records.dataset import Dataset
from strop.records.predictions import Predictions
from strop.tasks.task import BaselineRows, Floats, Rows

WATCHED_METRICS = ("spearman", "mae")


@dataclass(frozen=True)
class Regress:
    """Regression of a run's rows.

    Attributes:
        names: The targets.
        target_RT: Their values, shape (R, T); NaN where one is missing and for sealed rows.
        primary: Name of the primary metric.
        low_T: Lowest value of every target, declared or the lowest of the training rows.
        high_T: Highest value of every target.
        is_declared: Whether the range was declared.
    """

    names: tuple[str, ...]
    target_RT: NDArray[np.float64]
    primary: str
    low_T: NDArray[np.float64]
    high_T: NDArray[np.float64]
    is_declared: bool
    is_regression: bool = True

    @classmethod
    def of(cls, recipe: Recipe, dataset: Dataset, sealed: Rows) -> Self:
        """The task on rows of which some are sealed."""
        target_RT = dataset.target_matrix()
        target_RT[sealed] = np.nan
        declared, n_targets = recipe.data.target_range, target_RT.shape[1]
        low, high = declared or (0.0, 1.0)
        return cls(
            names=tuple(dataset.targets),
            target_RT=target_RT,
            primary=recipe.evaluation.primary_metric,
            low_T=np.full(n_targets, low),
            high_T=np.full(n_targets, high),
            is_declared=declared is not None,
        )

    @property
    def targets(self) -> NDArray[np.float32]:
        """Targets scaled to [0, 1] by their range, shape (R, T); what lies outside a learnt range is at its end."""
        scaled_RT = (self.target_RT - self.low_T) / (self.high_T - self.low_T)
        return np.asarray(np.clip(scaled_RT, 0.0, 1.0), dtype=np.float32)

    @property
    def higher_is_better(self) -> bool:
        """Direction of the primary metric."""
        return REGRESSION_METRICS[self.primary].higher_is_better

    def fitted_on(self, rows: Rows) -> Self:
        """With ranges learnt from training rows, unless they are declared."""
        if self.is_declared:
            return self
        known_RT = self.target_RT[rows]
        low_T = np.min(known_RT, axis=0, initial=np.inf, where=~np.isnan(known_RT))
        high_T = np.max(known_RT, axis=0, initial=-np.inf, where=~np.isnan(known_RT))
        is_flat_T = ~(low_T < high_T)
        low_T[~np.isfinite(low_T)] = 0.0
        return replace(self, low_T=low_T, high_T=np.where(is_flat_T, low_T + 1.0, high_T))

    def saved(self) -> Mapping[str, Any]:
        """The ranges."""
        return {"low": self.low_T.tolist(), "high": self.high_T.tolist()}

    def predictions_of(self, outputs_RL: Floats) -> Floats:
        """Values of targets, shape (R, T)."""
        return values_of(outputs_RL, self.low_T, self.high_T)

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


def values_of(
    outputs_RT: Floats, low_T: Sequence[float] | NDArray[np.float64], high_T: Sequence[float] | NDArray[np.float64]
) -> Floats:
    """A network's outputs as values of targets, shape (R, T): low + (high - low) * sigmoid(output)."""
    from scipy.special import expit

    low, high = np.asarray(low_T), np.asarray(high_T)
    return np.asarray(low + (high - low) * expit(outputs_RT.astype(np.float64)), dtype=np.float32)
