"""Read the columns of evidence: the documents that belong to a row, and the passages that come with it."""

import json
import re
from collections.abc import Sequence
from typing import Any

from strop.data.cleaning import Findings
from strop.data.tables import Table
from strop.data.values import as_strings, has_control_characters, is_null, kind_of, normalized
from strop.recipe.data import Data
from strop.records.dataset import Tuples, tuples
from strop.records.evidence import Passage

# "PMID: 123" is one name.
_BETWEEN_DOCUMENTS = re.compile(r"(?<!pmid:)(?<!pubmed:)[\s|]+", re.IGNORECASE)


class _BadShapeError(Exception):
    """A value that is no document or no passage."""

    def __init__(self, value: Any) -> None:
        super().__init__(repr(value))
        self.value = value


def read_evidence(findings: Findings, data: Data, *, normalize: bool) -> tuple[Tuples | None, Tuples | None]:
    """The documents and the snippets of every row.

    Args:
        findings: Receives what was cleaned, that a column is absent (new rows may lack one), and what must be mended.
        data: The recipe's section.
        normalize: Normalise the texts of snippets as other texts are (see `strop.data.values.normalized`).

    Returns:
        Documents and snippets as `Dataset` holds them; None for what the recipe names no column for.
    """
    documents = None if data.documents is None else _read_documents(findings, data.documents)
    snippets = None if data.snippets is None else _read_snippets(findings, data.snippets, normalize=normalize)
    return documents, snippets


def _read_documents(findings: Findings, column: str) -> Tuples:
    """A list of addresses or ids a row, or one string of them; what is named twice counts once."""
    return tuples([tuple(dict.fromkeys(row)) for row in _rows_of(findings, column, "documents", _documents)])


def _documents(value: Any) -> list[str]:
    if isinstance(value, str):
        return [word for word in _BETWEEN_DOCUMENTS.split(value.strip()) if word]
    named = value if isinstance(value, list) else [value]
    wrong = [one for one in named if not is_null(one) and kind_of(one) not in ("text", "number")]
    if wrong:
        raise _BadShapeError(wrong[0])
    return [name for one in named if (name := (as_strings([one])[0] or "").strip())]


def _read_snippets(findings: Findings, column: str, *, normalize: bool) -> Tuples:
    """A list of texts or of objects a row, or one text; those without text are left out."""
    kept, blank, repaired = [], [], []
    for row, passages in enumerate(_rows_of(findings, column, "snippets", _passages)):
        if normalize and any(has_control_characters(one.text) for one in passages):
            repaired.append(row)
        cleaned = [_normalized(one) for one in passages] if normalize else passages
        kept.append(tuple(one for one in cleaned if one.text.strip()))
        if len(kept[-1]) < len(cleaned):
            blank.append(row)
    if repaired:
        findings.say("cleaned", f"Control characters were removed from snippets in '{column}'", repaired)
    if blank:
        findings.say("cleaned", f"Snippets without text were left out of '{column}'", blank)
    return tuples(kept)


def _passages(value: Any) -> list[Passage]:
    return [_passage(one) for one in (value if isinstance(value, list) else [value])]


def _passage(value: Any) -> Passage:
    if isinstance(value, str):
        return Passage(value)
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise _BadShapeError(value)
    document, title = value.get("document"), value.get("title")
    start, end = (-1 if is_null(value.get(name)) else value[name] for name in ("start", "end"))
    are_places = all(kind_of(place) == "number" and place == int(place) for place in (start, end))
    if not are_places or not (start == end == -1 or 0 <= start <= end) or not isinstance(title, str | None):
        raise _BadShapeError(value)
    return Passage(value["text"], "".join(_documents(document)[:1]), int(start), int(end), title or "")


def _normalized(passage: Passage) -> Passage:
    # Offsets stay those of the text as it stood in the document.
    return Passage(normalized(passage.text), passage.document, passage.start, passage.end, normalized(passage.title))


def _rows_of(findings: Findings, column: str, role: str, read: Any) -> list[list[Any]]:
    """What stands in every row of a column, as a list; shapes that are none are problems, all named at once."""
    table = findings.table
    if column not in table.columns:
        what = f"There is no column '{column}' (data.{role}): the rows are read without {role}"
        findings.say("note", what, range(table.n_rows))
        return [[] for _ in range(table.n_rows)]
    rows: list[list[Any]] = []
    wrong = []
    for row, value in enumerate(_parsed(table, column)):
        try:
            rows.append([] if is_null(value) or value == "" else read(value))
        except _BadShapeError as error:
            rows.append([])
            wrong.append((row, error.value))
    if wrong:
        must, do = _WANTED[role]
        findings.refuse(column, must, table.values_in_places(wrong), do)
    return rows


_WANTED = {
    "documents": (
        "documents must be a list of addresses or ids, or one text with white space or '|' between them",
        "write for example ['31452104', 'https://example.org/page'] or '31452104|29610180'",
    ),
    "snippets": (
        "snippets must be a list of texts, or of objects with a text (document, title, start <= end where known)",
        "write for example [{'text': 'What it says.', 'document': '31452104', 'start': 0, 'end': 13}]",
    ),
}


def _parsed(table: Table, column: str) -> Sequence[Any]:
    """The values; lists that a format without types could only hold as JSON are lists again."""
    values = table.columns[column]
    return [_list_of(value) for value in values] if table.holds_strings_only else values


def _list_of(text: str) -> Any:
    if not text.lstrip().startswith("["):
        return text
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return text  # a text that begins with a bracket
    # So is a footnote such as "[1]": only lists of texts and objects were written as JSON.
    return content if all(isinstance(one, str | dict) for one in content) else text
