"""From a file to a data set, and an account of every row."""

import json
from collections import Counter

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.data.read import read_dataset, read_new_rows
from strop.errors import DataError
from strop.recipe.data import Data

FOUR = "id,text,label\na,one,x\nb,two,y\nc,three,x\nd,four,y\n"


@pytest.fixture
def write(tmp_path):
    def written(content, name="rows.csv"):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8", newline="")
        return path

    return written


def data_of(path, **more):
    return Data(**{"path": str(path), "text": "text", "target": "label", **more})


def said(entries):
    return [(entry.kind, entry.what, entry.ids) for entry in entries]


def test_columns_get_their_roles(write):
    path = write("id,title,text,label,who,part\n7,T,one,x,g,train\n8,,two,y,h,dev\n")
    data = data_of(path, text=["title", "text"], id="id", group="who", part="part")
    dataset = read_dataset(data).dataset
    assert dataset.ids.tolist() == ["7", "8"]
    assert {name: column.tolist() for name, column in dataset.texts.items()} == {
        "title": ["T", ""],
        "text": ["one", "two"],
    }
    assert dataset.target.tolist() == ["x", "y"]
    assert dataset.groups.tolist() == ["g", "h"]
    assert dataset.parts.tolist() == ["train", "validation"]


def test_clean_data_leave_no_entry(write):
    read = read_dataset(data_of(write(FOUR)))
    assert read.entries == ()
    assert read.dataset.ids.tolist() == ["row-1", "row-2", "row-3", "row-4"]
    assert read.dataset.groups is None
    assert read.dataset.parts is None


def test_blank_texts_and_missing_labels_are_dropped_and_named(write):
    read = read_dataset(data_of(write("text,label\none,x\n \u3000,y\nthree,\nfour,y\n,\n")))
    assert read.dataset.ids.tolist() == ["row-1", "row-4"]
    assert said(read.entries) == [
        ("dropped", "Rows without text were dropped", ("row-2", "row-5")),
        ("dropped", "Rows without a label were dropped", ("row-3",)),
    ]


def test_blank_texts_may_be_kept(write):
    read = read_dataset(data_of(write("text,label\none,x\n ,y\n"), blank_text="keep"))
    assert read.dataset.texts["text"].tolist() == ["one", ""]
    assert read.entries[0].kind == "kept"


def test_everything_refused_is_said_at_once(write):
    path = write("id,text,label,part\na,one,x,train\na, ,x,train\nc,three,,hold\nd,one,y,test\n")
    choices = {"blank_text": "refuse", "missing_label": "refuse", "conflicting_labels": "refuse"}
    with pytest.raises(DataError) as caught:
        read_dataset(data_of(path, id="id", part="part", **choices))
    assert [(problem.must, problem.came) for problem in caught.value.problems] == [
        ("every row must have an id of its own", "'a' more than once, in lines 2 and 3"),
        ("every row's part must be train, validation (dev) or test", "'hold' in line 4"),
        ("every row must have text", "nothing in line 3"),
        ("every row must have a label", "no label in line 4"),
        ("rows of the same text must have the same label", "1 texts with several labels, in lines 2 and 5"),
    ]


def test_missing_columns(write):
    with pytest.raises(DataError, match="no column 'body'") as caught:
        read_dataset(data_of(write(FOUR), text=["text", "body"], target="lable"))
    assert [problem.do for problem in caught.value.problems][1] == "did you mean 'label'?"


def test_duplicate_ids_may_be_renamed(write):
    path = write("id,text,label\na,one,x\na,two,y\na#2,three,x\na,four,y\n,five,x\n")
    read = read_dataset(data_of(path, id="id", duplicate_id="rename"))
    assert read.dataset.ids.tolist() == ["a", "a#3", "a#2", "a#4", "row-5"]
    assert said(read.entries) == [
        ("repaired", "Rows without an id were named by their position in the file", ("row-5",)),
        ("repaired", "Rows whose id came before were renamed (the second 'x' is 'x#2')", ("a#3", "a#4")),
    ]


def test_one_class_only(write):
    with pytest.raises(DataError, match=r"at least two classes\n  came: only 'x' in 2 rows"):
        read_dataset(data_of(write("text,label\na,x\nb,x\nc,\n")))
    with pytest.raises(DataError, match=r"came: no row that has both text and label"):
        read_dataset(data_of(write("text,label\na,\n,x\n")))


def test_labels_are_stripped_and_case_is_noted(write):
    read = read_dataset(data_of(write("text,label\na, yes\nb,Yes\nc,no\n")))
    assert read.dataset.target.tolist() == ["yes", "Yes", "no"]
    assert said(read.entries) == [
        ("cleaned", "Labels were stripped of white space, or their Unicode was normalised (NFC)", ("row-1",)),
        (
            "note",
            "The labels 'Yes', 'yes' differ only in case; they are counted as different classes",
            ("row-1", "row-2"),
        ),
    ]


