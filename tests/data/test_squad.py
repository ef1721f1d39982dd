"""The JSON of SQuAD and KorQuAD."""

import json

import pytest

from strop.data.formats import read_table
from strop.data.several import read_tables
from strop.data.squad import is_squad
from strop.errors import DataError

HARBOUR = "The old harbour of Bram was closed in 1911. Its lighthouse, 31 m high, still stands in 1911 Street."
HANOK = "한빛마을 도서관은 1987년에 문을 열었다. 관장은 이서연이다."


def question(number, *answers, **more):
    found = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": f"q{number}", "question": f"Question {number}?", "answers": found, **more}


def article(title, *paragraphs):
    written = [{"context": context, "qas": list(qas)} for context, *qas in paragraphs]
    return {"title": title, "paragraphs": written}


@pytest.fixture
def write(tmp_path):
    def written(*articles, name="any.json"):
        path = tmp_path / name
        path.write_text(json.dumps({"version": "1", "data": articles}), encoding="utf-8")
        return path

    return written


def test_articles_become_rows_of_questions(write):
    english = article(
        "Bram",
        (HARBOUR, question(1, ("1911", 38), ("in 1911", 35), ("1911", 87)), question(2, is_impossible=True)),
        ("Nothing else.", {"id": "q3", "question": "Who?"}),
    )
    korean = article("한빛마을", (HANOK, question(4, ("1987년", 10), is_impossible=False)))
    table = read_table(write(english, korean))
    assert table.form == "SQuAD"
    assert table.columns == {
        "id": ["q1", "q2", "q3", "q4"],
        "title": ["Bram", "Bram", "Bram", "한빛마을"],
        "context": [HARBOUR, HARBOUR, "Nothing else.", HANOK],
        "question": ["Question 1?", "Question 2?", "Who?", "Question 4?"],
        "answers": [["1911", "in 1911"], [], None, ["1987년"]],
        "answer_start": [[38, 35], [], None, [10]],
        "is_impossible": [None, True, None, False],
    }


def test_an_answer_whose_place_the_file_does_not_say(write):
    path = write(article("Bram", (HARBOUR, {"question": "When?", "answers": [{"text": "1911"}]})))
    table = read_table(path)
    assert (table.columns["answer_start"], table.columns["id"]) == ([[-1]], [None])


def test_everything_wrong_is_said_at_once_with_its_place(write):
    path = write(
        "no article",
        {"title": "A page", "context": HARBOUR, "qas": []},
        {
            "title": "Bram",
            "paragraphs": [
                7,
                {"qas": [question(1), "no question"]},
                {"context": HARBOUR},
                {
                    "context": HARBOUR,
                    "qas": [
                        {"id": "q2", "question": None, "answers": "1911"},
                        {"id": "q3", "question": "When?", "answers": [{"answer_start": 1}, {"text": 1911}]},
                        question(4, ("1911", "38"), ("in 1911", -1), ("closed", True)),
                        question(5, is_impossible="no"),
                    ],
                },
            ],
        },
    )
    with pytest.raises(DataError) as caught:
        read_table(path)
    at = "data[2].paragraphs[3].qas"
    assert [(problem.where.split(": ")[1], problem.must, problem.came) for problem in caught.value.problems] == [
        ("data", "every article must be an object", "'no article' at data[0]"),
        (
            "paragraphs",
            "every article must have a list of paragraphs, all of them objects",
            "None at data[1].paragraphs; 7 at data[2].paragraphs[0]",
        ),
        ("context", "every paragraph must have a context, a text", "None at data[2].paragraphs[1]"),
        (
            "qas",
            "every paragraph must have a list of questions (qas), all of them objects",
            "'no question' at data[2].paragraphs[1].qas[1]; None at data[2].paragraphs[2].qas",
        ),
        ("question", "every question must have a text", f"None at {at}[0]"),
        (
            "answers",
            "answers must be a list of objects, each with a text",
            f"'1911' at {at}[0].answers; None at {at}[1].answers[0]; 1911 at {at}[1].answers[1]",
        ),
        (
            "answer_start",
            "answer_start must be a whole number, 0 or above",
            f"'38' at {at}[2].answers[0]; -1 at {at}[2].answers[1]; True at {at}[2].answers[2]",
        ),
        ("is_impossible", "is_impossible must be true or false", f"'no' at {at}[3]"),
    ]
    assert "KorQuAD 2, whose articles are whole pages, is not read" in caught.value.problems[1].do


def test_of_many_faults_the_first_are_shown(write):
    path = write(article("Bram", *[(None, question(number)) for number in range(7)]))
    with pytest.raises(DataError, match=r"None at data\[0\].paragraphs\[4\]; ... \(7 in all\)"):
        read_table(path)


def test_articles_without_questions_are_no_rows(write):
    with pytest.raises(DataError, match="SQuAD articles without questions"):
        read_table(write(article("Bram", (HARBOUR,))))


def test_a_table_with_a_column_named_data_is_none_of_squad(tmp_path):
    for content in ({"data": ["a", "b"]}, {"data": [{"text": "a"}]}, {"data": {}}, [{"paragraphs": []}], 3):
        assert not is_squad(content)
    path = tmp_path / "columns.json"
    path.write_text('{"data": ["a", "b"]}', encoding="utf-8")
    assert read_table(path).columns == {"data": ["a", "b"]}


def test_several_files_are_read_together(write, tmp_path):
    write(article("Bram", (HARBOUR, question(1, ("1911", 38)))), name="dev.json")
    write(article("한빛마을", (HANOK, question(2, ("이서연", 29)))), name="train.json")
    table = read_tables(tmp_path)
    assert table.form == "SQuAD"
    assert table.columns["file"] == ["dev.json", "train.json"]
    assert table.columns["answers"] == [["1911"], ["이서연"]]


@pytest.mark.real_data
def test_korquad_and_xquad(real_data):
    korean = read_table(real_data / "korquad" / "articles.json")
    assert (korean.form, korean.n_rows, len(set(korean.columns["title"]))) == ("SQuAD", 3957, 107)
    assert korean.columns["answers"][0] == ["1989년 2월 15일"]
    english = read_table(real_data / "xquad_en" / "xquad.en.json")
    assert (english.n_rows, len(set(english.columns["context"]))) == (1190, 240)
    places = zip(*(english.columns[name] for name in ("context", "answers", "answer_start")), strict=True)
    assert all(
        context.startswith(text, start)
        for context, texts, starts in places
        for text, start in zip(texts, starts, strict=True)
    )
