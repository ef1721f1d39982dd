"""Read one file, or several of one format as one table: those of a folder, or those that a pattern matches."""

import glob
from collections.abc import Sequence
from dataclasses import replace
from os.path import commonpath
from pathlib import Path
from typing import Any

from strop.data.delimited import Header
from strop.data.formats import SUFFIXES, is_saved_by_datasets, read_table
from strop.data.tables import DELIMITERS, Table, named
from strop.errors import DataError, Problem
from strop.records.ledger import Entry

FILE_COLUMN = "file"
_SAME_COLUMNS = (*DELIMITERS, ".parquet")


def files_of(path: Path) -> list[Path] | None:
    """The files that a folder or a pattern stands for, sorted; None for one file, or a folder saved by `datasets`.

    Args:
        path: A folder gives its own files of known formats; a pattern (*, ?, [...], and ** for any folders) is one only
            where no file has just this name.

    Raises:
        DataError: The pattern matches no file.
    """
    if path.is_dir() and not is_saved_by_datasets(path):
        found = [one for one in sorted(path.iterdir()) if one.suffix.lower() in SUFFIXES and one.is_file()]
        return [one for one in found if not one.name.startswith(".")] or None
    if path.exists() or not glob.has_magic(str(path)):
        return None
    matched = sorted(Path(one) for one in glob.glob(str(path), recursive=True) if Path(one).is_file())  # noqa: PTH207
    if not matched:
        must, do = "the pattern must match files", "check it; it is relative to the working directory"
        raise DataError(Problem(str(path), must, "no file that it matches", do))
    return matched


def read_tables(
    path: Path,
    header: Header = None,
    encoding: str | None = None,
    *,
    expected: str | None = None,
    setting: str = "data.encoding",
) -> Table:
    """Read a file, a folder, or all files that a pattern matches; the arguments are those of `read_table`.

    Several files are put under each other, in the order of their names, with a column `file` that says where a row
    stands.

    Raises:
        DataError: With what is wrong in each of the files; or they are of different formats or have other columns.
    """
    files = files_of(path)
    if files is None:
        return read_table(path, header, encoding, expected=expected, setting=setting)
    tables: list[Table] = []
    problems: list[Problem] = []
    for file in files:
        try:
            tables.append(read_table(file, header, encoding, expected=expected, setting=setting))
        except DataError as error:
            problems += error.problems
    if not problems:
        problems = _differences(path, tables)
    if problems:
        raise DataError(*problems)
    return _joined(path, tables)


def _differences(path: Path, tables: Sequence[Table]) -> list[Problem]:
    by_format: dict[str, list[str]] = {}
    by_columns: dict[tuple[str, ...], list[str]] = {}
    for table in tables:
        suffix = table.path.suffix.lower()
        by_format.setdefault(f"{suffix}{f' of {table.form}' if table.form else ''}", []).append(table.path.name)
        # Objects may lack a key; a column that is missing in a file with a header is likely misspelt.
        if suffix in _SAME_COLUMNS:
            by_columns.setdefault(tuple(sorted(table.columns)), []).append(table.path.name)
    if len(by_format) > 1:
        came = "; ".join(f"{kind} ({named(names)})" for kind, names in by_format.items())
        do = "give a pattern that matches the files of one format"
        return [Problem(str(path), "files that are read together must be of one format", came, do)]
    if len(by_columns) > 1:
        shared = set.intersection(*(set(columns) for columns in by_columns))
        came = "; ".join(
            f"{named(sorted(set(columns) - shared)) or 'no further column'} in {named(names)}"
            for columns, names in by_columns.items()
        )
        do = "give the columns the same names, or read fewer files"
        return [Problem(str(path), "files that are read together must have the same columns", came, do)]
    return []


def _joined(path: Path, tables: Sequence[Table]) -> Table:
    home = Path(commonpath([table.path.parent for table in tables]))
    names = [table.path.relative_to(home).as_posix() for table in tables]
    files = [name for name, table in zip(names, tables, strict=True) for _ in range(table.n_rows)]
    columns: dict[str, list[Any]] = {}
    for column in dict.fromkeys(column for table in tables for column in table.columns):
        columns[column] = [value for table in tables for value in table.columns.get(column, [None] * table.n_rows)]
    entries = [
        replace(entry, what=f"{name}: {entry.what}")
        for name, table in zip(names, tables, strict=True)
        for entry in table.entries
    ]
    if FILE_COLUMN in columns:
        what = f"The files have a column '{FILE_COLUMN}' of their own: it stays, and does not say where a row stands"
        entries.append(Entry("note", "read", what))
    lines = [line for table in tables for line in table.lines or []]
    return Table(
        path,
        {FILE_COLUMN: files} | columns,
        lines=lines if len(lines) == len(files) else None,
        entries=tuple(entries),
        numbers=[table.number(row) for table in tables for row in range(table.n_rows)],
        files=files,
        form=tables[0].form,
    )
