"""Who votes: a run, a single fold of it, or a saved checkpoint, each named by its place on the disk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from strop.errors import Problem, RunError, did_you_mean
from strop.records.predictions import Predictions
from strop.records.split import Split
from strop.runs.run import Run
from strop.runs.several.together import named_runs


@dataclass(frozen=True)
class Voter:
    """One voter.

    Attributes:
        name: What it is called among the voters.
        run: Its run.
        fold: The fold whose model votes alone; "" where all of the run's folds vote as one, or there are none.
        checkpoint: The file of a checkpoint's predictions; None for the model that the run chose.
    """

    name: str
    run: Run
    fold: str = ""
    checkpoint: Path | None = None

    @property
    def open_file(self) -> Path:
        """Where its predictions of the rows that it held out lie."""
        if self.checkpoint is not None:
            return self.checkpoint
        return self._place / "model.arrow"

    @property
    def _place(self) -> Path:
        folder = self.run.folder.predictions
        return folder / "folds" / self.fold if self.fold else folder

    def of_open_rows(self) -> Predictions:
        """What it said of the rows that it held out, none of which it was trained on.

        Raises:
            RunError: There is no such file, or it is damaged, or its rows were trained on.
        """
        found = Predictions.load(self.open_file)
        if found.seen_R.any():
            must, do = "a voter must not have been trained on the rows that it votes on", "name another file"
            raise RunError(Problem(str(self.open_file), must, f"{int(found.seen_R.sum())} rows that it was", do))
        return found

    def by_folds(self) -> "dict[str, Voter]":
        """Its folds as voters of their own, by name; itself where it has none."""
        folds = [fold.name for fold in Split.load(self.run.folder.split).folds()]
        if self.fold or self.checkpoint is not None or len(folds) == 1:
            return {self.name: self}
        return {name: replace(self, name=name, fold=fold) for fold in folds for name in [f"{self.name} fold {fold}"]}


def named_voters(paths: Sequence[Path]) -> dict[str, Voter]:
    """The voters that places on the disk stand for, by name.

    Args:
        paths: Run folders, folders of folds (`runs/a/folds/0`), and files that hold a checkpoint's predictions
            (`runs/a/stages/0-cross_entropy/predictions/step-0000120.arrow`).

    Raises:
        RunError: One is named twice, or is none of these, or there is no such fold.
    """
    places = [_read(path) for path in paths]
    if len({path.resolve() for path in paths}) < len(paths):
        must, came = "every voter must be named once", ", ".join(map(str, paths))
        raise RunError(Problem("strop ensemble", must, came, "name it once"))
    # The first spelling of a folder stands for all.
    folders = {folder.resolve(): folder for folder, _, _ in reversed(places)}
    order = list(dict.fromkeys(folder.resolve() for folder, _, _ in places))
    runs = named_runs([folders[one] for one in order], "ensemble", least=1)
    by_folder = dict(zip(order, runs.items(), strict=True))
    voters = {}
    for folder, fold, checkpoint in places:
        name, run = by_folder[folder.resolve()]
        words = [name, *([f"fold {fold}"] if fold else []), *_of_checkpoint(run, checkpoint)]
        voter = Voter(" ".join(words), run, fold, checkpoint)
        _must_be_there(voter)
        voters[voter.name] = voter
    return voters


def _read(path: Path) -> tuple[Path, str, Path | None]:
    """The run's folder, the fold or "", and the checkpoint's file or None."""
    place, checkpoint = path, None
    if path.suffix == ".arrow":
        whole = path.absolute()
        if not whole.match("stages/*/predictions/step-*.arrow"):
            must = "a file that votes must hold a checkpoint's predictions"
            do = "name RUN/stages/STAGE/predictions/step-NUMBER.arrow, a run folder, or RUN/folds/NUMBER"
            raise RunError(Problem(str(path), must, "another file", do))
        place, checkpoint = (path if len(path.parents) > 4 else whole).parents[3], path
    if place.parent.name == "folds" and not (place / "recipe.yaml").exists():
        return place.parent.parent, place.name, checkpoint
    return place, "", checkpoint


def _of_checkpoint(run: Run, checkpoint: Path | None) -> list[str]:
    """Words that tell checkpoints apart: the stage, unless it is the last, and the step."""
    if checkpoint is None:
        return []
    stage = checkpoint.absolute().parents[1].name
    last = f"{len(run.recipe.stages) - 1}-{run.recipe.stages[-1].objective}"
    return [*([] if stage == last else [stage]), checkpoint.stem]


def _must_be_there(voter: Voter) -> None:
    if voter.fold:
        folds = [fold.name for fold in Split.load(voter.run.folder.split).folds() if fold.number is not None]
        if voter.fold not in folds:
            must = "it must be a fold of the run"
            do = did_you_mean(voter.fold, folds) if folds else "name the run itself: it has no folds"
            raise RunError(Problem(str(voter.run.folder.path), must, f"fold '{voter.fold}'", do))
    if voter.checkpoint is not None and not voter.checkpoint.is_file():
        there = sorted(file.name for file in voter.checkpoint.parent.glob("step-*.arrow"))
        must = "there must be predictions of this checkpoint"
        do = did_you_mean(voter.checkpoint.name, there) if there else "name a stage that was evaluated"
        raise RunError(Problem(str(voter.checkpoint), must, "no such file", do))
