"""Compare finished runs on the rows they share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from strop.errors import Problem, RunError
from strop.evaluation.compare import compare_runs
from strop.evaluation.compare_values import compare_values
from strop.evaluation.comparison import Comparison
from strop.records.dataset import Dataset
from strop.records.ledger import Entry
from strop.records.predictions import Predictions
from strop.runs.judge import must_be_finished
from strop.runs.run import Run


def compare_run_folders(paths: Sequence[Path], *, on_test: bool = False) -> Comparison:
    """Compare runs row by row.

    Args:
        paths: At least two run folders.
        on_test: Compare on test rows instead of held-out rows.

    Raises:
        RunError: A run is not finished, or its test part was never opened, or nothing can be compared.
    """
    n_different = len({path.resolve() for path in paths})
    if n_different < max(2, len(paths)):
        problem = Problem(
            where="strop compare",
            must="there must be at least two runs, each named once",
            came=", ".join(str(path) for path in paths),
            do="name two run folders",
        )
        raise RunError(problem)
    predictions: dict[str, Predictions] = {}
    targets: dict[str, dict[str, Any]] = {}
    groups: dict[str, str] = {}
    runs = [Run(path) for path in paths]
    _must_be_of_one_task(runs)
    for name, run in zip(_names(paths), runs, strict=True):
        must_be_finished(run.folder)
        if on_test:
            _must_be_opened(run)
        file = "model.test.sealed.arrow" if on_test else "model.arrow"
        predictions[name] = Predictions.load(run.folder.predictions / file)
        rows = Dataset.load(run.folder.sealed_data if on_test else run.folder.open_data)
        truth = rows.target_matrix() if rows.target is None else rows.target.tolist()
        targets[name] = dict(zip(rows.ids.tolist(), truth, strict=True))
        if rows.groups is not None:
            groups.update(zip(rows.ids.tolist(), rows.groups.tolist(), strict=True))
    first = runs[0].recipe
    # A group column that only some of the runs name says nothing about the rows of the others.
    has_groups = bool(groups) and all(run.recipe.data.group == first.data.group for run in runs)
    if on_test:
        _write_look(runs, paths)
    compare = compare_values if first.task == "regress" else compare_runs
    return compare(
        predictions, targets, evaluation=first.evaluation, seed=first.seed, groups=groups if has_groups else None
    )


def _must_be_of_one_task(runs: Sequence[Run]) -> None:
    tasks = {run.recipe.task for run in runs}
    if len(tasks) > 1:
        problem = Problem(
            where="strop compare",
            must="runs that are compared must be of the same task",
            came=", ".join(f"{run.folder.path.name}: {run.recipe.task}" for run in runs),
            do="compare runs of one task",
        )
        raise RunError(problem)


def _names(paths: Sequence[Path]) -> list[str]:
    """The folders' names, or their whole paths where two names are alike."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _write_look(runs: Sequence[Run], paths: Sequence[Path]) -> None:
    """Every comparison on test rows is one more look at them, and stands in the ledger of every run."""
    named = ", ".join(path.name for path in paths)
    for run in runs:
        n_before = len(run.folder.ledger.openings())
        what = f"the opened test part was used to compare {named} (opening number {n_before + 1})"
        with run.folder.locked():
            run.folder.ledger.write(Entry("opened", "comparison", what), every_time=True)


def _must_be_opened(run: Run) -> None:
    if not run.folder.ledger.openings():
        problem = Problem(
            where=str(run.folder.path),
            must="the sealed test part must have been opened before runs are compared on it",
            came="a sealed test part",
            do="`strop evaluate RUN --open-test`, or compare without --on-test",
        )
        raise RunError(problem)
