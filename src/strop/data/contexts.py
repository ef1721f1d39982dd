"""Contexts that several questions are asked about: their rows stay together, and what is odd about them is said."""

from collections.abc import Mapping
from functools import cache

import numpy as np

from strop.data.cleaning import Findings, Mask
from strop.data.duplicates import comparable, connected, numbered_by_appearance
from strop.data.sealing import ABOUT_LABELS
from strop.recipe.data import Data
from strop.records.dataset import Strings, Tuples, strings


def groups_by_context(
    findings: Findings, data: Data, texts: Mapping[str, Strings], groups: Strings | None
) -> Strings | None:
    """The group of every row, so that rows of one context have one group, shape (n_rows,).

    Contexts are one where they are equal but for case and white space. A row whose context is blank has none.

    Args:
        findings: Receives a note where groups of the data are joined because they share a context.
        data: The recipe's section.
        texts: By column name, shape (n_rows,) each.
        groups: The groups that the data give, or None.

    Returns:
        The groups of the data, joined where they share a context; without any the contexts themselves. What came, where
        the recipe names no context.
    """
    if data.context is None or data.context not in texts:
        return groups
    keys = [comparable(text) or f"\0{row}" for row, text in enumerate(texts[data.context])]
    context_R = numbered_by_appearance(keys)
    if groups is None:
        return strings([f"context-{number + 1}" for number in context_R.tolist()])
    pairs: list[tuple[int, int]] = []
    for key_R in (context_R, numbered_by_appearance(groups)):
        first: dict[int, int] = {}
        pairs += [(row, first.setdefault(number, row)) for row, number in enumerate(key_R.tolist())]
    _, first_row, joined_R = np.unique(connected(len(groups), pairs), return_index=True, return_inverse=True)
    joined = strings(groups[first_row[joined_R]].tolist())
    changed = np.flatnonzero(joined != groups).tolist()
    if changed:
        n_before, n_after = len(set(groups.tolist())), len(first_row)
        what = f"Groups of '{data.group}' that share a context were joined: {n_before:,} groups became {n_after:,}"
        findings.say("note", what, changed)
    return joined


def note_on_contexts(
    findings: Findings, data: Data, texts: Mapping[str, Strings], answers: Tuples, kept: Mask, *, parts_are_given: bool
) -> None:
    """Say how many contexts there are, what is blank or asked twice, and which answers are not in their context.

    Args:
        findings: Receives the lines for the ledger.
        data: The recipe's section; where it names no context, only what is blank or asked twice is said.
        texts: By column name, shape (n_rows,) each.
        answers: The accepted answers of every row, shape (n_rows,).
        kept: Which rows stay, shape (n_rows,).
        parts_are_given: Whether the data say which part a row belongs to.
    """
    rows = np.flatnonzero(kept).tolist()
    for name, column in texts.items():
        blank = [row for row in rows if not column[row].strip()]
        if blank and len(texts) > 1:
            findings.say("note", f"Rows whose '{name}' is blank were kept", blank)
    _note_repeated(findings, data, texts, rows)
    if data.context is None or data.context not in texts:
        return
    contexts = texts[data.context]
    n_contexts = len({comparable(contexts[row]) for row in rows} - {""})
    if rows:
        apart = "the data give the parts" if parts_are_given else "rows of one context stay in one part"
        what = f"{len(rows):,} rows ask about {n_contexts:,} texts of '{data.context}': {apart}"
        findings.say("note", what, n_contexts=n_contexts, n_asked_rows=len(rows))
    _note_out_of_place(findings, data.context, contexts, answers, rows)


def _note_repeated(findings: Findings, data: Data, texts: Mapping[str, Strings], rows: list[int]) -> None:
    seen: set[tuple[str, ...]] = set()
    again = []
    for row in rows:
        text = tuple(comparable(column[row]) for column in texts.values())
        if text in seen:
            again.append(row)
        seen.add(text)
    if again:
        of_context = "" if data.context is None else f" about the same '{data.context}'"
        findings.say("note", f"Rows that ask the same as an earlier row{of_context} were kept", again)


def _note_out_of_place(findings: Findings, name: str, contexts: Strings, answers: Tuples, rows: list[int]) -> None:
    @cache
    def spaced(text: str) -> str:
        return " ".join(text.split())

    absent = {row: [spaced(text) not in spaced(contexts[row]) for text in answers[row]] for row in rows}
    odd = [row for row in rows if any(absent[row])]
    if not odd:
        return
    n_answers, n_first = sum(sum(absent[row]) for row in odd), sum(absent[row][0] for row in odd)
    what = (
        f"{n_answers:,} accepted answers of {len(odd):,} rows are not in their '{name}', letter by letter but for "
        f"white space; {n_first:,} of them are the first, which is trained on"
    )
    findings.say("note", what, odd, n_answers=n_answers, n_first=n_first, **ABOUT_LABELS)
