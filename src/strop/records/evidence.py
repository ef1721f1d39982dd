"""Documents, and the passages that a row is judged by, each with the place where it was found."""

from dataclasses import dataclass
from typing import Literal

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
