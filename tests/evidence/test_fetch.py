"""PubMed records through the whole way, from addresses to the store; pages are in `test_web.py`."""

import asyncio
import gzip
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from strop.errors import DataError, MachineError
from strop.evidence.fetch import FetchSummary, check_failures, fetch_documents
from strop.evidence.store import DocumentStore
from strop.recipe.evidence import Fetch
from strop.records.evidence import Document
from strop.testing.literature_server import (
    EFETCH,
    Asked,
    LiteratureServer,
    Reply,
    expected_document,
    record_xml,
    records,
)

Fetched = Callable[..., FetchSummary]
Settings = Callable[..., Fetch]
KEY = "0123456789abcdef0123456789abcdef"


def stored(store: DocumentStore, *numbers: str) -> list[Document]:
    return list(store.get_many([f"pubmed:{number}" for number in numbers]).values())


def test_every_record_comes_once_in_batches_and_is_what_was_sent(
    literature: LiteratureServer, fetched: Fetched, store: DocumentStore
) -> None:
    numbers = [str(number) for number in range(1, 451)]
    summary = fetched(*numbers, *(f"PMID:{number}" for number in numbers), "http://www.ncbi.nlm.nih.gov/pubmed/1")
    assert {one.address: one for one in stored(store, *numbers)} == {
        f"pubmed:{number}": expected_document(number) for number in numbers
    }
    assert sorted(len(asked.ids) for asked in literature.asked) == [50, 200, 200]
    assert set(literature.n_answered.values()) == {1}
    assert summary.n_documents == 450
    assert summary.n_stored == 0
    assert summary.n_requests == 3
    assert summary.n_by_status == {"found": 436, "no_text": 9, "missing": 5}
    assert summary.n_retracted == 5
    assert [one.address for one in summary.failures] == [f"pubmed:{n}" for n in (113, 13, 213, 313, 413)]
    assert summary.notes == {}


def test_what_is_stored_is_not_asked_for_again(literature: LiteratureServer, fetched: Fetched) -> None:
    fetched("1", "2", "13")
    summary = fetched("1", "2", "13", "3")
    assert (summary.n_stored, summary.n_requests) == (3, 1)
    assert [asked.ids for asked in literature.asked] == [["1", "2", "13"], ["3"]]


def test_servers_are_told_who_asks(literature: LiteratureServer, fetched: Fetched) -> None:
    fetched("1", contact="mailto:reader@example.org")
    asked = literature.asked[0]
    assert asked.headers["user-agent"].startswith("strop/")
    assert "(contact: mailto:reader@example.org)" in asked.headers["user-agent"]
    assert asked.form == {
        "db": "pubmed", "retmode": "xml", "id": "1", "tool": "strop", "email": "reader@example.org"
    }  # fmt: skip
    fetched("2", contact="https://example.org/us")
    assert "email" not in literature.asked[1].form


