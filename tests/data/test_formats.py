"""Files and folders of every format."""

import json
import re

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.data.formats import read_table
from strop.errors import DataError

ROWS = [{"text": "가", "label": "x"}, {"text": "b", "label": None}]
COLUMNS = {"text": ["가", "b"], "label": ["x", None]}


def test_json_as_objects_and_as_lists(tmp_path):
    path = tmp_path / "rows.json"
    for content in (ROWS, COLUMNS):
        path.write_text(json.dumps(content), encoding="utf-8")
        assert read_table(path).columns == COLUMNS


def test_jsonl_with_absent_keys_and_odd_line_separators(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a\u2028b"}\n\n{"text": "c", "label": 1}\n', encoding="utf-8")
    table = read_table(path)
    assert table.columns == {"text": ["a\u2028b", "c"], "label": [None, 1]}
    assert table.places([1]) == "line 3"


def test_parquet(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": ["a", "b"], "label": pa.array(["x", "y"]).dictionary_encode()}), path)
    assert read_table(path).columns == {"text": ["a", "b"], "label": ["x", "y"]}


def test_detected_encodings_are_stated(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes("text,label\n안녕하세요,인사\n".encode("cp949"))
    table = read_table(path)
    assert table.columns["text"] == ["안녕하세요"]
    assert table.entries[0].what.startswith("The file was read as CP949, which was detected")
    assert read_table(path, None, "cp949").entries == ()


def test_a_folder_saved_by_datasets_with_class_names(tmp_path):
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    one = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features=features)
    one.save_to_disk(str(tmp_path / "one"))
    table = read_table(tmp_path / "one")
    assert table.columns == {"text": ["a", "b", "c"], "label": ["yes", "no", None]}
    assert table.parts is None


def test_a_folder_with_several_splits_gives_the_parts(tmp_path):
    several = datasets.DatasetDict(
        {name: datasets.Dataset.from_dict({"text": [name]}) for name in ("train", "dev", "test")}
    )
    several.save_to_disk(str(tmp_path / "several"))
    table = read_table(tmp_path / "several")
    assert table.columns == {"text": ["train", "dev", "test"]}
    assert table.parts == ["train", "dev", "test"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", r"must hold rows\n  came: an empty file"),
        ("a.json", b"  \n", r"must hold rows\n  came: an empty file"),
        ("a.json", b"[]", r"must hold rows\n  came: no objects"),
        ("a.jsonl", b"{}\n{}", r"must hold rows\n  came: objects without entries"),
        ("a.json", b'{"text": []}', r"must hold rows\n  came: columns without rows"),
        (
            "a.json",
            b'[{"text": "a"},\n {"text": }]',
            r"line 2, column 11: the file must be JSON\n  came: Expecting value",
        ),
        ("a.json", b'["a"]', r"must be a list of objects.*\n  came: a list with other things than objects"),
        ("a.json", b'"a"', r"must be a list of objects.*\n  came: str"),
        (
            "a.json",
            b'{"a": [1], "b": [1, 2]}',
            r"all columns must have the same number of rows\n  came: 'a': 1, 'b': 2",
        ),
        (
            "a.jsonl",
            b'{"a": 1}\n{"a"}\n[1]\n',
            r"every line must be a JSON object\n  came: lines 2 and 3; the first: Exp",
        ),
        ("a.json", b"[" * 100_000, r"must be JSON\n  came: maximum recursion depth exceeded"),
        (
            "a.jsonl",
            b'{"a": ' + b"9" * 5000 + b"}",
            r"must be a JSON object\n  came: line 1; the first: Exceeds the limit",
        ),
        ("a.parquet", b"PAR1 no", r"must be readable as Parquet"),
        (
            "a.xlsx",
            b"PK",
            r"one of the formats \.csv, .*\n  came: the suffix '\.xlsx'\n  do:   export the sheet as CSV",
        ),
        ("a.csv.gz", b"\x1f", r"came: the suffix '\.gz'\n  do:   unpack it first"),
        ("a.csv", b"text,label\n\0\0\0\x01\x02", r"came: bytes that are no text \(binary\)"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_table(path)
    assert str(path) in str(caught.value)


def test_an_empty_parquet_file(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    with pytest.raises(DataError, match="a Parquet file without rows"):
        read_table(path)


def test_a_missing_file_names_the_one_beside_it(tmp_path):
    (tmp_path / "questions.csv").touch()
    with pytest.raises(DataError, match=r"no such file\n  do:   did you mean 'questions\.csv'\?"):
        read_table(tmp_path / "question.csv")
    with pytest.raises(DataError, match="no such file, and no such folder either"):
        read_table(tmp_path / "nowhere" / "question.csv")


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(DataError, match=r"saved by `datasets` \(save_to_disk\)"):
        read_table(tmp_path)
    (tmp_path / "dataset_info.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=re.escape("must be readable by `datasets`")):
        read_table(tmp_path)


def test_halves_of_surrogate_pairs_become_replacement_characters(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a\\ud800b", "more": ["\\udc00", 1]}\n{"text": "\\ud83d\\ude00"}\n', encoding="utf-8")
    assert read_table(path).columns == {"text": ["a\ufffdb", "\U0001f600"], "more": [["\ufffd", 1], None]}


def test_a_file_that_cannot_be_read(tmp_path):
    path = tmp_path / "rows.csv"
    path.symlink_to("/proc/self/mem")  # exists, and every read of its first bytes fails
    if not path.exists():
        pytest.skip("needs Linux's /proc")
    with pytest.raises(DataError, match="the file must be readable\n  came: Input/output error"):
        read_table(path)


def test_text_that_is_not_utf8_in_a_parquet_file(tmp_path):
    path = tmp_path / "rows.parquet"
    broken = pa.array([b"\xb0\xa1"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": broken}), path)
    with pytest.raises(DataError, match="must be readable as Parquet"):
        read_table(path)


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([".csv", ".tsv", ".json", ".jsonl", ".parquet"]),
    st.binary(max_size=60) | st.text('ab,"\t\n\r;가{}[]:1', max_size=40).map(str.encode),
)
def test_any_bytes_are_read_or_refused_in_words(tmp_path_factory, suffix, content):
    path = tmp_path_factory.mktemp("any") / f"rows{suffix}"
    path.write_bytes(content)
    try:
        table = read_table(path)
    except DataError:
        return
    assert {len(column) for column in table.columns.values()} == {table.n_rows}
