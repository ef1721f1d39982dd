"""Read what may be answered to every row, and account for rows whose answer is missing, double or out of place."""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from strop.data.cleaning import Findings, Mask, clean_texts, rows_of_one_text
from strop.data.duplicates import comparable
from strop.data.messages import read_messages
from strop.data.sealing import ABOUT_LABELS
from strop.data.squad import IMPOSSIBLE
from strop.data.values import as_strings, has_control_characters, is_null, kind_of, normalized, without_arrays
from strop.recipe.data import Data
from strop.records.dataset import Strings, Tuples, tuples

_TRUE_WORDS = frozenset({"true", "1", "1.0", "yes"})


@dataclass(frozen=True)
class ReadAnswers:
    """The accepted answers of every row.

    Attributes:
        column: The column that they come from.
        accepted: One tuple of distinct texts per row, of which the first is trained on; () where there is none, shape
            (n_rows,).
        is_impossible: Which rows have no answer because the data say that there is none, shape (n_rows,); other rows
            without one lack it.
    """

    column: str
    accepted: Tuples
    is_impossible: Mask

    @property
    def is_missing(self) -> Mask:
        """Which rows lack an answer, shape (n_rows,)."""
        return np.array([not row for row in self.accepted], dtype=np.bool_) & ~self.is_impossible


# A list of texts, or an object with names: no answer in words begins so.
_BEGINS_WRITTEN = re.compile(r"""\s*(\[\s*['"{]|\{\s*['"])""")


class _BadShapeError(Exception):
    """A value that is no answer."""

    def __init__(self, value: Any) -> None:
        super().__init__(repr(value))
        self.value = value


def read_texts_and_answers(
    findings: Findings, data: Data, *, normalize: bool
) -> tuple[dict[str, Strings], ReadAnswers | None]:
    """The text columns, and the accepted answers where the recipe names a column of them.

    Args:
        findings: Receives what was cleaned, and what must be mended.
        data: The recipe's section; the columns of its texts must be there, that of the answers may be absent.
        normalize: Normalise texts and answers (see `strop.data.values.normalized`).

    Returns:
        Texts by column name, shape (n_rows,) each, in the order of `data.text`, that of messages as `read_messages`
        gives it; and the answers, None where there is no column of them.
    """
    texts = clean_texts(findings, [name for name in data.text if name != data.messages], normalize=normalize)
    if data.messages is not None:
        prompts, accepted = read_messages(findings, data.messages, normalize=normalize)
        texts = {name: prompts if name == data.messages else texts[name] for name in data.text}
        return texts, ReadAnswers(data.messages, accepted, np.zeros(len(accepted), dtype=np.bool_))
    if data.answers is None or data.answers not in findings.table.columns:
        return texts, None
    return texts, _read_answers(findings, data.answers, normalize=normalize)


def _read_answers(findings: Findings, column: str, *, normalize: bool) -> ReadAnswers:
    """One text, a list of texts, or SQuAD's objects a row; shapes that are none are problems, all named at once."""
    table = findings.table
    values = [without_arrays(value) for value in table.columns[column]]
    accepted, wrong, repaired, of_python = [], [], [], []
    for row, value in enumerate(values):
        found: list[str] = []
        try:
            if table.holds_strings_only and isinstance(value, str):
                values[row], is_of_python = _unwritten(value)
                of_python += [row] if is_of_python else []
            found = [] if is_null(values[row]) else _texts(values[row])
        except _BadShapeError as error:
            wrong.append((row, error.value))
        if normalize and any(has_control_characters(text) for text in found):
            repaired.append(row)
        cleaned = [normalized(text) for text in found] if normalize else found
        accepted.append(tuple(dict.fromkeys(text for text in cleaned if text.strip())))
    if wrong:
        must = "answers must be one text, a list of texts, or SQuAD's objects with a text"
        do = 'write for example Seoul, or as JSON ["Seoul", "the city of Seoul"], and [] where there is none'
        findings.refuse(column, must, table.values_in_places(wrong), do)
    if of_python:
        findings.say("repaired", f"Lists in '{column}' that Python wrote were read as lists", of_python, **ABOUT_LABELS)
    if repaired:
        findings.say("cleaned", f"Control characters were removed from answers in '{column}'", repaired)
    answers = ReadAnswers(column, tuples(accepted), _impossible(findings, values))
    _must_agree(findings, answers)
    return answers


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        if "text" not in value:
            raise _BadShapeError(value)
        value = value["text"]
    listed = value if isinstance(value, list) else [value]
    texts = []
    for one in listed:
        text = one.get("text") if isinstance(one, dict) else one
        if is_null(text) and not isinstance(one, dict):
            continue
        if kind_of(text) not in ("text", "number"):
            raise _BadShapeError(one)
        texts.append(as_strings([text])[0] or "")
    return texts


def _unwritten(cell: str) -> tuple[Any, bool]:
    """A list of texts, or an object of SQuAD, that a format without types could only hold as JSON or as Python's words.

    Returns:
        What the cell holds, and whether Python wrote it (as pandas does with a column of lists).

    Raises:
        _BadShapeError: The cell begins like a list of texts or an object, and can be read as neither.
    """
    if cell.lstrip()[:1] not in ("[", "{"):
        return cell, False
    is_of_python = False
    try:
        content = json.loads(cell)
    except (ValueError, RecursionError):
        if not _BEGINS_WRITTEN.match(cell):
            return cell, False  # an answer that begins with a bracket
        try:
            content, is_of_python = ast.literal_eval(cell.strip()), True
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            raise _BadShapeError(cell) from None
    # So is a year in brackets, "[1989]": only texts and objects were written.
    if isinstance(content, dict):
        is_written = "text" in content
    else:
        is_written = not content or any(isinstance(one, str | dict) for one in content)
    return (content, is_of_python) if is_written else (cell, False)