def test_labels_in_decomposed_hangul_are_one_class(write):
    read = read_dataset(data_of(write("text,label\na,\u1100\u1161\nb,\uac00\nc,x\n")))
    assert read.dataset.target.tolist() == ["가", "가", "x"]


def test_float_labels_of_csv_and_parquet_are_whole_numbers(write):
    read = read_dataset(data_of(write("text,label\na,1.0\nb,\nc,0.0\n")))
    assert read.dataset.target.tolist() == ["1", "0"]
    assert read.entries[0].what == "Labels that are whole numbers lost their decimal point ('1.0' is '1')"
    content = [{"text": "a", "label": 1.0}, {"text": "b", "label": None}, {"text": "c", "label": 0.0}]
    read = read_dataset(data_of(write(json.dumps(content), "rows.json")))
    assert read.dataset.target.tolist() == ["1", "0"]


def test_nan_labels_are_missing(write):
    read = read_dataset(data_of(write("text,label\na,x\nb,nan\nc,NaN\nd,y\n")))
    assert read.dataset.target.tolist() == ["x", "y"]
    assert said(read.entries)[0] == (
        "cleaned",
        "Labels written as 'NaN', 'nan' were taken for missing labels",
        ("row-2", "row-3"),
    )
    read = read_dataset(
        data_of(write('[{"text":"a","label":"x"},{"text":"b","label":NaN},{"text":"c","label":"y"}]', "a.json"))
    )
    assert read.dataset.ids.tolist() == ["row-1", "row-3"]


def test_none_is_a_class_where_it_is_frequent_and_missing_where_it_is_rare(write):
    rows = [f"t{number},{'xy'[number % 2]}" for number in range(40)]
    read = read_dataset(data_of(write("\n".join(["text,label", *rows, "z,None"]))))
    assert read.dataset.n_rows == 40
    assert read.entries[0].what == "Labels written as 'None' were taken for missing labels"
    read = read_dataset(data_of(write("\n".join(["text,label", *rows, *(f"z{n},None" for n in range(10))]))))
    assert read.dataset.labels() == ("None", "x", "y")
    assert read.entries[0].what == "'None' was taken for a class, since more than 5 % of the labels are so written"
    content = [{"text": "a", "label": "None"}, {"text": "b", "label": "x"}]
    assert read_dataset(data_of(write(json.dumps(content), "a.json"))).dataset.labels() == ("None", "x")


def test_texts_are_normalised_unless_told_otherwise(write):
    path = write('text,label\n" a\x07b\r\nc ",x\n"\u1100\u1161",y\n')
    read = read_dataset(data_of(path))
    assert read.dataset.texts["text"].tolist() == ["ab\nc", "가"]
    assert said(read.entries) == [("cleaned", "Control characters were removed from texts", ("row-1",))]
    raw = read_dataset(data_of(path), normalize=False)
    assert raw.dataset.texts["text"].tolist() == [" a\x07b\r\nc ", "\u1100\u1161"]
    assert raw.entries == ()


def test_conflicting_labels_are_kept_or_dropped(write):
    path = write("text,label\nsame,x\nsame,y\nsame ,x\nother,y\nlast,x\n")
    read = read_dataset(data_of(path))
    assert said(read.entries) == [
        ("kept", "1 texts have several labels; their rows were kept", ("row-1", "row-2", "row-3"))
    ]
    read = read_dataset(data_of(path, conflicting_labels="drop"))
    assert read.dataset.ids.tolist() == ["row-4", "row-5"]


def test_rows_without_a_group_are_groups_of_their_own(write):
    path = write("text,label,who\na,x,\nb,y,\nc,x,g\n")
    read = read_dataset(data_of(path, group="who"))
    assert read.dataset.groups.tolist() == ["(none) row-1", "(none) row-2", "g"]
    assert read.entries[0].n_rows == 2


def test_labels_of_several_kinds(write):
    content = [{"text": "a", "label": 1}, {"text": "b", "label": "1"}]
    with pytest.raises(DataError, match=r"all labels must be of one kind\n  came: number in row 1; text in row 2"):
        read_dataset(data_of(write(json.dumps(content), "rows.json")))


def test_splits_of_a_saved_folder_give_the_parts(tmp_path):
    several = datasets.DatasetDict(
        {
            "train": datasets.Dataset.from_dict({"text": ["a", "b"], "label": ["x", "y"]}),
            "test": datasets.Dataset.from_dict({"text": ["c"], "label": ["x"]}),
        }
    )
    several.save_to_disk(str(tmp_path / "saved"))
    dataset = read_dataset(data_of(tmp_path / "saved")).dataset
    assert dataset.parts.tolist() == ["train", "train", "test"]


