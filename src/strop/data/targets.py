"""Find and read the columns of numbers that are to be predicted, and account for what is missing in them."""

from collections.abc import Mapping, Sequence

import numpy as np

from strop.data.cleaning import Findings, Mask
from strop.data.numbers import column_of_numbers, holds_numbers
from strop.data.roles import missing_columns
from strop.data.sealing import ABOUT_LABELS
from strop.data.tables import Table, named
from strop.errors import DataError, Problem
from strop.recipe.data import Data, Range, matches
from strop.records.dataset import Dataset, Numbers
from strop.records.split import Split


def matching_targets(table: Table, data: Data) -> list[str]:
    """The columns that `data.targets` asks for: those it names, and those that its patterns take.

    A pattern has * (any characters) or ? (any one). It takes the columns of numbers (see `holds_numbers`) that it
    matches and that have no other role in the recipe.

    Returns:
        Names without repetition, in the order of `data.targets`; those of one pattern in the file's order.

    Raises:
        DataError: Naming every column that is missing, and every pattern that takes none (see `missing_targets`).
    """
    problems = missing_targets(table, data)
    if problems:
        raise DataError(*problems)
    free = _free_columns(table, data)
    names: list[str] = []
    for entry in data.targets or []:
        names += _matching(free, entry) if _is_pattern(table, entry) else [entry]
    return list(dict.fromkeys(names))


def missing_targets(table: Table, data: Data) -> list[Problem]:
    """One problem for every target that the table lacks, and for every pattern that takes no column."""
    entries = {f"data.targets.{number}": entry for number, entry in enumerate(data.targets or [])}
    names = {entry: path for path, entry in entries.items() if not _is_pattern(table, entry)}
    problems = missing_columns(table, names)
    free = _free_columns(table, data) if len(names) < len(entries) else []
    for path, entry in entries.items():
        if entry in names or _matching(free, entry):
            continue
        matched = _matching(list(table.columns), entry)
        came = f"'{entry}' matches no column"
        if matched:
            came = f"'{entry}' matches only columns of another kind or role: {named(matched)}"
        do = f"change the pattern; there are {named(free)}" if free else "check data.targets: there are no such columns"
        must = "the pattern must take columns of numbers that have no other role"
        problems.append(Problem(f"{table.path}: {path}", must, came, do))
    return problems


def read_targets(findings: Findings, data: Data) -> dict[str, Numbers]:
    """The numbers to be predicted, NaN where one is missing.

    Args:
        findings: Receives what must be mended: values that are no numbers, or outside of `data.target_range`.
        data: The recipe's section.

    Returns:
        By column name, shape (n_rows,) each, in the order of `matching_targets`.

    Raises:
        DataError: As `matching_targets`.
    """
    targets = {}
    for name in matching_targets(findings.table, data):
        targets[name], problems = column_of_numbers(findings.table, name)
        findings.problems += problems
        declared = data.range_of(name)
        if declared is not None:
            _must_be_in_range(findings, name, targets[name], declared)
    findings.problems += _problems_of_ranges(findings.table, data, list(targets))
    if any(_is_pattern(findings.table, entry) for entry in data.targets or []):
        what = f"{len(targets)} columns are targets, found by the patterns of data.targets"
        findings.say("note", what, targets=list(targets))
    return targets


def handle_missing_targets(findings: Findings, targets: Mapping[str, Numbers], choice: str, kept: Mask) -> Mask:
    """Drop or refuse rows in which every target is missing; returns the rows kept, shape (n_rows,)."""
    missing = np.isnan(np.stack(list(targets.values()))).all(axis=0)
    rows = np.flatnonzero(missing & kept).tolist()
    if rows and choice == "refuse":
        came = f"no target in {findings.table.places(rows)}"
        do = "fill in targets of these rows, or set data.missing_label=drop"
        _refuse_targets(findings, "every row must have at least one target", came, do)
    elif rows:
        findings.say("dropped", "Rows without any target were dropped", rows, **ABOUT_LABELS)
        return kept & ~missing
    return kept


