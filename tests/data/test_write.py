"""Tables written out again."""

import json

import numpy as np
import pytest

from strop.data.formats import read_table
from strop.data.write import table_must_be_writable, write_table
from strop.errors import DataError, MachineError

COLUMNS = {"text": ['a "b"\nc, d', "가\t나"], "label": ["x", None], "score": [0.5, float("nan")]}


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt"])
def test_delimited_files_come_back(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    write_table(path, COLUMNS)
    assert read_table(path).columns == {"text": COLUMNS["text"], "label": ["x", ""], "score": ["0.5", ""]}


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
def test_typed_files_come_back(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    write_table(path, {**COLUMNS, "score": np.array([0.5, np.nan])})
    assert read_table(path).columns == {"text": COLUMNS["text"], "label": ["x", None], "score": [0.5, None]}


def test_nested_and_mixed_values(tmp_path):
    columns = {"a": [["x"], None], "b": [1, "y"]}
    write_table(tmp_path / "out.csv", columns)
    assert read_table(tmp_path / "out.csv").columns == {"a": ['["x"]', ""], "b": ["1", "y"]}
    write_table(tmp_path / "out.parquet", columns)
    assert read_table(tmp_path / "out.parquet").columns == {"a": [["x"], None], "b": ["1", "y"]}
    write_table(tmp_path / "out.json", columns)
    assert json.loads((tmp_path / "out.json").read_text()) == [{"a": ["x"], "b": 1}, {"a": None, "b": "y"}]


def test_other_suffixes_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"must be in one of the formats .*\n  came: the suffix '\.xlsx'"):
        write_table(tmp_path / "out.xlsx", COLUMNS)
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_can_be_written_is_not_made_yet(tmp_path):
    table_must_be_writable(tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no/such/out.csv", r"the folder '.*/no/such' must exist\n  came: no such folder\n  do:   check the path"),
        ("file/out.csv", r"the folder '.*/file' must exist\n  came: it is no folder"),
        ("folder/", r"the table must be written to a file\n  came: a folder stands there\n  do:   name a file inside"),
        ("folder.csv", r"the table must be written to a file\n  came: a folder stands there"),
    ],
)
def test_a_place_for_no_table_is_said_and_no_folder_is_made(tmp_path, name, words):
    (tmp_path / "file").write_text("x")
    for folder in ("folder", "folder.csv"):
        (tmp_path / folder).mkdir()
    with pytest.raises(MachineError, match=words):
        table_must_be_writable(tmp_path / name)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "folder", "folder.csv"]


def test_a_wrong_suffix_and_a_missing_folder_are_said_together(tmp_path):
    with pytest.raises(DataError) as caught:
        table_must_be_writable(tmp_path / "no" / "out.xlsx")
    assert [problem.came for problem in caught.value.problems] == ["the suffix '.xlsx'", "no such folder"]


def test_a_folder_that_may_not_be_written_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)  # nobody may forbid root anything
    with pytest.raises(MachineError, match=r"must be writable\n  came: it may not be written\n  do:   choose another"):
        table_must_be_writable(tmp_path / "out.csv")
