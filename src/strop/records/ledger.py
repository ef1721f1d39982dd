"""Append-only list of every row or token cut, cleaned, repaired or refused, and every opening of the test."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from strop.errors import Problem, RunError
from strop.records.files import no_space_is_said

# Told, in words, what a reader should know.
Note = Callable[[str], None]


def unsaid(words: str) -> None:
    """For what nobody reads a note on."""


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    Attributes:
        kind: cut, cleaned, repaired, dropped, refused, kept, opened or note.
        station: Where it happened: read, split, examples, training, evaluation.
        what: The sentence a reader sees.
        n_rows: How many rows it concerns.
        ids: Which rows, all of them where that is feasible.
        details: Counts and values behind the sentence.
        at: When, in UTC, ISO 8601.
    """

    kind: str
    station: str
    what: str
    n_rows: int = 0
    ids: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    at: str = ""

    @property
    def key(self) -> str:
        """What makes two entries the same: all but the time."""
        content = asdict(self)
        content.pop("at")
        return json.dumps(content, ensure_ascii=False, sort_keys=True)


class Ledger:
    """The ledger of one run, one JSON object a line.

    A station that runs again after a crash writes the same entries again; they are recognised and kept once. A last
    line that a crash left unfinished is dropped at the next write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries())

    def entries(self) -> list[Entry]:
        """All entries in the order they were written.

        Raises:
            RunError: A line other than an unfinished last one is not an entry.
        """
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().split(b"\n")
        lines.pop()  # what follows the last line break: nothing, or a line that a crash left unfinished
        entries = []
        for number, line in enumerate(lines, 1):
            try:
                content = json.loads(line)
                entries.append(Entry(**{**content, "ids": tuple(content["ids"])}))
            except (ValueError, TypeError, KeyError) as error:
                problem = Problem(
                    where=f"{self.path}, line {number}",
                    must="every line of the ledger must be an entry that Strop wrote",
                    came=str(error),
                    do="restore the file: the ledger is append-only and proves what was done",
                )
                raise RunError(problem) from error
        return entries

    def write(self, entry: Entry, *, every_time: bool = False) -> None:
        """Append an entry and flush it to the disk.

        Args:
            entry: What happened.
            every_time: Append even if the same entry stands there already (an opening of the test counts each time).

        Raises:
            MachineError: The disk is full.
        """
        if not every_time and any(entry.key == old.key for old in self.entries()):
            return
        content = {**asdict(entry), "at": datetime.now(UTC).isoformat(timespec="seconds")}
        line = json.dumps(content, ensure_ascii=False).encode("utf-8") + b"\n"
        with no_space_is_said(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as file:
                self._drop_unfinished_line(file)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())

    def write_all(self, entries: Sequence[Entry]) -> None:
        """Append several entries, each once."""
        for entry in entries:
            self.write(entry)

    def openings(self) -> list[Entry]:
        """Every time the test part was opened."""
        return [entry for entry in self.entries() if entry.kind == "opened"]

    @staticmethod
    def _drop_unfinished_line(file: Any) -> None:
        file.seek(0)
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            file.truncate(whole)
        file.seek(0, os.SEEK_END)
