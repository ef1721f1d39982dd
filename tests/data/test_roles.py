"""Columns and their roles."""

from pathlib import Path

import pytest

from strop.data.roles import (
    column_of_strings,
    missing_columns,
    mixed_labels,
    needed_columns,
    nested_values,
    parts_of,
    plain_columns,
    row_names,
)
from strop.data.tables import Table
from strop.recipe.data import Data

PATH = Path("rows.csv")


def table(**columns):
    return Table(PATH, columns)


def test_needed_columns_name_the_recipe_path():
    data = Data(path="x", text=["title", "body"], target="label", id="key", group="title")
    assert needed_columns(data) == {
        "title": "data.text.0",
        "body": "data.text.1",
        "label": "data.target",
        "key": "data.id",
    }


def test_metadata_columns_are_needed():
    data = Data(path="x", text="body", targets="score_*", categorical=["host", "body"], numeric="n_views")
    assert needed_columns(data) == {"body": "data.text.0", "host": "data.categorical.0", "n_views": "data.numeric.0"}


def test_columns_of_evidence_and_of_parts_are_needed():
    data = Data(path="x", text="body", documents="d", snippets="s", part_by={"column": "file", "train": "a*"})
    assert needed_columns(data) == {
        "body": "data.text.0",
        "d": "data.documents",
        "s": "data.snippets",
        "file": "data.part_by.column",
    }
    assert plain_columns(data) == ["body", "file"]
    # A column that is also read as text must hold texts.
    assert plain_columns(Data(path="x", text=["body", "s"], snippets="s")) == ["body", "s"]


def test_missing_columns_are_said_all_at_once():
    needed = {"txt": "data.text.0", "label": "data.target", "text": "data.id"}
    problems = missing_columns(table(text=["a"], labels=["x"]), needed)
    assert [(problem.where, problem.came, problem.do) for problem in problems] == [
        ("rows.csv: data.text.0", "no column 'txt'", "did you mean 'text'?"),
        ("rows.csv: data.target", "no column 'label'", "did you mean 'labels'?"),
    ]


def test_nested_values_are_refused():
    (problem,) = nested_values(table(a=["x", ["y"]], b=["x", 1]), ["a", "b"])
    assert (problem.where, problem.came) == ("rows.csv: column 'a'", "list in row 2")


@pytest.mark.parametrize(
    ("labels", "came"),
    [
        ([1, "1", None], "number in row 1; text in row 2"),
        ([True, "x", "y"], "truth value in row 1; text in rows 2 and 3"),
        ([1, 1.0, None, float("nan"), ""], None),
        (["a", ""], None),
    ],
)
def test_labels_of_several_kinds_are_refused(labels, came):
    problems = mixed_labels(table(label=labels), "label")
    assert [problem.came for problem in problems] == ([] if came is None else [came])


def test_row_names():
    assert row_names(table(a=["x", "y"]), None).tolist() == ["row-1", "row-2"]
    assert row_names(table(a=[" x ", None]), "a").tolist() == ["x", "row-2"]
    assert row_names(table(a=[1.0, 2.0]), "a").tolist() == ["1", "2"]
    assert row_names(table(a=["x"]), "absent").tolist() == ["row-1"]


def test_column_of_strings():
    assert column_of_strings(table(a=["x", None, 3]), "a").tolist() == ["x", "", "3"]


def test_part_words():
    words = ["train", "Training", " valid ", "dev", "validation", "TEST"]
    parts, problems = parts_of(table(part=words), "part")
    assert parts is not None
    assert parts.tolist() == ["train", "train", "validation", "validation", "validation", "test"]
    assert problems == []
    assert parts_of(table(part=words), None) == (None, [])


def test_unknown_part_words_are_said():
    _, (problem,) = parts_of(table(part=["train", "held", None]), "part")
    assert problem.where == "rows.csv: column 'part'"
    assert problem.came == "'', 'held' in rows 2 and 3"
    _, (problem,) = parts_of(Table(PATH, {"text": ["a"]}, parts=["unsupervised"]), None)
    assert problem.where == "rows.csv: names of the splits"
