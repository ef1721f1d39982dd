"""Metadata columns, read and encoded."""

import json
from pathlib import Path

import numpy as np
import pytest

from strop.data.cleaning import Findings
from strop.data.metadata import MetadataEncoder, absent_metadata, read_metadata, strange_numbers, unseen_categories
from strop.data.roles import row_names
from strop.data.tables import Table
from strop.errors import DataError
from strop.recipe.data import Data
from strop.records.dataset import Dataset, strings

NAN = float("nan")
DATA = Data(path="rows.csv", text="text", targets="y", categorical=["host", "kind"], numeric=["age"])


def rows_of(categories=None, numbers=None):
    columns = {name: strings(values) for name, values in (categories or {}).items()}
    measured = {name: np.array(values, dtype=np.float64) for name, values in (numbers or {}).items()}
    n_rows = len(next(iter((columns | measured).values()), []))
    ids = strings([f"r{at}" for at in range(n_rows)])
    return Dataset(ids=ids, texts={"text": ids}, categories=columns, numbers=measured)


def fitted(dataset, max_categories=2, rows=None):
    at = np.arange(dataset.n_rows) if rows is None else np.array(rows)
    return MetadataEncoder.fit(dataset, at, max_categories)


def test_columns_are_cleaned_value_by_value():
    columns = {
        "host": ["a", " a\u00a0", "e\u0301", None],
        "kind": ["1.0", "nan", "1.50", "<NA>"],
        "age": ["1", "", "2.5", None],
    }
    table = Table(Path("rows.csv"), columns)
    findings = Findings(table, row_names(table, None))
    categories, numbers = read_metadata(findings, DATA, {})
    assert {name: column.tolist() for name, column in categories.items()} == {
        "host": ["a", "a", "\u00e9", ""],
        "kind": ["1", "", "1.50", ""],
    }
    np.testing.assert_array_equal(numbers["age"], [1.0, NAN, 2.5, NAN])
    assert findings.problems == []


def test_whole_numbers_are_the_same_category_in_every_file():
    read = []
    for values in ([1, 2.5], [1.0, None], ["1", "x"], ["1.0", "x"]):
        table = Table(Path("rows.jsonl"), {"kind": values})
        data = Data(path="rows.jsonl", text="text", categorical="kind")
        read.append(read_metadata(Findings(table, row_names(table, None)), data, {})[0]["kind"][0])
    assert read == ["1", "1", "1", "1"]


def test_the_length_of_a_text_is_the_logarithm_of_its_characters():
    table = Table(Path("rows.csv"), {"title": ["", "abc", None], "text": ["a b", "\uac00\ub098", "x" * 99]})
    data = Data(path="rows.csv", text=["title", "text"], text_lengths=True)
    texts = {"title": strings(["", "abc", ""]), "text": strings(["a b", "\uac00\ub098", "x" * 99])}
    categories, numbers = read_metadata(Findings(table, row_names(table, None)), data, texts)
    assert categories == {}
    assert list(numbers) == ["length of title", "length of text"]
    np.testing.assert_allclose(numbers["length of title"], [NAN, np.log(3), NAN])
    np.testing.assert_allclose(numbers["length of text"], [np.log(3), np.log(2), np.log(99)])


def test_everything_that_cannot_be_read_is_told_at_once():
    table = Table(Path("rows.csv"), {"host": [["a"]], "kind": ["x"], "age": ["old"]})
    findings = Findings(table, row_names(table, None))
    read_metadata(findings, DATA, {})
    assert [(problem.where, problem.came) for problem in findings.problems] == [
        ("rows.csv: column 'host'", "list in row 1"),
        ("rows.csv: column 'age'", "'old' in row 1"),
    ]


def test_every_column_that_new_rows_lack_is_named():
    problems = absent_metadata(Table(Path("new.csv"), {"text": ["x"], "kind": ["y"]}), DATA)
    assert [problem.where for problem in problems] == ["new.csv: column 'host'", "new.csv: column 'age'"]
    assert problems[0].must == "new rows must have every metadata column that the model was trained with"
    assert problems[0].came == "no such column"
    assert problems[0].do == "add 'host'; its cells may be empty where the value is not known"


def test_frequent_values_stand_for_themselves_and_the_rest_are_others():
    dataset = rows_of({"host": ["b", "a", "c", "c", "d", "", "a", "b", "zz"]})
    encoder = fitted(dataset, rows=range(8))
    # Two each of a, b and c: ties go by name, so c is among the others, with d.
    assert encoder.names == ("host=a", "host=b", "host: another value", "host: missing")
    encoded = encoder.encode(dataset)
    assert encoded.dtype == np.float32
    # b a c c d nothing a b, and zz, which no training row has.
    assert encoded.argmax(axis=1).tolist() == [1, 0, 2, 2, 2, 3, 0, 1, 2]
    assert encoded.sum(axis=1).tolist() == [1.0] * 9


def test_a_missing_value_is_another_value_where_no_training_row_lacked_one():
    encoder = fitted(rows_of({"host": ["a", "a", "b"]}), max_categories=1)
    assert encoder.names == ("host=a", "host: another value")
    assert encoder.encode(rows_of({"host": ["", "new", "a"]})).tolist() == [[0, 1], [0, 1], [1, 0]]


