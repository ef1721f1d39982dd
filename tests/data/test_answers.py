"""Accepted answers, however they are written, and an account of rows whose answers are not as they should be."""

import json

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from strop.data.read import new_rows_of, read_dataset, read_new_rows
from strop.data.write import write_table
from strop.errors import DataError
from strop.recipe.data import Data


def data_of(path="unused", **more):
    return Data(**{"path": str(path), "text": ["context", "question"], "answers": "answers", **more})


def said(entries):
    return [(entry.kind, entry.what, entry.ids) for entry in entries]


@pytest.fixture
def write(tmp_path):
    def written(*answers, **columns):
        path = tmp_path / "rows.jsonl"
        rows = [{"context": f"c{at}", "question": f"q{at}", "answers": one} for at, one in enumerate(answers)]
        for name, values in columns.items():
            for row, value in zip(rows, values, strict=True):
                row[name] = value
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        return path

    return written


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        ("서울", ("서울",)),
        (["서울", " 서울 ", "서울시", ""], ("서울", "서울시")),
        ([None, "a"], ("a",)),
        (1911, ("1911",)),
        (1911.0, ("1911",)),
        ([3.5], ("3.5",)),
        ({"text": ["a", "b"], "answer_start": [3, 4]}, ("a", "b")),
        ({"text": "a", "answer_start": 3}, ("a",)),
        ([{"text": "a", "answer_start": 3}, {"text": "b"}], ("a", "b")),
        ("[1911]", ("[1911]",)),
        ('["a", "b"]', ('["a", "b"]',)),
    ],
)
def test_answers_of_typed_formats(write, value, accepted):
    read = read_dataset(data_of(write(value, "z")))
    assert read.dataset.answers.tolist() == [accepted, ("z",)]


def test_csv_holds_lists_as_json_or_as_text(tmp_path):
    path = tmp_path / "rows.csv"
    answers = [["a", "b"], "[1911]", "[sic", '{"text": ["a"], "answer_start": [1]}', "{x}", '[{"text": "b"}]', "plain"]
    write_table(path, {"context": ["c"] * 7, "question": list("1234567"), "answers": answers})
    read = read_dataset(data_of(path))
    assert read.dataset.answers.tolist() == [
        ("a", "b"),
        ("[1911]",),
        ("[sic",),
        ("a",),
        ("{x}",),
        ("b",),
        ("plain",),
    ]


def csv_of(tmp_path, *cells):
    path = tmp_path / "python.csv"
    write_table(
        path, {"context": [f"c{at}" for at in range(len(cells))], "question": ["q"] * len(cells), "answers": cells}
    )
    return path


def test_lists_that_python_wrote_into_a_csv_are_read_and_said(tmp_path):
    path = csv_of(
        tmp_path, "['기차', '열차']", '["it\'s", None]', "{'text': ['a'], 'answer_start': [3]}", "서울", '["a"]'
    )
    read = read_dataset(data_of(path))
    assert read.dataset.answers.tolist() == [("기차", "열차"), ("it's",), ("a",), ("서울",), ("a",)]
    what = "Lists in 'answers' that Python wrote were read as lists"
    assert [(entry.kind, entry.n_rows) for entry in read.entries if entry.what == what] == [("repaired", 3)]


def test_cells_that_begin_like_lists_and_are_none_are_refused(tmp_path):
    path = csv_of(
        tmp_path, "{'text': array(['a'], dtype=object)}", '["oops', "['a', open('x')]", "[1989]", "[oops", "fine"
    )
    with pytest.raises(DataError) as error:
        read_dataset(data_of(path))
    (problem,) = error.value.problems
    assert problem.must == "answers must be one text, a list of texts, or SQuAD's objects with a text"
    assert all(word in problem.came for word in ('["oops', "array", "open"))
    assert not any(word in problem.came for word in ("1989", "[oops", "fine"))
    assert problem.do == (
        'write for example Seoul, or as JSON ["Seoul", "the city of Seoul"], and [] where there is none'
    )


def test_parquet_and_folders_of_datasets_hold_lists_of_objects(tmp_path):
    columns = {
        "context": ["c0", "c1", "c2"],
        "question": ["q0", "q1", "q2"],
        "answers": [
            {"text": ["a", "b"], "answer_start": [1, 2]},
            {"text": [], "answer_start": []},
            {"text": ["가"], "answer_start": [0]},
        ],
    }
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    datasets.Dataset.from_dict(columns).save_to_disk(str(tmp_path / "saved"))
    for path in (tmp_path / "rows.parquet", tmp_path / "saved"):
        read = read_dataset(data_of(path))
        assert read.dataset.answers.tolist() == [("a", "b"), ("가",)]
        assert [entry.ids for entry in read.entries if entry.kind == "dropped"] == [("row-2",)]
        assert read_dataset(data_of(path), keeps_unanswerable=True).dataset.answers.tolist()[1] == ()


def test_rows_from_python_may_hold_arrays():
    rows = [
        {"context": "c", "question": "q", "answers": np.array(["a", "b"], dtype=object)},
        {"context": "c", "question": "r", "answers": {"text": np.array(["d"]), "answer_start": np.array([0])}},
        {"context": "c", "question": "s", "answers": np.float64(3)},
    ]
    assert new_rows_of(rows, data_of()).answers.tolist() == [("a", "b"), ("d",), ("3",)]
    assert new_rows_of([{"context": "c", "question": "q"}], data_of()).answers is None


