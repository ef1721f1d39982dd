"""Compare finished runs on the rows they share."""

from collections.abc import Sequence
from pathlib import Path

from strop.errors import Problem, RunError
from strop.evaluation.compare import Comparison, compare_runs
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
    targets: dict[str, dict[str, str]] = {}
    groups: dict[str, str] = {}
    runs = [Run(path) for path in paths]
    for name, run in zip(_names(paths), runs, strict=True):
        must_be_finished(run.folder)
        if on_test:
            _must_be_opened(run)
        file = "model.test.sealed.arrow" if on_test else "model.arrow"
        predictions[name] = Predictions.load(run.folder.predictions / file)
        rows = Dataset.load(run.folder.sealed_data if on_test else run.folder.open_data)
        if rows.target is None:
            raise ValueError("rows of a run must have a target")
        targets[name] = dict(zip(rows.ids.tolist(), rows.target.tolist(), strict=True))
        if rows.groups is not None:
            groups.update(zip(rows.ids.tolist(), rows.groups.tolist(), strict=True))
    first = runs[0].recipe
    # A group column that only some of the runs name says nothing about the rows of the others.
    has_groups = bool(groups) and all(run.recipe.data.group == first.data.group for run in runs)
    if on_test:
        _write_look(runs, paths)
    return compare_runs(
        predictions, targets, evaluation=first.evaluation, seed=first.seed, groups=groups if has_groups else None
    )


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
