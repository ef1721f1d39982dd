"""How often a host is asked: evenly spaced requests, pauses that it asks for, and an end where it is gone.

Every host has a pace of its own; the number of connections is shared by all.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from strop.evidence.attempts import LONGEST_WAIT_SECONDS, Failure, backoff
from strop.recipe.evidence import Fetch

# Requests take unequal time on their way: with this much more between them a server never counts one too many.
_SPACING = 1.05
# So many documents in a row that could not be had, none in between: the host is not asked any more in this run.
_MOST_FAILURES_IN_A_ROW = 10


class Host:
    """One host: when it may be asked next, and whether it still is.

    Requests leave at even distances, so no window of a second holds more than the limit.
    """

    def __init__(
        self, requests_per_second: float, connections: asyncio.Semaphore, n_attempts: int, backoff_seconds: float
    ) -> None:
        self._interval = _SPACING / requests_per_second
        self._connections = connections
        self._n_attempts = n_attempts
        self._backoff_seconds = backoff_seconds
        self._queue = asyncio.Lock()
        self._next_at = 0.0
        self._n_unreachable = 0
        self._n_failed = 0
        self._broke_at = 0.0
        self._gone = ""

    def slow_down(self, requests_per_second: float) -> None:
        """Ask no more often than this."""
        self._interval = max(self._interval, _SPACING / requests_per_second)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[float]:
        """Wait until one more request may leave, and hold a connection until it is answered.

        Yields:
            When the turn began, in seconds of the monotonic clock.

        Raises:
            Failure: The host is not asked any more.
        """
        async with self._queue:
            while (wait := self._next_at - time.monotonic()) > 0 and not self._gone:
                await asyncio.sleep(wait)
            self._raise_if_gone()
            await self._connections.acquire()
            began = time.monotonic()
            self._next_at = max(self._next_at, began + self._interval)
        try:
            self._raise_if_gone()
            yield began
        finally:
            self._connections.release()

    def reached(self) -> None:
        """Note that the host said something, be it an error."""
        self._n_unreachable = 0

    def served(self) -> None:
        """Note that the host gave what it should: whatever was wrong is over."""
        self._n_failed = 0

    def unreachable(self, began: float, reason: str) -> None:
        """Note that a request did not reach the host; after some in a row it counts as gone.

        Requests that were under way together fail together and count as one, and the next waits for all of them.

        Args:
            began: What `turn` gave.
            reason: In words.
        """
        if began < self._broke_at:
            return
        self._broke_at = time.monotonic()
        self._n_unreachable += 1
        if self._n_unreachable >= self._n_attempts:
            self._gone = reason
        self._pause(backoff(self._n_unreachable, self._backoff_seconds))

    def overrun(self, seconds: float | None, reason: str) -> None:
        """Note that the host says it is asked too often: nothing leaves until the wait is over.

        Args:
            seconds: How long it asks to wait; None where it does not say.
            reason: In words.
        """
        if seconds is not None and seconds > LONGEST_WAIT_SECONDS:
            self._gone = f"{reason}; it asks to wait {seconds:,.0f} s"
            return
        self._pause(max(self._interval, backoff(1, self._backoff_seconds) if seconds is None else seconds))

    def exhausted(self, reason: str) -> None:
        """Note that a document could not be had after all attempts; after many in a row the host counts as gone."""
        self._n_failed += 1
        if self._n_failed >= _MOST_FAILURES_IN_A_ROW and not self._gone:
            self._gone = f"{self._n_failed} documents in a row could not be had, the last: {reason}"

    def _pause(self, seconds: float) -> None:
        self._next_at = max(self._next_at, time.monotonic() + seconds)

    def _raise_if_gone(self) -> None:
        if self._gone:
            raise Failure(f"the host is not asked any more in this run: {self._gone}")


class Hosts:
    """All hosts that a run asks, each with its limit.

    Args:
        fetch: The recipe's section.
        pubmed_per_second: Most requests a second to the host of `fetch.pubmed_url`.
    """

    def __init__(self, fetch: Fetch, pubmed_per_second: float) -> None:
        self._fetch = fetch
        self._connections = asyncio.Semaphore(fetch.max_connections)
        self._hosts = {place_of(fetch.pubmed_url): self._host(pubmed_per_second)}

    def of(self, url: str) -> Host:
        """The host of a URL: its name and port."""
        place = place_of(url)
        if place not in self._hosts:
            self._hosts[place] = self._host(self._fetch.pages_per_second)
        return self._hosts[place]

    def _host(self, requests_per_second: float) -> Host:
        return Host(requests_per_second, self._connections, self._fetch.n_attempts, self._fetch.backoff_seconds)


def place_of(url: str) -> str:
    """Name and port of a URL's host, in lower case."""
    return urlsplit(url).netloc.lower()
