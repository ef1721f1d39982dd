import asyncio
from collections.abc import Sequence

import httpx
import pytest

from strop.evidence.attempts import Refusal
from strop.evidence.guard import GuardedTransport, is_public
from strop.testing.literature_server import LiteratureServer, html


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",  # noqa: S104
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "130.14.29.110", "2607:f220:41e:4290::110", "64:ff9b::808:808"])
def test_addresses_that_are_public(address: str) -> None:
    assert is_public(address)


class Names:
    """Looks names up in a table; every look-up takes the next answer, the last for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.n_asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.n_asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not answer:
            raise OSError("no such name")
        return answer


def get(url: str, names: Names, *, allow_hosts: Sequence[str] = (), n_times: int = 1) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = GuardedTransport(allow_hosts, names)
        async with httpx.AsyncClient(transport=transport, trust_env=False, timeout=0.2) as client:
            for _ in range(n_times):
                answer = await client.get(url)
            return answer

    return asyncio.run(run())


def test_a_name_that_means_this_machine_is_refused_before_anything_is_sent(literature: LiteratureServer) -> None:
    with pytest.raises(Refusal, match=r"'inner.example' is at 127.0.0.1, which is no public address; name it in"):
        get(f"http://inner.example:{literature.port}/", Names(["127.0.0.1"]))
    assert literature.asked == []


def test_a_host_allowed_by_name_is_asked_under_its_name(literature: LiteratureServer) -> None:
    literature.pages["/"] = html("hello")
    answer = get(f"http://Inner.example:{literature.port}/", Names(["127.0.0.1"]), allow_hosts=["inner.EXAMPLE"])
    assert answer.text == "hello"
    assert literature.asked[0].headers["host"] == f"inner.example:{literature.port}"


def test_a_name_that_changes_its_address_later_gains_nothing() -> None:
    names = Names(["127.0.0.1", "8.8.8.8", "10.0.0.1"], ["127.0.0.1"])

    async def run() -> list[tuple[str, ...]]:
        transport = GuardedTransport([], names)
        return [await transport._checked_addresses("rebinding.example", 80) for _ in range(2)]

    assert asyncio.run(run()) == [("8.8.8.8",), ("8.8.8.8",)]
    assert names.n_asked == 1


def test_a_name_is_looked_up_once(literature: LiteratureServer) -> None:
    literature.pages["/"] = html("hello")
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    assert get(f"http://a.example:{literature.port}/", names, allow_hosts=["a.example"], n_times=3).text == "hello"
    assert names.n_asked == 1


def test_the_next_address_is_tried_where_one_takes_no_connection(literature: LiteratureServer) -> None:
    literature.pages["/"] = html("hello")
    names = Names(["127.0.0.2", "::1", "127.0.0.1"])
    assert get(f"http://a.example:{literature.port}/", names, allow_hosts=["a.example"]).text == "hello"


def test_a_name_that_does_not_exist_is_no_connection() -> None:
    with pytest.raises(httpx.ConnectError, match=r"the name 'none\.example' cannot be resolved"):
        get("http://none.example/", Names([]))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_every_way_to_write_this_machine_is_refused(host: str, literature: LiteratureServer) -> None:
    async def run() -> None:
        async with httpx.AsyncClient(transport=GuardedTransport([]), trust_env=False) as client:
            await client.get(f"http://{host}:{literature.port}/")

    with pytest.raises(Refusal, match="no public address"):
        asyncio.run(run())
    assert literature.asked == []
