"""New rows with their predicted labels or values, and what a reader should know about them."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strop.data.read import NewRows, read_new_rows
from strop.recipe.answer import Decoding, Server
from strop.records.answers import Answers
from strop.records.ledger import Entry
from strop.records.predictions import Predictions
from strop.runs.run import Run
from strop.runs.several.saved_answer_ensemble import SavedAnswerEnsemble
from strop.runs.several.saved_blend import SavedBlend
from strop.runs.several.saved_ensemble import SavedEnsemble
from strop.runs.treat import Treatments


def labelled_columns(
    run: Run,
    new: NewRows,
    rows_done: Callable[[int, int], None] | None = None,
    *,
    server: Server | None = None,
    kept: Path | None = None,
    decoding: Decoding | None = None,
) -> tuple[Mapping[str, Sequence[Any]], list[str]]:
    """Predict new rows and put the answers beside their own columns.

    Args:
        run: A finished run.
        new: Rows as `read_new_rows` gives them.
        rows_done: Told how many of how many windows are done.
        server: For the task `answer`, a server that answers in place of this process.
        kept: With a server, the file that its answers are kept in; it may be deleted once the columns are written.
        decoding: For the task `answer`, how tokens are chosen; without one as the run was judged.

    Returns:
        The columns, and notes in words, which stand in the run's ledger too. After the rows' own columns come
        `predicted` and `p_<label>`, or for every target `predicted_<target>`, and where the run has folds the ends
        `low_<target>` and `high_<target>` of its range and `snapped_<target>`; for the task `answer` `predicted`,
        `log_likelihood`, and `ended`, which is false for answers that were stopped at the longest length.
    """
    said: list[str] = []
    if run.recipe.task == "regress":
        predictions = run.predict_rows(new.dataset, rows_done, note=said.append)
        answers = _value_columns(
            predictions.outputs_RL.astype(np.float64), predictions.labels, Treatments.load(run.folder.predictions)
        )
    elif run.recipe.task == "answer":
        written = run.answer_rows(new.dataset, rows_done, server=server, kept=kept, decoding=decoding, note=said.append)
        answers = _answer_columns(written)
        said += _unfinished(written)
    else:
        answers = _label_columns(run.predict_rows(new.dataset, rows_done, calibrated=True, note=said.append))
    notes = [*_notes(run, new), *dict.fromkeys(said)]
    _write_notes(run, notes)
    return _beside(new.columns, answers), notes


def blended_columns(
    blend: SavedBlend, path: Path, *, encoding: str | None = None, rows_done: Callable[[int, int], None] | None = None
) -> tuple[Mapping[str, Sequence[Any]], list[str]]:
    """Predict new rows with every run of a blend, and put the blended values beside their own columns.

    Args:
        blend: A blend whose runs are there.
        path: The file of new rows; it must have the columns that any of the runs reads.
        encoding: Its text encoding, None to detect it.
        rows_done: Told how many of how many windows are done, run by run.

    Returns:
        The columns, as `labelled_columns` gives them for a regression, and notes in words, which stand in the runs'
        ledgers too.
    """
    recipes = {name: Run(folder).recipe for name, folder in blend.paths.items()}
    # All are read before any model is run: a column that the last run needs is missed at once.
    read = {
        name: read_new_rows(path, recipe.data, normalize=recipe.text.normalize, encoding=encoding)
        for name, recipe in recipes.items()
    }
    first = next(iter(read.values()))
    values_RT, notes = np.zeros((first.dataset.n_rows, len(blend.targets))), []
    for name, new in read.items():
        # A run holds the models that it loaded: it is let go after its turn.
        run = Run(blend.paths[name])
        said: list[str] = []
        predicted = run.predict_rows(new.dataset, rows_done, note=said.append)
        at = [predicted.labels.index(target) for target in blend.targets]
        values_RT += blend.weights[name] * predicted.outputs_RL.astype(np.float64)[:, at]
        of_run = [*_notes(run, new), *dict.fromkeys(said)]
        _write_notes(run, of_run)
        notes += [note for note in of_run if note not in notes]
    return _beside(first.columns, _value_columns(values_RT, blend.targets, blend.treatments)), notes


def voted_columns(
    ensemble: SavedEnsemble | SavedAnswerEnsemble,
    path: Path,
    *,
    encoding: str | None = None,
    rows_done: Callable[[int, int], None] | None = None,
) -> tuple[Mapping[str, Sequence[Any]], list[str]]:
    """Let an ensemble vote on new rows, and put its answers beside their own columns.

    Args:
        ensemble: An ensemble whose runs are there.
        path: The file of new rows; it must have the columns that any of the runs reads.
        encoding: Its text encoding, None to detect it.
        rows_done: Told how many of how many windows are done, model by model.

    Returns:
        The columns, as `labelled_columns` gives them for labels or answers, and notes in words, which stand in the
        runs' ledgers too.
    """
    read = {
        folder: read_new_rows(path, run.recipe.data, normalize=run.recipe.text.normalize, encoding=encoding)
        for folder, run in ensemble.runs.items()
    }
    rows = {folder: new.dataset for folder, new in read.items()}
    said: dict[Path, list[str]] = {folder: [] for folder in rows}

    def note(folder: Path, words: str) -> None:
        said[folder].append(words)

    if isinstance(ensemble, SavedAnswerEnsemble):
        columns = _answer_columns(ensemble.predict_rows(rows, rows_done, note))
    else:
        columns = _label_columns(ensemble.predict_rows(rows, rows_done, note))
    notes: list[str] = []
    for folder, run in ensemble.runs.items():
        of_run = [*_notes(run, read[folder]), *dict.fromkeys(said[folder])]
        _write_notes(run, of_run)
        notes += [note for note in of_run if note not in notes]
    return _beside(next(iter(read.values())).columns, columns), notes


def _beside(own: Mapping[str, Sequence[Any]], answers: Mapping[str, list[Any]]) -> dict[str, Sequence[Any]]:
    taken = set(own)
    return {**own, **{_free(name, taken): values for name, values in answers.items()}}


def _write_notes(run: Run, notes: Sequence[str]) -> None:
    # A finished run may lie where nobody may write; its answers are wanted all the same.
    if os.access(run.folder.ledger.path, os.W_OK):
        run.folder.ledger.write_all([Entry("note", "prediction", note) for note in notes])


def _answer_columns(answers: Answers) -> dict[str, list[Any]]:
    """The answer that stands, how likely the model finds it, and whether it came to an end."""
    return {
        "predicted": answers.text_R.tolist(),
        "log_likelihood": _rounded(answers.log_likelihood_RC[:, 0].astype(np.float64)),
        "ended": answers.ended_RC[:, 0].tolist(),
    }


def _unfinished(answers: Answers) -> list[str]:
    """How many answers did not come to an end, or are empty."""
    counts = {
        "were stopped at the longest length (see 'ended')": int((~answers.ended_RC[:, 0]).sum()),
        "are empty": sum(not text.strip() for text in answers.text_R),
    }
    return [f"{n:,} of {answers.n_rows:,} answers {what}" for what, n in counts.items() if n]


def _label_columns(predictions: Predictions) -> dict[str, list[Any]]:
    """The likeliest label, and every label's probability."""
    probabilities_RL = predictions.probabilities_RL()
    columns: dict[str, list[Any]] = {"predicted": predictions.best_R().tolist()}
    for at, label in enumerate(predictions.labels):
        columns[f"p_{label}"] = _rounded(probabilities_RL[:, at])
    return columns


