"""Bytes of an answer as text: in the charset that is declared, and where that is wrong, in one that fits."""

import codecs
import re
from typing import NamedTuple

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_DECLARED = re.compile(
    rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{1,40})["']|<meta[^>]{0,300}?charset\s*=\s*["']?([\w.:-]{1,40})""",
    re.IGNORECASE,
)
_DECLARED_WITHIN = 4096
_NAME = re.compile(r"[\w.:-]{1,40}", re.ASCII)
# Python's codecs that no server means.
_NO_CHARSETS = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
# What these names mean on the web. Source: WHATWG Encoding Standard, "Names and labels".
_MEANT = {"iso8859-1": "cp1252", "ascii": "cp1252", "iso8859-9": "cp1254", "gb2312": "gb18030", "gbk": "gb18030"}
_ONE_BYTE = re.compile(r"cp125\d|iso8859-\d+|koi8-[ru]")
_GUESSED_FROM_BYTES = 2**17


class Decoded(NamedTuple):
    """A text and, where its charset was not the declared one, a note about it."""

    text: str
    note: str


def decode(content: bytes, declared: str = "") -> Decoded:
    """Decode an answer; nothing is raised.

    A byte order mark decides first, then the header's charset, then the one named inside (XML declaration, `meta`),
    then UTF-8. What is valid UTF-8 with letters beyond ASCII is UTF-8 even where a charset of one byte a letter is
    declared. Where the bytes break the rules of the declared charset, charset-normalizer guesses another.

    Args:
        content: The body.
        declared: The charset of the header Content-Type, "" where it is not said.
    """
    for mark, name in _MARKS:
        if content.startswith(mark):
            return Decoded(content[len(mark) :].decode(name, "replace"), "")
    name = declared or _declared_inside(content)
    charset = _charset(name) if name else "utf-8"
    text = None if charset is None else _strict(content, charset)
    if charset is not None and _ONE_BYTE.fullmatch(charset) and not content.isascii():
        as_utf8 = _strict(content, "utf-8")
        if as_utf8 is not None:
            return Decoded(as_utf8, f"declared as {name}, read as utf-8, which it is")
    if text is not None:
        return Decoded(text, "")
    said = f"declared as {name[:40]}" if name else "without a declared charset"
    return _guessed(content, said)


def _declared_inside(content: bytes) -> str:
    found = _DECLARED.search(content[:_DECLARED_WITHIN])
    return "" if found is None else (found[1] or found[2]).decode("ascii", "replace")


def _charset(name: str) -> str | None:
    """Python's name of a charset, None where it is not known."""
    if _NAME.fullmatch(name) is None:
        return None
    try:
        known = codecs.lookup(name).name
    except LookupError:
        return None
    return None if known in _NO_CHARSETS else _MEANT.get(known, known)


def _strict(content: bytes, charset: str) -> str | None:
    try:
        return content.decode(charset)
    except (UnicodeError, LookupError):  # a LookupError for what Python calls a codec and is no charset, such as zlib
        return None


def _guessed(content: bytes, said: str) -> Decoded:
    as_utf8 = _strict(content, "utf-8")
    if as_utf8 is not None:
        return Decoded(as_utf8, f"{said}, read as utf-8")
    from charset_normalizer import from_bytes

    best = from_bytes(content[:_GUESSED_FROM_BYTES]).best()
    charset = "utf-8" if best is None else best.encoding
    text = _strict(content, charset)
    if text is not None:
        return Decoded(text, f"{said}, read as {charset}")
    return Decoded(content.decode(charset, "replace"), f"{said}, read as {charset} with letters that were lost")
