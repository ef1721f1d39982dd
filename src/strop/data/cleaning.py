"""Clean the columns of a table; what was done becomes entries of the ledger, what cannot stay becomes problems."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from strop.data.roles import column_of_strings, row_names
from strop.data.sealing import ABOUT_LABELS
from strop.data.tables import Table, named
from strop.data.values import has_control_characters, is_null, normalized, written_as_floats
from strop.errors import Problem
from strop.records.dataset import Strings, strings
from strop.records.ledger import Entry

NOT_A_NUMBER = frozenset({"nan", "NaN", "NAN", "<NA>", "NaT"})
NULL_WORDS = frozenset({"null", "NULL", "None"})
_RARE_FRACTION = 0.05

Mask = NDArray[np.bool_]


@dataclass
class Findings:
    """What reading a table found: lines for the ledger, and what must be mended.

    Attributes:
        table: The table, for where things are.
        ids: The rows' ids, for the ledger.
        entries: Lines for the ledger, in order.
        problems: What must be mended.
    """

    table: Table
    ids: Strings
    entries: list[Entry] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def say(self, kind: str, what: str, rows: Sequence[int] = (), **details: Any) -> None:
        """Add a line for the ledger about these rows (positions in the table)."""
        ids = tuple(self.ids[row] for row in rows)
        self.entries.append(Entry(kind, "read", what, n_rows=len(rows), ids=ids, details=details))

    def refuse(self, column: str, must: str, came: str, do: str) -> None:
        """Add a problem with a column."""
        self.problems.append(Problem(f"{self.table.path}: column '{column}'", must, came, do))


def unique_ids(findings: Findings, column: str | None, duplicates: Literal["rename", "refuse"]) -> Strings:
    """Name every row, each by a name of its own; sets `findings.ids`.

    Args:
        findings: Receives what was repaired or must be mended.
        column: The id column; None or an absent one numbers the rows.
        duplicates: Whether an id that came before is renamed ("x" to "x#2") or a problem.
    """
    table = findings.table
    ids = row_names(table, column)
    findings.ids = ids
    if column is not None and column in table.columns:
        blank = [row for row, value in enumerate(column_of_strings(table, column)) if not value.strip()]
        if blank:
            findings.say("repaired", "Rows without an id were named by their position in the file", blank)
    n_seen: Counter[str] = Counter()
    renamed, again, taken = ids.tolist(), [], set(ids)
    for row, row_id in enumerate(ids):
        n_seen[row_id] += 1
        if n_seen[row_id] > 1:
            again.append(row)
            while (name := f"{row_id}#{n_seen[row_id]}") in taken:
                n_seen[row_id] += 1
            renamed[row] = name
            taken.add(name)
    if again and duplicates == "refuse":
        twice = sorted({ids[row] for row in again})
        rows = [row for row, row_id in enumerate(ids) if n_seen[row_id] > 1]
        came = f"{named(twice)} more than once, in {table.places(rows)}"
        do = "make the ids unique, or set data.duplicate_id=rename"
        findings.refuse(column or "id", "every row must have an id of its own", came, do)
    findings.ids = strings(renamed)
    if again and duplicates == "rename":
        what = "Rows whose id came before were renamed (the second 'x' is 'x#2')"
        findings.say("repaired", what, again, names=sorted({ids[row] for row in again}))
    return findings.ids


def clean_texts(findings: Findings, columns: Sequence[str], *, normalize: bool) -> dict[str, Strings]:
    """The text columns as strings, nulls as the empty string; normalised if asked for.

    Returns:
        By column name, shape (n_rows,) each, in the order of `columns`.
    """
    texts, repaired = {}, set()
    for name in columns:
        texts[name] = column_of_strings(findings.table, name)
        if normalize:
            repaired |= {row for row, text in enumerate(texts[name]) if has_control_characters(text)}
            texts[name] = strings([normalized(text) for text in texts[name]])
    if repaired:
        findings.say("cleaned", "Control characters were removed from texts", sorted(repaired))
    return texts


def blank_rows(texts: Mapping[str, Strings]) -> Mask:
    """Which rows have no text at all, shape (n_rows,)."""
    columns = list(texts.values())
    return np.array([not any(part.strip() for part in parts) for parts in zip(*columns, strict=True)], dtype=np.bool_)


def clean_labels(findings: Findings, column: str) -> Strings:
    """The labels as stripped strings in Unicode NFC; a missing label is the empty string, shape (n_rows,).

    In formats without types, words that stand for nothing are missing labels: "nan", "NaN" and "<NA>" always, "null"
    and "None" where at most 5 % of the labels are so written (else they are taken for a class).
    """
    raw = column_of_strings(findings.table, column)
    labels = strings([normalized(label) for label in raw])
    stripped = [row for row, label in enumerate(labels) if label != raw[row]]
    if stripped:
        what = "Labels were stripped of white space, or their Unicode was normalised (NFC)"
        findings.say("cleaned", what, stripped, **ABOUT_LABELS)
    if not findings.table.holds_strings_only:
        return labels
    labels = _without_null_words(findings, labels)
    if written_as_floats(labels.tolist()):
        held = np.flatnonzero(labels != "")
        what = "Labels that are whole numbers lost their decimal point ('1.0' is '1')"
        findings.say("cleaned", what, held.tolist(), **ABOUT_LABELS)
        labels = strings([label.partition(".")[0] for label in labels])
    return labels


def _without_null_words(findings: Findings, labels: Strings) -> Strings:
    """Empty the labels that are words for nothing."""
    n_labels = int(np.sum(labels != ""))
    maybe = [row for row, label in enumerate(labels) if label in NULL_WORDS]
    are_classes = len(maybe) > _RARE_FRACTION * n_labels
    if maybe and are_classes:
        words = named(sorted({labels[row] for row in maybe}))
        what = f"{words} was taken for a class, since more than 5 % of the labels are so written"
        findings.say("note", what, maybe, **ABOUT_LABELS)
    missing = [row for row, label in enumerate(labels) if label in NOT_A_NUMBER]
    missing += [] if are_classes else maybe
    if not missing:
        return labels
    words = named(sorted({labels[row] for row in missing}))
    what = f"Labels written as {words} were taken for missing labels"
    findings.say("cleaned", what, sorted(missing), **ABOUT_LABELS)
    emptied = labels.copy()
    emptied[missing] = ""
    return emptied


def handle_blank(findings: Findings, blank: Mask, choice: str, columns: Sequence[str], kept: Mask) -> Mask:
    """Drop, keep or refuse rows without text; returns the rows kept, shape (n_rows,)."""
    rows = np.flatnonzero(blank & kept).tolist()
    if not rows:
        return kept
    if choice == "refuse":
        came, do = f"nothing in {findings.table.places(rows)}", "fill or remove these rows, or set data.blank_text=drop"
        findings.refuse("', '".join(columns), "every row must have text", came, do)
    elif choice == "keep":
        findings.say("kept", "Rows without text were kept (data.blank_text=keep)", rows)
    else:
        findings.say("dropped", "Rows without text were dropped", rows)
        return kept & ~blank
    return kept


def handle_missing_labels(findings: Findings, labels: Strings, choice: str, column: str, kept: Mask) -> Mask:
    """Drop or refuse rows without a label; returns the rows kept, shape (n_rows,)."""
    missing = np.asarray(labels == "", dtype=np.bool_) & kept
    rows = np.flatnonzero(missing).tolist()
    if rows and choice == "refuse":
        came = f"no label in {findings.table.places(rows)}"
        findings.refuse(column, "every row must have a label", came, "label these rows, or set data.missing_label=drop")
    elif rows:
        findings.say("dropped", "Rows without a label were dropped", rows, **ABOUT_LABELS)
        return kept & ~missing
    return kept


def handle_conflicts(
    findings: Findings, texts: Mapping[str, Strings], labels: Strings, choice: str, column: str, kept: Mask
) -> Mask:
    """Keep, drop or refuse rows of the same text and different labels; returns the rows kept, shape (n_rows,)."""
    groups = conflicting_rows(texts, labels, np.flatnonzero(kept).tolist())
    rows = sorted(row for group in groups for row in group)
    if not rows:
        return kept
    if choice == "refuse":
        came = f"{len(groups)} texts with several labels, in {findings.table.places(rows)}"
        do = "decide on one label a text, or set data.conflicting_labels=drop"
        findings.refuse(column, "rows of the same text must have the same label", came, do)
    elif choice == "keep":
        findings.say("kept", f"{len(groups)} texts have several labels; their rows were kept", rows, **ABOUT_LABELS)
    else:
        what = f"{len(groups)} texts have several labels; their rows were dropped"
        findings.say("dropped", what, rows, **ABOUT_LABELS)
        kept = kept.copy()
        kept[rows] = False
    return kept


def conflicting_rows(texts: Mapping[str, Strings], labels: Strings, rows: Sequence[int]) -> list[list[int]]:
    """Groups of rows that have the same text and not the same label; rows without text are left out."""
    return [group for group in rows_of_one_text(texts, rows) if len({labels[row] for row in group}) > 1]


def rows_of_one_text(texts: Mapping[str, Strings], rows: Sequence[int]) -> list[list[int]]:
    """Put rows that have the same texts together; rows without text are left out."""
    by_text: dict[tuple[str, ...], list[int]] = {}
    columns = list(texts.values())
    for row in rows:
        text = tuple(column[row] for column in columns)
        if any(part.strip() for part in text):
            by_text.setdefault(text, []).append(row)
    return list(by_text.values())


def note_case_variants(findings: Findings, labels: Strings, kept: Mask) -> None:
    """Say which labels differ only in case; they are not merged."""
    spellings: dict[str, set[str]] = {}
    for label in set(labels[kept]):
        spellings.setdefault(label.casefold(), set()).add(label)
    for variants in spellings.values():
        if len(variants) > 1:
            rows = np.flatnonzero(np.isin(labels, list(variants)) & kept).tolist()
            words = named(sorted(variants))
            what = f"The labels {words} differ only in case; they are counted as different classes"
            findings.say("note", what, rows, **ABOUT_LABELS)


def must_have_two_classes(findings: Findings, labels: Strings, column: str, kept: Mask) -> None:
    """Add a problem where fewer than two classes are left."""
    left = sorted(set(labels[kept]))
    if len(left) > 1:
        return
    came = f"only '{left[0]}' in {int(kept.sum())} rows" if left else "no row that has both text and label"
    findings.refuse(column, "there must be at least two classes", came, "check data.target and data.text")


def groups_of(findings: Findings, column: str) -> Strings:
    """The group of every row; a row without one is a group of its own, shape (n_rows,)."""
    groups = column_of_strings(findings.table, column)
    alone = [row for row, value in enumerate(findings.table.columns[column]) if is_null(value) or groups[row] == ""]
    if alone:
        findings.say("note", f"Rows without a value in '{column}' are each a group of their own", alone)
        groups[alone] = [f"(none) {findings.ids[row]}" for row in alone]
    return groups
