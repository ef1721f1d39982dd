"""A server on this machine that answers like NCBI's E-utilities, and serves any page that a test wants to be served.

Every PubMed id has a record that is computed from it, and so is the document that a reader must make of it.
"""

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

from strop.records.evidence import Document
from strop.testing.loopback import LoopbackServer

EFETCH = "/entrez/eutils/efetch.fcgi"
# Letters beyond ASCII, and what XML writes in another way.
_WORDS = [
    *("patients", "protein", "β-catenin", "expression", "therapy", "risk", "of", "the", "in", "with", "trial", "α1"),
    *("mice", "naïve", "cells", "Sjögren", "<5%", "dose", "response", "&", "clinical", "tumour", "growth", "placebo"),
    *("p<0.05", "µg", "pathway", "kinase", "was", "were", "increased", "reduced", "associated", "levels", "gene"),
]
_SECTIONS = ("BACKGROUND", "METHODS", "RESULTS", "CONCLUSIONS")
_HEAD = (
    '<?xml version="1.0" ?>\n<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January 2025//EN"'
    ' "https://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_250101.dtd">\n'
)


@dataclass(frozen=True)
class Asked:
    """A request that arrived.

    Attributes:
        path: Path and query.
        headers: Names in lower case.
        form: Fields of the body or of the query.
        at: When, in seconds of the monotonic clock.
        round: The server's `round` at that time.
    """

    path: str
    headers: Mapping[str, str]
    form: Mapping[str, str]
    at: float
    round: int

    @property
    def ids(self) -> list[str]:
        """The PubMed ids that are asked for."""
        return [number for number in self.form.get("id", "").split(",") if number]


@dataclass(frozen=True)
class Reply:
    """What is sent back.

    Attributes:
        body: The body; pieces are sent in chunks, for as long as somebody reads.
        status: The HTTP status.
        headers: Headers beside Content-Length and Transfer-Encoding.
        claimed_bytes: A Content-Length that is not that of the body; the connection is closed after the body.
        hang: Send nothing at all until the server stops.
    """

    body: bytes | Iterable[bytes] = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    claimed_bytes: int | None = None
    hang: bool = False


def html(body: str, **more: Any) -> Reply:
    """A page in UTF-8."""
    return Reply(body.encode(), headers={"Content-Type": "text/html; charset=utf-8"}, **more)


def records(*content: str) -> Reply:
    """Records of PubMed."""
    body = f"{_HEAD}<PubmedArticleSet>{''.join(content)}</PubmedArticleSet>"
    return Reply(body.encode(), headers={"Content-Type": "text/xml; charset=UTF-8"})


def expected_document(number: str) -> Document:
    """The document that must be made of the record of a PubMed id.

    Of every 100 ids one has no record, two no abstract, and one was retracted; every fourth abstract has sections.
    """
    address, kind = f"pubmed:{number}", int(number) % 100
    if kind == 13:
        return Document(address, "missing", reason="PubMed has no such record")
    title, paragraphs = _content(number)
    if not paragraphs:
        return Document(address, "no_text", title=title, reason="the record has no abstract", retracted=False)
    return Document(address, "found", title=title, text="\n".join(paragraphs), retracted=kind == 42)


def record_xml(number: str) -> str:
    """The record of a PubMed id as NCBI would write it; "" where it has none."""
    document = expected_document(number)
    if document.status == "missing":
        return ""
    sections = []
    for paragraph in _content(number)[1]:
        label, colon, text = paragraph.partition(": ")
        is_section = bool(colon) and label in _SECTIONS
        attributes = f' Label="{label}" NlmCategory="{label}"' if is_section else ""
        sections.append(f"<AbstractText{attributes}>{_marked_up(text if is_section else paragraph)}</AbstractText>")
    abstract = f"<Abstract>{''.join(sections)}<CopyrightInformation>© All.</CopyrightInformation></Abstract>"
    kinds = ["Journal Article", *(["Retracted Publication"] if document.retracted else [])]
    return (
        f'<PubmedArticle><MedlineCitation Status="MEDLINE"><PMID Version="1">{number}</PMID><Article>'
        f"<Journal><Title>A Journal</Title></Journal><ArticleTitle>{_marked_up(document.title)}</ArticleTitle>"
        f"{abstract if sections else ''}<PublicationTypeList>"
        + "".join(f"<PublicationType>{kind}</PublicationType>" for kind in kinds)
        + "</PublicationTypeList></Article></MedlineCitation><PubmedData><ReferenceList><Reference><ArticleIdList>"
        '<ArticleId IdType="pubmed">1</ArticleId></ArticleIdList></Reference></ReferenceList></PubmedData>'
        "</PubmedArticle>\n"
    )


