"""A blend of runs in a folder: written by `strop blend -o`, and read again to predict new rows run by run."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from strop.errors import Problem, RunError
from strop.records.files import read_json, write_json
from strop.records.predictions import Predictions
from strop.runs.judge import must_be_finished
from strop.runs.run import Run
from strop.runs.treat import Treatments

FILE = "blend.json"


def holds_blend(folder: Path) -> bool:
    """Whether a folder holds a saved blend."""
    return (folder / FILE).is_file()


def must_not_hold_a_run(folder: Path) -> None:
    """Check that a blend is not written among the files of a run, which it would replace.

    Raises:
        RunError: The folder is that of a run.
    """
    if (folder / "recipe.yaml").exists():
        must, came = "a blend needs a folder of its own", "the folder of a run"
        raise RunError(Problem(f"--output {folder}", must, came, "give another folder, for example blends/NAME"))


def save_members(folder: Path, runs: Mapping[str, Run], weights: Mapping[str, float], predictions: Predictions) -> None:
    """Write `blend.json`: the weight of every run, and where the run lies.

    Args:
        folder: Where the blend is saved.
        runs: The runs by name.
        weights: Weight of every run.
        predictions: Blended values of the rows that the weights were fitted on.
    """
    content = {
        "weights": dict(weights),
        "n_rows": predictions.n_rows,
        "targets": list(predictions.labels),
        # Relative, so that runs and blend can be moved together.
        "runs": {
            name: {"path": os.path.relpath(run.folder.path, folder), "predictions_sha256": _fitted_on(run)}
            for name, run in runs.items()
        },
    }
    write_json(folder / FILE, content)


def _fitted_on(run: Run) -> str:
    """A digest of the held-out predictions, which another fit would not repeat."""
    return hashlib.sha256((run.folder.predictions / "model.arrow").read_bytes()).hexdigest()


@dataclass(frozen=True)
class SavedBlend:
    """A blend that can predict new rows.

    Attributes:
        folder: Where it was saved.
        targets: Names of the targets.
        paths: Folder of every run that has a weight, by name.
        weights: Weight of each of these runs.
        treatments: Grids and ranges of the blend.
    """

    folder: Path
    targets: tuple[str, ...]
    paths: Mapping[str, Path]
    weights: Mapping[str, float]
    treatments: Treatments | None

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a blend, and check that its runs are still those that it was fitted on.

        Raises:
            RunError: The folder holds no blend that can predict, or a run is gone, unfinished or fitted anew.
        """
        content = read_json(folder / FILE)
        if not isinstance(content, dict) or not {"runs", "weights", "targets"} <= content.keys():
            must, came = "it must say where the runs of the blend lie", "a file without them"
            raise RunError(Problem(str(folder / FILE), must, came, "blend the runs again: `strop blend RUN RUN... -o`"))
        # A run without weight need not be there.
        weights = {name: float(weight) for name, weight in content["weights"].items() if weight > 0}
        paths = {name: Path(os.path.normpath(folder / content["runs"][name]["path"])) for name in weights}
        problems = [
            problem
            for name, path in paths.items()
            for problem in _what_is_wrong(folder, path, content["runs"][name]["predictions_sha256"])
        ]
        if problems:
            raise RunError(*problems)
        return cls(folder, tuple(content["targets"]), paths, weights, Treatments.load(folder))


def _what_is_wrong(folder: Path, path: Path, digest: str) -> list[Problem]:
    """Why a run cannot take part in a blend any more."""
    where = f"{folder / FILE}: {path}"
    if not (path / "recipe.yaml").exists():
        must, came = "every run of a blend must still be where it was, seen from the blend", "no run there"
        return [
            Problem(where, must, came, "move it back, or blend the runs that are left: `strop blend RUN RUN... -o`")
        ]
    run = Run(path)
    try:
        must_be_finished(run.folder)
        is_same = _fitted_on(run) == digest
    except RunError as error:
        return list(error.problems)
    except FileNotFoundError:
        is_same = False
    if not is_same:
        must = "a run of a blend must be as it was when the weights were fitted"
        came, do = "its held-out predictions have changed since", "blend again: `strop blend RUN RUN... -o`"
        return [Problem(where, must, came, do)]
    return []
