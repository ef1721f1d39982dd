"""Pages of the web: robots.txt respected, redirects followed by hand and checked one by one, HTML turned into text."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from strop.evidence.addresses import read_address
from strop.evidence.asking import AGENT, Answer, Asker, status_words
from strop.evidence.attempts import LONGEST_BACKOFF_SECONDS, Exhausted, Failure, Refusal, attempted
from strop.evidence.charsets import decode
from strop.evidence.page_text import PageText, error_heading, html_text, plain_text
from strop.evidence.robots import Robots
from strop.recipe.evidence import Fetch
from strop.records.evidence import Document, Status

_MOST_REDIRECTS = 5
_HTML_TYPES = ("text/html", "application/xhtml+xml")
_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_PDF = b"%PDF-"
# Texts of one or more bytes a letter have no byte 0; those of two or four name their charset or begin with a mark.
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_LOOKED_AT_BYTES = 1024


@dataclass(frozen=True)
class Page:
    """What became of a page.

    Attributes:
        document: The document, under the address that was asked for first.
        note: What was mended on the way, "" if nothing.
    """

    document: Document
    note: str = ""


class Pages:
    """Asks for pages.

    Args:
        asker: Sends the requests.
        fetch: The recipe's section.
    """

    def __init__(self, asker: Asker, fetch: Fetch) -> None:
        self._asker = asker
        self._fetch = fetch
        self._robots: dict[str, Robots | Failure | Refusal] = {}
        self._asking_robots: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def get(self, url: str) -> Page:
        """Ask for a page, with as many attempts as the recipe allows."""
        host = self._asker.hosts.of(url)
        try:
            page = await attempted(lambda: self._attempt(url), self._fetch.n_attempts, self._fetch.backoff_seconds)
        except Refusal as refusal:
            return _without_text(url, "refused", str(refusal))
        except Failure as failure:
            if isinstance(failure, Exhausted):
                host.exhausted(str(failure))
            return _without_text(url, "failed", str(failure))
        host.served()
        return page

    async def _attempt(self, url: str) -> Page:
        answer = await self._followed(url, ask_robots=True)
        if answer.status in _GONE:
            return _without_text(url, "missing", status_words(answer.status))
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            self._asker.hosts.of(url).served()  # an answer as good as any: the host is well
            raise Failure(status_words(answer.status))
        if not answer.content:
            return _without_text(url, "no_text", "the page is empty")
        (title, text), note = _readable(answer)
        if (heading := error_heading(title, text)) is not None:
            self._asker.hosts.of(url).served()
            raise Failure(f"an error page with {status_words(answer.status)}: '{heading}'")
        if not text:
            return Page(Document(url, "no_text", title=title, reason="the page has no text"), note)
        return Page(Document(url, "found", title=title, text=text), note)

    async def _followed(self, url: str, *, ask_robots: bool) -> Answer:
        """The answer at the end of the redirects; every address on the way is checked like the first."""
        visited = [url]
        while True:
            try:
                if ask_robots:
                    await self._check_robots(visited[-1])
                answer = await self._asker.ask(visited[-1])
            except Refusal as refusal:
                if len(visited) == 1:
                    raise
                raise Refusal(f"it redirects to {visited[-1]}: {refusal}") from refusal
            place = answer.headers.get("location", "")
            if not HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST or not place:
                return answer
            target = _redirected(visited[-1], place)
            if target in visited:
                raise Failure(f"the redirects go in a circle, back to {target}")
            if len(visited) > _MOST_REDIRECTS:
                raise Failure(f"more than {_MOST_REDIRECTS} redirects, the last to {target}")
            visited.append(target)

    async def _check_robots(self, url: str) -> None:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        async with self._asking_robots[origin]:
            if origin not in self._robots:
                self._robots[origin] = await self._ask_robots(origin)
        robots = self._robots[origin]
        if isinstance(robots, Refusal):
            raise Refusal(str(robots))
        if isinstance(robots, Failure):
            raise Failure(f"robots.txt could not be had: {robots}")
        if not robots.allows(url):
            raise Refusal(f"robots.txt of {parts.netloc} forbids it")

    async def _ask_robots(self, origin: str) -> Robots | Failure | Refusal:
        """The rules of a host; without a file everything is allowed, and without an answer nothing (RFC 9309, 2.3)."""
        url = f"{origin}/robots.txt"
        try:
            answer = await attempted(
                lambda: self._followed(url, ask_robots=False), self._fetch.n_attempts, self._fetch.backoff_seconds
            )
        except (Failure, Refusal) as none:
            return none
        is_there = answer.status < HTTPStatus.MULTIPLE_CHOICES
        robots = Robots.read(decode(answer.content, answer.charset).text, AGENT) if is_there else Robots()
        if robots.delay_seconds:
            self._asker.hosts.of(origin).slow_down(1.0 / min(robots.delay_seconds, LONGEST_BACKOFF_SECONDS))
        return robots


def _redirected(url: str, place: str) -> str:
    try:
        target = urljoin(url, place.strip())
        scheme = urlsplit(target).scheme
    except ValueError as error:
        raise Failure(f"it redirects to something that is no address ({error})") from error
    if scheme not in ("http", "https"):
        raise Refusal(f"it redirects to an address of another kind ('{scheme[:20]}:')")
    address = read_address(target.replace(" ", "%20"))
    if address.kind == "refused":
        raise Refusal(f"it redirects to {address.canonical}: {address.reason}")
    # A page that moved to PubMed is a page still, and its address has a canonical form of another kind.
    return address.canonical if address.kind == "page" else target


def _readable(answer: Answer) -> tuple[PageText, str]:
    kind = answer.content_type
    came = f"'{kind[:60]}'" if kind else "no content type"
    if kind in (*_HTML_TYPES, "text/plain") and (found := _no_text(answer)):
        raise Refusal(f"only HTML and plain text are read, came {found} that is said to be {came}")
    if kind in _HTML_TYPES:
        decoded = decode(answer.content, answer.charset)
        return html_text(decoded.text), decoded.note
    if kind == "text/plain":
        decoded = decode(answer.content, answer.charset)
        return PageText("", plain_text(decoded.text)), decoded.note
    raise Refusal(f"only HTML and plain text are read, came {came}")


def _no_text(answer: Answer) -> str:
    """What the bytes are if they are no text; "" if they may be."""
    beginning = answer.content[:_LOOKED_AT_BYTES]
    if beginning.lstrip().startswith(_PDF):
        return "a PDF"
    is_wide = beginning.startswith(_WIDE_MARKS) or answer.charset.lower().startswith(("utf-16", "utf-32"))
    return "" if is_wide or b"\x00" not in beginning else "something with bytes that no text has"


def _without_text(url: str, status: Status, reason: str) -> Page:
    return Page(Document(url, status, reason=reason))
