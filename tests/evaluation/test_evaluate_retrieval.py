import numpy as np
import pytest

from strop.evaluation.evaluate_retrieval import retrieval_difference, score_retrieval
from strop.records.dataset import strings

# Found at rank 1 by half of the questions and not at all by the others.
GOLD = [{"a": 1.0}] * 100
HALF = [["a"] if number % 2 else ["x"] for number in range(100)]


def test_means_have_percentile_intervals_over_questions() -> None:
    scores = score_retrieval(HALF, GOLD, k=10, n_bootstrap=4000)
    assert list(scores.metrics) == ["recall@10", "ndcg@10", "mrr"]
    for score in scores.metrics.values():
        assert score.value == 0.5
        # A mean of 100 throws of a coin: 0.5 +- 1.96 * 0.05.
        assert score.low == pytest.approx(0.402, abs=0.02)
        assert score.high == pytest.approx(0.598, abs=0.02)
    assert scores.per_question["recall@10"].tolist() == [0.0, 1.0] * 50


def test_whole_groups_are_resampled() -> None:
    groups = strings([str(number % 2) for number in range(100)])
    score = score_retrieval(HALF, GOLD, groups=groups).metrics["mrr"]
    assert (score.low, score.high) == (0.0, 1.0)


def test_a_perfect_ranking_has_no_room_above() -> None:
    score = score_retrieval([["a"]] * 5, GOLD[:5]).metrics["ndcg@10"]
    assert (score.value, score.low, score.high) == (1.0, 1.0, 1.0)


def test_two_ways_are_compared_question_by_question() -> None:
    more = [["a"] if number % 2 or number % 5 == 0 else ["x"] for number in range(100)]
    one, other = score_retrieval(more, GOLD), score_retrieval(HALF, GOLD)
    gain = retrieval_difference(one, other, "mrr", name="half")
    assert (gain.other, gain.metric) == ("half", "mrr")
    assert gain.value == pytest.approx(0.1)
    # Never negative on any resample: closer to its value than either score alone.
    assert gain.low == pytest.approx(0.1 - 1.96 * 0.03, abs=0.015)
    assert gain.high == pytest.approx(0.1 + 1.96 * 0.03, abs=0.015)
    assert gain.p_value < 0.01
    back = retrieval_difference(other, one, "mrr", name="more")
    np.testing.assert_allclose([back.value, back.low, back.high], [-gain.value, -gain.high, -gain.low])
