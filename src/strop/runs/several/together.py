"""What holds wherever several runs are looked at together: their names, and looks at opened test parts."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from strop.errors import Problem, RunError
from strop.records.ledger import Entry
from strop.runs.run import Run


def named_runs(paths: Sequence[Path], verb: str, *, least: int = 2) -> dict[str, Run]:
    """Open run folders, by the folders' names, or by their whole paths where two names are alike.

    Args:
        paths: The folders.
        verb: What is done with them, for errors.
        least: How many there must be.

    Raises:
        RunError: There are too few, one is named twice, or one holds no run.
    """
    n_different = len({path.resolve() for path in paths})
    if n_different < max(least, len(paths)):
        least_in_words = {1: "one run", 2: "two runs"}.get(least, f"{least} runs")
        must = f"there must be at least {least_in_words}, each named once"
        came, do = ", ".join(str(path) for path in paths), "name two run folders" if least > 1 else "name a run once"
        raise RunError(Problem(f"strop {verb}", must, came, do))
    are_named_apart = len({path.name for path in paths}) == len(paths)
    return {path.name if are_named_apart else str(path): Run(path) for path in paths}


def must_be_opened(run: Run, verb: str, done: str) -> None:
    """Check that a person has opened the run's test part.

    Args:
        run: A run.
        verb: What is done with it, for the error: "compare".
        done: The same as a participle: "compared".

    Raises:
        RunError: It is still sealed.
    """
    if not run.folder.ledger.openings():
        problem = Problem(
            where=str(run.folder.path),
            must=f"the sealed test part must have been opened before runs are {done} on it",
            came="a sealed test part",
            do=f"`strop evaluate RUN --open-test`, or {verb} without --on-test",
        )
        raise RunError(problem)


def write_look(runs: Iterable[Run], station: str, purpose: str) -> None:
    """Write to the ledger of every run that its opened test part was looked at once more.

    Args:
        runs: The runs.
        station: Where in Strop, for the ledger.
        purpose: What for, for example "compare a, b".
    """
    for run in runs:
        n_before = len(run.folder.ledger.openings())
        what = f"the opened test part was used to {purpose} (opening number {n_before + 1})"
        with run.folder.locked():
            run.folder.ledger.write(Entry("opened", station, what), every_time=True)
