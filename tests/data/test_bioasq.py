"""BioASQ's own JSON."""

import json
from collections import Counter

import pytest

from strop.data.bioasq import is_bioasq, note_on_types, read_bioasq
from strop.data.formats import read_table
from strop.data.read import read_dataset
from strop.errors import DataError
from strop.recipe.data import Data
from strop.records.evidence import Passage

ADDRESS = "http://www.ncbi.nlm.nih.gov/pubmed/1"


def question(number, kind="yesno", **more):
    return {"id": f"q{number}", "body": f"Is {number}?", "type": kind, "documents": [ADDRESS], "snippets": [], **more}


@pytest.fixture
def write(tmp_path):
    def written(*questions, name="any.json"):
        path = tmp_path / name
        path.write_text(json.dumps({"questions": questions}), encoding="utf-8")
        return path

    return written


def data_of(path, **more):
    roles = {"text": "question", "target": "answer", "id": "id", "documents": "documents", "snippets": "snippets"}
    return Data(path=str(path), **{**roles, **more})


@pytest.mark.parametrize("answer", ["yes", "Yes", " YES ", ["yes"], [["Yes"]]])
def test_yes_is_written_in_many_ways(write, answer):
    table = read_table(write(question(1, exact_answer=answer), question(2, exact_answer="no")))
    assert table.form == "BioASQ"
    assert table.columns["answer"] == ["yes", "no"]
    assert list(table.columns) == ["id", "question", "type", "answer", "documents", "snippets"]


def test_snippets_keep_their_place_in_the_abstract_alone(write):
    places = {"offsetInBeginSection": 3, "offsetInEndSection": 9, "document": ADDRESS}
    snippets = [
        {**places, "text": "inside", "beginSection": "abstract", "endSection": "abstract"},
        {**places, "text": "title", "beginSection": "title", "endSection": "title"},
        {**places, "text": "across", "beginSection": "title", "endSection": "abstract"},
    ]
    path = write(question(1, exact_answer="yes", snippets=snippets), question(2, exact_answer="no"))
    dataset = read_dataset(data_of(path)).dataset
    assert dataset.snippets.tolist() == [
        (Passage("inside", ADDRESS, 3, 9), Passage("title", ADDRESS), Passage("across", ADDRESS)),
        (),
    ]
    assert dataset.documents.tolist() == [(ADDRESS,), (ADDRESS,)]


def test_questions_of_other_types_have_no_label_and_the_ledger_says_why(write):
    others = [question(3, "factoid", exact_answer=["x"]), question(4, "list"), question(5, "factoid")]
    path = write(question(1, exact_answer="yes"), question(2, exact_answer="no"), *others, question(6))
    read = read_dataset(data_of(path))
    assert read.dataset.ids.tolist() == ["q1", "q2"]
    assert [(entry.kind, entry.what, entry.n_rows) for entry in read.entries] == [
        (
            "note",
            "3 of 6 BioASQ questions are not answered by yes or no (2 factoid, 1 list): their 'answer' is empty",
            3,
        ),
        ("dropped", "Rows without a label were dropped", 4),
    ]
    assert read.entries[1].ids == ("q3", "q4", "q5", "q6")


def test_nothing_is_noted_where_all_are_yes_no_questions(write, tmp_path):
    assert note_on_types(read_table(write(question(1)))) == ()
    (tmp_path / "plain.json").write_text('[{"type": "list"}]', encoding="utf-8")
    assert note_on_types(read_table(tmp_path / "plain.json")) == ()


def test_everything_wrong_is_said_at_once(write):
    questions = [
        question(1, exact_answer="maybe"),
        question(2, exact_answer=["yes", "no"]),
        question(3, exact_answer=True),
        "four",
        {"id": "q5", "body": " ", "type": "yesno"},
        {"id": "q6", "body": "Is it?"},
    ]
    with pytest.raises(DataError) as caught:
        read_table(write(*questions))
    assert [(problem.where.split(": ")[1], problem.must, problem.came) for problem in caught.value.problems] == [
        ("questions", "every question must be an object", "'four' in row 4"),
        ("body", "every question must have a text", "' ' in row 5"),
        ("type", "every question must have a type", "None in row 6"),
        (
            "exact_answer",
            "the answer to a yes/no question must be 'yes' or 'no', alone or in a list",
            "'maybe' in row 1; ['yes', 'no'] in row 2; True in row 3",
        ),
    ]


def test_a_table_with_a_column_of_questions_is_none_of_bioasq(tmp_path):
    for content in ({"questions": ["a", "b"], "label": ["x", "y"]}, [{"questions": []}], {"questions": [{}]}, 3):
        assert not is_bioasq(content)
    path = tmp_path / "columns.json"
    path.write_text('{"questions": ["a", "b"], "label": ["x", "y"]}', encoding="utf-8")
    assert read_table(path).columns["questions"] == ["a", "b"]


def test_a_test_file_has_no_answers(tmp_path):
    table = read_bioasq({"questions": [question(1), question(2, exact_answer=None)]}, tmp_path / "test.json")
    assert table.columns["answer"] == [None, None]


@pytest.mark.real_data
def test_the_golden_sets_of_editions_7_to_11(real_data):
    path = real_data / "bioasq" / "*_golden.json"
    by_edition = {"column": "file", "train": ["[789]B*", "10B*"], "test": "11B*"}
    read = read_dataset(data_of(path, part_by=by_edition))
    assert read.dataset.n_rows == 618
    assert Counter(read.dataset.target) == {"yes": 395, "no": 223}
    assert Counter(read.dataset.parts) == {"train": 532, "test": 86}
    assert sum(map(len, read.dataset.snippets)) == 5449
    (note,) = [entry.what for entry in read.entries if entry.kind == "note"]
    assert note.startswith("1,692 of 2,310 BioASQ questions are not answered by yes or no (740 factoid, 543 summary")
    folder = read_dataset(data_of(real_data / "bioasq", where={"type": "yesno"}, part_by=by_edition))
    assert folder.dataset.fingerprint == read.dataset.fingerprint
    assert [entry.n_rows for entry in folder.entries if entry.kind == "dropped"] == [1692]