def test_max_rows_draws_every_class(write):
    rows = [f"t{number},{'a' if number < 90 else 'b' if number < 99 else 'c'}" for number in range(100)]
    data = data_of(write("\n".join(["text,label", *rows])), max_rows=20)
    read = read_dataset(data)
    assert Counter(read.dataset.target) == {"a": 18, "b": 1, "c": 1}
    assert read.entries[-1].what == "20 of 100 rows were drawn by class (data.max_rows); 80 were left out"
    assert read_dataset(data).dataset.ids.tolist() == read.dataset.ids.tolist()
    assert read_dataset(data, seed=1).dataset.ids.tolist() != read.dataset.ids.tolist()
    assert Counter(read_dataset(data.model_copy(update={"max_rows": 2})).dataset.target) == {"a": 1, "b": 1}


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from("abcde"), min_size=2, max_size=60), st.integers(1, 70), st.integers(0, 5))
def test_max_rows_property(tmp_path_factory, labels, max_rows, seed):
    labels = [*labels, "a", "b"]
    path = tmp_path_factory.mktemp("drawn") / "rows.csv"
    path.write_text("\n".join(["text,label", *(f"t{n},{label}" for n, label in enumerate(labels))]), encoding="utf-8")
    drawn = read_dataset(data_of(path, max_rows=max_rows), seed=seed).dataset
    assert drawn.n_rows == min(max_rows, len(labels))
    assert len(drawn.labels()) == min(max_rows, len(set(labels)))
    for label, n_rows in Counter(drawn.target).items():
        assert n_rows <= Counter(labels)[label]


def test_new_rows_keep_every_row_and_column(write):
    path = write("n,text,label,extra\n1, one ,x,p\n2,,,q\n2,three,y,r\n")
    new = read_new_rows(path, data_of("unused", id="n"))
    assert new.dataset.ids.tolist() == ["1", "2", "2#2"]
    assert new.dataset.texts["text"].tolist() == ["one", "", "three"]
    assert new.is_blank.tolist() == [False, True, False]
    assert new.dataset.target is None
    assert new.columns == {
        "n": ["1", "2", "2"],
        "text": [" one ", "", "three"],
        "label": ["x", "", "y"],
        "extra": ["p", "q", "r"],
    }
    assert [entry.what for entry in new.entries] == [
        "Rows whose id came before were renamed (the second 'x' is 'x#2')",
        "Not every row has a label in 'label': the labels were not used",
    ]


def test_new_rows_with_and_without_labels(write):
    assert read_new_rows(write("text\na\n"), data_of("unused", id="id")).dataset.target is None
    assert read_new_rows(write("text,label\na, x\n"), data_of("unused")).dataset.target.tolist() == ["x"]
    with pytest.raises(DataError, match=r"data\.text\.0: the column must be in the file\n  came: no column 'text'"):
        read_new_rows(write("body,label\na,x\n"), data_of("unused"))


@pytest.mark.parametrize("content", ["0\thello\n", "label\ttext\n0\thello\n", "text\nhello\n", "hello\n"])
def test_new_rows_with_or_without_a_header_line(write, content):
    data = data_of("unused", header=["label", "text"])
    assert read_new_rows(write(content, "new.tsv"), data).dataset.texts["text"].tolist() == ["hello"]


def test_training_and_prediction_see_the_same_text(write):
    path = write('text,label\n" a\x07\r\n",x\nnan,y\n')
    trained, new = read_dataset(data_of(path)).dataset, read_new_rows(path, data_of("unused")).dataset
    assert trained.fingerprint == new.fingerprint


def test_new_rows_with_lists_for_text(write):
    path = write('[{"text": ["a"], "label": "x"}]', "rows.json")
    with pytest.raises(DataError, match=r"every value must be a text or a number\n  came: list in row 1"):
        read_new_rows(path, data_of("unused"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_new_rows_need_not_be_encoded_as_the_training_data_were(tmp_path, encoding):
    path = tmp_path / "new.csv"
    path.write_bytes("text\n서버가 꺼졌어요\n".encode(encoding))
    for of_the_recipe in ("cp949", "utf-8", None):
        new = read_new_rows(path, data_of("unused", encoding=of_the_recipe))
        assert new.dataset.texts["text"].tolist() == ["서버가 꺼졌어요"]


def test_the_encoding_of_the_recipe_serves_new_rows_where_it_is_open(tmp_path):
    path = tmp_path / "new.csv"
    path.write_bytes("text\n啊\n".encode("gb2312"))
    new = read_new_rows(path, data_of("unused", encoding="gb2312"))
    assert new.dataset.texts["text"].tolist() == ["啊"]
    what = "The file was read as GB2312, as the training data were; --encoding overrides it"
    assert [entry.what for entry in new.entries] == [what]
    assert read_new_rows(path, data_of("unused"), encoding="gb2312").dataset.texts["text"].tolist() == ["啊"]
    with pytest.raises(DataError, match=r"(?s)must be text in utf-8.*name the right encoding with --encoding"):
        read_new_rows(path, data_of("unused", encoding="gb2312"), encoding="utf-8")