def test_the_limit_is_that_of_ncbi_with_and_without_a_key(
    literature: LiteratureServer, fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched("1", "2", "3", ids_per_request=1, requests_per_second=None)
    times = [asked.at for asked in literature.asked]
    assert times[2] - times[0] > 0.6
    monkeypatch.setenv("NCBI_API_KEY", KEY)
    fetched("4", "5", "6", ids_per_request=1, requests_per_second=None)
    times = [asked.at for asked in literature.asked[3:]]
    assert 0.1 < times[2] - times[0] < 0.6
    assert literature.asked[3].form["api_key"] == KEY
    assert "api_key" not in literature.asked[0].form


def test_a_server_that_counts_sees_no_request_too_many(settings: Settings, store: DocumentStore) -> None:
    with LiteratureServer(requests_per_second=20) as strict:
        numbers = [str(number) for number in range(1, 26)]
        asked = settings(pubmed_url=strict.pubmed_url, ids_per_request=1, requests_per_second=20)
        assert fetch_documents(numbers, asked, store).n_by_status["found"] == 23
        assert strict.n_refused <= 2  # none, unless one was held up on its way


def test_errors_that_pass_are_tried_again(literature: LiteratureServer, fetched: Fetched) -> None:
    replies: Iterator[Reply | None] = iter(
        [
            Reply(b"busy", 503, {"Retry-After": "0"}),
            Reply(b"slow down", 429, {"Retry-After": "0"}),
            Reply(b"oops", 500),
            Reply(b"<html>We are sorry</html>", headers={"Content-Type": "text/html"}),
            Reply(b'{"error":"API rate limit exceeded"}'),
            Reply(records(record_xml("1")).body, claimed_bytes=10_000),
            Reply(gzip.compress(b"x" * 1000)[:20], headers={"Content-Encoding": "gzip"}),
            Reply(b"not gzip", headers={"Content-Encoding": "gzip"}),
        ]
    )
    literature.on_efetch = lambda asked: next(replies, None)
    summary = fetched("1", n_attempts=9)
    assert summary.n_by_status == {"found": 1}
    assert summary.n_requests == 9


@pytest.mark.parametrize("header", ["0.3", "date"])
def test_retry_after_is_obeyed(literature: LiteratureServer, fetched: Fetched, header: str) -> None:
    in_two_seconds = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    wait, shortest = (in_two_seconds, 0.9) if header == "date" else (header, 0.29)
    replies: Iterator[Reply | None] = iter([Reply(b"", 429, {"Retry-After": wait})])
    literature.on_efetch = lambda asked: next(replies, None)
    assert fetched("1").n_by_status == {"found": 1}
    assert literature.asked[1].at - literature.asked[0].at >= shortest


def test_an_answer_that_never_comes_is_given_up_in_time(literature: LiteratureServer, fetched: Fetched) -> None:
    literature.on_efetch = lambda asked: Reply(hang=True) if "1" in asked.ids else None
    summary = fetched("1", "2", ids_per_request=1, timeout_seconds=0.1, n_attempts=2)
    assert summary.n_by_status == {"found": 1, "failed": 1}
    assert summary.failures[0].reason == "no complete answer in time (limit 0.1 s) (2 attempts)"


def test_an_answer_that_drips_for_ever_is_given_up_in_time(literature: LiteratureServer, fetched: Fetched) -> None:
    stop = threading.Event()

    def drip() -> Iterator[bytes]:
        while not stop.wait(0.01):
            yield b" "

    literature.on_efetch = lambda asked: Reply(drip())
    try:
        summary = fetched("1", timeout_seconds=0.04, n_attempts=1)
    finally:
        stop.set()
    assert "no complete answer in time" in summary.failures[0].reason


def test_an_error_page_with_status_200_fails_after_all_attempts(literature: LiteratureServer, fetched: Fetched) -> None:
    literature.on_efetch = lambda asked: Reply(b"<!DOCTYPE html><html><h1>Maintenance</h1></html>")
    summary = fetched("1", "2")
    assert summary.n_requests == 3
    assert {one.reason for one in summary.failures} == {"something else than records came: Maintenance (3 attempts)"}
    assert summary.n_by_status == {"failed": 2}


def test_one_broken_record_takes_no_other_along(
    literature: LiteratureServer, fetched: Fetched, store: DocumentStore
) -> None:
    def broken_with_77(asked: Asked) -> Reply:
        return records(*("<PubmedArticle><oops></PubmedArticle>" if n == "77" else record_xml(n) for n in asked.ids))

    literature.on_efetch = broken_with_77
    numbers = [str(number) for number in range(1, 201)]
    summary = fetched(*numbers)
    assert summary.n_by_status == {"found": 193, "no_text": 4, "missing": 2, "failed": 1}
    assert summary.failures[0].address == "pubmed:77"
    assert summary.failures[0].reason.startswith("invalid XML: ")
    assert summary.failures[0].reason.endswith("(3 attempts)")
    assert summary.n_requests < 25
    others = [number for number in numbers if number != "77"]
    assert stored(store, *others) == [expected_document(number) for number in others]


def test_a_server_that_breaks_every_record_is_left_alone(literature: LiteratureServer, fetched: Fetched) -> None:
    literature.on_efetch = lambda asked: Reply(b"<PubmedArticleSet><oops>")
    summary = fetched(*(str(number) for number in range(1, 2001)), max_connections=2)
    assert summary.n_by_status == {"failed": 2000}
    assert summary.n_requests < 100
    assert any("10 documents in a row could not be had" in one.reason for one in summary.failures)


def test_xml_with_entities_fails_and_nothing_is_expanded(
    literature: LiteratureServer, fetched: Fetched, store: DocumentStore
) -> None:
    body = (
        '<!DOCTYPE PubmedArticleSet [<!ENTITY x SYSTEM "file:///etc/passwd">]><PubmedArticleSet>'
        + record_xml("1").replace("Study", "&x;")
        + "</PubmedArticleSet>"
    )
    literature.on_efetch = lambda asked: Reply(body.encode())
    fetched("1")
    (document,) = stored(store, "1")
    assert (document.status, document.reason) == ("failed", "the XML declares entities, which are never expanded")
    assert document.text == document.title == ""


def test_ids_that_do_not_exist_are_missing_however_the_server_says_so(
    literature: LiteratureServer, fetched: Fetched
) -> None:
    literature.on_efetch = lambda asked: Reply(
        b"<eFetchResult><ERROR>ID list is empty! Possibly it has no correct IDs.</ERROR></eFetchResult>", 400
    )
    assert fetched("1", "2").n_by_status == {"missing": 2}
    literature.on_efetch = lambda asked: records()
    assert fetched("3").failures[-1].reason == "PubMed has no such record"


def test_records_that_were_not_asked_for_are_not_kept(
    literature: LiteratureServer, fetched: Fetched, store: DocumentStore
) -> None:
    literature.on_efetch = lambda asked: records(record_xml("1"), record_xml("1"), record_xml("999"))
    assert fetched("1", "2").n_by_status == {"found": 1, "missing": 1}
    assert store.counts() == {"found": 1, "missing": 1}


def test_a_batch_that_is_too_long_is_halved(literature: LiteratureServer, fetched: Fetched) -> None:
    numbers = [str(number) for number in range(101, 109)]
    summary = fetched(*numbers, max_bytes=6000)
    assert summary.n_by_status == {"found": 7, "no_text": 1}
    assert 1 < summary.n_requests < 20


@pytest.mark.parametrize("is_chunked", [True, False])
def test_an_answer_of_10_gb_is_stopped_early(
    literature: LiteratureServer, fetched: Fetched, *, is_chunked: bool
) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(10 * 2**10):
            yield b" " * 2**20

    literature.on_efetch = lambda asked: Reply(endless()) if is_chunked else Reply(b"<a>", claimed_bytes=10 * 2**30)
    summary = fetched("1", max_bytes=100_000)
    assert summary.failures[0].reason.startswith("longer than 100,000 bytes")
    assert summary.n_requests == 1
    assert literature.n_bytes < 50 * 2**20


def test_a_gzip_bomb_is_stopped_early(literature: LiteratureServer, fetched: Fetched) -> None:
    bomb = gzip.compress(b"\0" * 200 * 2**20, 1)
    literature.on_efetch = lambda asked: Reply(bomb, headers={"Content-Encoding": "gzip"})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    summary = fetched("1", max_bytes=1_000_000)
    assert summary.failures[0].reason == "longer than 1,000,000 bytes"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 2**10


def test_answers_may_be_compressed_and_only_as_asked(literature: LiteratureServer, fetched: Fetched) -> None:
    body = records(record_xml("1")).body
    assert isinstance(body, bytes)
    packed = gzip.compress(body[:500]) + gzip.compress(body[500:]) + b"\0\0"
    literature.on_efetch = lambda asked: Reply(packed, headers={"Content-Encoding": "gzip"})
    assert fetched("1").n_by_status == {"found": 1}
    assert literature.asked[0].headers["accept-encoding"] == "gzip"
    literature.on_efetch = lambda asked: Reply(b"x", headers={"Content-Encoding": "br"})
    assert fetched("2").failures[0].reason == "compressed as 'br', which was not asked for"


def test_a_charset_declared_wrongly_is_mended_and_noted(
    literature: LiteratureServer, fetched: Fetched, store: DocumentStore
) -> None:
    text = '<?xml version="1.0" encoding="UTF-8"?><PubmedArticleSet>' + record_xml("1") + "</PubmedArticleSet>"
    latin = text.replace("β", "").replace("α", "").encode("cp1252", "replace")
    literature.on_efetch = lambda asked: Reply(latin, headers={"Content-Type": "text/xml; charset=utf-8"})
    summary = fetched("1")
    assert summary.n_by_status == {"found": 1}
    assert summary.notes["pubmed:1"].startswith("declared as utf-8, read as ")
    assert "\ufffd" not in stored(store, "1")[0].text


def test_what_failed_is_asked_for_again_when_asked_to(
    literature: LiteratureServer, fetched: Fetched, store: DocumentStore
) -> None:
    literature.on_efetch = lambda asked: Reply(status=500)
    assert fetched("1", "ftp://x", n_attempts=1).n_by_status == {"failed": 1, "refused": 1}
    literature.on_efetch = None
    assert fetched("1").n_requests == 0
    summary = fetched("1", "ftp://x", again=True)
    assert summary.n_by_status == {"found": 1, "refused": 1}
    assert stored(store, "1") == [expected_document("1")]


def test_a_host_that_is_gone_fails_quickly_for_all(settings: Settings, store: DocumentStore) -> None:
    with LiteratureServer() as gone:
        url = gone.pubmed_url
    summary = fetch_documents([str(n) for n in range(1, 1001)], settings(pubmed_url=url, ids_per_request=10), store)
    assert summary.n_by_status == {"failed": 1000}
    assert summary.n_requests <= 3 * 8
    assert all("no connection" in one.reason for one in summary.failures)


def test_a_name_that_cannot_be_resolved_fails_quickly_for_all(settings: Settings, store: DocumentStore) -> None:
    addresses = [f"http://no-such-host.invalid/{number}" for number in range(100)]
    summary = fetch_documents(addresses, settings(), store)
    assert summary.n_by_status == {"failed": 100}
    assert summary.n_requests <= 3
    assert all("the name 'no-such-host.invalid' cannot be resolved" in one.reason for one in summary.failures)


def test_the_server_of_records_is_checked_like_any_other(literature: LiteratureServer, fetched: Fetched) -> None:
    summary = fetched("1", allow_hosts=[])
    assert summary.n_by_status == {"refused": 1}
    assert "'127.0.0.1' is at 127.0.0.1, which is no public address" in summary.failures[0].reason
    assert literature.asked == []


def test_the_server_of_records_is_not_followed_elsewhere(literature: LiteratureServer, fetched: Fetched) -> None:
    literature.on_efetch = lambda asked: Reply(status=302, headers={"Location": literature.url + "/other"})
    assert fetched("1").failures[0].reason == "HTTP 302 Found"
    assert literature.paths() == [EFETCH]


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_key_that_the_server_repeats_is_kept_nowhere(
    literature: LiteratureServer, fetched: Fetched, store: DocumentStore, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    said = f'{{"error":"API key invalid","api-key":"{KEY}"}}'.encode()
    literature.on_efetch = lambda asked: Reply(said, status, {"X-Key": KEY, "Location": KEY})
    summary = fetched("1", api_key_variable="MY_KEY")
    assert literature.asked[0].form["api_key"] == KEY
    assert KEY not in literature.asked[0].path
    assert KEY not in repr(summary)
    assert summary.n_by_status == {"failed": 1}
    if status == 400:
        assert 'HTTP 400 Bad Request: {"error":"API key invalid","api-key":"***"' in summary.failures[0].reason
    store.close()
    assert all(KEY.encode() not in file.read_bytes() for file in store.path.parent.iterdir())


def test_a_full_disk_stops_the_run_in_words(
    literature: LiteratureServer, fetched: Fetched, store: DocumentStore
) -> None:
    store._connection.execute("PRAGMA max_page_count = 20")
    with pytest.raises(MachineError, match="no space left"):
        fetched(*(str(number) for number in range(1, 1001)), ids_per_request=50)
    assert len(literature.asked) < 20


def test_progress_counts_to_the_end(settings: Settings, store: DocumentStore) -> None:
    seen: list[tuple[int, int]] = []
    fetch_documents(["1", "2", "3", "x"], settings(ids_per_request=2), store, progress=lambda *now: seen.append(now))
    assert seen[0] == (1, 4)
    assert seen[-1] == (4, 4)
    assert sorted(seen) == seen


def test_no_addresses_are_no_work(literature: LiteratureServer, fetched: Fetched) -> None:
    summary = fetched()
    assert (summary.n_documents, summary.n_requests, summary.failures) == (0, 0, ())
    assert literature.asked == []


def test_it_runs_where_a_loop_is_running_already(fetched: Fetched) -> None:
    async def notebook() -> FetchSummary:
        return fetched("1")

    assert asyncio.run(notebook()).n_by_status == {"found": 1}


def test_a_run_may_go_on_or_stop_without_its_documents(fetched: Fetched, settings: Settings) -> None:
    summary = fetched("1", "13", "113", "213", "313", "413", "513", "ftp://x")
    check_failures(summary, settings())
    with pytest.raises(DataError) as caught:
        check_failures(summary, settings(on_failure="stop"))
    assert "7 of 8 could not be had: ftp://x (refused: neither a PubMed id" in str(caught.value)
    assert "pubmed:13 (missing: PubMed has no such record)" in str(caught.value)
    assert "; and 2 more" in str(caught.value)
    check_failures(fetched("1"), settings(on_failure="stop"))


KILLED = """
import sys
from pathlib import Path
from strop.evidence.fetch import fetch_documents
from strop.evidence.store import DocumentStore
from strop.recipe.evidence import Fetch

fetch = Fetch(contact="a@b", pubmed_url=sys.argv[1], allow_hosts=["127.0.0.1"], requests_per_second=1000,
              ids_per_request=10, max_connections=2)
say = lambda n_done, n_all: print(n_done, flush=True)
with DocumentStore(Path(sys.argv[2])) as store:
    fetch_documents([str(n) for n in range(1, 301)], fetch, store, progress=say)
"""


def test_a_killed_run_goes_on_where_it_was(
    literature: LiteratureServer, fetched: Fetched, store: DocumentStore
) -> None:
    enough = threading.Event()

    def until_enough(asked: Asked) -> Reply | None:
        return Reply(hang=True) if enough.is_set() else None

    literature.on_efetch = until_enough
    command = [sys.executable, "-c", KILLED, literature.pubmed_url, str(store.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        while int(run.stdout.readline()) < 101:
            pass
        enough.set()
        run.kill()
    kept = set(store.statuses([f"pubmed:{number}" for number in range(1, 301)]))
    assert 100 <= len(kept) <= 300
    literature.on_efetch = None
    literature.round = 1
    numbers = [str(number) for number in range(1, 301)]
    assert fetched(*numbers).n_stored == len(kept)
    asked_later = {number for asked in literature.asked if asked.round == 1 for number in asked.ids}
    assert asked_later == {number for number in numbers if f"pubmed:{number}" not in kept}
    assert stored(store, *numbers) == [expected_document(number) for number in numbers]


def test_a_missing_library_is_said(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['httpx'] = None\n"
        "from pathlib import Path\n"
        "from strop.errors import MachineError\n"
        "from strop.evidence.fetch import fetch_documents\n"
        "from strop.evidence.store import DocumentStore\n"
        "from strop.recipe.evidence import Fetch\n"
        "try:\n"
        f"    fetch_documents(['1'], Fetch(contact='a@b'), DocumentStore(Path({str(tmp_path / 's.sqlite')!r})))\n"
        "except MachineError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "httpx" in done.stdout
    assert "pip install 'strop[evidence]'" in done.stdout
