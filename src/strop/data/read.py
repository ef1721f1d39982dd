"""Read one's own data: give the columns their roles, clean them, and account for every row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strop.data.answers import answers_if_all_are_there, handle_answers, read_texts_and_answers
from strop.data.bioasq import note_on_types
from strop.data.cleaning import (
    Findings,
    Mask,
    blank_rows,
    clean_labels,
    groups_of,
    handle_blank,
    handle_conflicts,
    handle_missing_labels,
    must_have_two_classes,
    note_case_variants,
    unique_ids,
)
from strop.data.contexts import groups_by_context, note_on_contexts
from strop.data.delimited import Header
from strop.data.duplicates import numbered_by_appearance
from strop.data.evidence_columns import read_evidence
from strop.data.metadata import absent_metadata, read_metadata
from strop.data.patterns import kept_rows, parts_by, pattern_columns
from strop.data.roles import (
    missing_columns,
    mixed_labels,
    needed_columns,
    nested_values,
    parts_of,
    plain_columns,
    row_names,
)
from strop.data.several import read_tables
from strop.data.tables import Table
from strop.data.targets import check_targets, handle_missing_targets, missing_targets, read_targets
from strop.errors import DataError
from strop.recipe.data import Data
from strop.records.dataset import Dataset, Numbers, Strings, strings
from strop.records.ledger import Entry

# What `strop predict` calls the encoding of new rows.
ENCODING_OPTION = "--encoding"

__all__ = ["NewRows", "ReadDataset", "read_dataset", "read_new_rows"]


@dataclass(frozen=True)
class ReadDataset:
    """Labelled rows, and what was done to get them.

    Attributes:
        dataset: The rows.
        entries: Lines for the ledger: every row dropped, repaired or cleaned.
    """

    dataset: Dataset
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class NewRows:
    """Rows to be predicted: as many as the file has, in its order.

    Attributes:
        dataset: The rows; the target is there only if every row has a label.
        columns: All columns of the file as they stood there, for writing them out again.
        is_blank: Which rows have no text, shape (n_rows,).
        entries: What was repaired or cleaned.
    """

    dataset: Dataset
    columns: Mapping[str, list[Any]]
    is_blank: NDArray[np.bool_]
    entries: tuple[Entry, ...]


def read_dataset(data: Data, *, normalize: bool = True, seed: int = 0, keeps_unanswerable: bool = False) -> ReadDataset:
    """Read labelled or answered rows.

    Args:
        data: The recipe's section: which file, which columns, and what to do with rows that are not as they should be.
        normalize: Normalise texts (see `strop.data.values.normalized`).
        seed: Draws the rows where `data.max_rows` asks for fewer than there are.
        keeps_unanswerable: Whether questions that have no answer stay (their answers are empty), because the recipe's
            `answer.prompt.no_answer` says what stands for it.

    Raises:
        DataError: With everything that is wrong: a file that cannot be read, or columns and rows that do not fit.
    """
    table = _wanted_table(data)
    findings = Findings(table, row_names(table, None))
    ids = unique_ids(findings, data.id, data.duplicate_id)
    texts, answers = read_texts_and_answers(findings, data, normalize=normalize)
    labels = None if data.target is None else clean_labels(findings, data.target)
    targets = {} if data.targets is None else read_targets(findings, data)
    categories, numbers = read_metadata(findings, data, texts)
    groups = None if data.group is None else groups_of(findings, data.group)
    groups = groups_by_context(findings, data, texts, groups)
    documents, snippets = read_evidence(findings, data, normalize=normalize)
    parts, problems = parts_of(table, data.part) if data.part_by is None else parts_by(table, data.part_by)
    findings.problems += problems
    kept = _kept_rows(data, findings, texts, labels, targets)
    if answers is not None:
        kept = handle_answers(findings, data, texts, answers, kept, keeps_unanswerable=keeps_unanswerable)
        note_on_contexts(findings, data, texts, answers.accepted, kept, parts_are_given=parts is not None)
    if findings.problems:
        raise DataError(*findings.problems)
    contexts = texts.get(data.context or "")
    kept = _drawn_by_class(findings, (labels, parts), kept, data.max_rows, seed, contexts)
    whole = Dataset(
        ids=ids,
        texts=texts,
        target=labels,
        groups=groups,
        parts=parts,
        targets=targets,
        categories=categories,
        numbers=numbers,
        documents=documents,
        snippets=snippets,
        answers=None if answers is None else answers.accepted,
    )
    return ReadDataset(whole.take(np.flatnonzero(kept)), (*table.entries, *findings.entries))


def _wanted_table(data: Data) -> Table:
    """The file with the rows that the recipe wants of it, and the columns that it needs.

    Raises:
        DataError: As `read_dataset`.
    """
    table = read_tables(Path(data.path), data.header, data.encoding)
    chosen_by = pattern_columns(data)
    problems = [*missing_columns(table, {**chosen_by, **needed_columns(data)}), *missing_targets(table, data)]
    problems = problems or nested_values(table, list(chosen_by))
    entries = table.entries
    if not problems:
        table, left_out, problems = kept_rows(table, data)
        entries = (*entries, *left_out, *note_on_types(table))
    if not problems:
        problems = [*nested_values(table, plain_columns(data)), *mixed_labels(table, data.target)]
    if problems:
        raise DataError(*problems)
    return replace(table, entries=entries)


def read_new_rows(path: Path, data: Data, *, normalize: bool = True, encoding: str | None = None) -> NewRows:
    """Read rows to be predicted; none is dropped.

    They need not be encoded as the training data were: the encoding is detected, and that of the recipe is taken only
    where the bytes leave it open.

    Args:
        path: The file, in any of the formats that training reads.
        data: The recipe's section: the text columns must be there, the target and the id column may be.
        normalize: As at training.
        encoding: The encoding of this file; None to detect it.

    Raises:
        DataError: The file cannot be read, or lacks text columns.
    """
    header = _header_of_new_rows(data)
    table = read_tables(path, header, encoding, expected=data.encoding, setting=ENCODING_OPTION)
    needed = {name: f"data.text.{number}" for number, name in enumerate(data.text)}
    problems = [*missing_columns(table, needed), *absent_metadata(table, data)]
    if problems:
        raise DataError(*problems)
    plain = [name for name in (*needed, data.id or "") if name in table.columns and name != data.messages]
    problems = nested_values(table, plain)
    if problems:
        raise DataError(*problems)
    findings = Findings(table, row_names(table, None))
    ids = unique_ids(findings, data.id, "rename")
    texts, answers = read_texts_and_answers(findings, data, normalize=normalize)
    target = None if data.target is None else _labels_if_all_are_there(findings, data.target)
    categories, numbers = read_metadata(findings, data, texts)
    documents, snippets = read_evidence(findings, data, normalize=normalize)
    if findings.problems:
        raise DataError(*findings.problems)
    dataset = Dataset(
        ids=ids,
        texts=texts,
        target=target,
        categories=categories,
        numbers=numbers,
        documents=documents,
        snippets=snippets,
        answers=answers_if_all_are_there(findings, answers),
    )
    return NewRows(dataset, table.columns, blank_rows(texts), (*table.entries, *findings.entries))


def new_rows_of(rows: Sequence[Mapping[str, Any]], data: Data, *, normalize: bool = True) -> Dataset:
    """Rows to be predicted, given as mappings from column names to values; none is dropped.

    Args:
        rows: One mapping a row; each must have every text and metadata column, whose values may be None. Columns of
            documents and snippets may be absent.
        data: The recipe's section.
        normalize: As at training.

    Raises:
        DataError: A column is missing, or a value is not what its column holds.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(Path("the rows given"), {name: [row.get(name) for row in rows] for name in names})
    needed = {name: f"data.text.{number}" for number, name in enumerate(data.text)}
    # No rows have no columns, and need none.
    problems = [*missing_columns(table, needed), *absent_metadata(table, data)] if rows else []
    if problems:
        raise DataError(*problems)
    findings = Findings(table, row_names(table, None))
    if not rows:
        return Dataset(
            ids=strings([]),
            texts={name: strings([]) for name in data.text},
            categories={name: strings([]) for name in data.categorical or []},
            numbers={name: np.zeros(0) for name in [*(data.numeric or []), *data.length_columns.values()]},
        )
    ids = unique_ids(findings, None, "rename")
    texts, answers = read_texts_and_answers(findings, data, normalize=normalize)
    categories, numbers = read_metadata(findings, data, texts)
    documents, snippets = read_evidence(findings, data, normalize=normalize)
    if findings.problems:
        raise DataError(*findings.problems)
    return Dataset(
        ids=ids,
        texts=texts,
        categories=categories,
        numbers=numbers,
        documents=documents,
        snippets=snippets,
        answers=answers_if_all_are_there(findings, answers),
    )


