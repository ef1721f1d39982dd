"""A table as it stands in a file: columns by name, nothing cleaned yet, and where in the file each row is."""

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from strop.errors import DataError, Problem
from strop.records.ledger import Entry

MAX_SHOWN = 5
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 48
_SHORT.maxlist = _SHORT.maxdict = 3


@dataclass(frozen=True)
class Table:
    """Columns of values as the file gave them.

    Attributes:
        path: The file, the folder, or the pattern that stands for several files.
        columns: By name, in the file's order; all of one length.
        lines: The line on which each row starts; None where the format has no lines, then rows are counted.
        parts: The part of every row where the file is a folder of several splits, else None.
        entries: What reading the file had to decide.
        numbers: The number of every row in its file, from 1; None where all rows of one file are there.
        files: The name of every row's file where several were read together, else None.
        form: What a JSON file was recognised as by its content ("BioASQ", "PubMedQA", "SQuAD"); "" for a plain table.
    """

    path: Path
    columns: dict[str, list[Any]]
    lines: list[int] | None = None
    parts: list[str] | None = None
    entries: tuple[Entry, ...] = ()
    numbers: list[int] | None = None
    files: list[str] | None = None
    form: str = ""

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(next(iter(self.columns.values()), []))

    @property
    def holds_strings_only(self) -> bool:
        """Whether the format has no types, as CSV: a missing value can only be written as a word."""
        path = Path(self.files[0]) if self.files else self.path
        return path.suffix.lower() in DELIMITERS

    def number(self, row: int) -> int:
        """The number of a row in its file, from 1."""
        return row + 1 if self.numbers is None else self.numbers[row]

    def taken(self, rows: Sequence[int]) -> Self:
        """Keep the rows at these positions; they keep the numbers that they have in their file."""

        def of_these(values: list[Any]) -> list[Any]:
            return [values[row] for row in rows]

        return replace(
            self,
            columns={name: of_these(column) for name, column in self.columns.items()},
            lines=None if self.lines is None else of_these(self.lines),
            parts=None if self.parts is None else of_these(self.parts),
            numbers=[self.number(row) for row in rows],
            files=None if self.files is None else of_these(self.files),
        )

    def places(self, rows: Sequence[int]) -> str:
        """Where these rows are, in words; the first few and the count, file by file where there are several."""
        word = "row" if self.lines is None else "line"
        by_file: dict[str, list[int]] = {}
        for row in rows:
            number = self.number(row) if self.lines is None else self.lines[row]
            by_file.setdefault("" if self.files is None else self.files[row], []).append(number)
        told = [listed(word, numbers) + (f" of {file}" if file else "") for file, numbers in by_file.items()]
        left = f"; ... ({len(told)} files in all)" if len(told) > MAX_SHOWN else ""
        return "; ".join(told[:MAX_SHOWN]) + left

    def values_in_places(self, found: Sequence[tuple[int, Any]]) -> str:
        """Values, each with its row, in words; the first few and the count."""
        shown = [f"{_SHORT.repr(value)} in {self.places([row])}" for row, value in found[:MAX_SHOWN]]
        return "; ".join(shown) + (f"; ... ({len(found)} in all)" if len(found) > MAX_SHOWN else "")


DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}


def listed(word: str, numbers: Sequence[int]) -> str:
    """Numbers in words: "line 3", "lines 3, 4 and 9", "lines 3, 4, 5, 6, 7, ... (12 in all)"."""
    if len(numbers) == 1:
        return f"{word} {numbers[0]}"
    shown = [str(number) for number in numbers[:MAX_SHOWN]]
    if len(numbers) > MAX_SHOWN:
        return f"{word}s {', '.join(shown)}, ... ({len(numbers)} in all)"
    return f"{word}s {', '.join(shown[:-1])} and {shown[-1]}"


def named(words: Sequence[str]) -> str:
    """Words in quotes, the first few and the count."""
    shown = ", ".join(f"'{word}'" for word in words[:MAX_SHOWN])
    return shown if len(words) <= MAX_SHOWN else f"{shown}, ... ({len(words)} in all)"


def no_rows(path: Path, came: str) -> DataError:
    """The error for a file without rows."""
    return DataError(
        Problem(
            where=str(path), must="the file must hold rows", came=came, do="check that data.path names the right file"
        )
    )
