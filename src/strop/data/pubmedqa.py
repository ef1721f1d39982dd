"""Questions of PubMedQA as a table: one question a row.

The format: an object from PubMed ids to objects with `QUESTION`, `CONTEXTS` (the sections of the abstract without its
conclusion), `LABELS` (their headings), `LONG_ANSWER` and, but for test files, `final_decision` (yes, no or maybe).
"""

from pathlib import Path
from typing import Any

from strop.data.tables import Table
from strop.errors import DataError, Problem

PUBMEDQA = "PubMedQA"
_ANSWERS = ("yes", "no", "maybe")
_RULES = {
    "questions": ("every question must be an object", "mend them"),
    "QUESTION": ("every question must have a text", "fill it in"),
    "LABELS": ("every context must have a heading, or none", "complete CONTEXTS and LABELS"),
    "final_decision": (
        "the answer must be 'yes', 'no' or 'maybe'",
        "mend these answers, or remove them where the question has none",
    ),
}


def is_pubmedqa(content: Any) -> bool:
    """Whether parsed JSON is an object of objects, some of which have a `QUESTION` and `CONTEXTS`."""
    if not isinstance(content, dict):
        return False
    return any(isinstance(one, dict) and "QUESTION" in one and "CONTEXTS" in one for one in content.values())


def read_pubmedqa(content: dict[str, Any], path: Path) -> Table:
    """The questions as columns id, question, answer, snippets, documents and long_answer.

    The snippets are the contexts, each with its heading as title; the document is the question's own PubMed id. A
    question without `final_decision` has no answer.

    Args:
        content: What `is_pubmedqa` knows.
        path: Its file, for errors.

    Raises:
        DataError: With everything that is wrong: questions that are no objects or lack their text, contexts whose
            headings are of another number, and answers that are none.
    """
    asked = [one if isinstance(one, dict) else {} for one in content.values()]
    columns: dict[str, list[Any]] = {
        "id": list(content),
        "question": [one.get("QUESTION") for one in asked],
        "answer": [_decision(one.get("final_decision")) for one in asked],
        "snippets": [_snippets(name, one) for name, one in content.items()],
        "documents": [[name] for name in content],
        "long_answer": [one.get("LONG_ANSWER") for one in asked],
    }
    table = Table(path, columns, form=PUBMEDQA)
    problems = _problems(table, content)
    if problems:
        raise DataError(*problems)
    return table


def _decision(decision: Any) -> Any:
    return decision.strip().lower() if isinstance(decision, str) else decision


def _snippets(name: str, question: Any) -> list[dict[str, Any]]:
    if not isinstance(question, dict) or _differing_lengths(question) is not None:
        return []
    contexts = question.get("CONTEXTS") or []
    titles = question.get("LABELS") or [""] * len(contexts)
    return [{"text": text, "document": name, "title": title} for text, title in zip(contexts, titles, strict=True)]


def _differing_lengths(question: dict[str, Any]) -> str | None:
    """What is wrong with contexts and headings; None where every context has its heading, or none has."""
    contexts, titles = question.get("CONTEXTS") or [], question.get("LABELS") or []
    if not isinstance(contexts, list) or not isinstance(titles, list):
        return "CONTEXTS or LABELS that are no list"
    return f"{len(contexts)} CONTEXTS, {len(titles)} LABELS" if titles and len(titles) != len(contexts) else None


def _problems(table: Table, content: dict[str, Any]) -> list[Problem]:
    found: dict[str, list[tuple[int, Any]]] = {key: [] for key in _RULES}
    for row, one in enumerate(content.values()):
        if not isinstance(one, dict):
            found["questions"].append((row, one))
            continue
        question, answer = one.get("QUESTION"), table.columns["answer"][row]
        if not isinstance(question, str) or not question.strip():
            found["QUESTION"].append((row, question))
        if (came := _differing_lengths(one)) is not None:
            found["LABELS"].append((row, came))
        if answer not in (*_ANSWERS, None):
            found["final_decision"].append((row, one["final_decision"]))
    return [
        Problem(f"{table.path}: {key}", _RULES[key][0], table.values_in_places(broken), _RULES[key][1])
        for key, broken in found.items()
        if broken
    ]
