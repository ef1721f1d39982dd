"""A table as it stands in a file: columns by name, nothing cleaned yet, and where in the file each row is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strop.errors import DataError, Problem
from strop.records.ledger import Entry

MAX_SHOWN = 5


@dataclass(frozen=True)
class Table:
    """Columns of values as the file gave them.

    Attributes:
        path: The file or folder.
        columns: By name, in the file's order; all of one length.
        lines: The line on which each row starts; None where the format has no lines, then rows are counted.
        parts: The part of every row where the file is a folder of several splits, else None.
        entries: What reading the file had to decide.
    """

    path: Path
    columns: dict[str, list[Any]]
    lines: list[int] | None = None
    parts: list[str] | None = None
    entries: tuple[Entry, ...] = ()

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(next(iter(self.columns.values()), []))

    @property
    def holds_strings_only(self) -> bool:
        """Whether the format has no types, as CSV: a missing value can only be written as a word."""
        return self.path.suffix.lower() in DELIMITERS

    def places(self, rows: Sequence[int]) -> str:
        """Where in the file these rows are, in words; the first few and the count."""
        word, numbers = (
            ("row", [row + 1 for row in rows]) if self.lines is None else ("line", [self.lines[r] for r in rows])
        )
        return listed(word, numbers)


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