def _content(number: str) -> tuple[str, list[str]]:
    draw = random.Random(int(number))
    title = f"Study {number} " + " ".join(draw.choices(_WORDS, k=8)) + "."
    if int(number) % 50 == 7:
        return title, []
    labels = _SECTIONS if int(number) % 4 == 0 else ("",)
    paragraphs = [" ".join(draw.choices(_WORDS, k=160 // len(labels))) + "." for _ in labels]
    return title, [f"{label}: {text}" if label else text for label, text in zip(labels, paragraphs, strict=True)]


def _marked_up(text: str) -> str:
    return escape(text, quote=False).replace("mice", "<i>mice</i>").replace("α1", "α<sub>1</sub>")


class LiteratureServer:
    """A server on a free port of 127.0.0.1, for the time of a `with`.

    Args:
        latency_seconds: How long every answer of efetch takes.
        requests_per_second: More requests of efetch within a second are answered with 429; None for any number.
        error_fraction: Share of requests of efetch that are answered with 500.
        hang_fraction: Share of requests of efetch that are never answered.
        seed: Draws which.

    Attributes:
        asked: Every request that arrived, in order.
        n_answered: For every PubMed id, how many answers with its record were sent, or begun.
        n_refused: How many requests were answered with 429.
        n_hung: How many requests of efetch were never answered.
        n_bytes: Bytes of bodies that were sent.
        round: A number that is noted with every request; the caller counts it up.
        pages: What is served under a path.
        on_efetch: Answers a request of efetch instead of the records; None from it means the records after all.
    """

    def __init__(
        self,
        *,
        latency_seconds: float = 0.0,
        requests_per_second: int | None = None,
        error_fraction: float = 0.0,
        hang_fraction: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._latency_seconds = latency_seconds
        self._requests_per_second = requests_per_second
        self._fractions = (hang_fraction, error_fraction)
        self._draw = random.Random(seed)
        self._latest: deque[float] = deque()
        self._lock = threading.Lock()
        self.asked: list[Asked] = []
        self.n_answered: Counter[str] = Counter()
        self.n_refused = 0
        self.n_hung = 0
        self.n_bytes = 0
        self.round = 0
        self.pages: dict[str, Reply | Callable[[Asked], Reply]] = {}
        self.on_efetch: Callable[[Asked], Reply | None] | None = None
        self._stopping = threading.Event()
        self._server = LoopbackServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """The address of its root, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """Its port."""
        return int(self._server.server_address[1])

    @property
    def pubmed_url(self) -> str:
        """What a recipe gives as `evidence.fetch.pubmed_url`."""
        return self.url + EFETCH.rpartition("/")[0]

    def paths(self) -> list[str]:
        """Paths that were asked for, in order."""
        return [asked.path for asked in self.asked]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, asked: Asked) -> tuple[Reply, list[str]]:
        """The reply to a request, and the PubMed ids that are in it."""
        with self._lock:
            self.asked.append(asked)
        if asked.path != EFETCH:
            page = self.pages.get(asked.path, Reply(status=404))
            return (page if isinstance(page, Reply) else page(asked)), []
        refused = self._hindered(asked)
        if refused is not None:
            return refused, []
        self._stopping.wait(self._latency_seconds)
        own = None if self.on_efetch is None else self.on_efetch(asked)
        return (records(*map(record_xml, asked.ids)), asked.ids) if own is None else (own, [])

    def note_answered(self, ids: Iterable[str]) -> None:
        """Note ids whose records are sent."""
        with self._lock:
            self.n_answered.update(ids)

    def wait_until_stopped(self) -> None:
        """Return when the server stops."""
        self._stopping.wait()

    def _hindered(self, asked: Asked) -> Reply | None:
        """What the server does instead of answering, if anything."""
        with self._lock:
            while self._latest and asked.at - self._latest[0] >= 1.0:
                self._latest.popleft()
            if self._requests_per_second is not None and len(self._latest) >= self._requests_per_second:
                self.n_refused += 1
                return Reply(b'{"error":"API rate limit exceeded"}', 429, {"Retry-After": "1"})
            self._latest.append(asked.at)
            drawn = self._draw.random()
            self.n_hung += drawn < self._fractions[0]
        hang, error = self._fractions
        if drawn < hang:
            return Reply(hang=True)
        return Reply(b"<html><body>Internal Server Error</body></html>", 500) if drawn < hang + error else None


def _handler(literature: LiteratureServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body leave together

        def do_GET(self) -> None:
            self._answer(self.path.partition("?")[2])

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name of the base class)
            """Nothing is printed."""

        def _answer(self, form: str) -> None:
            fields = {name: values[-1] for name, values in parse_qs(form).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.path, headers, fields, time.monotonic(), literature.round)
            reply, ids = literature.answer(asked)
            if reply.hang:
                literature.wait_until_stopped()
                self.close_connection = True
                return
            literature.note_answered(ids)  # before it is sent: who has read it finds it counted
            self._send(reply)

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if isinstance(reply.body, bytes):
                length = len(reply.body) if reply.claimed_bytes is None else reply.claimed_bytes
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(reply.body)
                literature.n_bytes += len(reply.body)
                self.close_connection = self.close_connection or length != len(reply.body)
            else:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for piece in reply.body:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    literature.n_bytes += len(piece)
                self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()

    return Handler