def _kept_rows(
    data: Data,
    findings: Findings,
    texts: dict[str, Strings],
    labels: Strings | None,
    targets: Mapping[str, Numbers],
) -> Mask:
    """Which rows stay, by the recipe's choices; what must be mended is added to the findings."""
    kept = np.ones(findings.table.n_rows, dtype=np.bool_)
    kept = handle_blank(findings, blank_rows(texts), data.blank_text, data.text, kept)
    if data.target is None or labels is None:
        if targets:
            kept = handle_missing_targets(findings, targets, data.missing_label, kept)
            check_targets(findings, targets, kept)
        return kept
    kept = handle_missing_labels(findings, labels, data.missing_label, data.target, kept)
    kept = handle_conflicts(findings, texts, labels, data.conflicting_labels, data.target, kept)
    note_case_variants(findings, labels, kept)
    must_have_two_classes(findings, labels, data.target, kept)
    return kept


def _drawn_by_class(
    findings: Findings,
    classes: tuple[Strings | None, Strings | None],
    kept: Mask,
    max_rows: int | None,
    seed: int,
    contexts: Strings | None,
) -> Mask:
    """Draw `max_rows` of the rows, every class (and part) by its share, and at least one of each where they fit.

    Where rows have contexts, one context after the other is drawn, so that questions of one stay together.
    """
    rows = np.flatnonzero(kept)
    if max_rows is None or len(rows) <= max_rows:
        return kept
    strata = [tuple("" if one is None else one[row] for one in classes) for row in rows]
    _, stratum_of, n_in = np.unique(
        [f"{label}\0{part}" for label, part in strata], return_inverse=True, return_counts=True
    )
    n_wanted = _shares(n_in, max_rows)
    shuffled = np.random.default_rng(seed).permutation(len(rows))
    if contexts is not None:
        set_of = numbered_by_appearance(contexts[rows][shuffled])
        shuffled = shuffled[np.argsort(set_of, kind="stable")]
    drawn = [shuffled[stratum_of[shuffled] == stratum][:n] for stratum, n in enumerate(n_wanted)]
    chosen = np.zeros_like(kept)
    chosen[rows[np.concatenate(drawn)]] = True
    n_left_out = len(rows) - max_rows
    how = "drawn by class" if classes[0] is not None else "drawn" if contexts is None else "drawn by context"
    what = f"{max_rows:,} of {len(rows):,} rows were {how} (data.max_rows); {n_left_out:,} were left out"
    findings.entries.append(Entry("dropped", "read", what, n_rows=n_left_out, details={"seed": seed}))
    return chosen


