"""Compare finished runs on the rows they share."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from strop.errors import Problem, RunError
from strop.evaluation.compare import compare_runs
from strop.evaluation.compare_answers import compare_answers
from strop.evaluation.compare_values import compare_values
from strop.evaluation.comparison import Comparison
from strop.inference.cleaning import clean_answers
from strop.records.answers import Answers
from strop.records.dataset import Dataset
from strop.records.predictions import Predictions
from strop.runs.judge import load_outputs, must_be_finished
from strop.runs.run import Run
from strop.runs.several.together import must_be_opened, named_runs, write_look


def compare_run_folders(paths: Sequence[Path], *, on_test: bool = False) -> Comparison:
    """Compare runs row by row.

    Args:
        paths: At least two run folders.
        on_test: Compare on test rows instead of held-out rows.

    Raises:
        RunError: A run is not finished, or its test part was never opened, or nothing can be compared.
    """
    runs = named_runs(paths, "compare")
    predictions: dict[str, Any] = {}
    targets: dict[str, dict[str, Any]] = {}
    groups: dict[str, str] = {}
    _must_be_of_one_task(list(runs.values()))
    for name, run in runs.items():
        must_be_finished(run.folder)
        if on_test:
            must_be_opened(run, "compare", "compared")
        file = "model.test.sealed.arrow" if on_test else "model.arrow"
        predictions[name] = _outputs_of(run, run.folder.predictions / file)
        rows = Dataset.load(run.folder.sealed_data if on_test else run.folder.open_data)
        targets[name] = dict(zip(rows.ids.tolist(), _truth_of(rows), strict=True))
        if rows.groups is not None:
            groups.update(zip(rows.ids.tolist(), rows.groups.tolist(), strict=True))
    first = next(iter(runs.values())).recipe
    # A group column that only some of the runs name says nothing about the rows of the others.
    has_groups = bool(groups) and all(run.recipe.data.group == first.data.group for run in runs.values())
    if on_test:
        write_look(runs.values(), "comparison", f"compare {', '.join(path.name for path in paths)}")
    known_groups = groups if has_groups else None
    shared: dict[str, Any] = {"evaluation": first.evaluation, "seed": first.seed, "groups": known_groups}
    if first.answer is not None:
        return compare_answers(predictions, targets, **shared, no_answer=first.answer.prompt.no_answer)
    return (compare_values if first.task == "regress" else compare_runs)(predictions, targets, **shared)


def _outputs_of(run: Run, path: Path) -> Predictions | Answers:
    """What is compared: predictions, or answers after the cleaning of the run's recipe."""
    outputs = load_outputs(run.recipe, path)
    if isinstance(outputs, Answers) and run.recipe.answer is not None:
        return clean_answers(outputs, run.recipe.answer.cleaning)[0]
    return outputs


def _truth_of(rows: Dataset) -> Iterable[Any]:
    """What is true of every row: its label, its accepted answers, or its values."""
    if rows.answers is not None:
        return list(rows.answers)
    return list(rows.target_matrix() if rows.target is None else rows.target)


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
