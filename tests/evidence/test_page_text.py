import time

import pytest

from strop.evidence.attempts import Refusal
from strop.evidence.page_text import html_text, plain_text


def test_title_and_paragraphs_stay_and_the_rest_goes() -> None:
    page = html_text(
        """<!doctype html><html><head><title> A &amp;
        B </title><style>p {}</style><script>var x = "<p>no</p>";</script></head>
        <body><nav><a>Home</a></nav><header><h1>Heading</h1></header><main><p>One <b>bold</b>er word,
        H<sub>2</sub>O.</p><ul><li>first<li>second</ul><table><tr><td>a<td>b</table>x<br>y<!-- comment --></main>
        <aside>Advert</aside><form><button>Send</button></form><footer>Imprint</footer><noscript>no</noscript>"""
    )
    assert page.title == "A & B"
    assert page.text.split("\n") == ["Heading", "One bolder word, H2O.", "first", "second", "a", "b", "x", "y"]


def test_a_page_without_title_is_named_by_its_heading() -> None:
    assert html_text("<h1>The <i>name</i></h1><p>text").title == "The name"
    assert html_text("<p>text") == ("", "text")


@pytest.mark.parametrize("html", ["", "<", "<p>", "\x00", "<title>", "<frameset><frame></frameset>", "</p></p>"])
def test_next_to_nothing_is_no_text(html: str) -> None:
    assert html_text(html).text in ("", "<")


def test_plain_text_keeps_its_lines() -> None:
    assert plain_text("one  two\r\n\r\n three\x00four\t\n") == "one two\nthree four"


def test_pages_that_would_keep_the_parser_busy_are_refused_quickly() -> None:
    began = time.monotonic()
    with pytest.raises(Refusal, match="more than 1,000 tags inside each other"):
        html_text("<div>" * 500_000)
    with pytest.raises(Refusal, match="more than 300,000 tags"):
        html_text("<p>" * 500_000)
    assert time.monotonic() - began < 2
    assert html_text("<p><b>x</b>" * 5_000).text.count("x") == 5_000
