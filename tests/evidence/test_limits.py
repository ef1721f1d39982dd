import asyncio
import time
from itertools import pairwise

import pytest

from strop.evidence.attempts import Failure
from strop.evidence.limits import Host, Hosts
from strop.recipe.evidence import Fetch


def host(per_second: float = 1000.0, *, n_connections: int = 8, n_attempts: int = 3, backoff: float = 0.001) -> Host:
    return Host(per_second, asyncio.Semaphore(n_connections), n_attempts, backoff)


def test_no_window_holds_more_than_the_limit_whoever_asks() -> None:
    async def run() -> list[float]:
        asked, left = host(100.0, n_connections=50), []

        async def ask() -> None:
            async with asked.turn() as began:
                left.append(began)

        await asyncio.gather(*(ask() for _ in range(30)))
        return left

    left = asyncio.run(run())
    assert len(left) == 30
    assert min(later - earlier for earlier, later in pairwise(left)) >= 0.01
    assert left[-1] - left[0] < 1.0


def test_only_so_many_connections_are_held_at_once_over_all_hosts() -> None:
    async def run() -> int:
        fetch = Fetch(contact="a@b", max_connections=3, pages_per_second=10_000)
        hosts, held, most = Hosts(fetch, 3.0), 0, 0

        async def ask(number: int) -> None:
            nonlocal held, most
            async with hosts.of(f"http://host{number % 7}.example/x").turn():
                held += 1
                most = max(most, held)
                await asyncio.sleep(0)
                held -= 1

        await asyncio.gather(*(ask(number) for number in range(40)))
        return most

    assert asyncio.run(run()) == 3


def test_a_host_is_one_whatever_its_pages() -> None:
    async def run() -> None:
        hosts = Hosts(Fetch(contact="a@b"), 3.0)
        assert hosts.of("http://a.example/x") is hosts.of("http://a.example/y?z")
        assert hosts.of("http://a.example/x") is not hosts.of("http://a.example:81/x")
        assert hosts.of("https://eutils.ncbi.nlm.nih.gov/x") is hosts.of(Fetch(contact="a@b").pubmed_url)

    asyncio.run(run())


def test_a_pause_that_the_host_asks_for_holds_back_everyone() -> None:
    async def run() -> float:
        asked = host()
        async with asked.turn():
            asked.overrun(0.1, "HTTP 429 Too Many Requests")
        began = time.monotonic()
        async with asked.turn():
            return time.monotonic() - began

    assert 0.09 <= asyncio.run(run()) < 1.0


def test_a_pause_of_hours_ends_the_host_for_this_run() -> None:
    async def run() -> None:
        asked = host()
        asked.overrun(7200.0, "HTTP 429 Too Many Requests")
        async with asked.turn():
            pass

    with pytest.raises(
        Failure, match="not asked any more in this run: HTTP 429 Too Many Requests; it asks to wait 7,2"
    ):
        asyncio.run(run())


def test_a_host_that_is_not_reached_some_times_in_a_row_is_gone() -> None:
    async def run(*, is_reached_between: bool) -> None:
        asked = host(n_attempts=3)
        for number in range(3):
            async with asked.turn() as began:
                asked.unreachable(began, "no connection")
            if is_reached_between and number == 1:
                asked.reached()
        async with asked.turn():
            pass

    asyncio.run(run(is_reached_between=True))
    with pytest.raises(Failure, match="not asked any more in this run: no connection"):
        asyncio.run(run(is_reached_between=False))


def test_requests_that_fail_together_count_once() -> None:
    async def run() -> None:
        asked = host(n_attempts=2)
        begun = []
        for _ in range(6):
            async with asked.turn() as began:
                begun.append(began)
        for began in begun:
            asked.unreachable(began, "no connection")
        async with asked.turn():
            pass

    asyncio.run(run())


def test_a_host_that_gives_up_ten_documents_in_a_row_is_gone() -> None:
    async def run() -> None:
        asked = host()
        for number in range(10):
            async with asked.turn():
                asked.exhausted(f"HTTP 500, number {number}")
        async with asked.turn():
            pass

    with pytest.raises(Failure, match="10 documents in a row could not be had, the last: HTTP 500, number 9"):
        asyncio.run(run())


def test_a_host_may_be_slowed_down_and_never_hurried() -> None:
    async def run() -> float:
        asked = host(1000.0)
        asked.slow_down(20.0)
        asked.slow_down(10_000.0)
        async with asked.turn() as first:
            pass
        async with asked.turn() as second:
            return second - first

    assert asyncio.run(run()) >= 0.05
