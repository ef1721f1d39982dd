"""Every encoding that users have, found out or named."""

from pathlib import Path

import pytest

from strop.data.encodings import decoded, looks_misread
from strop.errors import DataError

KOREAN = "text,label\n교수님 과제 제출은 언제까지인가요?,이론\n서버가 꺼졌어요,시스템\n"
FILE = Path("rows.csv")


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("cp949", "cp949"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32"),
    ],
)
def test_korean_is_read_in_every_encoding(encoding, found):
    assert decoded(KOREAN.encode(encoding), FILE, None) == (KOREAN, found)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16"])
def test_english_utf16_is_read(encoding):
    text = "text,label\nhow do I sort a list,code\n"
    assert decoded(text.encode(encoding), FILE, None)[0] == text


def test_western_text_is_not_taken_for_korean():
    text = "text,label\nWas heißt Äpfel auf Französisch? Übung für später.,a\nÖsterreich grüßt die Schweiz,b\n" * 5
    found, encoding = decoded(text.encode("cp1252"), FILE, None)
    assert (found, encoding) != ("", "cp949")
    assert found == text


def test_japanese_is_not_taken_for_korean():
    text = "text,label\nこれはとても長い日本語の文章です。漢字も含まれています。,a\n" * 5
    assert decoded(text.encode("cp932"), FILE, None)[0] == text


def test_the_recipe_overrides_and_a_mark_is_removed():
    assert decoded(KOREAN.encode("utf-8-sig"), FILE, "utf-8") == (KOREAN, "utf-8")
    assert decoded("é".encode("cp1252"), FILE, "cp1252") == ("é", "cp1252")


def test_a_wrong_encoding_in_the_recipe_is_said_with_its_line():
    with pytest.raises(DataError, match=r"must be text in utf-8\n  came: byte 0xb1 at position 11 \(line 2\)"):
        decoded(KOREAN.encode("cp949"), FILE, "utf-8")


def test_an_unknown_encoding_is_said():
    with pytest.raises(DataError, match=r"data\.encoding: the encoding must be one that Python knows\n  came: 'utf-9'"):
        decoded(b"x", FILE, "utf-9")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0", "bytes that are no text"),
        (b"PK\x03\x04\x14\0\x06\0", "a zip or Excel file"),
        (b"\x1f\x8b\x08\0\0\0\0\0\x02\x03", "a gzip file"),
        (bytes(range(1, 256)), "bytes that are no text"),
    ],
)
def test_binary_files_are_refused(content, kind):
    with pytest.raises(DataError, match=rf"must be text in a known encoding\n  came: {kind} \(binary\)"):
        decoded(content, FILE, None)


@pytest.mark.parametrize(
    "text",
    [
        "broken \ufffd here",
        "안녕하세요".encode().decode("latin-1"),
        "it\u2019s".encode().decode("cp1252"),
        "caf\u00e9".encode().decode("latin-1"),
        "안녕하세요".encode("cp949").decode("latin-1"),
    ],
)
def test_misread_text_is_recognised(text):
    assert looks_misread(text)


@pytest.mark.parametrize(
    "text",
    ["plain", "안녕하세요 여러분", "café, Müßiggang, ½ °C", "naïve “quotes” — dash…", "日本語", "ÀÉÎ", "voilà «oui»"],
)
def test_sound_text_is_left_alone(text):
    assert not looks_misread(text)


def test_the_expected_encoding_is_taken_only_where_the_bytes_leave_it_open():
    # A mark, UTF-8 and UTF-16 are certain, whatever is expected.
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le"):
        assert decoded(KOREAN.encode(encoding), FILE, None, expected="cp949") == (KOREAN, encoding)
    # One short cell in Chinese could be anything: in CP949 it is Hangul.
    short = "text\n啊\n"
    assert decoded(short.encode("gb2312"), FILE, None)[0] == "text\n가\n"
    assert decoded(short.encode("gb2312"), FILE, None, expected="gb2312") == (short, "gb2312")


@pytest.mark.parametrize("expected", ["utf-8", "latin-1", "utf-16", "ascii"])
def test_an_expected_encoding_that_does_not_fit_is_passed_over(expected):
    assert decoded(KOREAN.encode("cp949"), FILE, None, expected=expected) == (KOREAN, "cp949")


def test_errors_name_what_sets_the_encoding():
    with pytest.raises(DataError, match="do:   name the right encoding with --encoding, or leave it out"):
        decoded(KOREAN.encode("cp949"), FILE, "utf-8", setting="--encoding")
    with pytest.raises(DataError, match="if it is text, name its encoding with --encoding"):
        decoded(bytes(range(256)), FILE, None, setting="--encoding")
    with pytest.raises(DataError, match="--encoding: the encoding must be one that Python knows"):
        decoded(b"x", FILE, "utf-9", setting="--encoding")
