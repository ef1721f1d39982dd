"""CSV and tab-separated files, and every way in which they are broken."""

import csv
from pathlib import Path

import pytest

from strop.data.delimited import read_delimited
from strop.errors import DataError

CSV, TSV = Path("rows.csv"), Path("rows.tsv")


def test_rfc_4180_with_line_numbers():
    table = read_delimited('text,label\n"a, ""b""\nsecond line",x\n\nc,y\n', CSV)
    assert table.columns == {"text": ['a, "b"\nsecond line', "c"], "label": ["x", "y"]}
    assert table.lines == [2, 5]
    assert table.places([0, 1]) == "lines 2 and 5"


def test_every_kind_of_line_break():
    for line_break in ("\n", "\r\n", "\r"):
        assert read_delimited(line_break.join(["a,b", "1,2", ""]), CSV).columns == {"a": ["1"], "b": ["2"]}


def test_semicolons_where_the_header_has_no_comma():
    assert read_delimited("text;label\na, b;x\n", CSV).columns == {"text": ["a, b"], "label": ["x"]}
    assert list(read_delimited("te;xt,label\na,x\n", CSV).columns) == ["te;xt", "label"]


def test_names_are_stripped_and_nameless_columns_numbered():
    assert list(read_delimited(",text, label \n0,a,x\n", CSV).columns) == ["column 1", "text", "label"]


def test_header_from_the_recipe():
    table = read_delimited("0\t만화\n1\t약\n", Path("x.txt"), ["label", "text"])
    assert table.columns == {"label": ["0", "1"], "text": ["만화", "약"]}
    assert table.lines == [1, 2]


def test_header_from_a_function_that_looks_at_the_first_line():
    assert read_delimited("a\tb\n", TSV, lambda first: ["x", "y"]).columns == {"x": ["a"], "y": ["b"]}
    assert read_delimited("a\tb\n1\t2\n", TSV, lambda first: None).columns == {"a": ["1"], "b": ["2"]}


@pytest.mark.parametrize(
    ("text", "header", "words"),
    [
        ("", None, r"must hold rows\n  came: an empty file"),
        (" \n\n", None, r"must hold rows\n  came: an empty file"),
        ("text,label\n", None, r"must hold rows\n  came: a header line and nothing below it"),
        ("a,a,b\n1,2,3\n", None, r"line 1: every column must have a name of its own\n  came: 'a' more than once"),
        ("a,b\n1,2\n", ["a", "b"], r"first line that holds just these names\n  do:   remove data\.header"),
        ("1,2,3\n", ["a", "b"], r"data\.header must name every column\n  came: 2 names for 3 columns"),
        ('a,b\n1,2\n"x" y,2\n', None, r"line 3: a cell that starts with a quotation mark must end with one"),
        ('a,b\n1,2\n3,4\n"x,2\n5,6\n', None, r"line 4: a cell that starts .*\n  came: unexpected end of data"),
    ],
)
def test_what_is_wrong_is_said(text, header, words):
    with pytest.raises(DataError, match=words):
        read_delimited(text, CSV, header)


def test_ragged_rows_are_said_with_lines_and_count():
    text = "a,b\n1,2\n1\n" + "1,2,3\n" * 7
    with pytest.raises(DataError) as caught:
        read_delimited(text, CSV)
    (problem,) = caught.value.problems
    assert problem.must == "every row must have as many cells as the first, 2"
    assert problem.came.startswith("line 3 has 1; line 4 has 3; line 5 has 3;")
    assert problem.came.endswith("... (8 rows in all)")


def test_quotation_marks_in_tab_separated_text_stand_for_themselves():
    plain = 'label\ttext\n0\t"Hello" he said\n1\t"open\n0\tclose"\n'
    table = read_delimited(plain, TSV)
    assert table.columns["text"] == ['"Hello" he said', '"open', 'close"']
    assert table.entries[0].what.startswith("Quotation marks do not pair up in the tab-separated file")


def test_quotation_marks_that_swallow_whole_rows_of_tab_separated_text():
    table = read_delimited('label\ttext\n0\t"open\n1\tx\n0\tclose"\n', TSV)
    assert table.columns["text"] == ['"open', "x", 'close"']


def test_quoted_tab_separated_cells():
    table = read_delimited('label\ttext\n0\t"say ""hi""\nand go"\n1\t"b"\n', TSV)
    assert table.columns["text"] == ['say "hi"\nand go', "b"]
    assert not table.entries


def test_ten_megabytes_in_one_cell_are_read_and_stated():
    limit = csv.field_size_limit()
    table = read_delimited("text,label\n" + "a b" * 3_500_000 + ",x\nc,y\n", CSV)
    assert len(table.columns["text"][0]) == 10_500_000
    (entry,) = table.entries
    assert entry.what == "Unusually long cells in column 'text': the longest has 10,500,000 characters"
    assert entry.n_rows == 1
    assert csv.field_size_limit() == limit
