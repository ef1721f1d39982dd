"""New rows with their predicted label and probabilities, and what a reader should know about them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from strop.data.read import NewRows
from strop.runs.run import Run


def labelled_columns(
    run: Run, new: NewRows, rows_done: Callable[[int, int], None] | None = None
) -> tuple[Mapping[str, Sequence[Any]], list[str]]:
    """Predict new rows and put the answers beside their own columns.

    Args:
        run: A finished run.
        new: Rows as `read_new_rows` gives them.
        rows_done: Told how many of how many windows are done.

    Returns:
        The columns (the rows' own, then `predicted` and `p_<label>`), and notes in words.
    """
    predictions = run.predict_rows(new.dataset, rows_done)
    probabilities_RL = predictions.probabilities_RL(run.scores.temperature or 1.0)
    taken = set(new.columns)
    columns: dict[str, Sequence[Any]] = dict(new.columns)
    columns[_free("predicted", taken)] = predictions.best_R().tolist()
    for at, label in enumerate(predictions.labels):
        columns[_free(f"p_{label}", taken)] = [round(float(value), 6) for value in probabilities_RL[:, at]]
    return columns, _notes(run, new)


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
        notes.append(f"rows without text: {n_blank}; their label is the model's guess from nothing")
    if new.dataset.target is not None:
        unknown = sorted(set(new.dataset.target.tolist()) - set(run.labels) - {""})
        if unknown:
            named = ", ".join(repr(label) for label in unknown[:5])
            notes.append(f"the label column holds labels the model does not know ({named}); it never predicts these")
    return notes
