"""How an attempt to get a document may end, and how it is tried again: waits that grow, each drawn at random."""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

# The longest wait between two attempts that we choose, and the longest that a server may ask for.
LONGEST_BACKOFF_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 300.0

Result = TypeVar("Result")


class Refusal(Exception):  # noqa: N818 (an outcome, as the next ones)
    """The document must not be asked for; its words are the reason."""


class Failure(Exception):  # noqa: N818
    """The document cannot be had now, and another attempt in this run would not help; its words are the reason."""


class Exhausted(Failure):
    """The last of the attempts failed too, for a reason that may pass."""


class TooLong(Failure):
    """The answer is longer than allowed."""


class Malformed(Failure):
    """The answer is complete, and not what it should be."""


class Trouble(Exception):  # noqa: N818
    """An attempt failed in a way that may pass.

    Attributes:
        wait_seconds: How long to wait at least.
    """

    def __init__(self, reason: str, wait_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


def backoff(attempt: int, first_seconds: float) -> float:
    """Seconds to wait after an attempt: exponential with full jitter.

    Drawn evenly from 0 to `first_seconds` * 2 ** (attempt - 1), at most 60 s. Source: M. Brooker, "Exponential Backoff
    And Jitter", AWS Architecture Blog, 2015.

    Args:
        attempt: The attempt that failed, from 1.
        first_seconds: The longest wait after the first one.
    """
    return random.uniform(0.0, min(LONGEST_BACKOFF_SECONDS, first_seconds * 2.0 ** min(attempt - 1, 30)))


async def attempted(work: Callable[[], Awaitable[Result]], n_attempts: int, first_seconds: float) -> Result:
    """Do something until it succeeds, `n_attempts` times at most.

    Args:
        work: What is done; it raises `Trouble` where another attempt may help.
        n_attempts: How often it is done.
        first_seconds: See `backoff`.

    Raises:
        Exhausted: The last attempt failed too.
    """
    for attempt in range(1, n_attempts + 1):
        try:
            return await work()
        except Trouble as trouble:
            if attempt == n_attempts:
                tried = "1 attempt" if n_attempts == 1 else f"{n_attempts} attempts"
                raise Exhausted(f"{trouble} ({tried})") from trouble
            await asyncio.sleep(max(trouble.wait_seconds, backoff(attempt, first_seconds)))
    raise ValueError("at least one attempt must be allowed")


def retry_after_seconds(header: str | None) -> float | None:
    """Seconds that a server asks to wait: the header Retry-After as seconds or as an HTTP date.

    Args:
        header: Its value; None where the answer has none.

    Returns:
        0 or more; None where there is no header or its value is neither.
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            moment = parsedate_to_datetime(header)
        except ValueError:
            return None
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        seconds = (aware - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
