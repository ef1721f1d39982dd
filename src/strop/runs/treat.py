"""Grids and ranges of a regression, fitted on its out-of-fold predictions; no model is loaded.

Dimensions: R rows, T targets.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from strop.ensembling.ranges import cross_fitted_coverage, fit_half_widths, ranges
from strop.ensembling.snap import Grid, cross_fitted_snap, fit_grids, snap
from strop.evaluation.intervals import numbers_of_groups
from strop.recipe.sections import Recipe
from strop.records.dataset import Dataset
from strop.records.files import read_json, write_json
from strop.records.predictions import Predictions
from strop.records.run_folder import RunFolder

Floats = NDArray[np.float64]
FILE = "treatments.json"


@dataclass(frozen=True)
class Treatments:
    """What was fitted on out-of-fold predictions and may be applied to predictions of other rows.

    Attributes:
        targets: Names of the targets.
        grids: One a target; empty where the recipe asks for none.
        half_widths_T: How far each target's range reaches to both sides of a prediction.
        low_T: Lowest value a target can have.
        high_T: Highest value a target can have.
        confidence: Share of true values that ranges should hold.
        coverage_T: Share of true values that ranges held which were fitted on other rows.
    """

    targets: tuple[str, ...]
    grids: tuple[Grid, ...]
    half_widths_T: Floats
    low_T: Floats
    high_T: Floats
    confidence: float
    coverage_T: Floats

    def ranges(self, values_RT: Floats) -> tuple[Floats, Floats]:
        """Both ends of the range about every prediction, shape (R, T) each; NaN where rows were too few to fit it."""
        low_RT, high_RT = ranges(values_RT, self.half_widths_T, self.low_T, self.high_T)
        is_fitted_T = np.isfinite(self.half_widths_T)
        return np.where(is_fitted_T, low_RT, np.nan), np.where(is_fitted_T, high_RT, np.nan)

    def snap(self, values_RT: Floats) -> Floats:
        """Predictions on the targets' grids, shape (R, T)."""
        return snap(self.grids, values_RT)

    def save(self, folder: RunFolder) -> None:
        """Write `predictions/treatments.json`."""
        # JSON has no infinity: a range without end is null.
        numbers = {
            name: [value if np.isfinite(value) else None for value in getattr(self, name).tolist()]
            for name in ("half_widths_T", "low_T", "high_T", "coverage_T")
        }
        grids = [grid.to_json() for grid in self.grids]
        content = {"targets": self.targets, "grids": grids, "confidence": self.confidence, **numbers}
        write_json(folder.predictions / FILE, content)

    @classmethod
    def load(cls, folder: RunFolder) -> Self | None:
        """Read what `save` wrote; None where the run has none.

        Raises:
            RunError: The file is damaged.
        """
        if not (folder.predictions / FILE).exists():
            return None
        content = read_json(folder.predictions / FILE)

        def numbers(name: str, missing: float) -> Floats:
            return np.array([missing if value is None else value for value in content[name]], dtype=np.float64)

        return cls(
            targets=tuple(content["targets"]),
            grids=tuple(Grid.from_json(one) for one in content["grids"]),
            half_widths_T=numbers("half_widths_T", np.inf),
            low_T=numbers("low_T", -np.inf),
            high_T=numbers("high_T", np.inf),
            confidence=content["confidence"],
            coverage_T=numbers("coverage_T", np.nan),
        )


def treat_predictions(recipe: Recipe, dataset: Dataset, folder: RunFolder) -> None:
    """Fit grids and ranges on out-of-fold predictions; write cross-fitted snapped predictions beside them.

    Sealed rows are snapped by the grids of all out-of-fold rows. Without folds nothing is fitted: the few rows of a
    validation part also chose the checkpoint.

    Args:
        recipe: The recipe.
        dataset: Rows with their targets, at least those that were held out.
        folder: The run.
    """
    if recipe.task != "regress" or recipe.split.folds is None or (folder.predictions / FILE).exists():
        return
    model = Predictions.load(folder.predictions / "model.arrow")
    rows = dataset.select(model.ids)
    target_RT, values_RT = rows.target_matrix(), model.outputs_RL.astype(np.float64)
    group_R, confidence = numbers_of_groups(rows.groups), recipe.evaluation.confidence
    low, high = recipe.data.target_range or (np.nanmin(target_RT, axis=0), np.nanmax(target_RT, axis=0))
    n_targets = target_RT.shape[1]
    treatments = Treatments(
        targets=model.labels,
        grids=fit_grids(target_RT, values_RT, model.labels, group_R=group_R, seed=recipe.seed)
        if recipe.evaluation.snap
        else (),
        half_widths_T=fit_half_widths(target_RT, values_RT, confidence),
        low_T=np.full(n_targets, low, dtype=np.float64),
        high_T=np.full(n_targets, high, dtype=np.float64),
        confidence=confidence,
        coverage_T=cross_fitted_coverage(target_RT, values_RT, confidence, group_R=group_R, seed=recipe.seed),
    )
    if recipe.evaluation.snap:
        snapped_RT = cross_fitted_snap(target_RT, values_RT, group_R=group_R, seed=recipe.seed)
        _save_snapped(model, snapped_RT, folder, "model-snapped.arrow")
        sealed = folder.predictions / "model.test.sealed.arrow"
        if sealed.exists():
            test = Predictions.load(sealed)
            snapped_RT = treatments.snap(test.outputs_RL.astype(np.float64))
            _save_snapped(test, snapped_RT, folder, "model-snapped.test.sealed.arrow")
    treatments.save(folder)


def _save_snapped(model: Predictions, snapped_RT: Floats, folder: RunFolder, name: str) -> None:
    made_by = {**model.made_by, "treatment": "snapped"}
    replace(model, outputs_RL=snapped_RT.astype(np.float32), made_by=made_by).save(folder.predictions / name)
