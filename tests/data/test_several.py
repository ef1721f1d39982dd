"""Several files as one table."""

import json

import pytest

from strop.data.read import read_dataset, read_new_rows
from strop.data.several import files_of, read_tables
from strop.errors import DataError
from strop.recipe.data import Data


@pytest.fixture
def write(tmp_path):
    def written(name, content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def data_of(path, **more):
    return Data(path=str(path), text="text", target="label", **more)


def test_a_folder_and_a_pattern_are_read_in_the_order_of_names(write, tmp_path):
    write("d/b.csv", "text,label\nthree,x\n")
    write("d/a.csv", "text,label\none,x\ntwo,y\n")
    write("d/.hidden.csv", "nonsense")
    write("d/README.md", "words")
    folder, pattern = read_tables(tmp_path / "d"), read_tables(tmp_path / "d" / "[ab].csv")
    assert (
        folder.columns
        == pattern.columns
        == {
            "file": ["a.csv", "a.csv", "b.csv"],
            "text": ["one", "two", "three"],
            "label": ["x", "y", "x"],
        }
    )
    assert folder.places([0, 1, 2]) == "lines 2 and 3 of a.csv; line 2 of b.csv"
    assert folder.holds_strings_only
    dataset = read_dataset(data_of(tmp_path / "d")).dataset
    assert dataset.ids.tolist() == ["a.csv-row-1", "a.csv-row-2", "b.csv-row-1"]


def test_one_match_is_read_in_the_same_way(write, tmp_path):
    write("a.jsonl", '{"text": "one"}\n')
    assert read_tables(tmp_path / "*.jsonl").columns == {"file": ["a.jsonl"], "text": ["one"]}
    assert "file" not in read_tables(tmp_path / "a.jsonl").columns


def test_a_file_with_just_that_name_is_no_pattern(write, tmp_path):
    path = write("a[1].csv", "text\none\n")
    write("a1.csv", "text\ntwo\n")
    assert files_of(path) is None
    assert read_tables(path).columns == {"text": ["one"]}


def test_files_in_several_folders_keep_their_folders_names(write, tmp_path):
    for number in (7, 8):
        write(f"e{number}/golden.jsonl", json.dumps({"text": str(number), "more": number}))
    table = read_tables(tmp_path / "**" / "golden.jsonl")
    assert table.columns["file"] == ["e7/golden.jsonl", "e8/golden.jsonl"]


def test_objects_may_lack_keys_and_files_with_headers_may_not(write, tmp_path):
    write("a.jsonl", '{"text": "one", "label": "x"}\n')
    write("b.jsonl", '{"text": "two"}\n')
    assert read_tables(tmp_path / "*.jsonl").columns["label"] == ["x", None]
    write("a.csv", "text,label\none,x\n")
    write("b.csv", "text,lable\none,x\n")
    with pytest.raises(DataError) as caught:
        read_tables(tmp_path / "*.csv")
    (problem,) = caught.value.problems
    assert problem.must == "files that are read together must have the same columns"
    assert problem.came == "'label' in 'a.csv'; 'lable' in 'b.csv'"


def test_files_of_different_formats(write, tmp_path):
    write("a.csv", "text\none\n")
    write("b.json", '[{"text": "two"}]')
    write("c.json", '{"questions": [{"id": "1", "body": "x", "type": "list"}]}')
    with pytest.raises(DataError) as caught:
        read_tables(tmp_path)
    (problem,) = caught.value.problems
    assert problem.must == "files that are read together must be of one format"
    assert problem.came == ".csv ('a.csv'); .json ('b.json'); .json of BioASQ ('c.json')"


def test_what_is_wrong_with_every_file_is_said_at_once(write, tmp_path):
    write("a.json", "[")
    write("b.json", '[{"text": "one"}]')
    write("c.json", "")
    with pytest.raises(DataError) as caught:
        read_tables(tmp_path / "*.json")
    assert [problem.where.rpartition("/")[2] for problem in caught.value.problems] == [
        "a.json, line 1, column 2",
        "c.json",
    ]


def test_a_pattern_without_files_and_a_folder_without_tables(write, tmp_path):
    with pytest.raises(DataError, match=r"the pattern must match files\n  came: no file that it matches"):
        read_tables(tmp_path / "*.csv")
    write("README.md", "words")
    with pytest.raises(DataError, match="a folder must hold tables, or have been saved by `datasets`"):
        read_tables(tmp_path)


def test_an_id_that_comes_in_two_files(write, tmp_path):
    write("a.csv", "id,text,label\n1,one,x\n2,two,y\n")
    write("b.csv", "id,text,label\n1,three,x\n")
    with pytest.raises(DataError, match=r"'1' more than once, in line 2 of a\.csv; line 2 of b\.csv"):
        read_dataset(data_of(tmp_path / "*.csv", id="id"))
    read = read_dataset(data_of(tmp_path / "*.csv", id="id", duplicate_id="rename"))
    assert read.dataset.ids.tolist() == ["1", "2", "1#2"]


def test_encodings_are_noted_file_by_file_and_own_columns_stay(write, tmp_path):
    write("a.csv", "file,text\nmine,안녕하세요 여러분\n".encode("cp949"))
    write("b.csv", "file,text\nyours,b\n")
    table = read_tables(tmp_path / "*.csv")
    assert table.columns["file"] == ["mine", "yours"]
    said = [entry.what for entry in table.entries]
    assert said[0].startswith("a.csv: The file was read as CP949")
    assert said[1].startswith("The files have a column 'file' of their own")


def test_many_files_are_shown_by_the_first_few(write, tmp_path):
    for number in range(7):
        write(f"{number}.csv", "text\nx\n")
    places = read_tables(tmp_path).places(range(7))
    assert places.startswith("line 2 of 0.csv; line 2 of 1.csv")
    assert places.endswith("line 2 of 4.csv; ... (7 files in all)")


def test_new_rows_may_come_in_several_files(write, tmp_path):
    write("a.csv", "text\none\n")
    write("b.csv", "text\ntwo\n")
    new = read_new_rows(tmp_path / "*.csv", data_of("unused"))
    assert new.dataset.texts["text"].tolist() == ["one", "two"]
    assert new.columns["file"] == ["a.csv", "b.csv"]
