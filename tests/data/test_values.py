"""Values become strings or nothing."""

import datetime
from decimal import Decimal

import pytest

from strop.data.values import as_strings, has_control_characters, kind_of, normalized, written_as_floats

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["a", None, NAN, ""], ["a", None, None, ""]),
        ([1, 2, 0], ["1", "2", "0"]),
        ([1.0, NAN, 2.0], ["1", None, "2"]),
        ([1.0, 2.5], ["1.0", "2.5"]),
        ([1, 2.0], ["1", "2"]),
        ([float("inf"), 1.0], ["inf", "1.0"]),
        ([True, False], ["True", "False"]),
        ([Decimal(3), datetime.date(2024, 5, 1)], ["3", "2024-05-01"]),
    ],
)
def test_as_strings(values, wanted):
    assert as_strings(values) == wanted


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("a", "text"),
        (1, "number"),
        (1.5, "number"),
        (True, "truth value"),
        ([], "list"),
        ({}, "object"),
        (b"", "bytes"),
    ],
)
def test_kind_of(value, kind):
    assert kind_of(value) == kind


@pytest.mark.parametrize(
    ("values", "wanted"), [(["1.0", "2.0", ""], True), (["1.0", "2"], False), (["1.5"], False), ([""], False)]
)
def test_written_as_floats(values, wanted):
    assert written_as_floats(values) is wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("  a\tb\n", "a\tb"),
        ("a\r\nb\rc\x0cd", "a\nb\nc\nd"),
        ("a\x00b\x1bc\x7f\x9f", "abc"),
        ("\u1100\u1161", "\uac00"),
        ("e\u0301", "\u00e9"),
        ("\u00a0\u3000x\u2003", "x"),
    ],
)
def test_normalized(text, wanted):
    assert normalized(text) == wanted
    assert normalized(wanted) == wanted


def test_line_breaks_are_no_control_characters():
    assert not has_control_characters("a\r\n\tb\x0c")
    assert has_control_characters("a\x07")
