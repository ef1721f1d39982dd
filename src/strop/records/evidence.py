"""Documents, and the passages that a row is judged by, each with the place where it was found."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
import pyarrow as pa

from strop.records.files import read_arrow, write_arrow

# What became of a document that was asked for.
Status = Literal["found", "no_text", "missing", "failed", "refused"]


@dataclass(frozen=True)
class Document:
    """A text that was fetched, or the reason why there is none.

    Attributes:
        address: Its canonical address: "pubmed:12345678", or a URL.
        status: found; no_text (the record exists and has no abstract); missing (there is no such record); failed (it
            can be asked for again); refused (it must not be asked for).
        title: Its title, "" where it has none.
        text: Its text, paragraphs between line breaks; "" unless it was found.
        reason: Why there is no text, in words; "" where there is one.
        retracted: Whether the record says that it was retracted.
    """

    address: str
    status: Status
    title: str = ""
    text: str = ""
    reason: str = ""
    retracted: bool = False


@dataclass(frozen=True)
class Passage:
    """A stretch of a document.

    Attributes:
        text: What it says.
        document: The canonical address of its document, "" where that is not known.
        start: Where it begins in the document's text, in characters; -1 where that is not known.
        end: Where it ends, exclusive; -1 where that is not known.
        title: The document's title, "" where it has none.
    """

    text: str
    document: str = ""
    start: int = -1
    end: int = -1
    title: str = ""


@dataclass(frozen=True)
class Found:
    """A passage that was looked up.

    Attributes:
        passage: The passage.
        score: How well it fits, higher is better; comparable among the passages of one row only.
        rank: Its place, from 1.
    """

    passage: Passage
    score: float
    rank: int


@dataclass(frozen=True)
class Retrieved:
    """What was looked up for the rows of a run.

    Attributes:
        corpus: The passages that were searched.
        found: For every row the numbers of its passages in `corpus`, best first.
        scores: Their scores.
    """

    corpus: tuple[Passage, ...]
    found: tuple[tuple[int, ...], ...]
    scores: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, corpus: Sequence[Passage], of_rows: Sequence[Sequence[Found]]) -> Self:
        """From what a search gave, in the order of the rows."""
        number = {passage: at for at, passage in enumerate(corpus)}
        return cls(
            tuple(corpus),
            tuple(tuple(number[one.passage] for one in found) for found in of_rows),
            tuple(tuple(one.score for one in found) for found in of_rows),
        )

    def passages(self, row: int) -> tuple[Passage, ...]:
        """The passages of a row, best first."""
        return tuple(self.corpus[number] for number in self.found[row])

    def save(self, folder: Path) -> None:
        """Write the passages, then what was found among them."""
        columns = {name: [getattr(one, name) for one in self.corpus] for name in ("text", "document", "title")}
        places = {name: np.array([getattr(one, name) for one in self.corpus], np.int64) for name in ("start", "end")}
        write_arrow(folder / "corpus.arrow", pa.table({**columns, **places}), {"record": "Passages"})
        found = {
            "found": pa.array(self.found, pa.list_(pa.int64())),
            "scores": pa.array(self.scores, pa.list_(pa.float64())),
        }
        write_arrow(folder / "found.arrow", pa.table(found), {"record": "Retrieved"})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            RunError: A file is missing or damaged.
        """
        passages, _ = read_arrow(folder / "corpus.arrow")
        found, _ = read_arrow(folder / "found.arrow")
        return cls(
            tuple(Passage(**row) for row in passages.to_pylist()),
            tuple(map(tuple, found.column("found").to_pylist())),
            tuple(map(tuple, found.column("scores").to_pylist())),
        )