def check_targets(findings: Findings, targets: Mapping[str, Numbers], kept: Mask) -> None:
    """Add a problem for every target without a value, and notes on constant and on partly missing ones.

    Args:
        findings: Receives them.
        targets: By column name, NaN where one is missing.
        kept: Which rows stay, shape (n_rows,); the others do not count.
    """
    if not kept.any():
        came, do = "no row that has both text and a target", "check data.targets and data.text"
        _refuse_targets(findings, "there must be rows to learn from", came, do)
        return
    constant, n_missing, some_missing = {}, {}, np.zeros_like(kept)
    for name, values in targets.items():
        missing = np.isnan(values) & kept
        held = values[kept & ~missing]
        if not len(held):
            came, do = f"none in {int(kept.sum()):,} rows (all-NaN)", "fill it in, or leave it out of data.targets"
            findings.refuse(name, "a target must have a value in some row", came, do)
        elif held.min() == held.max():
            constant[name] = float(held[0])
        if missing.any() and len(held):
            n_missing[name] = int(missing.sum())
            some_missing |= missing
    if len(constant) == len(targets):
        came, do = f"one value each: {named(list(constant))}", "name targets that differ from row to row"
        _refuse_targets(findings, "at least one target must have two different values", came, do)
    elif constant:
        what = (
            f"Targets with the same value in every row: {named(list(constant))}; nothing correlates with a constant, "
            "so they are left out of the mean over targets"
        )
        findings.say("note", what, constant_targets=constant, **ABOUT_LABELS)
    if n_missing:
        n_values = sum(n_missing.values())
        what = (
            f"{len(n_missing)} of {len(targets)} targets are missing in some rows ({n_values:,} values in all): "
            f"{named(list(n_missing))}; missing values are left out of the loss and of the scores"
        )
        findings.say("note", what, np.flatnonzero(some_missing).tolist(), n_missing=n_missing, **ABOUT_LABELS)


def _refuse_targets(findings: Findings, must: str, came: str, do: str) -> None:
    findings.problems.append(Problem(f"{findings.table.path}: data.targets", must, came, do))


def _problems_of_ranges(table: Table, data: Data, targets: Sequence[str]) -> list[Problem]:
    """Entries of `data.target_range` that declare nothing, as mistyped ones do, and targets with several ranges."""
    if not isinstance(data.target_range, dict):
        return []
    where, problems, used = f"{table.path}: data.target_range", [], set()
    for name in targets:
        entries = data.range_entries_of(name)
        used.update(entries)
        if len({data.target_range[entry] for entry in entries}) > 1:
            must, do = "patterns that fit one target must give it one range", f"give '{name}' an entry of its own"
            problems.append(Problem(where, must, f"{named(entries)} fit '{name}'", do))
    for entry in data.target_range:
        if entry not in used:
            must = "every entry must be the name of a target, or a pattern that fits one without an entry of its own"
            problems.append(Problem(where, must, f"'{entry}'", f"the targets are {named(list(targets))}"))
    return problems


def _must_be_in_range(findings: Findings, name: str, values: Numbers, declared: Range) -> None:
    low, high = declared
    rows = np.flatnonzero((values < low) | (values > high)).tolist()
    if rows:
        shown = named([f"{value:.15g}" for value in np.unique(values[rows])])
        came = f"{shown} in {findings.table.places(rows)}"
        do = "mend these values, or widen data.target_range"
        findings.refuse(name, f"every target must be in data.target_range, {low:g} to {high:g}", came, do)


def _is_pattern(table: Table, entry: str) -> bool:
    """Whether an entry is a pattern; a column that has just this name goes before."""
    return ("*" in entry or "?" in entry) and entry not in table.columns


def _matching(names: Sequence[str], pattern: str) -> list[str]:
    return [name for name in names if matches(name, pattern)]


def _free_columns(table: Table, data: Data) -> list[str]:
    """Columns of numbers that have no other role in the recipe, in the file's order."""
    single = (data.target, data.id, data.group, data.part, data.part_by and data.part_by.column)
    taken = {*data.text, *single, *(data.categorical or []), *(data.numeric or []), data.documents, data.snippets}
    return [name for name in table.columns if name not in taken and holds_numbers(table, name)]


def targets_must_be_known(dataset: Dataset, split: Split) -> None:
    """Refuse targets without a value in the rows that are not sealed: nothing could be learnt of them.

    Args:
        dataset: All rows.
        split: Which of them are sealed.

    Raises:
        DataError: With every such target.
    """
    if not dataset.targets:
        return
    is_known_RT = ~np.isnan(dataset.select(split.open_ids).target_matrix())
    n_rows, n_targets = is_known_RT.shape
    problems = [
        Problem(
            where=f"column '{name}'",
            must="a target must have a value in some row that is not sealed",
            came=f"none in {n_rows:,} rows",
            do="fill it in, or leave it out of data.targets",
        )
        for name, at in zip(dataset.targets, range(n_targets), strict=True)
        if not is_known_RT[:, at].any()
    ]
    if problems:
        raise DataError(*problems)
