"""Tables written out again."""

import json

import numpy as np
import pytest

from strop.data.formats import read_table
from strop.data.write import write_table
from strop.errors import DataError

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
