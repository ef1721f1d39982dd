"""Voters of an ensemble in a folder: written by `strop ensemble -o`, and read again to let them vote on new rows.

Dimensions: S voters, R rows, L labels.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from strop.ensembling.out_of_fold import average_folds
from strop.ensembling.vote import as_logits, hard_vote, soft_vote, weighted_vote
from strop.errors import Problem, RunError
from strop.records.dataset import Dataset
from strop.records.files import read_json
from strop.records.ledger import Note, unsaid
from strop.records.predictions import Predictions
from strop.records.split import Fold, Split
from strop.runs.judge import must_be_finished
from strop.runs.run import Run
from strop.runs.several.named_voters import Voter

FILE = "ensemble.json"
VOTE_AGAIN = "vote again: `strop ensemble RUN RUN... -o`"
_NEEDED = {"how", "labels", "temperature", "temperatures", "weights", "voters", "votes_by_fold"}


def holds_ensemble(folder: Path) -> bool:
    """Whether a folder holds a saved ensemble."""
    return (folder / FILE).is_file()


def voters_as_json(voters: Mapping[str, Voter], folder: Path) -> dict[str, dict[str, str | None]]:
    """Where every voter lies, and a digest of what it said, which another fit would not repeat.

    Args:
        voters: The voters by name.
        folder: Where the ensemble is saved; places are relative to it, so that runs and ensemble can be moved together.
    """
    return {
        name: {
            "path": os.path.relpath(voter.run.folder.path, folder),
            "fold": voter.fold or None,
            "checkpoint": None if voter.checkpoint is None else os.path.relpath(voter.checkpoint, folder),
            "predictions_sha256": digest_of([voter.open_file]),
        }
        for name, voter in voters.items()
    }


def digest_of(files: Sequence[Path]) -> str:
    """A digest of what a voter said of the rows that it held out."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def saved_voters(folder: Path, needed: Set[str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Read an ensemble, and check that its runs are still those that it was judged with.

    Args:
        folder: Where it was saved.
        needed: What its file must hold; the way it votes, its voters and their weights are among it.

    Returns:
        What its file holds, and of it the voters that have a say on new rows, by name.

    Raises:
        RunError: The folder holds no ensemble that can vote on new rows, or a run is gone, unfinished or fitted anew.
    """
    content = read_json(folder / FILE)
    if not isinstance(content, dict) or not content.keys() >= needed:
        must, came = "it must say who votes, and how", "a file without that"
        raise RunError(Problem(str(folder / FILE), must, came, VOTE_AGAIN))
    saved: dict[str, dict[str, Any]] = content["voters"]
    if set(saved) != set(content["weights"]) or any(one["checkpoint"] for one in saved.values()):
        must = "only models that a run chose vote on new rows: of other checkpoints the predictions alone are kept"
        raise RunError(Problem(str(folder / FILE), must, "votes of checkpoints", "let runs or their folds vote"))
    if content["how"] == "weighted":
        # A run without weight need not be there.
        saved = {name: one for name, one in saved.items() if content["weights"][name] > 0}
    problems = [problem for one in saved.values() for problem in _what_is_wrong(folder, one)]
    if problems:
        # Several voters of one run have the same problem.
        raise RunError(*dict.fromkeys(problems))
    return content, saved


@dataclass(frozen=True)
class SavedEnsemble:
    """An ensemble that can vote on new rows.

    Attributes:
        folder: Where it was saved.
        how: soft, calibrated, hard or weighted.
        labels: Names of the labels.
        temperature: What divides the vote's own logits, so that its probabilities are honest.
        voters: The voters by name; in the weighted vote those that have a weight.
        weights: Weight of every voter in the weighted vote.
        temperatures: What divides every voter's logits in the calibrated vote.
        of_folds: Whether every fold of a run has a vote.
    """

    folder: Path
    how: str
    labels: tuple[str, ...]
    temperature: float
    voters: Mapping[str, Voter]
    weights: Mapping[str, float]
    temperatures: Mapping[str, float]
    of_folds: bool

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read an ensemble, and check that its runs are still those that it was judged with.

        Raises:
            RunError: The folder holds no ensemble that can vote on new rows, or a run is gone, unfinished or fitted
                anew.
        """
        content, saved = saved_voters(folder, _NEEDED)
        return cls(
            folder,
            content["how"],
            tuple(content["labels"]),
            float(content["temperature"] or 1.0),
            {name: _voter(name, folder, one) for name, one in saved.items()},
            content["weights"],
            content["temperatures"],
            bool(content["votes_by_fold"]),
        )

    @property
    def runs(self) -> dict[Path, Run]:
        """The runs behind the voters, each once, by folder."""
        return {voter.run.folder.path: voter.run for voter in self.voters.values()}

    def predict_rows(
        self,
        rows: Mapping[Path, Dataset],
        rows_done: Callable[[int, int], None] | None = None,
        note: Callable[[Path, str], None] | None = None,
    ) -> Predictions:
        """Let all voters vote on new rows.

        Args:
            rows: For every run's folder the new rows as its recipe reads them, in the same order.
            rows_done: Told how many of how many windows are done, model by model.
            note: Told, for a run's folder, what a reader should know of its predictions.

        Returns:
            The vote's probabilities, made honest by its temperature, as logits.

        Raises:
            ModelError: A model folder is damaged.
        """
        by_voter: dict[str, list[Predictions]] = {}
        for path, run in self.runs.items():
            theirs = {name: voter for name, voter in self.voters.items() if voter.run.folder.path == path}
            of_run = unsaid if note is None else partial(note, path)
            by_fold = dict(_by_fold(run, [voter.fold for voter in theirs.values()], rows[path], rows_done, of_run))
            for name, voter in theirs.items():
                by_voter[name] = [by_fold[voter.fold]] if voter.fold else list(by_fold.values())
        voted = [one for name in self.voters for one in self._votes_of(name, by_voter[name])]
        probabilities_SRL = np.stack([one.probabilities_RL() for _, one in voted])
        if self.how == "hard":
            vote_RL = hard_vote(probabilities_SRL)
        elif self.how == "weighted":
            weights_S = np.array([weight for weight, _ in voted])
            vote_RL = weighted_vote(probabilities_SRL, weights_S / weights_S.sum())
        else:
            vote_RL = soft_vote(probabilities_SRL)
        return average_folds(
            [_as_vote(voted[0][1], vote_RL)], {"system": f"{self.how} vote"}, temperature=self.temperature
        )

    def _votes_of(self, name: str, by_fold: list[Predictions]) -> Iterator[tuple[float, Predictions]]:
        """What a voter says, with its weight: one vote, or one of each of its folds."""
        temperature = self.temperatures[name] if self.how == "calibrated" else 1.0
        votes = [[one] for one in by_fold] if self.of_folds else [by_fold]
        for vote in votes:
            yield self.weights[name] / len(votes), average_folds(vote, {"system": "model"}, temperature=temperature)


