import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from strop.metrics.ranking import gains, ndcg_at, recall_at, reciprocal_rank

# Two things matter for the first question, at ranks 1 and 3; one for the second, found at rank 2; for the third, not
# at all; for the fourth, three matter and two ranks came.
FOUND = [["a", "x", "b", "y"], ["x", "a", "y", "z"], ["x", "y", "z", "w"], ["c", "a"]]
GOLD = [{"a": 1.0, "b": 1.0}, {"a": 1.0}, {"q": 1.0}, {"a": 1.0, "b": 1.0, "c": 1.0}]


def test_values_worked_out_by_hand() -> None:
    gained = gains(FOUND, GOLD)
    np.testing.assert_allclose(recall_at(gained, 1), [1 / 2, 0, 0, 1 / 3])
    np.testing.assert_allclose(recall_at(gained, 2), [1 / 2, 1, 0, 2 / 3])
    np.testing.assert_allclose(recall_at(gained, 10), [1, 1, 0, 2 / 3])
    np.testing.assert_allclose(reciprocal_rank(gained), [1, 1 / 2, 0, 1])
    second, third = 1 / np.log2(3), 1 / 2
    np.testing.assert_allclose(
        ndcg_at(gained, 3), [(1 + third) / (1 + second), second, 0, (1 + second) / (1 + second + third)]
    )
    np.testing.assert_allclose(ndcg_at(gained, 1), [1, 0, 0, 1])


def test_grades_count_by_their_gain() -> None:
    gained = gains([["b", "a"]], [{"a": 3.0, "b": 1.0, "none": 0.0}])
    np.testing.assert_allclose(ndcg_at(gained, 2), [(1 + 3 / np.log2(3)) / (3 + 1 / np.log2(3))])
    np.testing.assert_allclose(recall_at(gained, 2), [1.0])


def test_what_stands_there_twice_counts_once() -> None:
    gained = gains([["x", "a", "a", "a"]], [{"a": 1.0, "b": 1.0}])
    np.testing.assert_allclose(gained.found_QK, [[0, 1, 0, 0]])
    np.testing.assert_allclose(recall_at(gained, 4), [1 / 2])


@given(
    relevance=st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=5).filter(
        lambda rows: all(any(row) for row in rows)
    ),
    k=st.integers(1, 8),
    seed=st.integers(0, 100),
)
def test_ndcg_is_scikit_learns(relevance: list[list[int]], k: int, seed: int) -> None:
    true_QP = np.array(relevance, dtype=float)
    score_QP = np.random.default_rng(seed).permuted(np.tile(np.arange(6.0), (len(true_QP), 1)), axis=1)
    found = np.argsort(-score_QP, axis=1).tolist()
    gold = [dict(enumerate(row)) for row in true_QP.tolist()]
    assert ndcg_at(gains(found, gold), k).mean() == pytest.approx(ndcg_score(true_QP, score_QP, k=k))


def test_questions_for_which_nothing_matters_are_refused() -> None:
    for gold in ({}, {"a": 0.0}):
        with pytest.raises(ValueError, match="something must matter for every question, nothing does for number 1"):
            gains([["a"], ["a"]], [{"a": 1.0}, gold])


def test_other_input_that_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one, came 0, 0"):
        gains([], [])
    with pytest.raises(ValueError, match="came 1, 2"):
        gains([["a"]], [{"a": 1.0}, {"a": 1.0}])
    for gain in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="gains must be finite and not negative"):
            gains([["a"]], [{"a": 1.0, "b": gain}])
    with pytest.raises(ValueError, match="k must be at least 1, came 0"):
        recall_at(gains([["a"]], [{"a": 1.0}]), 0)


def test_a_question_that_found_nothing_scores_nothing() -> None:
    gained = gains([[]], [{"a": 1.0}])
    assert [recall_at(gained, 5)[0], ndcg_at(gained, 5)[0], reciprocal_rank(gained)[0]] == [0.0, 0.0, 0.0]
