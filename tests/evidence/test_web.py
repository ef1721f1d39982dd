"""Pages through the whole way, from addresses to the store."""

from collections.abc import Callable, Iterator

import pytest

from strop.evidence.fetch import FetchSummary, fetch_documents
from strop.evidence.store import DocumentStore
from strop.recipe.evidence import Fetch
from strop.records.evidence import Document
from strop.testing.literature_server import EFETCH, Asked, LiteratureServer, Reply, html

Fetched = Callable[..., FetchSummary]


def text(body: str | bytes, kind: str = "text/plain; charset=utf-8", **more: object) -> Reply:
    content = body.encode() if isinstance(body, str) else body
    return Reply(content, headers={"Content-Type": kind})


def redirect(place: str, status: int = 302) -> Reply:
    return Reply(b"moved", status, {"Location": place})


@pytest.fixture
def page(literature: LiteratureServer, fetched: Fetched, store: DocumentStore) -> Callable[..., Document]:
    """Serve something under /page, fetch it, and give what was stored."""

    def get(reply: Reply | Callable[[Asked], Reply] | None = None, path: str = "/page", **changes: object) -> Document:
        if reply is not None:
            literature.pages[path] = reply
        address = literature.url + path
        fetched(address, **changes)
        return store.get_many([address])[address]

    return get


Page = Callable[..., Document]


def test_html_is_read(page: Page, literature: LiteratureServer) -> None:
    document = page(html("<title>T</title><nav>menu</nav><p>One.</p><p>Two ß.</p>"))
    assert document == Document(literature.url + "/page", "found", title="T", text="One.\nTwo ß.")
    assert literature.paths() == ["/robots.txt", "/page"]
    assert "(contact: reader@example.org)" in literature.asked[1].headers["user-agent"]


def test_plain_text_is_read_and_other_kinds_are_refused(page: Page, literature: LiteratureServer) -> None:
    assert page(text("one\n\ntwo")).text == "one\ntwo"
    for number, kind in enumerate(("application/pdf", "image/png", "application/xml")):
        document = page(text("x", kind), path=f"/{number}")
        assert (document.status, document.reason) == ("refused", f"only HTML and plain text are read, came '{kind}'")
    assert page(Reply(b"x"), path="/none").reason == "only HTML and plain text are read, came no content type"


def test_a_page_without_text_has_none(page: Page) -> None:
    document = page(html("<title>T</title><script>x</script>"))
    assert (document.status, document.title, document.reason) == ("no_text", "T", "the page has no text")
    assert page(Reply(status=204), path="/empty").reason == "the page is empty"


@pytest.mark.parametrize(
    ("status", "became", "reason"),
    [
        (404, "missing", "HTTP 404 Not Found"),
        (410, "missing", "HTTP 410 Gone"),
        (403, "failed", "HTTP 403 Forbidden"),
        (499, "failed", "HTTP 499"),
        (500, "failed", "HTTP 500 Internal Server Error (3 attempts)"),
        (429, "failed", "HTTP 429 Too Many Requests (3 attempts)"),
    ],
)
def test_a_status_says_what_became_of_a_page(page: Page, status: int, became: str, reason: str) -> None:
    document = page(Reply(b"sorry", status, {"Content-Type": "text/html"}))
    assert (document.status, document.reason, document.text) == (became, reason, "")


def test_robots_txt_is_asked_for_once_and_respected(
    page: Page, literature: LiteratureServer, fetched: Fetched, store: DocumentStore
) -> None:
    literature.pages["/robots.txt"] = text(
        "User-agent: *\nDisallow: /\n\nUser-agent: strop\nDisallow: /private/\nAllow: /\n"
    )
    literature.pages |= {f"/{name}": html("<p>x") for name in ("a", "b", "private/c")}
    summary = fetched(*(f"{literature.url}/{name}" for name in ("a", "b", "private/c")))
    assert summary.n_by_status == {"found": 2, "refused": 1}
    assert summary.failures[0].reason == f"robots.txt of 127.0.0.1:{literature.port} forbids it"
    assert sorted(literature.paths()) == ["/a", "/b", "/robots.txt"]


def test_wildcards_of_robots_txt_are_respected(
    literature: LiteratureServer, fetched: Fetched, store: DocumentStore
) -> None:
    literature.pages["/robots.txt"] = text(
        "User-agent: *\nDisallow: /*.php$\nDisallow: /a/*/closed\nAllow: /a/x/closed\n"
    )
    names = ("x.php", "x.php?y=1", "a/q/closed", "a/x/closed")
    literature.pages |= {f"/{name}": html("<p>x") for name in names}
    fetched(*(f"{literature.url}/{name}" for name in names))
    statuses = store.statuses([f"{literature.url}/{name}" for name in names])
    assert list(map(statuses.get, (f"{literature.url}/{name}" for name in names))) == [
        "refused", "found", "refused", "found"
    ]  # fmt: skip


