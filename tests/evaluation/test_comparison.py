from dataclasses import replace

import pytest

from strop.evaluation.comparison import Comparison, Pair
from strop.records.scores import Score

PAIR = Pair("b", "a", 0.1, 0.02, 0.18, 0.0125, is_clear=True, intervals_overlap=False)
FOUND = Comparison(
    metric="macro_f1",
    confidence=0.975,
    n_rows=45,
    n_seen={"a": 10, "b": 0},
    n_not_shared={"a": 0, "b": 7},
    scores={"b": Score("macro_f1", 0.8, 0.75, 0.85), "a": Score("macro_f1", 0.7, 0.65, 0.74)},
    pairs=(PAIR,),
)


def test_the_words():
    assert FOUND.lines() == [
        "macro_f1 on 45 rows that no compared model was trained on, 97.5% intervals:",
        "  b: 0.8000 [0.7500, 0.8500]",
        "  a: 0.7000 [0.6500, 0.7400]",
        "  (10 rows that a was trained on are left out)",
        "  (7 rows predicted by b are not among the shared ones)",
        "b is clearly better than a: +0.1000 [+0.0200, +0.1800], p = 0.0125",
    ]


@pytest.mark.parametrize(
    ("is_clear", "overlap", "words"),
    [
        (True, True, "b is clearly better than a: {}; the intervals overlap, the paired difference is clear"),
        (
            False,
            True,
            "b and a cannot be told apart on these rows: {}; the intervals overlap and the difference is not clear",
        ),
        (False, False, "b and a cannot be told apart on these rows: {}; the difference is not clear"),
    ],
)
def test_the_words_for_a_pair(is_clear, overlap, words):
    found = replace(FOUND, pairs=(replace(PAIR, is_clear=is_clear, intervals_overlap=overlap),))
    assert found.lines()[-1] == words.format("+0.1000 [+0.0200, +0.1800], p = 0.0125")


def test_several_pairs_say_that_they_are_corrected():
    assert replace(FOUND, pairs=(PAIR, PAIR, PAIR)).lines()[-1] == "(p-values are corrected for 3 pairs after Holm)"
