"""The small data sets that come with the repository hold what their README says."""

import csv
from collections import Counter, defaultdict
from pathlib import Path

import pytest

ANSWER_QUALITY = Path(__file__).resolve().parents[1] / "samples" / "answer-quality"
TARGETS = ("answer_helpful", "answer_complete", "answer_polite", "question_clear", "question_is_howto")
COLUMNS = ("id", "thread", "question", "answer", "topic", "answerer_answers", *TARGETS)
# Means of three ratings, each 0, 0.5 or 1.
RATINGS = ("0", "0.167", "0.333", "0.5", "0.667", "0.833", "1")

Rows = list[dict[str, str]]


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
