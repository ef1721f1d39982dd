"""One request, and its whole answer within the limits of time and size; everything that may go wrong has a name."""

import asyncio
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

import httpx

from strop import __version__
from strop.evidence.attempts import Failure, Refusal, TooLong, Trouble, retry_after_seconds
from strop.evidence.guard import GuardedTransport, Resolve, resolve
from strop.evidence.limits import Host, Hosts
from strop.recipe.evidence import Fetch

AGENT = "strop"
_WHOLE_ANSWER_TIMEOUTS = 10
_PASSING = {408, 425, 429}
_SERVER_ERRORS = 500
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP = 31  # zlib's way to say: gzip with the largest window


@dataclass(frozen=True)
class Answer:
    """A complete answer.

    Attributes:
        status: The HTTP status: not 429 nor 5xx, which are raised as `Trouble`.
        headers: The headers, names in lower case.
        content: The body, decompressed; empty for redirects.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters; "" where it is not said."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str:
        """The charset of the header Content-Type; "" where it is not said."""
        for parameter in self.headers.get("content-type", "").split(";")[1:]:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "charset":
                return value.strip().strip("\"'")
        return ""


def status_words(status: int) -> str:
    """A status as one reads it, such as "HTTP 404 Not Found"; the server's own words are not repeated."""
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


class Asker:
    """Sends requests, each in its host's turn.

    Args:
        fetch: The recipe's section.
        pubmed_per_second: Most requests a second to the host of `fetch.pubmed_url`.
        resolve: Looks up a host's name.

    Attributes:
        hosts: The hosts and their limits.
        n_requests: How many requests there were, also those that reached nobody.
    """

    def __init__(self, fetch: Fetch, pubmed_per_second: float, resolve: Resolve = resolve) -> None:
        self.hosts = Hosts(fetch, pubmed_per_second)
        self.n_requests = 0
        self._timeout = fetch.timeout_seconds
        self._max_bytes = fetch.max_bytes
        self._client = httpx.AsyncClient(
            transport=GuardedTransport(fetch.allow_hosts, resolve),
            headers={
                "User-Agent": f"{AGENT}/{__version__} (contact: {fetch.contact})",
                "Accept-Encoding": "gzip",
            },
            timeout=fetch.timeout_seconds,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def ask(self, url: str, form: Mapping[str, str] | None = None) -> Answer:
        """Send a request, GET or, with a form, POST; redirects are not followed.

        Raises:
            Refusal: The address must not be asked.
            Trouble: No answer, or one that may be another the next time (408, 425, 429, 5xx).
            Failure: The host is gone, or the answer is compressed in a way that was not asked for.
            TooLong: The answer is longer than `max_bytes`, by its own word or when so much of it was read.
        """
        host = self.hosts.of(url)
        async with host.turn() as began:
            self.n_requests += 1
            try:
                async with asyncio.timeout(_WHOLE_ANSWER_TIMEOUTS * self._timeout):
                    answer = await self._exchange(url, form)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                reason = f"no connection: {_words(error)}"
                host.unreachable(began, reason)
                raise Trouble(reason) from error
            except (httpx.TimeoutException, TimeoutError) as error:
                raise Trouble(f"no complete answer in time (limit {self._timeout:g} s)") from error
            except httpx.TransportError as error:
                raise Trouble(f"the connection broke: {_words(error)}") from error
            except httpx.InvalidURL as error:
                raise Refusal(f"not a web address: {_words(error)}") from error
            host.reached()
        return _checked(answer, host)

    async def _exchange(self, url: str, form: Mapping[str, str] | None) -> Answer:
        method = "GET" if form is None else "POST"
        async with self._client.stream(method, url, data=form) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            is_read = response.status_code < HTTPStatus.MULTIPLE_CHOICES or (
                HTTPStatus.BAD_REQUEST <= response.status_code < _SERVER_ERRORS
            )
            content = await _read(response, headers, self._max_bytes) if is_read else b""
        return Answer(response.status_code, headers, content)


def _checked(answer: Answer, host: Host) -> Answer:
    """The answer, unless it says that another attempt may help."""
    if answer.status not in _PASSING and answer.status < _SERVER_ERRORS:
        return answer
    reason = status_words(answer.status)
    wait = retry_after_seconds(answer.headers.get("retry-after"))
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS or wait is not None:
        host.overrun(wait, reason)
    raise Trouble(reason)


async def _read(response: httpx.Response, headers: Mapping[str, str], max_bytes: int) -> bytes:
    """The body, decompressed piece by piece, so that never much more than `max_bytes` is held."""
    too_long = f"longer than {max_bytes:,} bytes"
    said = headers.get("content-length", "")
    if said.isdecimal() and int(said) > max_bytes:
        raise TooLong(f"{too_long}: it says {int(said):,}")
    encoding = headers.get("content-encoding", "").strip().lower() or "identity"
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise Failure(f"compressed as '{encoding[:40]}', which was not asked for")
    unpack = None if encoding == "identity" else _Unpack()
    pieces, room = [], max_bytes
    async for piece in response.aiter_raw():
        plain = piece if unpack is None else unpack.feed(piece, room)
        room -= len(plain)
        if room < 0:
            raise TooLong(too_long)
        pieces.append(plain)
    if unpack is not None and not unpack.is_complete:
        raise Trouble("the compressed answer breaks off")
    return b"".join(pieces)


class _Unpack:
    """Decompresses gzip, never further than asked."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP)
        self.is_complete = True  # an answer without any body is

    def feed(self, piece: bytes, room: int) -> bytes:
        """Decompress a piece up to one byte more than there is room for."""
        plain = b""
        while piece and len(plain) <= room:
            if self._stream.eof:
                if not piece.startswith(_GZIP_MAGIC):
                    break  # padding after the end
                self._stream = zlib.decompressobj(_GZIP)
            try:
                plain += self._stream.decompress(piece, room + 1 - len(plain))
            except zlib.error as error:
                raise Trouble(f"the compressed answer is damaged ({error})") from error
            piece = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            self.is_complete = self._stream.eof
        return plain


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
