"""Rows that are kept, and parts that are given, by patterns on a column."""

from collections import Counter
from pathlib import Path

import pytest

from strop.data.patterns import kept_rows, parts_by
from strop.data.read import read_dataset
from strop.data.split import make_split
from strop.data.tables import Table
from strop.errors import DataError, RecipeError
from strop.recipe.data import Data, PartBy
from strop.recipe.load import resolve
from strop.recipe.sections import SplitPlan

PATH = Path("rows.json")
COLUMNS = {"kind": ["a", "b", "a", "c"], "year": [2019, 2020, 2021, None], "text": list("wxyz")}


def kept(**where):
    return kept_rows(Table(PATH, COLUMNS), Data(path="x", text="text", where=where))


def test_rows_that_match_in_every_column_are_kept():
    table, (entry,), problems = kept(kind=["a", "b"], year=["20[12]?", "2019"])
    assert table.columns["text"] == ["w", "x", "y"]
    assert problems == []
    what = "1 of 4 rows were left out: data.where keeps those whose 'kind' is a or b and 'year' is 20[12]? or 2019"
    assert (entry.kind, entry.what, entry.n_rows, entry.ids) == ("dropped", what, 1, ("row-4",))
    table, (entry,), _ = kept(kind=["c"])
    assert table.places([0]) == "row 4"
    assert table.taken([0]).number(0) == 4


def test_all_rows_kept_leave_no_entry():
    table = Table(PATH, COLUMNS)
    assert kept_rows(table, Data(path="x", text="text")) == (table, [], [])
    assert kept(kind="*")[1:] == ([], [])


def test_patterns_without_rows_are_problems():
    _, _, problems = kept(kind=["a", "d*"], year=["1999"])
    assert [(problem.where, problem.came, problem.do) for problem in problems] == [
        ("rows.json: data.where.kind", "'d*' matches none", "change the pattern; the column holds 'a', 'b', 'c'"),
        (
            "rows.json: data.where.year",
            "'1999' matches none",
            "change the pattern; the column holds '', '2019', '2020', '2021'",
        ),
    ]
    _, _, (problem,) = kept(kind=["c"], year=["2019"])
    assert (problem.must, problem.came) == (
        "some row must match",
        "rows for every pattern, and none that matches in all columns",
    )


def test_a_value_with_brackets_stands_for_itself():
    table = Table(PATH, {"kind": ["a [x]", "ax"]})
    assert kept_rows(table, Data(path="x", text="kind", where={"kind": "a [x]"}))[0].columns == {"kind": ["a [x]"]}


def test_parts_by_patterns():
    table = Table(PATH, {"file": ["7B1", "8B1", "10B1", "11B1"]})
    by = PartBy(column="file", train=["[78]*"], validation="10*", test="11*")
    parts, problems = parts_by(table, by)
    assert problems == []
    assert parts.tolist() == ["train", "train", "validation", "test"]


def test_values_of_no_part_and_of_several_are_problems():
    table = Table(PATH, {"file": ["7B1", "8B1", "10B1", "11B1"]})
    parts, problems = parts_by(table, PartBy(column="file", train=["7*", "1*"], test=["11*", "12*"]))
    assert parts is None
    assert [(problem.must, problem.came) for problem in problems] == [
        ("every pattern must match some row", "'12*' matches none"),
        ("every row must match the patterns of a part", "'8B1' in row 2"),
        ("no row may match the patterns of several parts", "'11B1' in row 4"),
    ]


def test_the_file_is_read_through_both(tmp_path):
    path = tmp_path / "rows.csv"
    lines = [f"{year},t{number} word{number},{'xy'[number % 2]}" for number, year in enumerate([7, 8, 9] * 6)]
    path.write_text("\n".join(["year,text,label", *lines, "5,,"]), encoding="utf-8")
    data = Data(
        path=str(path),
        text="text",
        target="label",
        where={"year": ["7", "8", "9"]},
        part_by={"column": "year", "train": ["7", "8"], "test": "9"},
        blank_text="refuse",
    )
    read = read_dataset(data)
    assert Counter(read.dataset.parts) == {"train": 12, "test": 6}
    assert [entry.kind for entry in read.entries] == ["dropped"]
    folds = make_split(read.dataset, SplitPlan(folds=2), 0).split
    assert set(folds.test) == set(read.dataset.ids[read.dataset.parts == "test"])


def test_columns_that_are_missing_or_hold_lists(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text('[{"text": "a", "label": "x", "tags": ["u"]}]', encoding="utf-8")
    roles = {"path": str(path), "text": "text", "target": "label"}
    with pytest.raises(DataError) as caught:
        read_dataset(Data(**roles, where={"kind": "a"}, part_by={"column": "file", "train": "*"}))
    assert [(problem.where.rpartition(": ")[2], problem.came) for problem in caught.value.problems] == [
        ("data.where.kind", "no column 'kind'"),
        ("data.part_by.column", "no column 'file'"),
    ]
    with pytest.raises(DataError, match=r"every value must be a text or a number\n  came: list in row 1"):
        read_dataset(Data(**roles, where={"tags": "u"}))
    with pytest.raises(DataError, match=r"every value must be a text or a number\n  came: list in row 1"):
        read_dataset(Data(**roles, part_by={"column": "tags", "train": "u"}))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"part": "p", "part_by": {"column": "file", "train": "*"}}, "part and part_by exclude each other"),
        ({"part_by": {"column": "file", "test": "*"}}, r"data\.part_by\.train: this entry must be given"),
        ({"part_by": {"column": "file", "train": []}}, r"data\.part_by\.train"),
        ({"part_by": {"column": "file", "train": "*", "dev": "x"}}, "the key must exist"),
        ({"where": {}}, r"data\.where"),
        ({"where": {"kind": []}}, r"data\.where\.kind"),
        ({"where": {"kind": [True]}}, r"data\.where\.kind"),
    ],
)
def test_recipes_that_are_refused(entries, words):
    content = {"name": "x", "model": {"name": "m"}, "data": {"path": "p", "text": "t", "target": "l", **entries}}
    with pytest.raises(RecipeError, match=words):
        resolve(content)
