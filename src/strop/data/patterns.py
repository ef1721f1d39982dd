"""Which rows match patterns on a column: what is kept of a file, and which part a row belongs to."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from strop.data.roles import column_of_strings, row_names
from strop.data.tables import Table, named
from strop.errors import Problem
from strop.recipe.data import Data, PartBy
from strop.records.dataset import Strings, strings
from strop.records.ledger import Entry
from strop.records.split import PARTS


def kept_rows(table: Table, data: Data) -> tuple[Table, list[Entry], list[Problem]]:
    """The rows that `data.where` keeps, and what there is to say.

    Args:
        table: The table; the columns of `data.where` must be there and hold plain values.
        data: The recipe's section.

    Returns:
        The table with these rows, a line for the ledger where rows are left out, and a problem for every pattern that
        no row matches, or where no row matches all columns.
    """
    if data.where is None:
        return table, [], []
    problems, rows = [], set(range(table.n_rows))
    for column, patterns in data.where.items():
        values = _values(table, column)
        problems += _without_rows(table, f"data.where.{column}", patterns, values)
        rows &= {row for row, value in enumerate(values) if _is_matched(value, patterns)}
    if not rows and not problems:
        came = "rows for every pattern, and none that matches in all columns"
        problems.append(Problem(f"{table.path}: data.where", "some row must match", came, "widen the patterns"))
    left_out = [row for row in range(table.n_rows) if row not in rows]
    if problems or not left_out:
        return table, [], problems
    wanted = " and ".join(f"'{column}' is {' or '.join(patterns)}" for column, patterns in data.where.items())
    what = f"{len(left_out):,} of {table.n_rows:,} rows were left out: data.where keeps those whose {wanted}"
    ids = tuple(row_names(table, data.id)[left_out].tolist())
    entry = Entry("dropped", "read", what, n_rows=len(left_out), ids=ids)
    return table.taken(sorted(rows)), [entry], []


def parts_by(table: Table, part_by: PartBy) -> tuple[Strings | None, list[Problem]]:
    """The part of every row, shape (n_rows,), by what stands in a column.

    Args:
        table: The table; the column must be there and hold plain values.
        part_by: The recipe's section.

    Returns:
        The parts, and a problem for every pattern that no row matches, for values that match no pattern, and for values
        that match those of several parts; None instead of parts where there are problems.
    """
    values, where = _values(table, part_by.column), "data.part_by"
    patterns: dict[str, Sequence[str]] = {part: getattr(part_by, part) or [] for part in PARTS}
    problems = []
    for part, those in patterns.items():
        problems += _without_rows(table, f"{where}.{part}", those, values)
    parts_of_value = {
        value: [part for part, those in patterns.items() if _is_matched(value, those)] for value in set(values)
    }
    for must, do, is_wrong in (
        ("every row must match the patterns of a part", "add a pattern, or leave these rows out by data.where", 0),
        ("no row may match the patterns of several parts", "narrow the patterns", 2),
    ):
        wrong = [row for row, value in enumerate(values) if min(len(parts_of_value[value]), 2) == is_wrong]
        if wrong:
            came = f"{named(sorted({values[row] for row in wrong}))} in {table.places(wrong)}"
            problems.append(Problem(f"{table.path}: {where}, column '{part_by.column}'", must, came, do))
    return (None if problems else strings([parts_of_value[value][0] for value in values])), problems


def _values(table: Table, column: str) -> list[str]:
    return [value.strip() for value in column_of_strings(table, column)]


def _is_matched(value: str, patterns: Sequence[str]) -> bool:
    # A value may hold brackets of its own: a pattern that is the value itself stands for it.
    return any(value == pattern or fnmatchcase(value, pattern) for pattern in patterns)


def _without_rows(table: Table, where: str, patterns: Sequence[str], values: Sequence[str]) -> list[Problem]:
    found = set(values)
    return [
        Problem(
            where=f"{table.path}: {where}",
            must="every pattern must match some row",
            came=f"'{pattern}' matches none",
            do=f"change the pattern; the column holds {named(sorted(found))}",
        )
        for pattern in patterns
        if not any(_is_matched(value, [pattern]) for value in found)
    ]


def pattern_columns(data: Data) -> Mapping[str, str]:
    """The columns of `data.where`, each with its recipe path."""
    return {column: f"data.where.{column}" for column in data.where or {}}
