"""Rules of robots.txt: the examples of RFC 9309, and what site owners write beside it."""

import time

import pytest

from strop.evidence.robots import Robots, Rule

HOST = "https://example.org"


def allowed(text: str, *places: str, agent: str = "strop") -> list[bool]:
    robots = Robots.read(text, agent)
    return [robots.allows(HOST + place) for place in places]


@pytest.mark.parametrize(
    ("path", "place", "fits"),
    [
        # Section 2.2.3 of the RFC and the table of https://developers.google.com/crawling/docs/robots-txt/robots-txt-spec
        ("/", "/anything", True),
        ("/fish", "/fish", True),
        ("/fish", "/fish.html", True),
        ("/fish", "/Fish.asp", False),
        ("/fish", "/catfish", False),
        ("/fish*", "/fishheads/yummy.html", True),
        ("/fish/", "/fish", False),
        ("/fish/", "/fish/?id=anything", True),
        ("/*.php", "/folder/filename.php?parameters", True),
        ("/*.php", "/windows.PHP", False),
        ("/*.php$", "/folder/filename.php", True),
        ("/*.php$", "/filename.php?parameters", False),
        ("/*.php$", "/filename.php5", False),
        ("/fish*.php", "/fishheads/catfish.php?parameters", True),
        ("/fish*.php", "/Fish.PHP", False),
        ("/a/*/private", "/a/q/private/x", True),
        ("/a/*/private", "/a/private", False),
        ("/$", "/", True),
        ("/$", "/x", False),
        ("*", "/x", True),
        ("/a*b$", "/ab/b", True),
        ("/ab*ba$", "/aba", False),
        ("/path/file-with-a-*.html", "/path/file-with-a-x.html", True),
    ],
)
def test_a_rule_fits_a_place(path: str, place: str, *, fits: bool) -> None:
    assert Rule(path, is_allowed=False).fits(place) is fits


def test_the_longest_rule_decides_and_of_equal_ones_the_one_that_allows() -> None:
    text = "User-agent: *\nDisallow: /p\nAllow: /page\nDisallow: /*.html$\nDisallow: /same\nAllow: /same\n"
    places = ("/p", "/page", "/page.html", "/same", "/else", "/robots.txt")
    assert allowed(text, *places) == [False, True, False, True, True, True]


def test_the_groups_of_an_agent_hold_together_and_leave_out_those_for_everyone() -> None:
    text = (
        "Disallow: /nobody\nUser-agent: strop/2.0\nUser-agent: other\nDisallow: /one\n\nSitemap: x\n"
        "user-agent: *\ndisallow: /\n\nUSER-AGENT: Strop # again\nDisallow: /two\nnonsense\nCrawl-delay: 2.5\n"
    )
    assert allowed(text, "/nobody", "/one", "/two", "/three") == [True, False, False, True]
    assert allowed(text, "/one", "/two", agent="other") == [False, True]
    assert allowed(text, "/one", "/three", agent="stropping") == [False, False]
    assert Robots.read(text, "strop").delay_seconds == 2.5
    assert Robots.read(text, "other").delay_seconds is None


@pytest.mark.parametrize("text", ["", "User-agent: *\nDisallow:\n", "<html>404</html>", "Disallow: /\n", "\x00:\x00\n"])
def test_what_forbids_nothing_allows_everything(text: str) -> None:
    assert allowed(text, "/", "/x") == [True, True]


def test_addresses_are_compared_in_one_spelling() -> None:
    text = "User-agent: *\nDisallow: /caf%c3%a9\nDisallow: /%7Ejoe\nDisallow: /a%2fb\nDisallow: /일\n"
    places = ("/café", "/caf%C3%A9/x", "/~joe/x", "/a/b", "/a%2Fb", "/%EC%9D%BC")
    assert allowed(text, *places) == [False, False, False, True, False, False]


@pytest.mark.parametrize("value", ["soon", "-1", "1e9", "", "nan"])
def test_a_delay_that_is_none_is_not_kept(value: str) -> None:
    assert Robots.read(f"User-agent: *\nCrawl-delay: {value}\n", "strop").delay_seconds is None


def test_a_rule_made_to_keep_a_reader_busy_does_not() -> None:
    robots = Robots.read("User-agent: *\nDisallow: /" + "a*" * 1000 + "b$\n", "strop")
    began = time.monotonic()
    assert robots.allows(HOST + "/" + "a" * 4000)
    assert time.monotonic() - began < 1.0
