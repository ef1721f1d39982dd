import pytest
from hypothesis import given
from hypothesis import strategies as st

from strop.evidence.charsets import decode

GERMAN = "Größe der Wirkung: fünf Prozent, überprüft an älteren Männern in Köln"


@pytest.mark.parametrize(
    ("content", "declared", "text"),
    [
        (GERMAN.encode(), "", GERMAN),
        (GERMAN.encode("latin-1"), "ISO-8859-1", GERMAN),
        ("“quoted” – €".encode("cp1252"), "iso-8859-1", "“quoted” – €"),
        ("한국어 본문".encode("euc-kr"), "euc-kr", "한국어 본문"),
        (b"\xef\xbb\xbfabc", "latin-1", "abc"),
        ("abcß".encode("utf-16"), "utf-8", "abcß"),
        (b'<meta charset="windows-1251"><p>' + "Привет".encode("cp1251"), "", '<meta charset="windows-1251"><p>Привет'),
        (
            b'<?xml version="1.0" encoding="latin-1"?><a>\xe4</a>',
            "",
            '<?xml version="1.0" encoding="latin-1"?><a>ä</a>',
        ),
        (b"", "", ""),
    ],
)
def test_the_declared_charset_is_read(content: bytes, declared: str, text: str) -> None:
    assert decode(content, declared) == (text, "")


def test_utf8_declared_as_latin_is_read_as_utf8_and_noted() -> None:
    assert decode(GERMAN.encode(), "iso-8859-1") == (GERMAN, "declared as iso-8859-1, read as utf-8, which it is")


def test_a_charset_that_the_bytes_break_is_replaced_by_one_that_fits() -> None:
    text, note = decode((GERMAN + " ").encode("cp1252") * 20, "utf-8")
    assert text == (GERMAN + " ") * 20
    assert note.startswith("declared as utf-8, read as ")
    text, note = decode(("한국어로 쓴 본문입니다. 약물의 효과를 살펴보았다. " * 20).encode("cp949"))
    assert text.startswith("한국어로 쓴 본문입니다.")
    assert note.startswith("without a declared charset, read as ")


@pytest.mark.parametrize("name", ["utf8mb4", "zlib", "rot13", "unicode_escape", "idna", "x" * 1000, "a\x00b", "ü"])
def test_a_charset_that_is_none_is_passed_over(name: str) -> None:
    text, note = decode(GERMAN.encode(), name)
    assert text == GERMAN
    assert note.startswith("declared as ")
    assert note.endswith("read as utf-8")


@given(
    st.binary(max_size=300), st.sampled_from(["", "utf-8", "ascii", "shift_jis", "utf-16", "utf-32", "hz", "nonsense"])
)
def test_no_bytes_raise(content: bytes, declared: str) -> None:
    text, _ = decode(content, declared)
    text.encode("utf-8")
