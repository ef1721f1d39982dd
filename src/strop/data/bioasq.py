"""Questions of BioASQ (task b, training and golden files) as a table: one question a row.

The format: an object whose `questions` have `id`, `body`, `type` (yesno, factoid, list or summary), `documents`
(addresses), `snippets` (text, document, offsets in a section of its record) and, but for test files, `exact_answer`.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from strop.data.tables import Table
from strop.errors import DataError, Problem
from strop.records.ledger import Entry

BIOASQ = "BioASQ"
YES_NO = "yesno"
_ANSWERS = ("yes", "no")
_RULES = {
    "questions": ("every question must be an object", "mend them"),
    "body": ("every question must have a text", "fill it in"),
    "type": ("every question must have a type", "fill it in"),
    "exact_answer": (
        "the answer to a yes/no question must be 'yes' or 'no', alone or in a list",
        "mend these answers, or remove them where the question has none",
    ),
}


def is_bioasq(content: Any) -> bool:
    """Whether parsed JSON is an object with a list `questions`, some of which are objects with a `body`."""
    questions = content.get("questions") if isinstance(content, dict) else None
    return isinstance(questions, list) and any(isinstance(one, dict) and "body" in one for one in questions)


def read_bioasq(content: dict[str, Any], path: Path) -> Table:
    """The questions as columns id, question, type, answer, documents and snippets.

    The answer is "yes" or "no" for yes/no questions, however the file writes it ("Yes", ["yes"]), and nothing for
    questions of other types and for those that are yet to be answered. Snippets become objects as `data.snippets` reads
    them; offsets are kept where they count from the start of the abstract.

    Args:
        content: What `is_bioasq` knows.
        path: Its file, for errors.

    Raises:
        DataError: With everything that is wrong: questions that are no objects, that lack text or type, yes/no
            questions with another answer.
    """
    questions = content["questions"]
    asked = [one if isinstance(one, dict) else {} for one in questions]
    columns = {
        "id": [one.get("id") for one in asked],
        "question": [one.get("body") for one in asked],
        "type": [one.get("type") for one in asked],
        "answer": [_yes_or_no(one.get("exact_answer")) if one.get("type") == YES_NO else None for one in asked],
        "documents": [one.get("documents") for one in asked],
        "snippets": [_snippets(one.get("snippets")) for one in asked],
    }
    table = Table(path, columns, form=BIOASQ)
    problems = _problems(table, questions)
    if problems:
        raise DataError(*problems)
    return table


def note_on_types(table: Table) -> tuple[Entry, ...]:
    """What the ledger says of questions that have no answer by yes or no; nothing for tables of another form."""
    counts = Counter(table.columns["type"]) if table.form == BIOASQ else Counter()
    n_others = counts.total() - counts.pop(YES_NO, 0)
    if not n_others:
        return ()
    named = ", ".join(f"{n_rows:,} {name}" for name, n_rows in counts.most_common())
    what = (
        f"{n_others:,} of {table.n_rows:,} BioASQ questions are not answered by yes or no ({named}): their 'answer' is "
        "empty"
    )
    return (Entry("note", "read", what, n_rows=n_others, details={"n_rows_by_type": dict(counts)}),)


def _yes_or_no(answer: Any) -> Any:
    """'yes' or 'no' out of any nesting of lists of one; anything else stays as it is."""
    while isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    word = answer.strip().lower() if isinstance(answer, str) else None
    return word if word in _ANSWERS else answer


def _snippets(snippets: Any) -> Any:
    if not isinstance(snippets, list):
        return snippets
    return [_snippet(one) if isinstance(one, dict) else one for one in snippets]


def _snippet(snippet: dict[str, Any]) -> dict[str, Any]:
    read = {"text": snippet.get("text"), "document": snippet.get("document")}
    # An offset in a title, or from one section into another, is no place in the document's text.
    if snippet.get("beginSection") == snippet.get("endSection") == "abstract":
        read |= {"start": snippet.get("offsetInBeginSection"), "end": snippet.get("offsetInEndSection")}
    return read


def _problems(table: Table, questions: list[Any]) -> list[Problem]:
    found: dict[str, list[tuple[int, Any]]] = {key: [] for key in _RULES}
    for row, one in enumerate(questions):
        if not isinstance(one, dict):
            found["questions"].append((row, one))
            continue
        for key in ("body", "type"):
            if not isinstance(one.get(key), str) or not one[key].strip():
                found[key].append((row, one.get(key)))
        if one.get("type") == YES_NO and table.columns["answer"][row] not in (*_ANSWERS, None):
            found["exact_answer"].append((row, one["exact_answer"]))
    return [
        Problem(f"{table.path}: {key}", _RULES[key][0], table.values_in_places(broken), _RULES[key][1])
        for key, broken in found.items()
        if broken
    ]
