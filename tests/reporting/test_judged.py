from dataclasses import replace

import pytest

from strop.records.scores import Difference, Scores, Treated
from strop.reporting.judged import (
    difference_to,
    judged,
    judged_baselines,
    judged_treatments,
    judgement,
    judgement_alone,
)


def difference(low: float, high: float, p_value: float, other: str = "tfidf") -> Difference:
    return Difference(other, "macro_f1", (low + high) / 2, low, high, p_value)


def test_p_values_are_corrected_within_the_family() -> None:
    family = [difference(0.1, 0.2, p_value) for p_value in (0.04, 0.01, 0.02)]
    found = judged(family, 0.95)
    assert [one.p_value for one in found] == pytest.approx([0.04, 0.03, 0.04])
    assert [one.difference for one in found] == family
    assert all(one.is_clear and one.n_tests == 3 for one in found)
    assert not any(one.is_clear for one in judged([difference(0.1, 0.2, 0.03)] * 3, 0.95))
    assert judged([], 0.95) == []


@pytest.mark.parametrize(
    ("low", "high", "p_value", "words", "where_lower_is_better"),
    [
        (0.1, 0.2, 0.01, "clearly above", "clearly better than"),
        (-0.2, -0.1, 0.01, "clearly below", "clearly worse than"),
        (0.1, 0.2, 0.06, "not distinguishable from", "not distinguishable from"),
        (-0.1, 0.2, 0.01, "not distinguishable from", "not distinguishable from"),
    ],
)
def test_the_words(low: float, high: float, p_value: float, words: str, where_lower_is_better: str) -> None:
    (one,) = judged([difference(low, high, p_value)], 0.95)
    assert judgement(one) == words
    assert judgement(one, higher_is_better=False) == where_lower_is_better
    assert judgement_alone(one) == words.removesuffix(" from")
    assert not judgement_alone(one, higher_is_better=False).endswith((" than", " from"))


def test_baselines_and_treatments_are_families_of_their_own(scores: Scores) -> None:
    treated = replace(scores, treated=(Treated("snapped", scores.model, difference(0.01, 0.02, 0.04, "model")),))
    assert [one.n_tests for one in judged_baselines(treated)] == [3, 3, 3]
    (gain,) = judged_treatments(treated)
    assert (gain.p_value, gain.n_tests, gain.is_clear) == (0.04, 1, True)


def test_a_difference_is_found_by_its_baseline(scores: Scores) -> None:
    found = difference_to(scores, "linear_probe")
    assert found is not None
    assert (found.difference.other, found.p_value) == ("linear_probe", pytest.approx(0.004))
    assert difference_to(scores, "nearest") is None
