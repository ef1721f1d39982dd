"""The readable text of an HTML page: its title, and its paragraphs without scripts, styles and navigation."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from selectolax.lexbor import LexborHTMLParser

from strop.evidence.attempts import Refusal

_DROPPED = ["script", "style", "noscript", "template", "nav", "aside", "footer", "form", "button", "svg", "iframe"]
_BLOCKS = (
    "address, article, blockquote, br, caption, dd, details, div, dl, dt, fieldset, figcaption, figure, h1, h2, h3, h4,"
    " h5, h6, header, hr, li, main, ol, option, p, pre, section, summary, table, td, th, tr, ul"
)
# Line breaks of the source mean nothing; this control character, which HTML forbids, stands for those that do.
_BREAK = "\x1f"
# The time that HTML takes to parse grows with the square of its depth, and no page that is meant to be read is deeper.
_DEEPEST = 1_000
_MOST_TAGS = 300_000
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
# Tags that are closed without an end tag, or that nothing is inside of.
_NOT_NESTED = re.compile(
    "area|base|br|col|dd|dt|embed|hr|img|input|li|link|meta|option|p|param|source|t[dhr]|track|wbr"
)
# What servers head their error pages with, and those who keep programs out; longer pages may be on just that.
_LONGEST_ERROR = 1_000
_PHRASES = (
    "bad request|unauthorized|forbidden|(?:page |file |document |url )?(?:was )?not found|gone|too many requests|"
    "(?:internal )?(?:server )?error|bad gateway|(?:service )?(?:temporarily )?unavailable|gateway time-?out"
)
_ERROR = re.compile(
    rf"(?:http )?(?:status |error )?[45]\d\d\W+(?:{_PHRASES})|(?:http )?(?:status|error)\W+[45]\d\d|"
    rf"(?:[45]\d\d\W+)?(?:{_PHRASES})|access (?:is )?denied|just a moment|attention required\b.{{0,40}}|"
    "an (?:unexpected )?error (?:has )?occurred",
    re.IGNORECASE,
)


class PageText(NamedTuple):
    """Title and text of a page; paragraphs stand between line breaks."""

    title: str
    text: str


def html_text(html: str) -> PageText:
    """Read an HTML page.

    Raises:
        Refusal: It is made to keep a parser busy: too many tags, or too many inside each other.
    """
    _check_size(html)
    page = LexborHTMLParser(html)
    heading = page.css_first("title") or page.css_first("h1")
    title = "" if heading is None else _one_line(heading.text())
    body = page.body
    if body is None:
        return PageText(title, "")
    page.strip_tags(_DROPPED)
    for block in body.css(_BLOCKS):
        block.insert_before(_BREAK)
        block.insert_after(_BREAK)
    return PageText(title, _lines(body.text().split(_BREAK)))


def plain_text(text: str) -> str:
    """Lines without empty ones, white space inside as single spaces."""
    return _lines(text.replace("\x00", " ").splitlines())


def error_heading(title: str, text: str) -> str | None:
    """What a short page is headed with, if that is the name of an error; some servers send it as if all were well.

    Args:
        title: The page's title.
        text: Its text.
    """
    if len(text) > _LONGEST_ERROR:
        return None
    headings = (title, text.partition("\n")[0])
    return next((one for one in headings if _ERROR.fullmatch(one.strip(" .!…-|:"))), None)


def _lines(pieces: Iterable[str]) -> str:
    return "\n".join(line for piece in pieces if (line := _one_line(piece)))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _check_size(html: str) -> None:
    depth = 0
    for number, tag in enumerate(_TAG.finditer(html)):
        if number > _MOST_TAGS:
            raise Refusal(f"the page has more than {_MOST_TAGS:,} tags")
        if _NOT_NESTED.fullmatch(tag[2].lower()) is None:
            depth = max(0, depth - 1) if tag[1] else depth + 1
        if depth > _DEEPEST:
            raise Refusal(f"the page has more than {_DEEPEST:,} tags inside each other")
