"""What the voters of an ensemble said: saved predictions of runs, of single folds, and of checkpoints.

A run with folds is one voter on rows that are not sealed: its folds' models held out different ones of them. On sealed
rows the average of its folds votes, or every fold by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import ne
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from strop.ensembling.out_of_fold import average_folds, gather_folds
from strop.errors import Problem, RunError
from strop.evaluation.compare import must_agree
from strop.evaluation.intervals import numbers_of_groups
from strop.evaluation.labels import label_numbers
from strop.evaluation.refuse import refuse_broken_outputs
from strop.records.answers import Answers
from strop.records.dataset import Dataset, Strings
from strop.records.predictions import Predictions
from strop.records.split import Split
from strop.runs.judge import must_be_finished
from strop.runs.run import Run
from strop.runs.several.named_voters import Voter

Outputs = TypeVar("Outputs", Predictions, Answers)

_SAME_ROWS = (
    "fit the runs with the same data file, seed, split and groups; parts of a column keep rows in place as well"
)


@dataclass(frozen=True)
class Ballots:
    """What all voters said of the same rows.

    Attributes:
        predictions: By voter, the same rows and labels in the same order.
        target: True labels, shape (R,).
        groups: The group of every row, shape (R,), or None.
    """

    predictions: Mapping[str, Predictions]
    target: Strings
    groups: Strings | None

    @property
    def first(self) -> Predictions:
        """The first voter's predictions."""
        return next(iter(self.predictions.values()))

    @property
    def target_R(self) -> NDArray[np.int64]:
        """True label numbers, shape (R,)."""
        return label_numbers(self.target, self.first.labels)

    @property
    def group_R(self) -> NDArray[np.int64] | None:
        """Group numbers, shape (R,), or None."""
        return numbers_of_groups(self.groups)

    @property
    def probabilities_SRL(self) -> NDArray[np.float64]:
        """Every voter's probabilities."""
        return np.stack([one.probabilities_RL() for one in self.predictions.values()])


def open_ballots(voters: Mapping[str, Voter], *, of_checkpoints: bool = False, least: int = 2) -> Ballots:
    """What the voters said of rows that are not sealed: those that all of them held out.

    Args:
        voters: Of finished runs, by name.
        of_checkpoints: Whether every evaluated checkpoint of a run's last stage votes, instead of the chosen one.
        least: How many voters there must be.

    Raises:
        RunError: A run is not finished or predicts no labels, there are too few voters, or voters predicted other rows,
            know other labels or disagree on a row's true label.
    """
    _must_be_classifiers({voter.name: voter.run for voter in voters.values()})
    predictions: dict[str, Predictions] = {}
    run_of: dict[str, Run] = {}
    for name, voter in voters.items():
        is_whole = not voter.fold and voter.checkpoint is None
        theirs = (
            checkpoint_predictions(name, voter.run) if of_checkpoints and is_whole else {name: voter.of_open_rows()}
        )
        predictions |= theirs
        run_of |= dict.fromkeys(theirs, voter.run)
    if len(predictions) < least:
        must, do = "there must be at least two voters", "name another run, or let the checkpoints vote (--checkpoints)"
        raise RunError(Problem("strop ensemble", must, ", ".join(predictions), do))
    if any(voter.fold for voter in voters.values()):
        predictions = on_shared_rows(predictions)
    return _ballots(predictions, {name: Dataset.load(run.folder.open_data) for name, run in run_of.items()})


def sealed_ballots(voters: Mapping[str, Voter], temperatures: Mapping[str, float] | None = None) -> Ballots:
    """What voters said of their test rows.

    Args:
        voters: Of finished runs whose test parts were opened, by name; none of them a checkpoint.
        temperatures: By voter, what divides its logits; with folds, those of every fold's model before they are
            averaged.

    Raises:
        RunError: As `open_ballots`; or a run has no test part.
    """
    predictions = {
        name: _sealed_predictions(voter, 1.0 if temperatures is None else temperatures[name])
        for name, voter in voters.items()
    }
    return _ballots(predictions, {name: Dataset.load(voter.run.folder.sealed_data) for name, voter in voters.items()})


def checkpoint_predictions(name: str, run: Run) -> dict[str, Predictions]:
    """Predictions of held-out rows by every evaluated checkpoint of a run's last stage, by names for these voters.

    With folds the first evaluations of all folds make the first voter, and so on; evaluations that some fold does not
    have, since its patience had ended, are left out.

    Args:
        name: What the run is called.
        run: A finished run.

    Raises:
        RunError: The run keeps no predictions of checkpoints.
    """
    held_out_ids = Split.load(run.folder.split).held_out_ids
    return {
        voter: gather_folds(
            [Predictions.load(file) for file in files], held_out_ids, {"system": "checkpoint", "voter": voter}
        )
        for voter, files in checkpoint_files(name, run).items()
    }