def test_a_host_whose_robots_txt_leads_to_a_private_machine_is_asked_for_it_once(
    literature: LiteratureServer, fetched: Fetched
) -> None:
    literature.pages["/robots.txt"] = redirect("http://10.0.0.1/robots.txt")
    summary = fetched(*(f"{literature.url}/{number}" for number in range(5)))
    assert summary.n_by_status == {"refused": 5}
    (reason,) = {one.reason for one in summary.failures}
    assert reason.startswith(
        "it redirects to http://10.0.0.1/robots.txt: '10.0.0.1' is at 10.0.0.1, which is no public"
    )
    assert literature.paths() == ["/robots.txt"]


@pytest.mark.parametrize(
    "body",
    [
        "<title>Error</title><h1>500 Internal error</h1>",
        "<title>My site</title><h1>404 - Page not found</h1><p>Sorry.",
        "<title>Just a moment...</title><p>Checking your browser.",
        "<title>HTTP 503 Service Unavailable</title><p>x",
    ],
)
def test_an_error_page_with_status_200_fails(page: Page, body: str) -> None:
    document = page(html(body))
    assert document.status == "failed"
    assert document.reason.startswith("an error page with HTTP 200 OK: '")
    assert document.text == ""


def test_pages_that_speak_of_errors_are_no_error_pages(page: Page) -> None:
    bodies = (
        "<title>404 patients were treated</title><p>x",
        "<title>Not found: a novel</title><p>x",
        "<title>Error</title><p>" + "It is the difference from the truth. " * 40,
        "<title>500 errors of medicine</title><p>x",
    )
    for number, body in enumerate(bodies):
        assert page(html(body), path=f"/{number}").status == "found", body


@pytest.mark.parametrize(
    ("body", "came"),
    [(b"%PDF-1.7 \x01", "a PDF"), (b"\x89PNG\r\n\x00\x00", "something with bytes that no text has")],
)
def test_bytes_that_are_no_text_are_refused_whatever_they_are_said_to_be(page: Page, body: bytes, came: str) -> None:
    document = page(text(body, "text/html"))
    expected = f"only HTML and plain text are read, came {came} that is said to be 'text/html'"
    assert (document.status, document.reason) == ("refused", expected)
    assert page(text("x".encode("utf-16-le"), "text/plain; charset=utf-16le"), path="/wide").text == "x"


def test_robots_txt_that_cannot_be_had_forbids_all(literature: LiteratureServer, fetched: Fetched) -> None:
    literature.pages["/robots.txt"] = Reply(status=503)
    summary = fetched(*(f"{literature.url}/{number}" for number in range(20)))
    assert summary.n_by_status == {"failed": 20}
    reasons = {one.reason for one in summary.failures}
    assert reasons == {"robots.txt could not be had: HTTP 503 Service Unavailable (3 attempts)"}
    assert literature.paths() == ["/robots.txt"] * 3


def test_a_delay_that_robots_txt_asks_for_is_kept(literature: LiteratureServer, fetched: Fetched) -> None:
    literature.pages["/robots.txt"] = text("User-agent: *\nCrawl-delay: 1\n")
    literature.pages["/a"] = html("<p>x")
    literature.pages["/b"] = html("<p>x")
    fetched(f"{literature.url}/a", f"{literature.url}/b")
    times = [asked.at for asked in literature.asked if asked.path != "/robots.txt"]
    assert times[1] - times[0] >= 1.0


def test_a_host_has_its_own_limit(literature: LiteratureServer, fetched: Fetched) -> None:
    with LiteratureServer() as other:
        for server in (literature, other):
            server.pages |= {f"/{number}": html("<p>x") for number in range(4)}
        urls = [f"{server.url}/{number}" for number in range(4) for server in (literature, other)]
        assert fetched(*urls, requests_per_second=10, pages_per_second=10).n_by_status == {"found": 8}
        for server in (literature, other):
            times = [asked.at for asked in server.asked]
            assert len(times) == 5
            assert times[-1] - times[0] >= 0.3
        # Neither waits for the other.
        assert other.asked[0].at < literature.asked[-1].at
        assert literature.asked[0].at < other.asked[-1].at


def test_redirects_are_followed_and_the_first_address_is_kept(page: Page, literature: LiteratureServer) -> None:
    literature.pages["/two"] = redirect("three?x=1", 301)
    literature.pages["/three?x=1"] = html("<p>there")
    document = page(redirect("/two", 307))
    assert (document.text, document.address) == ("there", literature.url + "/page")


def test_redirects_in_a_circle_are_said(page: Page, literature: LiteratureServer) -> None:
    literature.pages["/two"] = redirect("/page")
    document = page(redirect("/two"))
    assert (document.status, document.reason) == (
        "failed", f"the redirects go in a circle, back to {literature.url}/page"
    )  # fmt: skip
    assert literature.paths() == ["/robots.txt", "/page", "/two"]


