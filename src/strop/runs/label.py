"""New rows with their predicted labels or values, and what a reader should know about them."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strop.data.read import NewRows
from strop.records.ledger import Entry
from strop.runs.run import Run
from strop.runs.treat import Treatments


def labelled_columns(
    run: Run, new: NewRows, rows_done: Callable[[int, int], None] | None = None
) -> tuple[Mapping[str, Sequence[Any]], list[str]]:
    """Predict new rows and put the answers beside their own columns.

    Args:
        run: A finished run.
        new: Rows as `read_new_rows` gives them.
        rows_done: Told how many of how many windows are done.

    Returns:
        The columns, and notes in words, which stand in the run's ledger too.
        After the rows' own columns come `predicted` and `p_<label>`, or for every
        target `predicted_<target>`, and where the run has folds the ends `low_<target>` and `high_<target>` of its
        range and `snapped_<target>`.
    """
    answers = _values(run, new, rows_done) if run.recipe.task == "regress" else _labels(run, new, rows_done)
    taken, notes = set(new.columns), _notes(run, new)
    # A finished run may lie where nobody may write; its answers are wanted all the same.
    if os.access(run.folder.ledger.path, os.W_OK):
        run.folder.ledger.write_all([Entry("note", "prediction", note) for note in notes])
    return {**new.columns, **{_free(name, taken): values for name, values in answers.items()}}, notes


def _labels(run: Run, new: NewRows, rows_done: Callable[[int, int], None] | None) -> dict[str, list[Any]]:
    predictions = run.predict_rows(new.dataset, rows_done, calibrated=True)
    probabilities_RL = predictions.probabilities_RL()
    columns = {"predicted": predictions.best_R().tolist()}
    for at, label in enumerate(predictions.labels):
        columns[f"p_{label}"] = _rounded(probabilities_RL[:, at])
    return columns


def _values(run: Run, new: NewRows, rows_done: Callable[[int, int], None] | None) -> dict[str, list[Any]]:
    predictions = run.predict_rows(new.dataset, rows_done)
    values_RT = predictions.outputs_RL.astype(np.float64)
    kinds = {"predicted": values_RT}
    treatments = Treatments.load(run.folder)
    if treatments is not None:
        kinds["low"], kinds["high"] = treatments.ranges(values_RT)
        kinds |= {"snapped": treatments.snap(values_RT)} if treatments.grids else {}
    return {
        f"{kind}_{target}": _rounded(matrix_RT[:, at])
        for at, target in enumerate(predictions.labels)
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
    unseen = run.unseen_categories(new.dataset)
    if unseen is not None:
        notes.append(unseen.what)
    if new.dataset.target is not None:
        unknown = sorted(set(new.dataset.target.tolist()) - set(run.labels) - {""})
        if unknown:
            named = ", ".join(repr(label) for label in unknown[:5])
            notes.append(f"the label column holds labels the model does not know ({named}); it never predicts these")
    return notes
