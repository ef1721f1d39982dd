import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from strop.evidence.attempts import Exhausted, Failure, Trouble, attempted, backoff, retry_after_seconds


def test_the_wait_is_drawn_from_nothing_to_a_bound_that_doubles() -> None:
    for attempt, longest in ((1, 0.5), (2, 1.0), (4, 4.0), (50, 60.0)):
        drawn = [backoff(attempt, 0.5) for _ in range(500)]
        assert 0 <= min(drawn) < 0.1 * longest
        assert 0.9 * longest < max(drawn) <= longest


def test_retry_after_is_read_as_seconds_or_date() -> None:
    assert retry_after_seconds("7") == 7.0
    assert retry_after_seconds("-3") == 0.0
    assert retry_after_seconds(None) is None
    for nonsense in ("soon", "", "nan", "inf", "Mon, 99 Foo 2020"):
        assert retry_after_seconds(nonsense) is None
    later = datetime.now(UTC) + timedelta(seconds=100)
    seconds = retry_after_seconds(format_datetime(later, usegmt=True))
    assert seconds is not None
    assert 98 < seconds <= 100
    assert retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


def test_trouble_is_tried_again_and_then_given_up_in_words() -> None:
    tried = []

    async def work(n_troubles: int) -> str:
        tried.append(1)
        if len(tried) <= n_troubles:
            raise Trouble("HTTP 500 Internal Server Error")
        return "done"

    assert asyncio.run(attempted(lambda: work(2), 3, 0.0)) == "done"
    assert len(tried) == 3
    tried.clear()
    with pytest.raises(Exhausted, match=r"HTTP 500 Internal Server Error \(3 attempts\)"):
        asyncio.run(attempted(lambda: work(9), 3, 0.0))
    assert len(tried) == 3


def test_what_will_not_pass_is_not_tried_again() -> None:
    tried = []

    async def work() -> None:
        tried.append(1)
        raise Failure("HTTP 403 Forbidden")

    with pytest.raises(Failure, match="HTTP 403 Forbidden"):
        asyncio.run(attempted(work, 3, 0.0))
    assert len(tried) == 1