def test_more_than_five_redirects_are_too_many(page: Page, literature: LiteratureServer) -> None:
    literature.pages |= {f"/{number}": redirect(f"/{number + 1}") for number in range(20)}
    assert page(path="/0").reason == f"more than 5 redirects, the last to {literature.url}/6"
    literature.pages["/5"] = html("<p>there")
    literature.pages["/0?again"] = redirect("/1")
    assert page(path="/0?again").text == "there"


@pytest.mark.parametrize("name", ["localhost", "127.1", "[::1]", "2130706433"])
def test_a_redirect_to_this_machine_is_refused(page: Page, literature: LiteratureServer, name: str) -> None:
    document = page(redirect(f"http://{name}:{literature.port}/secret"))
    assert document.status == "refused"
    assert document.reason.startswith("it redirects to http://")
    assert "no public address" in document.reason
    assert "/secret" not in literature.paths()


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("file:///etc/passwd", "it redirects to an address of another kind ('file:')"),
        ("ftp://example.org/", "it redirects to an address of another kind ('ftp:')"),
        ("http://me:secret@example.org/", "a user name or a password"),
        ("http://a%20b/", "must name a host"),
    ],
)
def test_a_redirect_to_something_else_is_refused(page: Page, place: str, reason: str) -> None:
    document = page(redirect(place))
    assert document.status == "refused"
    assert reason in document.reason
    assert "secret" not in document.reason


def test_robots_txt_is_respected_where_a_redirect_leads(page: Page, literature: LiteratureServer) -> None:
    literature.pages["/robots.txt"] = text("User-agent: *\nDisallow: /closed\n")
    document = page(redirect("/closed"))
    assert document.status == "refused"
    assert "forbids it" in document.reason
    assert "/closed" not in literature.paths()


def test_this_machine_is_refused_unless_it_is_allowed(
    literature: LiteratureServer, fetched: Fetched, store: DocumentStore
) -> None:
    literature.pages["/page"] = html("<p>x")
    summary = fetched(literature.url + "/page", allow_hosts=[])
    assert summary.n_by_status == {"refused": 1}
    assert literature.asked == []
    assert fetched(literature.url + "/page", again=True).n_by_status == {"found": 1}


def test_a_charset_declared_wrongly_is_mended_and_noted(literature: LiteratureServer, fetched: Fetched) -> None:
    words = "Größe und Wirkung über Jahre, geprüft an älteren Männern in Köln und Fürth. " * 5
    literature.pages["/page"] = text(words.encode("cp1252"), "text/html; charset=utf-8")
    summary = fetched(literature.url + "/page")
    assert summary.n_by_status == {"found": 1}
    assert summary.notes[literature.url + "/page"].startswith("declared as utf-8, read as ")


def test_a_page_that_is_too_long_is_stopped_early(page: Page, literature: LiteratureServer) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(10 * 2**10):
            yield b"x" * 2**20

    reply = Reply(endless(), headers={"Content-Type": "text/plain"})
    document = page(reply, max_bytes=10_000)
    assert (document.status, document.reason) == ("failed", "longer than 10,000 bytes")
    assert literature.n_bytes < 50 * 2**20


def test_a_page_made_to_keep_the_parser_busy_is_refused(page: Page) -> None:
    assert page(html("<div>" * 100_000)).status == "refused"


def test_one_page_that_always_fails_takes_no_other_along(literature: LiteratureServer, fetched: Fetched) -> None:
    literature.pages |= {f"/{number}": html("<p>x") for number in range(30)}
    literature.pages["/3"] = Reply(status=500)
    literature.pages["/7"] = Reply(hang=True)
    literature.pages["/9"] = Reply(b"short", headers={"Content-Type": "text/plain"}, claimed_bytes=5000)
    summary = fetched(*(f"{literature.url}/{number}" for number in range(30)), timeout_seconds=0.2, n_attempts=2)
    assert summary.n_by_status == {"found": 27, "failed": 3}
    assert {one.address.rpartition("/")[2]: one.reason.split(" (")[0] for one in summary.failures} == {
        "3": "HTTP 500 Internal Server Error",
        "7": "no complete answer in time",
        "9": "the connection broke: peer closed connection without sending complete message body",
    }


def test_pages_and_records_are_fetched_together(
    literature: LiteratureServer, settings: Callable[..., Fetch], store: DocumentStore
) -> None:
    literature.pages["/page"] = html("<p>x")
    addresses = ["1", literature.url + "/page", "2", literature.url + "/page#part"]
    assert fetch_documents(addresses, settings(), store).n_by_status == {"found": 3}
    assert sorted(literature.paths()) == [EFETCH, "/page", "/robots.txt"]
