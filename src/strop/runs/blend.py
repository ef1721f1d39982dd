"""Blend the out-of-fold predictions of several regression runs; no model is loaded.

Dimensions: S runs, R rows, T targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from strop.ensembling.blend import cross_fitted_blend, fit_blend
from strop.errors import Problem, RunError
from strop.evaluation.evaluate_values import score_values
from strop.evaluation.intervals import numbers_of_groups
from strop.records.dataset import Dataset, strings
from strop.records.files import write_json
from strop.records.predictions import Predictions
from strop.records.scores import Scores
from strop.runs.judge import CHOSE_CHECKPOINT, must_be_finished
from strop.runs.run import Run
from strop.runs.together import named_runs


@dataclass(frozen=True)
class Blended:
    """A blend of runs.

    Attributes:
        weights: Weight of every run by its name, not negative and with sum 1, fitted on all shared rows.
        predictions: Blended values of the shared rows, each by weights that were fitted without it and its group.
        scores: Scores of these predictions, with the single runs beside them.
    """

    weights: dict[str, float]
    predictions: Predictions
    scores: Scores

    def save(self, folder: Path) -> None:
        """Write `blend.json`, `predictions.arrow` and `scores.json`."""
        self.predictions.save(folder / "predictions.arrow")
        self.scores.save(folder / "scores.json")
        write_json(folder / "blend.json", {"weights": self.weights, "n_rows": self.predictions.n_rows})


def blend_run_folders(paths: Sequence[Path]) -> Blended:
    """Fit one weight a run on the rows that all of them held out.

    Args:
        paths: At least two folders of finished regression runs with the same targets.

    Raises:
        RunError: A run is not finished or no regression, targets differ, or no row is shared.
    """
    runs = named_runs(paths, "blend")
    for run in runs.values():
        must_be_finished(run.folder)
    _must_fit_together(runs)
    predictions = {name: run.predictions for name, run in runs.items()}
    first = next(iter(runs.values()))
    held = set.intersection(*(set(one.ids.tolist()) for one in predictions.values()))
    shared = [row_id for row_id in next(iter(predictions.values())).ids if row_id in held]
    rows = {name: Dataset.load(run.folder.open_data) for name, run in runs.items()}
    target_RT = _shared_targets(rows, shared, next(iter(predictions.values())).labels)
    selected = {name: one.select(shared) for name, one in predictions.items()}
    values_SRT = np.stack([one.outputs_RL.astype(np.float64) for one in selected.values()])
    # A run that knows no groups does not make the rows of a group independent.
    groups = next((one.select(shared).groups for one in rows.values() if one.groups is not None), None)
    group_R, seed = numbers_of_groups(groups), first.recipe.seed
    blended_RT = cross_fitted_blend(values_SRT, target_RT, group_R=group_R, seed=seed)
    whole = Predictions(
        ids=strings(shared),
        labels=next(iter(selected.values())).labels,
        outputs_RL=blended_RT.astype(np.float32),
        part=strings(["validation"] * len(shared)),
        seen_R=np.any([one.seen_R for one in selected.values()], axis=0),
        fold_R=np.full(len(shared), -1, dtype=np.int64),
        made_by={"system": "blend", "runs": ", ".join(selected)},
        kind="values",
    )
    scores = score_values(
        whole,
        target_RT,
        baselines=selected,
        evaluation=first.recipe.evaluation,
        part="out of fold",
        seed=seed,
        groups=groups,
        caveats=(CHOSE_CHECKPOINT,),
    )
    return Blended(dict(zip(selected, fit_blend(values_SRT, target_RT).tolist(), strict=True)), whole, scores)


def _must_fit_together(runs: dict[str, Run]) -> None:
    problems = []
    for name, run in runs.items():
        if run.recipe.split.folds is None:
            must, do = (
                "a run that is blended must have folds: few validation rows also chose its checkpoint",
                "set folds",
            )
            problems.append(Problem(name, must, "a run without split.folds", do))
        if run.recipe.task != "regress":
            must, do = "only predicted values are blended", "name runs of the task 'regress'"
            problems.append(Problem(name, must, f"a run of the task '{run.recipe.task}'", do))
    if problems:
        raise RunError(*problems)
    labels = {run.labels for run in runs.values()}
    if len(labels) > 1:
        problem = Problem(
            where="strop blend",
            must="the runs must have the same targets in the same order",
            came="; ".join(", ".join(one) for one in sorted(labels)),
            do="blend runs of the same data.targets",
        )
        raise RunError(problem)


def _shared_targets(rows: dict[str, Dataset], shared: Sequence[str], targets: Sequence[str]) -> NDArray[np.float64]:
    """The targets of the shared rows, shape (R, T), which all runs must agree on."""
    if not shared:
        problem = Problem(
            where="strop blend",
            must="the runs must have held out rows in common",
            came="no row that all of them held out",
            do="blend runs of the same data, best with the same folds",
        )
        raise RunError(problem)
    matrices = {name: one.select(shared).target_matrix() for name, one in rows.items()}
    first = next(iter(matrices.values()))
    for name, matrix_RT in matrices.items():
        if not np.array_equal(first, matrix_RT, equal_nan=True):
            n_rows = int((~np.isclose(first, matrix_RT, equal_nan=True)).any(axis=1).sum())
            problem = Problem(
                where=name,
                must=f"a row must have the same targets ({', '.join(targets)}) in every run",
                came=f"other values in {n_rows} of {len(shared)} rows",
                do="blend runs of the same data file",
            )
            raise RunError(problem)
    return first