def checkpoint_files(name: str, run: Run) -> dict[str, list[Path]]:
    """Where these predictions lie, one file a fold; arguments and errors are those of `checkpoint_predictions`."""
    split, number = Split.load(run.folder.split), len(run.recipe.stages) - 1
    places = [
        run.folder.stage(fold.name, number, run.recipe.stages[number].objective) / "predictions"
        for fold in split.folds()
    ]
    by_fold = [sorted(place.glob("step-*.arrow")) for place in places]
    if not all(by_fold):
        must, do = "the run must hold predictions of its checkpoints", "fit the run again, or leave --checkpoints out"
        raise RunError(Problem(str(run.folder.path), must, "none of the last stage", do))
    return {
        f"{name} {files[0].stem}" if len(files) == 1 else f"{name} evaluation {at}": list(files)
        for at, files in enumerate(zip(*by_fold, strict=False), 1)
    }


def must_be_divisible(group_R: NDArray[np.int64] | None, n_rows: int) -> None:
    """Check that weights can be judged by cross-fitting.

    Args:
        group_R: Group numbers of the rows that are voted on, or None.
        n_rows: How many rows these are.

    Raises:
        RunError: There are fewer than two rows, or groups of rows.
    """
    n_units = n_rows if group_R is None else len(np.unique(group_R))
    if n_units < 2:
        must, do = "weights are judged on rows, or groups, that they were not fitted on: there must be two", "fit anew"
        raise RunError(Problem("strop ensemble", must, f"{n_units}, with {n_rows} rows", do))


def _must_be_classifiers(runs: Mapping[str, Run]) -> None:
    for run in runs.values():
        must_be_finished(run.folder)
    others = [name for name, run in runs.items() if run.recipe.task != "classify"]
    if others:
        must, do = "only runs that predict labels vote", "`strop blend` puts predicted values together"
        raise RunError(*(Problem(name, must, f"a run of the task '{runs[name].recipe.task}'", do) for name in others))


def _sealed_predictions(voter: Voter, temperature: float) -> Predictions:
    split, folder = Split.load(voter.run.folder.split), voter.run.folder
    if len(split.test) == 0:
        must, do = "the run must have a test part", "leave --on-test out, or fit again with a test part"
        raise RunError(Problem(str(folder.path), must, "no sealed rows", do))
    folds = [voter.fold] if voter.fold else [fold.name for fold in split.folds()]
    by_fold = [Predictions.load(folder.predictions / "folds" / fold / "model.test.sealed.arrow") for fold in folds]
    return average_folds(by_fold, {"system": "model"}, temperature=temperature)


def on_shared_rows(predictions: Mapping[str, Outputs]) -> dict[str, Outputs]:
    """A single fold votes on the rows that it held out, and so does everyone beside it.

    Args:
        predictions: By voter; answers in words are predictions here.

    Raises:
        RunError: There is no row that all voters held out.
    """
    held = set.intersection(*(set(one.ids.tolist()) for one in predictions.values()))
    if not held:
        problem = Problem(
            where="strop ensemble",
            must="there must be rows that all voters held out: a fold's model was trained on the rows of other folds",
            came=f"none for {', '.join(predictions)}",
            do="let the same fold of several runs vote (RUN/folds/0 OTHER/folds/0), or all folds on opened test rows "
            "(--folds --on-test)",
        )
        raise RunError(problem)
    return {
        name: one.take([at for at, row_id in enumerate(one.ids.tolist()) if row_id in held])
        for name, one in predictions.items()
    }


def _ballots(predictions: Mapping[str, Predictions], rows: Mapping[str, Dataset]) -> Ballots:
    ids = next(iter(predictions.values())).ids
    _must_have_the_same_rows(predictions)
    targets = {name: _labels_by_id(one) for name, one in rows.items()}
    must_agree(ids.tolist(), predictions, targets, "label", "labels", ne)
    selected = {name: one.select(ids) for name, one in predictions.items()}
    refuse_broken_outputs(selected)
    # A run that knows no groups does not make the rows of a group independent.
    of_rows = next((one for one in rows.values() if one.groups is not None), next(iter(rows.values()))).select(ids)
    if of_rows.target is None:
        raise ValueError("rows that are voted on must have a target")
    return Ballots(selected, of_rows.target, of_rows.groups)


def _must_have_the_same_rows(predictions: Mapping[str, Predictions]) -> None:
    (first, wanted), *others = ((name, set(one.ids.tolist())) for name, one in predictions.items())
    problems = []
    for name, held in others:
        if held != wanted:
            came = _difference_in_words(first, wanted, held)
            problems.append(Problem(name, "all voters must have predicted the same rows", came, _SAME_ROWS))
    if problems:
        raise RunError(*problems)


def _difference_in_words(first: str, wanted: set[str], held: set[str]) -> str:
    return f"{len(held - wanted)} rows that {first} did not predict, and {len(wanted - held)} missing that it did"


def _labels_by_id(rows: Dataset) -> Mapping[str, str]:
    labels: Sequence[str] = [] if rows.target is None else rows.target.tolist()
    return dict(zip(rows.ids.tolist(), labels, strict=True))
