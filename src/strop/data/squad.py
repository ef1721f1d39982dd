"""Questions of SQuAD 1.1, SQuAD 2.0 and KorQuAD 1.0 as a table: one question a row.

The format: an object whose `data` are articles with a `title` and `paragraphs`; a paragraph has a `context` and `qas`;
of these each has `id`, `question`, but for test files `answers` (`text` and `answer_start`, the place of its first
character in the context), and in SQuAD 2.0 `is_impossible`.
"""

import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from strop.data.tables import MAX_SHOWN, Table, no_rows
from strop.errors import DataError, Problem

SQUAD = "SQuAD"
IMPOSSIBLE = "is_impossible"
_COLUMNS = ("id", "title", "context", "question", "answers", "answer_start", IMPOSSIBLE)
_RULES = {
    "data": ("every article must be an object", "mend them"),
    "paragraphs": (
        "every article must have a list of paragraphs, all of them objects",
        "mend them; KorQuAD 2, whose articles are whole pages, is not read",
    ),
    "context": ("every paragraph must have a context, a text", "fill it in"),
    "qas": ("every paragraph must have a list of questions (qas), all of them objects", "mend them"),
    "question": ("every question must have a text", "fill it in"),
    "answers": (
        "answers must be a list of objects, each with a text",
        "write for example [{'text': 'Seoul', 'answer_start': 17}], or [] where there is none",
    ),
    "answer_start": ("answer_start must be a whole number, 0 or above", "mend it, or leave it out"),
    IMPOSSIBLE: ("is_impossible must be true or false", "mend it, or leave it out"),
}

_Found = dict[str, list[tuple[str, Any]]]


def is_squad(content: Any) -> bool:
    """Whether parsed JSON is an object with a list `data`, some of which are objects with `paragraphs` or `qas`."""
    articles = content.get("data") if isinstance(content, dict) else None
    if not isinstance(articles, list):
        return False
    return any(isinstance(one, dict) and ("paragraphs" in one or "qas" in one) for one in articles)


def read_squad(content: dict[str, Any], path: Path) -> Table:
    """The questions as columns id, title, context, question, answers, answer_start and is_impossible.

    `answers` are the distinct texts in the file's order, so that the first is the one to be trained on; `answer_start`
    says where each of them stands first, -1 where the file does not say. Both are None for a question that has no key
    `answers`, as in test files. What the file does not say of `is_impossible` is None.

    Args:
        content: What `is_squad` knows.
        path: Its file, for errors.

    Raises:
        DataError: With everything that is wrong: articles, paragraphs, questions and answers of another shape, each
            with its place; or there are no questions.
    """
    found: _Found = {key: [] for key in _RULES}
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    for at_article, article in _objects(content, "data", "", found):
        for at_paragraph, paragraph in _objects(article, "paragraphs", at_article, found):
            context = _text(paragraph, "context", at_paragraph, found)
            for place, question in _objects(paragraph, "qas", at_paragraph, found):
                texts, starts = _answers(question, place, found)
                asked = _text(question, "question", place, found)
                row = (question.get("id"), article.get("title"), context, asked, texts, starts)
                for name, value in zip(_COLUMNS, (*row, _mark(question, place, found)), strict=True):
                    columns[name].append(value)
    problems = _problems(path, found)
    if problems:
        raise DataError(*problems)
    if not columns["id"]:
        raise no_rows(path, "SQuAD articles without questions")
    return Table(path, columns, form=SQUAD)


def _objects(owner: dict[str, Any], key: str, place: str, found: _Found) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a list within an object, each with its place; what else stands there is found."""
    listed = owner.get(key)
    here = f"{place}.{key}".removeprefix(".")
    if not isinstance(listed, list):
        found[key].append((here, listed))
        return
    for number, one in enumerate(listed):
        if isinstance(one, dict):
            yield f"{here}[{number}]", one
        else:
            found[key].append((f"{here}[{number}]", one))


def _text(owner: dict[str, Any], key: str, place: str, found: _Found) -> Any:
    text = owner.get(key)
    if not isinstance(text, str):
        found[key].append((place, text))
    return text


def _answers(question: dict[str, Any], place: str, found: _Found) -> tuple[list[str] | None, list[int] | None]:
    """The distinct answers, and where each stands first; None for a question that has yet to be answered."""
    if question.get("answers") is None:
        return None, None
    start_of: dict[str, int] = {}
    for at, answer in _objects(question, "answers", place, found):
        text, start = answer.get("text"), answer.get("answer_start")
        if not isinstance(text, str):
            found["answers"].append((at, text))
            continue
        if start is not None and (type(start) is not int or start < 0):
            found["answer_start"].append((at, start))
        start_of.setdefault(text, -1 if start is None else start)
    return list(start_of), list(start_of.values())


def _mark(question: dict[str, Any], place: str, found: _Found) -> Any:
    mark = question.get(IMPOSSIBLE)
    if not isinstance(mark, bool | None):
        found[IMPOSSIBLE].append((place, mark))
    return mark


def _problems(path: Path, found: _Found) -> list[Problem]:
    problems = []
    for key, broken in found.items():
        if broken:
            shown = "; ".join(f"{reprlib.repr(value)} at {place}" for place, value in broken[:MAX_SHOWN])
            came = shown + (f"; ... ({len(broken)} in all)" if len(broken) > MAX_SHOWN else "")
            problems.append(Problem(f"{path}: {key}", _RULES[key][0], came, _RULES[key][1]))
    return problems