def test_shapes_that_are_none_are_listed_with_row_and_value(write):
    path = write({"answer": "a"}, True, [["a"]], [{"answer_start": 1}], {"text": {"a": 1}}, "z")
    with pytest.raises(DataError) as caught:
        read_dataset(data_of(path))
    (problem,) = caught.value.problems
    assert problem.where.endswith("column 'answers'")
    assert problem.must == "answers must be one text, a list of texts, or SQuAD's objects with a text"
    assert problem.came == (
        "{'answer': 'a'} in line 1; True in line 2; ['a'] in line 3; {'answer_start': 1} in line 4; {'a': 1} in line 5"
    )


def test_the_column_must_be_there_for_training(write, tmp_path):
    with pytest.raises(DataError, match=r"data\.answers: the column must be in the file\n  came: no column 'reply'"):
        read_dataset(data_of(write("a"), answers="reply"))


def test_a_question_without_an_answer_is_not_one_whose_answer_is_missing(write):
    path = write("a", [], None, [], " ", is_impossible=[False, True, None, False, None])
    read = read_dataset(data_of(path))
    assert read.dataset.answers.tolist() == [("a",)]
    assert said(read.entries) == [
        (
            "dropped",
            "Questions that have no answer were dropped: answer.prompt.no_answer would say what stands for it",
            ("row-2",),
        ),
        ("dropped", "Rows whose answer is missing were dropped", ("row-3", "row-4", "row-5")),
    ]
    kept = read_dataset(data_of(path), keeps_unanswerable=True)
    assert kept.dataset.answers.tolist() == [("a",), ()]
    assert said(kept.entries)[0] == (
        "kept",
        "Questions that have no answer were kept: answer.prompt.no_answer stands for it",
        ("row-2",),
    )
    with pytest.raises(DataError, match="every row must have an answer\n  came: no answer in lines 3, 4 and 5"):
        read_dataset(data_of(path, missing_label="refuse"))


def test_without_marks_an_empty_list_says_that_there_is_no_answer(write):
    read = read_dataset(data_of(write("a", [], None)), keeps_unanswerable=True)
    assert read.dataset.ids.tolist() == ["row-1", "row-2"]


def test_marks_are_read_as_csv_writes_them(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(
        "context,question,answers,is_impossible\nc,q,a,False\nc,r,,TRUE\nc,s,,0\nc,t,,1\n", encoding="utf-8"
    )
    assert read_dataset(data_of(path), keeps_unanswerable=True).dataset.ids.tolist() == ["row-1", "row-2", "row-4"]


def test_an_impossible_question_must_have_no_answer(write):
    with pytest.raises(DataError) as caught:
        read_dataset(data_of(write("a", ["b", "c"], is_impossible=[False, True])))
    (problem,) = caught.value.problems
    assert problem.must == "a question marked by 'is_impossible' must have no answer"
    assert problem.came == "'b' in line 2"
    assert problem.do == "remove these answers, or set 'is_impossible' to false"


def test_nothing_left_to_learn_from_is_refused(write):
    with pytest.raises(DataError, match="rows to learn from\n  came: no row that has both text and an answer"):
        read_dataset(data_of(write(None, "")))


def test_several_answers_are_counted(write):
    read = read_dataset(data_of(write(["a", "b"], ["c", "c"], "d")))
    what = "Rows with several accepted answers that differ: the first is trained on, each of them counts as right"
    assert said(read.entries) == [("note", what, ("row-1",))]
    assert read.entries[0].details == {"about": "labels"}


def test_answers_of_one_question_that_differ(write):
    texts = {"context": ["c"] * 6, "question": ["q", "q", "r", "r", "s", "s"]}
    path = write(["a", "b"], ["B "], "a", "c", [], [], **texts)
    kept = read_dataset(data_of(path), keeps_unanswerable=True)
    assert kept.dataset.n_rows == 6
    assert [one for one in said(kept.entries) if "differ were" in one[1]] == [
        ("kept", "Rows of the same text whose answers differ were kept", ("row-3", "row-4")),
    ]
    dropped = read_dataset(data_of(path, conflicting_labels="drop"))
    assert dropped.dataset.ids.tolist() == ["row-1", "row-2"]
    with pytest.raises(DataError) as caught:
        read_dataset(data_of(path, conflicting_labels="refuse"))
    (problem,) = caught.value.problems
    assert problem.must == "rows of the same text must have the same answer"
    assert problem.came == "answers that differ, in lines 3 and 4"


def test_answers_are_cleaned_as_texts_are(write):
    path = write([" a\x07b\r\nc "], "d")
    read = read_dataset(data_of(path))
    assert read.dataset.answers.tolist() == [("ab\nc",), ("d",)]
    assert said(read.entries) == [
        ("cleaned", "Control characters were removed from answers in 'answers'", ("row-1",)),
    ]
    assert read_dataset(data_of(path), normalize=False).dataset.answers[0] == (" a\x07b\r\nc ",)


def test_new_rows_need_no_answers(write, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("context,question\nc,q\n", encoding="utf-8")
    new = read_new_rows(path, data_of())
    assert (new.dataset.answers, new.entries) == (None, ())
    assert read_new_rows(write(None, ""), data_of()).dataset.answers is None
    assert read_new_rows(write("a", ["b", "c"]), data_of()).dataset.answers.tolist() == [("a",), ("b", "c")]
    mixed = read_new_rows(write("a", None), data_of())
    assert mixed.dataset.answers is None
    assert said(mixed.entries) == [
        ("note", "Not every row has an answer in 'answers': the answers were not used", ("row-2",)),
    ]


def test_new_questions_that_have_no_answer_stay(write):
    new = read_new_rows(write("a", [], is_impossible=[False, True]), data_of())
    assert new.dataset.answers.tolist() == [("a",), ()]
