"""Columns of documents and of passages, however they are written."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from strop.data.read import new_rows_of, read_dataset, read_new_rows
from strop.data.write import write_table
from strop.errors import DataError
from strop.recipe.data import Data
from strop.records.evidence import Passage


def data_of(path, **more):
    roles = {"text": "text", "target": "label", "documents": "papers", "snippets": "passages"}
    return Data(path=str(path), **{**roles, **more})


@pytest.fixture
def read(tmp_path):
    """Read rows of papers and passages from JSON lines."""

    def rows_read(*values, **more):
        path = tmp_path / "rows.jsonl"
        rows = [
            {"text": f"t{number}", "label": "xy"[number % 2], "papers": papers, "passages": passages}
            for number, (papers, passages) in enumerate([*values, (None, None)])
        ]
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        return read_dataset(data_of(path), **more)

    return rows_read


@pytest.mark.parametrize(
    ("value", "documents"),
    [
        (["123", "https://a.org/b"], ("123", "https://a.org/b")),
        ([123, " 45 ", None, "", 123], ("123", "45")),
        ("123 45\n67", ("123", "45", "67")),
        ("https://a.org/x?y=1|45 | 123", ("https://a.org/x?y=1", "45", "123")),
        ("PMID: 12 pubmed:34| PMID:56 ", ("PMID: 12", "pubmed:34", "PMID:56")),
        (123, ("123",)),
        (123.0, ("123",)),
        ([], ()),
        ("", ()),
        (None, ()),
    ],
)
def test_documents(read, value, documents):
    assert read((value, None)).dataset.documents.tolist() == [documents, ()]


@pytest.mark.parametrize(
    ("value", "snippets"),
    [
        ("One | passage", (Passage("One | passage"),)),
        (["One", "two"], (Passage("One"), Passage("two"))),
        (
            [{"text": "a", "document": 12, "start": 3, "end": 4.0, "title": "T", "other": 1}],
            (Passage("a", "12", 3, 4, "T"),),
        ),
        ([{"text": "a", "document": None, "start": None}], (Passage("a"),)),
        ({"text": "alone"}, (Passage("alone"),)),
        ([], ()),
        ("", ()),
    ],
)
def test_snippets(read, value, snippets):
    assert read((None, value)).dataset.snippets.tolist() == [snippets, ()]


def test_shapes_that_are_none_are_listed_with_row_and_value(read):
    with pytest.raises(DataError) as caught:
        read(
            ({"a": 1}, 7),
            ([["1"]], [{"body": "x"}]),
            (True, [{"text": "x", "start": 5, "end": 2}]),
            ("1", [{"text": "x", "start": "5", "end": 6}]),
            ("1", ["x", 3]),
            ("1", [{"text": "x", "start": 5}]),
            ("1", [{"text": None}]),
        )
    documents, snippets = caught.value.problems
    assert documents.where.endswith("column 'papers'")
    assert documents.must.startswith("documents must be a list of addresses or ids, or one text")
    assert documents.came == "{'a': 1} in line 1; ['1'] in line 2; True in line 3"
    assert snippets.must.startswith("snippets must be a list of texts, or of objects with a text")
    assert snippets.came == (
        "7 in line 1; {'body': 'x'} in line 2; {'end': 2, 'start': 5, 'text': 'x'} in line 3; "
        "{'end': 6, 'start': '5', 'text': 'x'} in line 4; 3 in line 5; ... (7 in all)"
    )


def test_snippets_are_cleaned_as_texts_are(read):
    found = read((None, [" a\x07b\r\nc ", " "]), (None, "d"))
    assert found.dataset.snippets.tolist() == [(Passage("ab\nc"),), (Passage("d"),), ()]
    assert [(entry.kind, entry.what, entry.ids) for entry in found.entries] == [
        ("cleaned", "Control characters were removed from snippets in 'passages'", ("row-1",)),
        ("cleaned", "Snippets without text were left out of 'passages'", ("row-1",)),
    ]
    raw = read((None, [" a\x07b "]), normalize=False)
    assert raw.dataset.snippets[0] == (Passage(" a\x07b "),)


def test_csv_holds_lists_as_json_or_as_text(tmp_path):
    path = tmp_path / "rows.csv"
    columns = {
        "text": ["a", "b", "c"],
        "label": ["x", "y", "x"],
        "papers": [["1", "2"], [], "3|4"],
        "passages": [[{"text": "p", "document": "1"}, {"text": "q"}], "[1] A footnote", "[sic]"],
    }
    write_table(path, columns)
    dataset = read_dataset(data_of(path)).dataset
    assert dataset.documents.tolist() == [("1", "2"), (), ("3", "4")]
    assert dataset.snippets.tolist() == [
        (Passage("p", "1"), Passage("q")),
        (Passage("[1] A footnote"),),
        (Passage("[sic]"),),
    ]


def test_parquet_holds_lists_of_objects(tmp_path):
    path = tmp_path / "rows.parquet"
    passages = [[{"text": "p", "document": "1", "start": 0, "end": 1}], []]
    pq.write_table(
        pa.table({"text": ["a", "b"], "label": ["x", "y"], "papers": [["1"], []], "passages": passages}), path
    )
    dataset = read_dataset(data_of(path)).dataset
    assert dataset.snippets.tolist() == [(Passage("p", "1", 0, 1),), ()]


def test_training_rows_need_the_columns_and_new_rows_do_not(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n', encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_dataset(data_of(path))
    assert [(problem.where.rpartition(": ")[2], problem.came) for problem in caught.value.problems] == [
        ("data.documents", "no column 'papers'"),
        ("data.snippets", "no column 'passages'"),
    ]
    new = read_new_rows(path, data_of("unused"))
    assert new.dataset.documents.tolist() == new.dataset.snippets.tolist() == [(), ()]
    assert [(entry.what, entry.n_rows) for entry in new.entries] == [
        ("There is no column 'papers' (data.documents): the rows are read without documents", 2),
        ("There is no column 'passages' (data.snippets): the rows are read without snippets", 2),
    ]
    assert read_new_rows(path, data_of("unused", documents=None, snippets=None)).dataset.snippets is None


def test_rows_from_python():
    rows = [{"text": "a", "papers": ["1"], "passages": ["p"]}, {"text": "b"}]
    dataset = new_rows_of(rows, data_of("unused"))
    assert dataset.documents.tolist() == [("1",), ()]
    assert dataset.snippets.tolist() == [(Passage("p"),), ()]
    assert new_rows_of([{"text": "a"}], data_of("unused")).documents.tolist() == [()]
    with pytest.raises(DataError, match="snippets must be a list of texts"):
        new_rows_of([{"text": "a", "passages": 3}], data_of("unused"))
