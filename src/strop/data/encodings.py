"""Find out in which encoding a file is written, and recognise text that was once read in a wrong one."""

import codecs
import re
from pathlib import Path

from strop.errors import DataError, Problem

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with the same two bytes
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CANDIDATES = ("cp949", "cp932", "gb18030", "big5", "cp1252", "cp1250", "cp1251")
_ARCHIVES = ((b"PK\x03\x04", "a zip or Excel file"), (b"\x1f\x8b", "a gzip file"), (b"%PDF", "a PDF file"))
_MIN_HANGUL_SHARE = 0.8
_MIN_DELIMITERS_SHARE = 0.01
_NOT_IN_TEXT = re.compile("[\x00-\x08\x0e-\x1f\ufffe\uffff]")

# What a UTF-8 sequence looks like after it was read as Latin-1 or Windows-1252: a lead byte, then continuation bytes.
_CONTINUATION = "".join(
    sorted({chr(byte) for byte in range(0x80, 0xC0)} | set(bytes(range(0x80, 0xA0)).decode("cp1252", "ignore")))
)
_READ_AS_LATIN = re.compile(
    f"[\xc2-\xdf][{_CONTINUATION}]|[\xe0-\xef][{_CONTINUATION}]{{2}}|[\xf0-\xf4][{_CONTINUATION}]{{3}}"
)
# Korean CP949 read as Latin-1: no Latin script writes four such letters in a row without a plain one between them.
_KOREAN_AS_LATIN = re.compile("[\xa1-\xfe]{4,}")


def decoded(
    content: bytes, path: Path, given: str | None, *, expected: str | None = None, setting: str = "data.encoding"
) -> tuple[str, str]:
    """Decode the bytes of a text file.

    A byte order mark decides first, then strict UTF-8, then the pattern of UTF-16 without a mark. Where these leave it
    open, the expected encoding is taken if the bytes are plain text in it; else CP949 where nearly all letters beyond
    ASCII come out as common Hangul, and last a statistical guess among a few code pages.

    Args:
        content: The whole file.
        path: The file, for errors.
        given: The encoding that a person names for this file; None to detect it.
        expected: The encoding of files of the same origin; None where there are none.
        setting: What names the encoding of such a file, for errors.

    Returns:
        The text without byte order mark, and the name of the encoding ("utf-8" for plain UTF-8).

    Raises:
        DataError: The file is binary, or cannot be decoded.
    """
    if given is not None:
        return _decoded_as(content, path, given, setting), given
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return _decoded_as(content, path, encoding, setting), encoding
    if b"\0" in content:
        unmarked = _unmarked_utf16(content)
        if unmarked is None:
            raise DataError(_binary(content, path, setting))
        return content.decode(unmarked), unmarked
    text = _strict(content, "utf-8")
    if text is not None:
        return text, "utf-8"
    text = None if expected is None else _as_expected(content, expected)
    if text is not None and expected is not None:
        return text, expected
    return _guessed(content, path, setting)


def looks_misread(text: str) -> bool:
    """Whether a text seems to have been read in a wrong encoding before it got here.

    True for replacement characters (U+FFFD), for UTF-8 that was read as Latin-1 or Windows-1252, and for Korean CP949
    that was read as Latin-1.
    """
    if "\ufffd" in text:
        return True
    if text.isascii():
        return False
    if _READ_AS_LATIN.search(text):
        return True
    runs = _KOREAN_AS_LATIN.findall(text)
    return any(_is_korean(run.encode("latin-1")) for run in runs)


def _strict(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _as_expected(content: bytes, encoding: str) -> str | None:
    """The text, if it is one in this encoding; any bytes are letters of some kind in Latin-1 or UTF-16."""
    if codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):  # UTF-16 holds zero bytes in every line break
        return None
    text = _strict(content, encoding)
    return None if text is None or _NOT_IN_TEXT.search(text) or looks_misread(text) else text


def _decoded_as(content: bytes, path: Path, encoding: str, setting: str) -> str:
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except LookupError as error:
        problem = Problem(
            where=setting,
            must="the encoding must be one that Python knows",
            came=f"'{encoding}'",
            do="write for example utf-8, cp949 or utf-16, or leave it out to have it detected",
        )
        raise DataError(problem) from error
    except UnicodeError as error:
        came = str(error)
        if isinstance(error, UnicodeDecodeError):
            line = content.count(b"\n", 0, error.start) + 1
            came = (
                f"byte 0x{content[error.start]:02x} at position {error.start} (line {line}), which {encoding} forbids"
            )
        problem = Problem(
            where=str(path),
            must=f"the file must be text in {encoding}",
            came=came,
            do=f"name the right encoding with {setting}, or leave it out to have it detected",
        )
        raise DataError(problem) from error


def _unmarked_utf16(content: bytes) -> str | None:
    """The byte order in which the bytes are UTF-16 with at least some ASCII (line breaks, delimiters), if any."""
    n_ascii = {}
    for encoding in ("utf-16-le", "utf-16-be"):
        text = _strict(content, encoding)
        if text and not _NOT_IN_TEXT.search(text):
            n_ascii[encoding] = sum(text.count(letter) for letter in ' ,;\t\n"{}[]:') / len(text)
    best = max(n_ascii, key=lambda encoding: n_ascii[encoding], default=None)
    return best if best is not None and n_ascii[best] >= _MIN_DELIMITERS_SHARE else None


def _is_korean(content: bytes) -> bool:
    """Whether bytes read as CP949 are nearly all common Hangul, where they are not ASCII."""
    text = _strict(content, "cp949")
    if text is None:
        return False
    beyond = [letter for letter in text if letter > "\x7f"]
    common = [letter for letter in beyond if "가" <= letter <= "힣" and _in_euc_kr(letter)]
    return len(common) >= _MIN_HANGUL_SHARE * len(beyond) > 0


def _in_euc_kr(letter: str) -> bool:
    """EUC-KR lacks the 8,822 rare syllables of CP949, which is what accented Latin letters come out as."""
    return len(letter.encode("euc_kr", "ignore")) == 2


def _guessed(content: bytes, path: Path, setting: str) -> tuple[str, str]:
    if _is_korean(content):
        return content.decode("cp949"), "cp949"
    from charset_normalizer import from_bytes

    best = from_bytes(content, cp_isolation=list(_CANDIDATES)).best()
    text = None if best is None else _strict(content, best.encoding)
    if best is None or text is None or _NOT_IN_TEXT.search(text):
        raise DataError(_binary(content, path, setting))
    return text, best.encoding


def _binary(content: bytes, path: Path, setting: str) -> Problem:
    kind = next((kind for magic, kind in _ARCHIVES if content.startswith(magic)), "bytes that are no text")
    return Problem(
        where=str(path),
        must="the file must be text in a known encoding",
        came=f"{kind} (binary)",
        do=f"export the table as CSV in UTF-8; if it is text, name its encoding with {setting}",
    )
