"""The small data sets of reading comprehension hold what their README says."""

import json
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SAMPLES = Path(__file__).resolve().parents[1] / "samples"


@dataclass(frozen=True)
class Reading:
    """One folder of samples: its README, the bytes of its file, and questions with their title and context."""

    readme: str
    raw: bytes
    questions: list[tuple[str, str, dict[str, Any]]]

    @property
    def contexts(self) -> list[str]:
        """Every context once."""
        return list(dict.fromkeys(context for _, context, _ in self.questions))

    @property
    def first_answers(self) -> list[str]:
        """Of every question."""
        return [question["answers"][0]["text"] for *_, question in self.questions]


def read(name: str) -> Reading:
    folder = SAMPLES / name
    raw = (folder / "questions.json").read_bytes()
    questions = [
        (article["title"], paragraph["context"], question)
        for article in json.loads(raw)["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]
    return Reading((folder / "README.md").read_text(encoding="utf-8"), raw, questions)


@pytest.fixture(scope="module")
def english() -> Reading:
    return read("reading")


@pytest.fixture(scope="module")
def korean() -> Reading:
    return read("reading-ko")


@pytest.mark.parametrize("name", ["reading", "reading-ko"])
def test_files_are_plain_json_and_no_context_comes_twice(name: str) -> None:
    samples = read(name)
    assert not samples.raw.startswith(b"\xef\xbb\xbf")
    assert b"\r" not in samples.raw
    assert unicodedata.is_normalized("NFC", samples.raw.decode("utf-8"))
    n_paragraphs = sum(len(article["paragraphs"]) for article in json.loads(samples.raw)["data"])
    assert len(samples.contexts) == n_paragraphs


@pytest.mark.parametrize(("name", "letter"), [("reading", "r"), ("reading-ko", "k")])
def test_questions_are_numbered_and_answers_stand_where_they_say(name: str, letter: str) -> None:
    questions = read(name).questions
    assert [question["id"] for *_, question in questions] == [
        f"{letter}{number:03d}" for number in range(1, len(questions) + 1)
    ]
    for _, context, question in questions:
        for answer in question["answers"]:
            start = answer["answer_start"]
            assert context[start : start + len(answer["text"])] == answer["text"]


def test_english_rows_are_as_many_as_the_readme_says(english: Reading) -> None:
    titles = {title for title, *_ in english.questions}
    shape = f"{len(english.questions)} questions on {len(english.contexts)} contexts of {len(titles)} titles"
    assert shape == "150 questions on 30 contexts of 15 titles"
    assert shape in english.readme
    assert set(Counter(context for _, context, _ in english.questions).values()) == {5}


def test_english_answers_are_as_the_readme_says(english: Reading) -> None:
    n_accepted = Counter(len(question["answers"]) for *_, question in english.questions)
    n_words = Counter(min(len(answer.split()), 4) for answer in english.first_answers)
    n_digits = sum(any(map(str.isdigit, answer)) for answer in english.first_answers)
    for line in (
        f"| with one accepted answer | {n_accepted[1]} |",
        f'("a parrot", "parrot") | {n_accepted[2]} |',
        f"| whose first answer is one word | {n_words[1]} |",
        f"| ... two words | {n_words[2]} |",
        f"| ... three words | {n_words[3]} |",
        f"| ... four words or more | {n_words[4]} |",
        f"| whose first answer holds a digit | {n_digits} |",
    ):
        assert line in english.readme
    longest = max(len(answer.split()) for answer in english.first_answers)
    assert f"the first has 1 to {longest} words" in english.readme


def test_english_texts_are_as_long_as_the_readme_says(english: Reading) -> None:
    n_words = [len(context.split()) for context in english.contexts]
    assert f"{min(n_words)} to {max(n_words)} words, 5 or 6 sentences" in english.readme
    n_words = [len(question["question"].split()) for *_, question in english.questions]
    assert f"{min(n_words)} to {max(n_words)} words; five on every context" in english.readme


def test_an_english_question_on_three_contexts_has_three_answers(english: Reading) -> None:
    asked = [question for *_, question in english.questions if question["question"] == "In which year did it open?"]
    assert len(asked) == len({question["answers"][0]["text"] for question in asked}) == 3


def test_korean_rows_are_as_many_as_the_readme_says(korean: Reading) -> None:
    titles = {title for title, *_ in korean.questions}
    shape = f"{len(korean.questions)} questions on {len(korean.contexts)} contexts of {len(titles)} titles"
    assert shape == "64 questions on 16 contexts of 8 titles"
    assert shape in korean.readme
    assert set(Counter(context for _, context, _ in korean.questions).values()) == {4}


def test_korean_answers_are_as_the_readme_says(korean: Reading) -> None:
    n_accepted = Counter(len(question["answers"]) for *_, question in korean.questions)
    n_unspaced = sum(" " not in answer for answer in korean.first_answers)
    n_digits = sum(any(map(str.isdigit, answer)) for answer in korean.first_answers)
    for line in (
        f"| with one accepted answer | {n_accepted[1]} |",
        f'("채만석", "목수 채만석") | {n_accepted[2]} |',
        f"| whose first answer has no space | {n_unspaced} |",
        f"| whose first answer holds a digit | {n_digits} |",
    ):
        assert line in korean.readme
    longest = max(map(len, korean.first_answers))
    assert f"the first has 1 to {longest} characters" in korean.readme


def test_korean_texts_are_as_long_as_the_readme_says(korean: Reading) -> None:
    n_characters = list(map(len, korean.contexts))
    assert f"{min(n_characters)} to {max(n_characters)} characters, 7 or 8 sentences" in korean.readme
    n_words = [len(question["question"].split()) for *_, question in korean.questions]
    assert f"{min(n_words)} to {max(n_words)} words; four on every context" in korean.readme