def _impossible(findings: Findings, values: list[Any]) -> Mask:
    """Which questions the data say to have no answer: by a column `is_impossible`, without one by an empty list."""
    marks = findings.table.columns.get(IMPOSSIBLE)
    if marks is None:
        lists = [value.get("text") if isinstance(value, dict) else value for value in values]
        return np.array([isinstance(one, list) and not one for one in lists], dtype=np.bool_)
    return np.array([str(mark).strip().lower() in _TRUE_WORDS for mark in marks], dtype=np.bool_)


def _must_agree(findings: Findings, answers: ReadAnswers) -> None:
    rows = [row for row, found in enumerate(answers.accepted) if found and answers.is_impossible[row]]
    if rows:
        must = f"a question marked by '{IMPOSSIBLE}' must have no answer"
        came = findings.table.values_in_places([(row, answers.accepted[row][0]) for row in rows])
        findings.refuse(answers.column, must, came, f"remove these answers, or set '{IMPOSSIBLE}' to false")


def handle_answers(
    findings: Findings,
    data: Data,
    texts: Mapping[str, Strings],
    answers: ReadAnswers,
    kept: Mask,
    *,
    keeps_unanswerable: bool,
) -> Mask:
    """Drop or refuse rows without an answer, and say what there is to know about the answers of the others.

    Args:
        findings: Receives the lines for the ledger, and what must be mended.
        data: The recipe's section.
        texts: By column name, shape (n_rows,) each.
        answers: What may be answered.
        kept: Which rows stay so far, shape (n_rows,).
        keeps_unanswerable: Whether questions that have no answer stay, because the recipe says what stands for it.

    Returns:
        Which rows stay, shape (n_rows,).
    """
    kept = _handle_impossible(findings, answers, kept, keeps_unanswerable=keeps_unanswerable)
    kept = _handle_missing(findings, answers, data.missing_label, kept)
    kept = _handle_conflicts(findings, texts, answers, data.conflicting_labels, kept)
    if not kept.any():
        came, do = "no row that has both text and an answer", f"check data.text and the column '{answers.column}'"
        findings.refuse(answers.column, "there must be rows to learn from", came, do)
    several = [row for row in np.flatnonzero(kept).tolist() if len(answers.accepted[row]) > 1]
    if several:
        what = "Rows with several accepted answers that differ: the first is trained on, each of them counts as right"
        findings.say("note", what, several, **ABOUT_LABELS)
    return kept


def _handle_impossible(findings: Findings, answers: ReadAnswers, kept: Mask, *, keeps_unanswerable: bool) -> Mask:
    rows = np.flatnonzero(answers.is_impossible & kept).tolist()
    if not rows:
        return kept
    if keeps_unanswerable:
        what = "Questions that have no answer were kept: answer.prompt.no_answer stands for it"
        findings.say("kept", what, rows, **ABOUT_LABELS)
        return kept
    what = "Questions that have no answer were dropped: answer.prompt.no_answer would say what stands for it"
    findings.say("dropped", what, rows, **ABOUT_LABELS)
    return kept & ~answers.is_impossible


def _handle_missing(findings: Findings, answers: ReadAnswers, choice: str, kept: Mask) -> Mask:
    rows = np.flatnonzero(answers.is_missing & kept).tolist()
    if not rows:
        return kept
    if choice == "refuse":
        came = f"no answer in {findings.table.places(rows)}"
        do = "answer these rows, or set data.missing_label=drop"
        findings.refuse(answers.column, "every row must have an answer", came, do)
        return kept
    findings.say("dropped", "Rows whose answer is missing were dropped", rows, **ABOUT_LABELS)
    return kept & ~answers.is_missing


def _handle_conflicts(
    findings: Findings, texts: Mapping[str, Strings], answers: ReadAnswers, choice: str, kept: Mask
) -> Mask:
    """Keep, drop or refuse rows of the same text that no answer is accepted for by all of them."""
    groups = [rows for rows in rows_of_one_text(texts, np.flatnonzero(kept).tolist()) if _differ(answers, rows)]
    rows = sorted(row for group in groups for row in group)
    if not rows:
        return kept
    if choice == "refuse":
        came = f"answers that differ, in {findings.table.places(rows)}"
        do = "give these rows an answer that all of them accept, or set data.conflicting_labels=drop"
        findings.refuse(answers.column, "rows of the same text must have the same answer", came, do)
        return kept
    said = "kept" if choice == "keep" else "dropped"
    what = f"Rows of the same text whose answers differ were {said}"
    findings.say(said, what, rows, n_texts=len(groups), **ABOUT_LABELS)
    if choice == "keep":
        return kept
    without = kept.copy()
    without[rows] = False
    return without


def _differ(answers: ReadAnswers, rows: list[int]) -> bool:
    accepted = [{comparable(text) for text in answers.accepted[row]} for row in rows]
    return any(accepted) and not set.intersection(*accepted)


def answers_if_all_are_there(findings: Findings, answers: ReadAnswers | None) -> Tuples | None:
    """The accepted answers of new rows; None where some rows lack one, with a note where others have it."""
    if answers is None:
        return None
    missing = np.flatnonzero(answers.is_missing).tolist()
    if not missing:
        return answers.accepted
    if len(missing) < len(answers.accepted):
        findings.say("note", f"Not every row has an answer in '{answers.column}': the answers were not used", missing)
    return None
