"""Words for places in a file."""

from pathlib import Path

import pytest

from strop.data.tables import Table, listed, named


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([3], "line 3"),
        ([3, 4], "lines 3 and 4"),
        ([1, 2, 3], "lines 1, 2 and 3"),
        ([1, 2, 3, 4, 5, 6], "lines 1, 2, 3, 4, 5, ... (6 in all)"),
    ],
)
def test_listed(numbers, words):
    assert listed("line", numbers) == words


def test_named():
    assert named(["a", "b"]) == "'a', 'b'"
    assert named(list("abcdef")) == "'a', 'b', 'c', 'd', 'e', ... (6 in all)"


def test_rows_are_counted_where_there_are_no_lines():
    assert Table(Path("x.parquet"), {"a": [1, 2]}).places([0, 1]) == "rows 1 and 2"
    assert Table(Path("x.csv"), {"a": [1, 2]}, lines=[2, 7]).places([1]) == "line 7"


def test_only_delimited_files_have_no_types():
    assert Table(Path("x.tsv"), {}).holds_strings_only
    assert not Table(Path("x.jsonl"), {}).holds_strings_only
    assert Table(Path("x.csv"), {}).n_rows == 0


def test_rows_that_are_taken_keep_their_numbers():
    table = Table(Path("x.json"), {"a": list("uvwxyz")}, parts=list("ttttvv"))
    taken = table.taken([5, 2]).taken([1])
    assert (taken.columns, taken.parts, taken.places([0])) == ({"a": ["w"]}, ["t"], "row 3")
    assert Table(Path("x.csv"), {"a": ["u", "v"]}, lines=[2, 7]).taken([1]).places([0]) == "line 7"


def test_values_are_shown_with_their_places():
    table = Table(Path("x.json"), {"a": list("uvwxyz")})
    assert table.values_in_places([(0, 3), (2, ["u"])]) == "3 in row 1; ['u'] in row 3"
    many = table.values_in_places([(row, "long " * 50) for row in range(6)])
    assert many.endswith("... (6 in all)")
    assert len(many) < 400
