import threading
import time

import httpx
import pytest

from strop.testing.literature_server import EFETCH, LiteratureServer, Reply, expected_document, html, record_xml


def ask(server: LiteratureServer, *numbers: str) -> httpx.Response:
    return httpx.post(server.url + EFETCH, data={"id": ",".join(numbers)}, trust_env=False)


def test_records_are_those_of_the_ids_and_always_the_same() -> None:
    with LiteratureServer() as server:
        answer = ask(server, "1", "2", "13")
        assert answer.status_code == 200
        body = answer.text
        assert record_xml("1") in body
        assert record_xml("2") in body
        assert body.count("<PubmedArticle>") == 2
        assert ask(server, "1", "2", "13").text == body
        assert server.n_answered == {"1": 2, "2": 2, "13": 2}
        assert [asked.ids for asked in server.asked] == [["1", "2", "13"]] * 2


def test_of_a_hundred_ids_one_is_missing_two_have_no_text_and_one_is_retracted() -> None:
    documents = [expected_document(str(number)) for number in range(501, 601)]
    statuses = [document.status for document in documents]
    assert (statuses.count("found"), statuses.count("no_text"), statuses.count("missing")) == (97, 2, 1)
    assert [document.address for document in documents if document.retracted] == ["pubmed:542"]
    assert len({document.text for document in documents}) == 98
    assert expected_document("504").text.startswith("BACKGROUND: ")


def test_requests_beyond_the_limit_are_refused() -> None:
    with LiteratureServer(requests_per_second=2) as server:
        answers = [ask(server, "1") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
        assert answers[2].headers["Retry-After"] == "1"
        assert server.n_refused == 2
        assert server.n_answered["1"] == 2


def test_errors_are_as_frequent_as_asked_for() -> None:
    with LiteratureServer(error_fraction=0.5, seed=3) as server:
        statuses = [ask(server, "1").status_code for _ in range(20)]
    assert 4 < statuses.count(500) < 16
    assert statuses.count(200) == 20 - statuses.count(500)


def test_the_answer_takes_its_time() -> None:
    with LiteratureServer(latency_seconds=0.05) as server:
        began = time.monotonic()
        ask(server, "1")
        assert time.monotonic() - began >= 0.05


def test_a_request_that_is_never_answered_ends_with_the_server() -> None:
    with LiteratureServer(hang_fraction=1.0) as server:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(server.url + EFETCH, data={"id": "1"}, timeout=0.05, trust_env=False)
        assert server.n_answered == {}
        assert server.n_hung == 1
    assert threading.active_count() < 20


def test_pages_are_served_and_others_are_not_there() -> None:
    with LiteratureServer() as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        server.pages["/a"] = html("<p>ß")
        server.pages["/b"] = Reply(iter([b"one ", b"two"]))
        server.pages["/c"] = lambda asked: Reply(asked.headers["x-word"].encode())
        assert client.get("/a").text == "<p>ß"
        assert client.get("/b").content == b"one two"
        assert client.get("/c", headers={"X-Word": "hi"}).text == "hi"
        assert client.get("/d").status_code == 404
        assert server.paths() == ["/a", "/b", "/c", "/d"]


def test_an_answer_may_break_off() -> None:
    with LiteratureServer() as server:
        server.pages["/a"] = Reply(b"short", claimed_bytes=100)
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
            httpx.get(server.url + "/a", trust_env=False)
