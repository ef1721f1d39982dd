"""The small data sets that come with the repository hold what their README says."""

import csv
import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from strop.evidence.addresses import read_address

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
ANSWER_QUALITY = SAMPLES / "answer-quality"
YES_NO = SAMPLES / "yes-no"
TARGETS = ("answer_helpful", "answer_complete", "answer_polite", "question_clear", "question_is_howto")
COLUMNS = ("id", "thread", "question", "answer", "topic", "answerer_answers", *TARGETS)
# Means of three ratings, each 0, 0.5 or 1.
RATINGS = ("0", "0.167", "0.333", "0.5", "0.667", "0.833", "1")

FIELDS = ("id", "question", "answer", "note", "snippets", "documents")
NEGATION = re.compile(r"\b(no|not|never|cannot|nor|neither)\b", re.IGNORECASE)

Rows = list[dict[str, str]]
Questions = list[dict[str, Any]]


@pytest.fixture(scope="module")
def pairs() -> Rows:
    with (ANSWER_QUALITY / "pairs.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


@pytest.fixture(scope="module")
def readme() -> str:
    return (ANSWER_QUALITY / "README.md").read_text(encoding="utf-8")


def by_thread(rows: Rows) -> dict[str, Rows]:
    threads: dict[str, Rows] = defaultdict(list)
    for row in rows:
        threads[row["thread"]].append(row)
    return threads


def test_pairs_are_plain_csv_with_the_columns_of_the_readme(pairs: Rows, readme: str) -> None:
    raw = (ANSWER_QUALITY / "pairs.csv").read_bytes()
    assert not raw.startswith(b"\xef\xbb\xbf")
    assert b"\r" not in raw
    assert all(tuple(row) == COLUMNS for row in pairs)
    assert all(value is not None for row in pairs for value in row.values())
    for column in COLUMNS:
        assert f"| `{column}` |" in readme


def test_pairs_are_numbered_and_no_answer_comes_twice(pairs: Rows) -> None:
    assert [row["id"] for row in pairs] == [f"a{number:04d}" for number in range(1, 375)]
    answers = Counter(" ".join(row["answer"].casefold().split()) for row in pairs)
    assert [answer for answer, count in answers.items() if count > 1] == []


def test_answers_have_5_to_156_words(pairs: Rows) -> None:
    n_words = [len(row["answer"].split()) for row in pairs]
    assert (min(n_words), max(n_words)) == (5, 156)
    assert all(row["question"].strip() for row in pairs)


def test_a_thread_is_one_question_of_one_topic(pairs: Rows) -> None:
    threads = by_thread(pairs)
    assert Counter(len(rows) for rows in threads.values()) == {1: 8, 2: 31, 3: 76, 4: 19}
    assert all(len({(row["question"], row["topic"]) for row in rows}) == 1 for rows in threads.values())
    assert len({rows[0]["question"] for rows in threads.values()}) == 134


def test_topics_are_as_many_as_the_readme_says(pairs: Rows, readme: str) -> None:
    n_rows = Counter(row["topic"] for row in pairs)
    n_threads = Counter(rows[0]["topic"] for rows in by_thread(pairs).values())
    table = [f"| `{topic}` | {count} | {n_threads[topic]} |" for topic, count in n_rows.items()]
    assert [line for line in table if line not in readme] == []
    assert {topic for topic, count in n_rows.items() if count < 10} == {"careers", "library", "accessibility"}


@pytest.mark.parametrize("target", TARGETS)
def test_targets_are_means_of_three_ratings_with_the_counts_of_the_readme(
    pairs: Rows, readme: str, target: str
) -> None:
    counts = Counter(row[target] for row in pairs)
    assert set(counts) <= {*RATINGS, ""}
    rated = [float(row[target]) for row in pairs if row[target]]
    cells = [f"{sum(rated) / len(rated):.3f}", *(str(counts[value]) for value in (*RATINGS, ""))]
    assert f"| `{target}` | {' | '.join(cells)} |" in readme


def test_nine_targets_are_missing_in_seven_rows(pairs: Rows) -> None:
    n_missing = [sum(row[target] == "" for target in TARGETS) for row in pairs]
    assert (sum(n_missing), sum(count > 0 for count in n_missing)) == (9, 7)


def test_answerer_answers_are_counts_with_nine_missing(pairs: Rows) -> None:
    values = [row["answerer_answers"] for row in pairs]
    assert values.count("") == 9
    given = [int(value) for value in values if value]
    assert (min(given), max(given)) == (0, 346)


@pytest.mark.parametrize(
    ("target", "n_threads_that_differ", "widest"), [("question_clear", 52, 0.333), ("question_is_howto", 16, 0.167)]
)
def test_targets_of_the_question_nearly_agree_within_a_thread(
    pairs: Rows, target: str, n_threads_that_differ: int, widest: float
) -> None:
    values = [[float(row[target]) for row in rows if row[target]] for rows in by_thread(pairs).values()]
    spreads = [max(ratings) - min(ratings) for ratings in values if ratings]
    assert sum(spread > 0 for spread in spreads) == n_threads_that_differ
    assert max(spreads) == pytest.approx(widest, abs=0.0015)


def test_polite_is_not_helpful_as_often_as_the_readme_says(pairs: Rows) -> None:
    rated = [row for row in pairs if row["answer_helpful"] and row["answer_polite"]]
    empty_words = [row for row in rated if float(row["answer_polite"]) >= 0.8 and float(row["answer_helpful"]) <= 0.34]
    assert len(empty_words) == 44


def test_eight_threads_at_most_ask_for_a_procedure(pairs: Rows) -> None:
    asking = {row["thread"] for row in pairs if row["question_is_howto"] and float(row["question_is_howto"]) > 0.5}
    assert len(asking) == 8


@pytest.fixture(scope="module")
def questions() -> Questions:
    content: Questions = json.loads((YES_NO / "questions.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def yes_no_readme() -> str:
    return (YES_NO / "README.md").read_text(encoding="utf-8")


def test_questions_are_plain_json_with_the_fields_of_the_readme(questions: Questions, yes_no_readme: str) -> None:
    raw = (YES_NO / "questions.json").read_bytes()
    assert not raw.startswith(b"\xef\xbb\xbf")
    assert b"\r" not in raw
    assert all(tuple(row) == FIELDS for row in questions)
    assert all(tuple(one) == ("text", "document", "title") for row in questions for one in row["snippets"])
    for field in FIELDS:
        assert f"| `{field}` |" in yes_no_readme


def test_questions_are_numbered_and_none_comes_twice(questions: Questions) -> None:
    assert [row["id"] for row in questions] == [f"y{number:03d}" for number in range(1, 139)]
    assert len({" ".join(row["question"].casefold().split()) for row in questions}) == 138
    assert all(row["question"].endswith("?") and row["documents"] == [] for row in questions)


def test_answers_are_as_many_as_the_readme_says(questions: Questions, yes_no_readme: str) -> None:
    counts = Counter(row["answer"] for row in questions)
    assert f"| questions | {counts['yes']} | {counts['no']} | {counts.total()} |" in yes_no_readme
    negated = Counter(
        row["answer"] for row in questions if any(NEGATION.search(one["text"]) for one in row["snippets"])
    )
    assert f"neither) | {negated['yes']} | {negated['no']} | {negated.total()} |" in yes_no_readme
    assert counts.keys() == {"yes", "no"}
    assert counts["yes"] / counts.total() == pytest.approx(0.65, abs=0.005)


def test_snippets_are_as_many_as_the_readme_says(questions: Questions, yes_no_readme: str) -> None:
    n_snippets = Counter(len(row["snippets"]) for row in questions)
    assert f"| questions | {' | '.join(str(n_snippets[count]) for count in (1, 2, 3, 4))} | 138 |" in yes_no_readme
    snippets = [(one["document"], one["text"]) for row in questions for one in row["snippets"]]
    assert (len(snippets), len(set(snippets))) == (315, 190)
    assert all(len({one["text"] for one in row["snippets"]}) == len(row["snippets"]) for row in questions)


def test_questions_and_snippets_are_as_long_as_the_readme_says(questions: Questions) -> None:
    n_words = [len(row["question"].split()) for row in questions]
    assert (min(n_words), max(n_words)) == (5, 22)
    n_words = [len(one["text"].split()) for row in questions for one in row["snippets"]]
    assert (min(n_words), max(n_words)) == (5, 23)


def test_documents_of_snippets_are_addresses_of_66_notes_with_a_title_each(questions: Questions) -> None:
    titles = {(one["document"], one["title"]) for row in questions for one in row["snippets"]}
    assert {address for address, _ in titles} == {f"https://example.org/notes/{number}" for number in range(1, 67)}
    assert len(titles) == 66
    assert all(read_address(address).canonical == address for address, _ in titles)


def test_every_question_has_a_snippet_of_its_note(questions: Questions) -> None:
    for row in questions:
        address = f"https://example.org/notes/{int(row['note'][1:])}"
        assert address in [one["document"] for one in row["snippets"]]


def test_opposite_questions_are_on_as_many_notes_as_the_readme_says(questions: Questions) -> None:
    answers: dict[str, list[str]] = defaultdict(list)
    for row in questions:
        answers[row["note"]].append(row["answer"])
    assert Counter(len(of_note) for of_note in answers.values()) == {1: 4, 2: 52, 3: 10}
    assert sum(len(set(of_note)) == 2 for of_note in answers.values()) == 47
