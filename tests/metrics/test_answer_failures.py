import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strop.metrics.answer_failures import FAILURES, is_empty, repeats_itself
from strop.records.answers import Answers
from strop.records.dataset import strings


@pytest.mark.parametrize(
    "text",
    [
        "no no no no no no no no",
        "대한민국대한민국대한민국대한민국대한민국",
        "It is Seoul. It is Seoul. It is Seoul. It is",
        "....................",
        "서울\n서울\n\n서울  서울 서울 서울 서울",
        "the answer is " + "x" * 80 + ("ab" * 40) * 3,
        ("abcdefgh" * 10) * 3,
    ],
)
def test_loops_are_found(text):
    assert repeats_itself(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bye bye bye",
        "1,000,000,000,000",
        "very very very good",
        "banana",
        "It is Seoul. It is Seoul.",
        "one two three four five six seven eight nine ten eleven twelve",
        # Units of 81 characters are longer than what is looked for.
        ("".join(chr(0x4E00 + at) for at in range(81))) * 3,
    ],
)
def test_other_texts_are_no_loops(text):
    assert not repeats_itself(text)


def test_the_limits_are_those_that_are_said():
    # 19 characters are too few, whatever they are; 20 are a loop; two copies never are.
    assert not repeats_itself("a" * 19)
    assert repeats_itself("a" * 20)
    assert not repeats_itself("abcdefghijk" * 2 + "abcdefghij")
    assert repeats_itself("abcdefghijk" * 3)


def by_definition(text: str) -> bool:
    """Every stretch of at least 20 characters tried against every unit that stands in it three times."""
    line = " ".join(text.split())
    for start in range(len(line)):
        for end in range(start + 20, len(line) + 1):
            stretch = line[start:end]
            for unit in range(1, min(80, len(stretch) // 3) + 1):
                if all(stretch[at] == stretch[at - unit] for at in range(unit, len(stretch))):
                    return True
    return False


@given(st.lists(st.sampled_from(["ab", "abc", "a b", "x", "서울", " "]), max_size=14).map("".join))
def test_loops_are_those_of_the_definition(text):
    assert repeats_itself(text) == by_definition(text)


def test_answers_without_words_are_empty():
    assert is_empty("")
    assert is_empty(" \n\t")
    assert not is_empty(".")


def test_failures_are_those_of_the_answer_that_stands():
    answers = Answers(
        ids=strings(["a", "b"]),
        text_RC=np.array([["", "x"], ["so " * 20, ""]], dtype=object),
        log_likelihood_RC=np.zeros((2, 2), dtype=np.float32),
        n_tokens_RC=np.ones((2, 2), dtype=np.int64),
        ended_RC=np.array([[True, False], [False, True]]),
        part=strings(["test"] * 2),
        seen_R=np.zeros(2, dtype=np.bool_),
        fold_R=np.full(2, -1),
    )
    found = {name: failure.by_row(answers).tolist() for name, failure in FAILURES.items()}
    assert found == {"ended": [1, 0], "empty": [1, 0], "repeated": [0, 1]}
    assert [name for name, failure in FAILURES.items() if failure.higher_is_better] == ["ended"]
