"""A column of chat messages."""

import json

import numpy as np
import pytest

from strop.data.read import new_rows_of, read_dataset, read_new_rows
from strop.errors import DataError
from strop.recipe.data import Data


def chat(*contents, system=None):
    roles = ("user", "assistant")
    first = [] if system is None else [{"role": "system", "content": system}]
    return first + [{"role": roles[at % 2], "content": content} for at, content in enumerate(contents)]


def data_of(path="unused", **more):
    return Data(path=str(path), messages="chat", **more)


@pytest.fixture
def write(tmp_path):
    def written(*chats):
        path = tmp_path / "rows.jsonl"
        path.write_text("\n".join(json.dumps({"chat": one}) for one in chats), encoding="utf-8")
        return path

    return written


def said(entries):
    return [(entry.kind, entry.what, entry.ids) for entry in entries]


def test_the_last_message_is_the_answer_and_those_before_it_are_the_prompt(write):
    path = write(
        chat("누구?", "한결."),
        chat("Hi.", "Hello.", 'Say "x".', "x", system="Be brief."),
        json.dumps(chat("One?", "1")),
    )
    read = read_dataset(data_of(path))
    assert read.dataset.texts["chat"].tolist() == [
        '[{"role":"user","content":"누구?"}]',
        (
            '[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi."},'
            '{"role":"assistant","content":"Hello."},{"role":"user","content":"Say \\"x\\"."}]'
        ),
        '[{"role":"user","content":"One?"}]',
    ]
    assert read.dataset.answers.tolist() == [("한결.",), ("x",), ("1",)]
    assert read.entries == ()
    assert read.dataset.groups is None


def test_every_rule_that_is_broken_is_said_with_its_rows(write):
    path = write(
        chat("Who?", "She."),
        "no JSON",
        {"role": "user"},
        [{"from": "human", "value": "Who?"}],
        chat("Who?", "She.")[::-1],
        [{"role": "user", "content": "a"}] * 2,
        [{"role": "tool", "content": "a"}],
        [{"role": "system", "content": "a"}],
        [*chat("Who?", "She."), {"role": "system", "content": "a"}],
        [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
        [{"role": "user"}],
    )
    with pytest.raises(DataError) as caught:
        read_dataset(data_of(path))
    assert [(problem.must, problem.came) for problem in caught.value.problems] == [
        (
            "messages must be a list of objects with role and content, or such a list as JSON",
            "'no JSON' in line 2; {'role': 'user'} in line 3; {'from': 'human', 'value': 'Who?'} in line 4",
        ),
        (
            "the roles must be user and assistant in turn, with a system message before them if there is one",
            (
                "'assistant, user' in line 5; 'user, user' in line 6; 'tool' in line 7; 'system' in line 8; "
                "'user, assistant, system' in line 9"
            ),
        ),
        (
            "the content of every message must be a text",
            "[{'text': 'a', 'type': 'text'}] in line 10; None in line 11",
        ),
    ]


def test_rows_without_an_answer_or_without_a_prompt_are_dropped(write):
    path = write(chat("a", "1"), chat("b"), chat("c", " "), chat(" ", "2"), [], None, "")
    read = read_dataset(data_of(path))
    assert read.dataset.answers.tolist() == [("1",)]
    assert said(read.entries) == [
        ("dropped", "Rows without text were dropped", ("row-4", "row-5", "row-6", "row-7")),
        ("dropped", "Rows whose answer is missing were dropped", ("row-2", "row-3")),
    ]
    with pytest.raises(DataError, match="every row must have an answer\n  came: no answer in lines 2 and 3") as caught:
        read_dataset(data_of(path, missing_label="refuse"))
    assert caught.value.problems[0].where.endswith("column 'chat'")


def test_contents_are_cleaned_and_what_is_not_read_is_said(write):
    named = [{"role": "user", "content": " a\x07b\r\nc ", "name": "Bo", "weight": None}, *chat("", "\x00d")[1:]]
    read = read_dataset(data_of(write(named)))
    assert read.dataset.texts["chat"].tolist() == ['[{"role":"user","content":"ab\\nc"}]']
    assert read.dataset.answers.tolist() == [("d",)]
    assert said(read.entries) == [
        ("cleaned", "Control characters were removed from messages in 'chat'", ("row-1",)),
        ("note", "Of messages role and content are read, not 'name'", ("row-1",)),
    ]
    raw = read_dataset(data_of(write(named)), normalize=False).dataset
    assert json.loads(raw.texts["chat"][0])[0]["content"] == " a\x07b\r\nc "


def test_new_rows_may_end_with_the_user(write):
    waiting = read_new_rows(write(chat("a"), chat("b", "1", "c"), []), data_of())
    assert waiting.dataset.answers is None
    assert waiting.is_blank.tolist() == [False, False, True]
    assert waiting.entries == ()
    answered = read_new_rows(write(chat("a", "1"), chat("b", "2")), data_of())
    assert answered.dataset.answers.tolist() == [("1",), ("2",)]
    assert answered.dataset.texts["chat"].tolist()[0] == '[{"role":"user","content":"a"}]'
    mixed = read_new_rows(write(chat("a", "1"), chat("b")), data_of())
    assert mixed.dataset.answers is None
    assert said(mixed.entries) == [
        ("note", "Not every row has an answer in 'chat': the answers were not used", ("row-2",)),
    ]


def test_rows_from_python_may_hold_arrays():
    rows = [{"chat": np.array(chat("a", "1"), dtype=object)}, {"chat": tuple(chat("b", "2"))}]
    dataset = new_rows_of(rows, data_of())
    assert dataset.texts["chat"].tolist()[1] == '[{"role":"user","content":"b"}]'
    assert dataset.answers.tolist() == [("1",), ("2",)]
