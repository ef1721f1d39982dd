"""A finished run as an object: its scores, and predictions of new texts."""

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strop.data.metadata import MetadataEncoder, strange_numbers, unseen_categories
from strop.recipe.answer import Cleaning, Decoding, Server
from strop.recipe.load import read_recipe
from strop.recipe.sections import Recipe
from strop.records.answers import Answers
from strop.records.dataset import Dataset
from strop.records.ledger import Entry, Note, unsaid
from strop.records.predictions import Predictions
from strop.records.run_folder import RunFolder
from strop.records.scores import Scores
from strop.records.split import Split
from strop.runs.judge import load_outputs, must_be_finished, open_test, scores_path


class Run:
    """A run folder made by `strop.fit`.

    Attributes:
        folder: Its places.
    """

    def __init__(self, path: str | Path) -> None:
        """Open a run folder.

        Args:
            path: For example `runs/question-routing`.

        Raises:
            RunError: The folder holds no run.
        """
        self.folder = RunFolder(Path(path))
        self.folder.must_be_a_run()

    def __repr__(self) -> str:
        return f"Run('{self.folder.path}')"

    @cached_property
    def recipe(self) -> Recipe:
        """The resolved recipe of the run."""
        return read_recipe(self.folder.recipe)

    @property
    def scores(self) -> Scores:
        """Scores on held-out rows that are not sealed.

        Raises:
            RunError: The run is not finished.
        """
        must_be_finished(self.folder)
        return Scores.load(scores_path(self.folder, "out of fold" if self._split.held_out else "validation"))

    @property
    def predictions(self) -> Predictions | Answers:
        """Predictions of held-out rows that are not sealed; for the task `answer` the answers as they were written."""
        must_be_finished(self.folder)
        return load_outputs(self.recipe, self.folder.predictions / "model.arrow")

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in the order of the columns of probabilities."""
        return self.scores.labels

    @cached_property
    def _split(self) -> Split:
        return Split.load(self.folder.split)

    def open_test(self) -> Scores:
        """Open the sealed test part and score it; every opening is written to the ledger.

        Raises:
            RunError: The run is not finished or has no test part.
        """
        with self.folder.locked():
            return open_test(self.recipe, self.folder)

    def predict(self, texts: Sequence[str | None] | Sequence[Mapping[str, Any]]) -> list[str] | NDArray[np.float64]:
        """The likeliest label of every text, its answer, or the values of the targets, shape (n_texts, n_targets).

        Args:
            texts: New texts; None and blank texts are answered too. For a recipe with several text columns or with
                metadata one mapping a row, from column names to values.

        What `strop predict` would note, for example which texts were cut, is a warning.
        """
        if self.recipe.task == "answer":
            return list(self.answer_rows(self._dataset_of(texts), note=_warn).text_R.tolist())
        predictions = self.predict_rows(self._dataset_of(texts), note=_warn)
        if predictions.kind == "values":
            return predictions.outputs_RL.astype(np.float64)
        return list(predictions.best_R().tolist())

    def predict_proba(self, texts: Sequence[str | None] | Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Calibrated probabilities, shape (n_texts, n_labels), columns in the order of `labels`."""
        return self.predict_rows(self._dataset_of(texts), calibrated=True, note=_warn).probabilities_RL()

    def predict_rows(
        self, rows: Dataset, rows_done: Any = None, *, calibrated: bool = False, note: Note = unsaid
    ) -> Predictions:
        """Predict rows with all their text columns; with folds, the average of the folds' models.

        Args:
            rows: New rows, with their metadata where the model reads any.
            rows_done: Told how many of how many windows are done.
            calibrated: Whether logits are divided by the temperature of the run.
            note: Told, in words, what a reader should know, for example which texts were cut.

        Raises:
            RunError: The run is not finished.
            ModelError: A model folder is damaged.
        """
        from strop.runs.predict import predict_rows

        must_be_finished(self.folder)
        temperature = (self.scores.temperature or 1.0) if calibrated else 1.0
        return predict_rows(self.folder, self._split, self._models, rows, rows_done, temperature, note)

    def answer_rows(
        self,
        rows: Dataset,
        rows_done: Any = None,
        *,
        server: Server | None = None,
        kept: Path | None = None,
        decoding: Decoding | None = None,
        note: Note = unsaid,
    ) -> Answers:
        """Answer rows in words, cleaned by the recipe's rules; with folds, by a vote of the folds' models.

        Args:
            rows: New rows of a run of the task `answer`.
            rows_done: Told how many of how many prompts are done.
            server: A server that has loaded the run's model and answers in place of this process.
            kept: With a server, the file that its answers are kept in until all of them are there; who has them may
                delete it.
            decoding: How tokens are chosen; without one as the run was judged.
            note: Told, in words, what a reader should know about how the answers were made.

        Raises:
            RunError: The run is not finished, or has folds where a server is to answer.
            ModelError: A model folder is damaged.
            MachineError: A server did not answer every row.
        """
        from strop.inference.cleaning import clean_answers
        from strop.runs.writing.predict import answer_rows, answer_rows_by_server

        must_be_finished(self.folder)
        if server is not None and kept is not None:
            written = answer_rows_by_server(
                self.folder, self._split, rows, server, kept, rows_done, decoding=decoding, note=note
            )
        else:
            written = answer_rows(self.folder, self._split, self._models, rows, rows_done, decoding=decoding, note=note)
        return clean_answers(written, Cleaning() if self.recipe.answer is None else self.recipe.answer.cleaning)[0]

    def strange_metadata(self, rows: Dataset) -> list[Entry]:
        """What there is to say on metadata of new rows that are unlike those of the models' training rows.

        Args:
            rows: Rows that were predicted by this object.
        """
        saved = [trained.preprocessing.get("metadata") for trained in self._models.values()]
        encoders = [MetadataEncoder.from_json(one) for one in saved if one is not None]
        if not encoders:
            return []
        unseen = [unseen_categories(encoder, rows) for encoder in encoders]
        known = [entry for entry in unseen if entry is not None]
        # What one fold's model knows is not strange.
        categories = [min(known, key=lambda entry: entry.n_rows)] if len(known) == len(encoders) else []
        by_model = [strange_numbers(encoder, rows) for encoder in encoders]
        return [*categories, *min(by_model, key=lambda entries: sum(entry.n_rows for entry in entries))]

    @cached_property
    def _models(self) -> dict[str, Any]:
        """Models by fold, loaded at the first prediction and kept."""
        return {}

    def _dataset_of(self, texts: Sequence[str | None] | Sequence[Mapping[str, Any]]) -> Dataset:
        from strop.data.read import new_rows_of

        data, is_text = self.recipe.data, bool(texts) and not isinstance(texts[0], Mapping)
        if is_text and (len(data.text) > 1 or data.categorical or data.numeric):
            raise ValueError(
                f"the model reads {[*data.text, *(data.categorical or []), *(data.numeric or [])]}: give mappings"
            )
        rows: list[Any] = [{data.text[0]: text} for text in texts] if is_text else list(texts)
        return new_rows_of(rows, data, normalize=self.recipe.text.normalize)


def _warn(words: str) -> None:
    """Say to whoever called `Run.predict` or `Run.predict_proba` what `strop predict` prints as a note."""
    warnings.warn(words, stacklevel=2)
