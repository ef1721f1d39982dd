"""Read CSV and tab-separated files as RFC 4180 has them, and say every line that is not so."""

import csv
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from strop.data.tables import DELIMITERS, Table, listed, named, no_rows
from strop.errors import DataError, Problem
from strop.records.ledger import Entry

LONG_CELL = 100_000
Header = Sequence[str] | Callable[[Sequence[str]], Sequence[str] | None] | None


@dataclass(frozen=True)
class _Records:
    """Rows of cells and the line each starts on."""

    cells: list[list[str]]
    lines: list[int]

    @property
    def ragged(self) -> list[int]:
        """Positions of rows that have another number of cells than the first."""
        return [at for at, row in enumerate(self.cells) if len(row) != len(self.cells[0])]


def read_delimited(text: str, path: Path, header: Header = None) -> Table:
    """Read the text of a CSV or tab-separated file.

    A `.csv` file is divided at commas, or at semicolons where its first line has semicolons and no comma. Lines
    without any cell are skipped. Tab-separated files in which quotation marks plainly do not quote are read as they
    stand, and an entry says so.

    Args:
        text: The decoded file.
        path: The file; its suffix decides the delimiter.
        header: Column names of a file without header line; or a function that says them, given the cells of the first
            line, and None where that line holds the names itself.

    Raises:
        DataError: The file is empty, holds only a header, is ragged or badly quoted, or its column names repeat.
    """
    if not text.strip():
        raise no_rows(path, "an empty file")
    delimiter = DELIMITERS[path.suffix.lower()]
    first_line = text.lstrip("\r\n").partition("\n")[0]
    if delimiter == "," and "," not in first_line and ";" in first_line:
        delimiter = ";"
    records, entries = _records(text, path, delimiter)
    _check_rectangular(records, path)
    if callable(header):
        header = header(records.cells[0])
    names, n_skipped = _names(records.cells[0], path, header), 0 if header else 1
    rows, lines = records.cells[n_skipped:], records.lines[n_skipped:]
    if not rows:
        raise no_rows(path, "a header line and nothing below it")
    columns = {name: list(cells) for name, cells in zip(names, zip(*rows, strict=True), strict=True)}
    return Table(path=path, columns=columns, lines=lines, entries=(*entries, *_long_cells(columns)))


@contextmanager
def _cells_of_any_length() -> Iterator[None]:
    """The csv module refuses cells above 131,072 characters unless told otherwise."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _parsed(text: str, delimiter: str, quoting: Literal[0, 3]) -> _Records:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    cells, lines, start = [], [], 1
    with _cells_of_any_length():
        try:
            for row in reader:
                if row:
                    cells.append(row)
                    lines.append(start)
                start = reader.line_num + 1
        except csv.Error as error:
            raise _BadQuotesError(start, str(error)) from error
    return _Records(cells, lines)


class _BadQuotesError(Exception):
    """Quotation marks do not pair up in the record that starts on this line."""

    def __init__(self, line: int, came: str) -> None:
        super().__init__(came)
        self.line = line


def _records(text: str, path: Path, delimiter: str) -> tuple[_Records, tuple[Entry, ...]]:
    """Read with quotation marks as RFC 4180 has them; in tab-separated files they may stand for themselves."""
    quoted: _Records | None = None
    try:
        quoted = _parsed(text, delimiter, csv.QUOTE_MINIMAL)
    except _BadQuotesError as error:
        if delimiter != "\t":
            problem = Problem(
                where=f"{path}, line {error.line}",
                must="a cell that starts with a quotation mark must end with one, and marks inside it be doubled",
                came=str(error),
                do="mend the quotation marks in the row that starts on that line",
            )
            raise DataError(problem) from error
    if quoted is not None and (delimiter != "\t" or '"' not in text):
        return quoted, ()
    plain = _parsed(text, delimiter, csv.QUOTE_NONE)
    if quoted is not None and (len(plain.cells) == len(quoted.cells) or plain.ragged):
        return quoted, ()
    what = "Quotation marks do not pair up in the tab-separated file: they were read as part of the text"
    return plain, (Entry(kind="note", station="read", what=what, details={"file": path.name}),)


def _check_rectangular(records: _Records, path: Path) -> None:
    ragged = records.ragged
    if ragged:
        n_cells = len(records.cells[0])
        shown = "; ".join(f"line {records.lines[at]} has {len(records.cells[at])}" for at in ragged[:5])
        more = f"; ... ({len(ragged)} rows in all)" if len(ragged) > 5 else ""
        problem = Problem(
            where=str(path),
            must=f"every row must have as many cells as the first, {n_cells}",
            came=shown + more,
            do="put quotation marks around cells that hold the delimiter or a line break",
        )
        raise DataError(problem)


def _names(first: Sequence[str], path: Path, header: Sequence[str] | None) -> list[str]:
    """Column names, from the first line or from `header`; a column without a name is called by its number."""
    if header is not None:
        _check_header(first, path, header)
        return list(header)
    names = [cell.strip() or f"column {number}" for number, cell in enumerate(first, 1)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problem = Problem(
            where=f"{path}, {listed('line', [1])}",
            must="every column must have a name of its own",
            came=f"{named(twice)} more than once",
            do="rename the columns in the first line; if the file has no header line, give the names in data.header",
        )
        raise DataError(problem)
    return names


def _check_header(first: Sequence[str], path: Path, header: Sequence[str]) -> None:
    if [cell.strip() for cell in first] == list(header):
        problem = Problem(
            where=str(path),
            must="data.header is for files without a header line",
            came="a first line that holds just these names",
            do="remove data.header from the recipe",
        )
        raise DataError(problem)
    if len(first) != len(header):
        problem = Problem(
            where=str(path),
            must="data.header must name every column",
            came=f"{len(header)} names for {len(first)} columns",
            do="name the columns in the file's order",
        )
        raise DataError(problem)


def _long_cells(columns: dict[str, list[str]]) -> list[Entry]:
    lengths = {name: [len(cell) for cell in cells] for name, cells in columns.items()}
    return [
        Entry(
            kind="note",
            station="read",
            what=f"Unusually long cells in column '{name}': the longest has {max(of_column):,} characters",
            n_rows=sum(length > LONG_CELL for length in of_column),
            details={"column": name, "max_characters": max(of_column)},
        )
        for name, of_column in lengths.items()
        if max(of_column) > LONG_CELL
    ]