def test_without_others_in_training_an_unseen_value_is_all_zeros():
    encoder = fitted(rows_of({"host": ["a", "b", "b"]}))
    assert encoder.names == ("host=b", "host=a")
    assert encoder.encode(rows_of({"host": ["new", "", "a"]})).tolist() == [[0, 0], [0, 0], [0, 1]]


def test_numbers_are_standardised_by_training_rows():
    dataset = rows_of(numbers={"age": [1, 3, NAN, 8]})
    encoder = fitted(dataset, rows=[0, 1, 2])
    # Mean 2, deviation 1 over the two that are there.
    assert encoder.names == ("age", "age: missing")
    assert encoder.encode(dataset).tolist() == [[-1, 0], [1, 0], [0, 1], [6, 0]]


def test_a_missing_number_is_the_mean_where_no_training_row_lacked_one():
    encoder = fitted(rows_of(numbers={"age": [1, 3]}))
    assert encoder.names == ("age",)
    assert encoder.encode(rows_of(numbers={"age": [NAN, 3]})).tolist() == [[0], [1]]


@pytest.mark.parametrize("value", [0.1, NAN])
def test_a_number_that_is_constant_in_training_is_all_zeros(value):
    encoder = fitted(rows_of(numbers={"age": [value] * 7}))
    encoded = encoder.encode(rows_of(numbers={"age": [5, NAN, value]}))
    assert encoded[:, 0].tolist() == [0, 0, 0]
    assert len(encoder.names) == (2 if np.isnan(value) else 1)


def test_columns_stand_in_one_matrix_and_survive_json():
    dataset = rows_of({"host": ["a", "b", ""], "kind": ["x", "y", "z"]}, {"age": [1, 3, NAN], "size": [4, 4, 4]})
    encoder = fitted(dataset)
    assert encoder.names == (
        "host=a",
        "host=b",
        "host: missing",
        "kind=x",
        "kind=y",
        "kind: another value",
        "age",
        "age: missing",
        "size",
    )
    assert encoder.encode(dataset).tolist() == [
        [1, 0, 0, 1, 0, 0, -1, 0, 0],
        [0, 1, 0, 0, 1, 0, 1, 0, 0],
        [0, 0, 1, 0, 0, 1, 0, 1, 0],
    ]
    assert MetadataEncoder.from_json(json.loads(json.dumps(encoder.to_json()))) == encoder
    assert encoder.encode(dataset.take([])).shape == (0, 9)


def test_without_metadata_there_are_no_columns():
    dataset = Dataset(ids=strings(["a"]), texts={"text": strings(["x"])})
    encoder = fitted(dataset)
    assert encoder.names == ()
    assert encoder.encode(dataset).shape == (1, 0)
    assert unseen_categories(encoder, dataset) is None


def test_rows_that_lack_columns_are_refused():
    encoder = fitted(rows_of({"host": ["a"], "kind": ["x"]}, {"age": [1]}))
    with pytest.raises(DataError) as caught:
        encoder.encode(rows_of({"kind": ["x"]}))
    assert [problem.where for problem in caught.value.problems] == [
        "metadata: column 'host'",
        "metadata: column 'age'",
    ]


def test_unseen_categories_are_counted_by_column():
    encoder = fitted(rows_of({"host": ["a", "a", "b", "c"], "kind": ["x", "x", "", "x"]}), max_categories=1)
    new = rows_of({"host": ["c", "new", "", "a"], "kind": ["x", "y", "", "x"]})
    entry = unseen_categories(encoder, new)
    assert entry is not None
    # "c" was another value in training, and 'kind' lacked a value there.
    assert (entry.kind, entry.n_rows, entry.ids) == ("note", 2, ("r1", "r2"))
    assert entry.what == (
        "2 of 4 rows have categories that no training row has; they are read as other values, where training "
        "rows had such: 'host' in 2 ('(missing)', 'new'); 'kind' in 1 ('y')"
    )
    assert entry.details == {"n_rows_unseen": {"host": 2, "kind": 1}}
    assert unseen_categories(encoder, new.take([0, 3])) is None


def test_numbers_unlike_those_of_training_rows_are_counted_by_column():
    # Means 2 and 5, deviations 1 and 0; 'age' lacks a value, 'votes' and 'flat' never do.
    trained = {"age": [1, 3, NAN], "votes": [1, 3, 2], "flat": [5, 5, 5]}
    encoder = fitted(rows_of(numbers=trained))
    new = rows_of(
        numbers={"age": [11.5, 12.5, NAN, -9.0], "votes": [2, NAN, 3, 1e30], "flat": [5, 7, NAN, 5]},
    )
    far, missing = strange_numbers(encoder, new)
    assert (far.kind, far.n_rows, far.ids, far.details) == (
        "note",
        2,
        ("r1", "r3"),
        {"n_rows": {"age": 2, "votes": 1}},
    )
    assert far.what == (
        "2 of 4 rows have numbers more than 10 standard deviations from the mean of training rows: 'age' in 2; "
        "'votes' in 1"
    )
    assert missing.what == (
        "2 of 4 rows lack a number that every training row has; it is read as the mean: 'votes' in 1; 'flat' in 1"
    )
    assert strange_numbers(encoder, new.take([0])) == []
