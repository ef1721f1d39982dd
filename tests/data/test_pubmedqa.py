"""PubMedQA's own JSON."""

import json
from collections import Counter

import pytest

from strop.data.formats import read_table
from strop.data.pubmedqa import is_pubmedqa
from strop.data.read import read_dataset
from strop.errors import DataError
from strop.recipe.data import Data
from strop.records.evidence import Passage

FIRST = {
    "QUESTION": "Does it help?",
    "CONTEXTS": ["We asked.", "We saw."],
    "LABELS": ["BACKGROUND", "RESULTS"],
    "final_decision": "yes",
    "LONG_ANSWER": "It does.",
}


@pytest.fixture
def write(tmp_path):
    def written(content):
        path = tmp_path / "any.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    return written


def data_of(path):
    roles = {"text": "question", "target": "answer", "id": "id", "documents": "documents", "snippets": "snippets"}
    return Data(path=str(path), **roles)


def test_questions_become_rows(write):
    second = {"QUESTION": "Else?", "CONTEXTS": ["A text."], "LABELS": [], "final_decision": "Maybe"}
    path = write({"11": FIRST, "22": second})
    table = read_table(path)
    assert table.form == "PubMedQA"
    assert table.columns["answer"] == ["yes", "maybe"]
    assert table.columns["long_answer"] == ["It does.", None]
    dataset = read_dataset(data_of(path)).dataset
    assert dataset.ids.tolist() == ["11", "22"]
    assert dataset.documents.tolist() == [("11",), ("22",)]
    assert dataset.snippets.tolist() == [
        (Passage("We asked.", "11", title="BACKGROUND"), Passage("We saw.", "11", title="RESULTS")),
        (Passage("A text.", "22"),),
    ]


def test_everything_wrong_is_said_at_once(write):
    content = {
        "1": {**FIRST, "final_decision": "perhaps"},
        "2": {**FIRST, "LABELS": ["RESULTS"]},
        "3": {**FIRST, "QUESTION": ""},
        "4": 4,
        "5": {**FIRST, "CONTEXTS": "one text"},
        "6": {**FIRST, "final_decision": None},
    }
    with pytest.raises(DataError) as caught:
        read_table(write(content))
    assert [(problem.must, problem.came) for problem in caught.value.problems] == [
        ("every question must be an object", "4 in row 4"),
        ("every question must have a text", "'' in row 3"),
        (
            "every context must have a heading, or none",
            "'2 CONTEXTS, 1 LABELS' in row 2; 'CONTEXTS or LABELS that are no list' in row 5",
        ),
        ("the answer must be 'yes', 'no' or 'maybe'", "'perhaps' in row 1"),
    ]


def test_other_objects_are_none_of_it():
    for content in ([], {}, {"a": [1]}, {"a": {"QUESTION": "x"}}, "x"):
        assert not is_pubmedqa(content)


@pytest.mark.real_data
def test_the_training_half(real_data):
    read = read_dataset(data_of(real_data / "pubmedqa" / "train500.json"))
    assert Counter(read.dataset.target) == {"yes": 276, "no": 169, "maybe": 55}
    assert read.entries == ()
    assert read.dataset.snippets[0][0].title == "BACKGROUND"
    assert read.dataset.documents[0] == ("10808977",)