def _shares(n_in: NDArray[np.int64], n_wanted: int) -> NDArray[np.int64]:
    """Divide `n_wanted` in proportion to `n_in`, at least one each where possible."""
    shares: NDArray[np.int64] = np.zeros_like(n_in)
    first = np.argsort(-n_in, kind="stable")[:n_wanted]
    shares[first] = 1
    ideal = n_in * (n_wanted / n_in.sum())
    shares = np.minimum(np.maximum(shares, np.floor(ideal).astype(n_in.dtype)), n_in)
    while shares.sum() > n_wanted:
        shares[np.argmax(np.where(shares > 1, shares - ideal, -np.inf))] -= 1
    while shares.sum() < n_wanted:
        shares[np.argmax(np.where(shares < n_in, ideal - shares, -np.inf))] += 1
    return shares


def _labels_if_all_are_there(findings: Findings, column: str) -> Strings | None:
    if column not in findings.table.columns or nested_values(findings.table, [column]):
        return None
    labels = clean_labels(findings, column)
    missing = np.flatnonzero(labels == "").tolist()
    if missing:
        findings.say("note", f"Not every row has a label in '{column}': the labels were not used", missing)
        return None
    return labels


def _header_of_new_rows(data: Data) -> Header:
    """Where training data have no header line, new rows may have one, or hold only the text columns."""
    if data.header is None:
        return None
    names = data.header

    def header(first: Sequence[str]) -> Sequence[str] | None:
        if set(data.text) <= {cell.strip() for cell in first}:
            return None
        return data.text if len(first) == len(data.text) else names

    return header