def _value_columns(
    values_RT: NDArray[np.float64], targets: Sequence[str], treatments: Treatments | None
) -> dict[str, list[Any]]:
    """Values, and what was fitted on out-of-fold predictions: the ends of ranges, and values on grids."""
    kinds = {"predicted": values_RT}
    if treatments is not None:
        kinds["low"], kinds["high"] = treatments.ranges(values_RT)
        kinds |= {"snapped": treatments.snap(values_RT)} if treatments.grids else {}
    return {
        f"{kind}_{target}": _rounded(matrix_RT[:, at])
        for at, target in enumerate(targets)
        for kind, matrix_RT in kinds.items()
    }


def _rounded(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 6) for value in values]


def _free(name: str, taken: set[str]) -> str:
    """A column name that the rows do not have yet."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _notes(run: Run, new: NewRows) -> list[str]:
    notes = [entry.what for entry in new.entries]
    n_blank = int(new.is_blank.sum())
    if n_blank:
        notes.append(f"rows without text: {n_blank}; the answer is the model's guess from nothing")
    notes += _missing_columns(new) if run.recipe.task == "answer" else []
    notes += [entry.what for entry in run.strange_metadata(new.dataset)]
    if new.dataset.target is not None:
        unknown = sorted(set(new.dataset.target.tolist()) - set(run.labels) - {""})
        if unknown:
            named = ", ".join(repr(label) for label in unknown[:5])
            notes.append(f"the label column holds labels the model does not know ({named}); it never predicts these")
    return notes


def _missing_columns(new: NewRows) -> list[str]:
    """Text columns that are blank in rows with some text."""
    notes = []
    for name, texts in new.dataset.texts.items():
        n_missing = sum(not text.strip() for text in texts[~new.is_blank])
        if n_missing:
            rows = f"{n_missing:,} of {len(texts):,} rows"
            notes.append(f"the text column '{name}' is blank in {rows}; it is read as empty")
    return notes