@dataclass(frozen=True)
class _OneFold(Split):
    """A split of which one fold is looked at."""

    fold: str = ""

    def folds(self) -> Iterator[Fold]:
        yield from (fold for fold in super().folds() if fold.name == self.fold)


def _by_fold(
    run: Run, folds: list[str], rows: Dataset, rows_done: Callable[[int, int], None] | None, note: Note
) -> Iterator[tuple[str, Predictions]]:
    """What the models of these folds say, of all folds where one of the names is ""; one model is held at a time."""
    from strop.runs.predict import predict_rows

    split = Split.load(run.folder.split)
    for fold in split.folds():
        if "" in folds or fold.name in folds:
            one = _OneFold(split.train, split.validation, split.test, split.held_out, split.seed, fold.name)
            yield fold.name, predict_rows(run.folder, one, {}, rows, rows_done, note=note)


def _as_vote(like: Predictions, vote_RL: np.ndarray[Any, np.dtype[np.float64]]) -> Predictions:
    return Predictions(like.ids, like.labels, as_logits(vote_RL), like.part, like.seen_R, like.fold_R)


def _voter(name: str, folder: Path, saved: Mapping[str, Any]) -> Voter:
    return Voter(name, Run(os.path.normpath(folder / saved["path"])), saved["fold"] or "")


def _what_is_wrong(folder: Path, saved: Mapping[str, Any]) -> list[Problem]:
    """Why a voter cannot vote any more."""
    path = Path(os.path.normpath(folder / saved["path"]))
    where = f"{folder / FILE}: {path}"
    if not (path / "recipe.yaml").exists():
        must = "every run of an ensemble must still be where it was, seen from the ensemble"
        return [Problem(where, must, "no run there", f"move it back, or {VOTE_AGAIN}")]
    voter = _voter("", folder, saved)
    # Votes on answers name their files: those of a decoding are several.
    files = [Path(os.path.normpath(folder / file)) for file in saved.get("files", ())] or [voter.open_file]
    try:
        must_be_finished(voter.run.folder)
        is_same = all(file.exists() for file in files) and digest_of(files) == saved["predictions_sha256"]
    except RunError as error:
        return list(error.problems)
    if is_same:
        return []
    must, came = "a run of an ensemble must be as it was when it was judged", "its held-out predictions have changed"
    return [Problem(where, must, came, VOTE_AGAIN)]
