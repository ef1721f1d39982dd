"""Grids and ranges of a regression or of a blend, fitted on out-of-fold predictions; no model is loaded.

Dimensions: R rows, T targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from strop.data.tables import named
from strop.ensembling.ranges import cross_fitted_coverage, fit_half_widths, ranges
from strop.ensembling.snap import Grid, cross_fitted_snap, fit_grids, snap
from strop.evaluation.intervals import numbers_of_groups
from strop.recipe.data import Range
from strop.recipe.sections import Recipe
from strop.records.dataset import Dataset
from strop.records.files import read_json, write_json
from strop.records.ledger import Entry
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

    def entries(self) -> tuple[Entry, ...]:
        """What the ledger says: how many targets have a grid, and how many true values the ranges held."""
        entries = []
        if self.grids:
            gridded = [grid.target for grid in self.grids if grid.values]
            what = (
                f"{len(gridded)} of {len(self.targets)} targets are snapped to a grid that was fitted on out-of-fold "
                f"predictions{': ' if gridded else ''}{named(gridded)}"
            )
            entries.append(Entry("note", "evaluation", what, details={"gridded": gridded}))
        is_fitted_T = np.isfinite(self.half_widths_T)
        without = [name for name, is_fitted in zip(self.targets, is_fitted_T, strict=True) if not is_fitted]
        held_T = self.coverage_T[is_fitted_T]
        what = f"Ranges that were fitted on other rows to hold {self.confidence:.0%} of the true values "
        if len(held_T):
            lowest = self.targets[int(np.flatnonzero(is_fitted_T)[held_T.argmin()])]
            what += f"held {held_T.mean():.1%} in the mean over targets, the fewest of '{lowest}' ({held_T.min():.1%})"
        else:
            what += "could not be judged"
        if without:
            what += f"; there are too few rows for a range of {named(without)}"
        coverage = {
            name: None if np.isnan(value) else round(value, 4)
            for name, value in zip(self.targets, self.coverage_T.tolist(), strict=True)
        }
        return (*entries, Entry("note", "evaluation", what, details={"coverage": coverage}))

    def save(self, folder: Path) -> None:
        """Write `treatments.json` into a folder."""
        # JSON has no infinity: a range without end is null.
        numbers = {
            name: [value if np.isfinite(value) else None for value in getattr(self, name).tolist()]
            for name in ("half_widths_T", "low_T", "high_T", "coverage_T")
        }
        grids = [grid.to_json() for grid in self.grids]
        content = {"targets": self.targets, "grids": grids, "confidence": self.confidence, **numbers}
        write_json(folder / FILE, content)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Read what `save` wrote; None where the folder has none.

        Raises:
            RunError: The file is damaged.
        """
        if not (folder / FILE).exists():
            return None
        content = read_json(folder / FILE)

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
    target_RT, group_R = rows.target_matrix(), numbers_of_groups(rows.groups)
    treatments = fit_treatments(recipe, model, target_RT, group_R)
    if recipe.evaluation.snap:
        snapped_RT = cross_fitted_snap(
            target_RT, model.outputs_RL.astype(np.float64), group_R=group_R, seed=recipe.seed
        )
        snapped(model, snapped_RT).save(folder.predictions / "model-snapped.arrow")
        sealed = folder.predictions / "model.test.sealed.arrow"
        if sealed.exists():
            test = Predictions.load(sealed)
            snapped_RT = treatments.snap(test.outputs_RL.astype(np.float64))
            snapped(test, snapped_RT).save(folder.predictions / "model-snapped.test.sealed.arrow")
    folder.ledger.write_all(treatments.entries())
    treatments.save(folder.predictions)


def fit_treatments(
    recipe: Recipe, predictions: Predictions, target_RT: Floats, group_R: NDArray[np.int64] | None
) -> Treatments:
    """Fit grids, where the recipe asks for them, and ranges.

    Args:
        recipe: The recipe.
        predictions: Values of rows that no model behind them was trained on.
        target_RT: Their true values, NaN where missing.
        group_R: Group number of every row, where rows come in groups.
    """
    values_RT, confidence, seed = predictions.outputs_RL.astype(np.float64), recipe.evaluation.confidence, recipe.seed
    names = predictions.labels
    low_T, high_T = _ends(target_RT, [recipe.data.range_of(name) for name in names])
    return Treatments(
        targets=names,
        grids=fit_grids(target_RT, values_RT, names, group_R=group_R, seed=seed) if recipe.evaluation.snap else (),
        half_widths_T=fit_half_widths(target_RT, values_RT, confidence),
        low_T=low_T,
        high_T=high_T,
        confidence=confidence,
        coverage_T=cross_fitted_coverage(target_RT, values_RT, confidence, group_R=group_R, seed=seed),
    )


def _ends(target_RT: Floats, declared: Sequence[Range | None]) -> tuple[Floats, Floats]:
    """The declared range, or the lowest and the highest value seen; without end where no value is seen."""
    is_known_RT = ~np.isnan(target_RT)
    low_T = np.min(target_RT, axis=0, initial=np.inf, where=is_known_RT)
    high_T = np.max(target_RT, axis=0, initial=-np.inf, where=is_known_RT)
    is_seen_T = is_known_RT.any(axis=0)
    low_T, high_T = np.where(is_seen_T, low_T, -np.inf), np.where(is_seen_T, high_T, np.inf)
    for target, of_target in enumerate(declared):
        if of_target is not None:
            low_T[target], high_T[target] = of_target
    return low_T, high_T


def snapped(predictions: Predictions, snapped_RT: Floats) -> Predictions:
    """The same predictions with the values on their grids, shape (R, T)."""
    made_by = {**predictions.made_by, "treatment": "snapped"}
    return replace(predictions, outputs_RL=snapped_RT.astype(np.float32), made_by=made_by)
