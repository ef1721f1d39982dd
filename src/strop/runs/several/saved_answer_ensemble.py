"""Votes on answers in a folder: their voters written by `strop ensemble -o`, and read again to vote on new rows."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from strop.ensembling.answer_vote import How, vote_as, voted
from strop.recipe.answer import Decoding
from strop.records.answers import Answers
from strop.records.dataset import Dataset
from strop.records.files import read_json
from strop.records.ledger import Note, unsaid
from strop.runs.run import Run
from strop.runs.several.answer_voters import AnswerVoter
from strop.runs.several.saved_ensemble import FILE, SavedEnsemble, digest_of, saved_voters

_NEEDED = {"task", "how", "weights", "voters", "votes_by_fold"}


def load_ensemble(folder: Path) -> "SavedEnsemble | SavedAnswerEnsemble":
    """Read a saved ensemble, of labels or of answers.

    Raises:
        RunError: The folder holds no ensemble that can vote on new rows, or a run is gone, unfinished or fitted anew.
    """
    content = read_json(folder / FILE)
    is_of_answers = isinstance(content, dict) and content.get("task") == "answer"
    return SavedAnswerEnsemble.load(folder) if is_of_answers else SavedEnsemble.load(folder)


def answer_voters_as_json(voters: Mapping[str, AnswerVoter], folder: Path) -> dict[str, dict[str, Any]]:
    """Where every voter lies, how it answers, and a digest of what it said, which another fit would not repeat.

    Args:
        voters: The voters by name.
        folder: Where the ensemble is saved; places are relative to it, so that runs and ensemble can be moved together.
    """
    return {
        name: {
            "path": os.path.relpath(voter.run.folder.path, folder),
            "fold": voter.fold or None,
            "checkpoint": voter.is_checkpoint,
            "decoding": None if voter.decoding is None else voter.decoding.model_dump(mode="json"),
            "files": [os.path.relpath(file, folder) for file in voter.files],
            "predictions_sha256": digest_of(voter.files),
        }
        for name, voter in voters.items()
    }


@dataclass(frozen=True)
class SavedAnswerEnsemble:
    """An ensemble that can vote on answers to new rows.

    Attributes:
        folder: Where it was saved.
        how: hard, soft or weighted.
        voters: The voters by name; in the weighted vote those that have a weight.
        weights: Weight of every voter in the weighted vote.
        of_folds: Whether every fold of a run has a vote.
    """

    folder: Path
    how: How
    voters: Mapping[str, AnswerVoter]
    weights: Mapping[str, float]
    of_folds: bool

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read an ensemble, and check that its runs are still those that it was judged with.

        Raises:
            RunError: The folder holds no ensemble that can vote on new rows, or a run is gone, unfinished or fitted
                anew.
        """
        content, saved = saved_voters(folder, _NEEDED)
        paths = {name: os.path.normpath(folder / one["path"]) for name, one in saved.items()}
        # One object a run, so that every model of it is loaded once.
        runs = {path: Run(path) for path in dict.fromkeys(paths.values())}
        voters = {name: _voter(name, runs[paths[name]], one) for name, one in saved.items()}
        return cls(folder, content["how"], voters, content["weights"], bool(content["votes_by_fold"]))

    @property
    def runs(self) -> dict[Path, Run]:
        """The runs behind the voters, each once, by folder."""
        return {voter.run.folder.path: voter.run for voter in self.voters.values()}

    def predict_rows(
        self,
        rows: Mapping[Path, Dataset],
        rows_done: Callable[[int, int], None] | None = None,
        note: Callable[[Path, str], None] | None = None,
    ) -> Answers:
        """Let all voters vote on answers to new rows.

        Args:
            rows: For every run's folder the new rows as its recipe reads them, in the same order.
            rows_done: Told how many of how many prompts are done, model by model and decoding by decoding.
            note: Told, for a run's folder, what a reader should know of its answers.

        Raises:
            ModelError: A model folder is damaged.
        """
        written = {
            path: _written(
                [voter for voter in self.voters.values() if voter.run is run],
                rows[path],
                rows_done,
                unsaid if note is None else partial(note, path),
            )
            for path, run in self.runs.items()
        }
        # What the runs call the rows may differ; their order does not.
        ids = next(iter(rows.values())).ids
        answers: dict[str, Answers] = {}
        weights: dict[str, float] = {}
        for whole in self.voters.values():
            voters = whole.by_folds() if self.of_folds else {whole.name: whole}
            weights |= dict.fromkeys(voters, self.weights[whole.name] / len(voters))
            for name, voter in voters.items():
                by_fold = {fold: written[voter.run.folder.path][fold, _key(voter)] for fold in voter.folds()}
                answers[name] = replace(voter.cleaned(voted(by_fold, voter.rules)), ids=ids)
        return vote_as(self.how, answers, next(iter(self.voters.values())).rules, weights)


def _written(
    voters: Sequence[AnswerVoter], rows: Dataset, rows_done: Callable[[int, int], None] | None, note: Note
) -> dict[tuple[str, str], Answers]:
    """What the models of these voters, all of one run, write by fold and decoding; one model is held at a time."""
    run = voters[0].run
    from strop.models.precision import make_accelerator
    from strop.models.trained import load_trained
    from strop.runs.writing.predict import answers_of_model

    written: dict[tuple[str, str], Answers] = {}
    for fold in dict.fromkeys(fold for voter in voters for fold in voter.folds()):
        decodings = {_key(voter): voter.decoding for voter in voters if fold in voter.folds()}
        trained = load_trained(run.folder.model(fold), make_accelerator("auto").device)
        answers = answers_of_model(trained, fold, rows, list(decodings.values()), rows_done, note)
        written |= {(fold, decoding): one for decoding, one in zip(decodings, answers, strict=True)}
    return written


def _key(voter: AnswerVoter) -> str:
    """What tells decodings apart; "" stands for the run's own."""
    return "" if voter.decoding is None else voter.decoding.name


def _voter(name: str, run: Run, saved: Mapping[str, Any]) -> AnswerVoter:
    decoding = None if saved["decoding"] is None else Decoding.model_validate(saved["decoding"])
    return AnswerVoter(name, run, (), (), saved["fold"] or "", decoding)
