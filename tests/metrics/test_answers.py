"""Values worked out by hand, the official scripts' rules, and what must hold for any texts."""

import unicodedata
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strop.metrics.answers import ANSWER_METRICS, RULES, longest_common_subsequence
from strop.recipe.sections import Evaluation

SQUAD, KORQUAD = RULES["squad"], RULES["korquad"]
every_metric = pytest.mark.parametrize("metric", ANSWER_METRICS.values(), ids=ANSWER_METRICS)
texts = st.text(alphabet="ab the,.'서울시 \n《》", max_size=25)


def value(metric: str, answer: str, *accepted: str, rules: str = "squad") -> float:
    return ANSWER_METRICS[metric].by_row([answer], [accepted], RULES[rules])[0]


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("The  Cat's\tA-hat!", "cats ahat"),
        ("an apple a day", "apple day"),
        ("Athens", "athens"),
        ("the", ""),
        ("«Été»", "«été»"),
    ],
)
def test_squad_normalises_words(text, normalized):
    assert SQUAD.normalized(text) == normalized


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("《서울》(특별시)", "서울 특별시"),
        ("'1,945년' 8월", "1945년 8월"),
        ("‘A’ 그리고 <B> 〈C〉", "a 그리고 b c"),
        ("the 서울", "the 서울"),
        ('"', ""),
    ],
)
def test_korquad_takes_symbols_for_white_space(text, normalized):
    assert KORQUAD.normalized(text) == normalized


def test_letters_written_singly_are_the_same_syllables():
    assert value("exact_match", unicodedata.normalize("NFD", "대한민국"), "대한민국", rules="korquad") == 1
    assert value("f1", unicodedata.normalize("NFD", "대한민국"), "대한민국", rules="korquad") == 1


def test_exact_match_is_of_normalised_texts():
    assert value("exact_match", "the Eiffel Tower.", "Eiffel tower") == 1
    assert value("exact_match", "Eiffel", "Eiffel tower") == 0
    assert value("exact_match", "Eiffel", "tower", "an Eiffel") == 1
    # White space counts in KorQuAD's exact match, not in its F1.
    assert value("exact_match", "서울특별시", "서울 특별시", rules="korquad") == 0
    assert value("f1", "서울특별시", "서울 특별시", rules="korquad") == 1


def test_f1_of_words():
    # 2 of 3 words given, 2 of 4 accepted: 2 * 2 / (3 + 4).
    assert value("f1", "big red dog", "red dog with hat") == pytest.approx(4 / 7)
    # A word counts as often as it stands in both.
    assert value("f1", "ha ha ha", "ha ha") == pytest.approx(2 * 2 / 5)
    assert value("f1", "cat", "dog") == 0
    assert value("f1", "red dog", "dog", "red dog house") == pytest.approx(4 / 5)


def test_f1_of_characters():
    # 서, 울 and 시 are common: 3 of 3 given, 3 of 5 accepted.
    assert value("f1", "서울시", "서울특별시", rules="korquad") == pytest.approx(6 / 8)
    assert value("f1", "서울시", "서울특별시") == 0


def test_rouge_l_keeps_the_order():
    # The longest common subsequence of "police killed gunman" and "police kill gunman" is 2 words.
    assert value("rouge_l", "police kill gunman", "police killed gunman") == pytest.approx(4 / 6)
    assert value("rouge_l", "gunman kill police", "police killed gunman") == pytest.approx(2 / 6)
    assert value("f1", "gunman kill police", "police killed gunman") == pytest.approx(4 / 6)
    # 서울시 is a subsequence of 서울특별시.
    assert value("rouge_l", "서울시", "서울특별시", rules="korquad") == pytest.approx(6 / 8)


@every_metric
def test_empty_answers_are_those_of_squad_2(metric):
    def one(answer, *accepted, no_answer=None):
        return metric.by_row([answer], [accepted], SQUAD, no_answer)[0]

    assert one("") == one("the", "") == one("", "a") == 1
    assert one("dog") == one("dog", "the") == 0
    # An accepted answer that is empty by the rules is left out where there is another.
    assert one("", "the", "dog") == 0
    assert one("dog", "the", "dog") == 1
    assert one("Unanswerable.", no_answer="unanswerable") == 1
    assert one("unanswerable", "dog", no_answer="unanswerable") == 0
    assert one("unanswerable", "unanswerable", no_answer="unanswerable") == 1


@every_metric
@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
@given(answer=texts, accepted=st.lists(texts, max_size=3), more=texts)
def test_what_holds_for_any_texts(metric, rules, answer, accepted, more):
    found = metric.by_row([answer, answer], [tuple(accepted), (answer,)], rules)
    assert metric.worst <= found[0] <= metric.best
    assert found[1] == 1
    # Further words for the same answer never take points away, once there is one.
    if any(rules.normalized(one) for one in accepted):
        assert metric.by_row([answer], [(*accepted, more)], rules)[0] >= found[0]
    # White space at the ends and case say nothing.
    assert metric.by_row([f" {answer.upper()}\n"], [tuple(accepted)], rules)[0] == found[0]


@given(texts, texts)
def test_metrics_stand_in_order(answer, accepted):
    for rules in RULES.values():
        exact, f1, rouge = (metric.by_row([answer], [(accepted,)], rules)[0] for metric in ANSWER_METRICS.values())
        assert exact <= rouge <= f1 + 1e-12
        assert ANSWER_METRICS["rouge_l"].by_row([accepted], [(answer,)], rules)[0] == pytest.approx(rouge)


def by_table(one: str, other: str) -> int:
    row = [0] * (len(other) + 1)
    for letter in one:
        above = row[:]
        for at, met in enumerate(other, 1):
            row[at] = above[at - 1] + 1 if letter == met else max(above[at], row[at - 1])
    return row[-1]


@given(st.text("abcd", max_size=80), st.text("abcd", max_size=80))
def test_the_subsequence_is_that_of_the_table(one, other):
    assert longest_common_subsequence(one, other) == by_table(one, other)


def test_rows_are_averaged():
    metric = ANSWER_METRICS["f1"]
    assert metric.by_row(["dog", "cat"], [("dog",), ("dog",)], SQUAD).tolist() == [1, 0]
    assert metric.value(["dog", "cat"], [("dog",), ("dog",)], SQUAD) == 0.5
    assert metric.by_row([], [], SQUAD).shape == (0,)
    with pytest.raises(ValueError, match="there must be rows to judge"):
        metric.value([], [], SQUAD)
    with pytest.raises(ValueError, match="accepted answers for each of 2 rows, came 1"):
        metric.by_row(["dog", "cat"], [("dog",)], SQUAD)


def test_recipes_know_every_metric_and_rule():
    fields = Evaluation.model_fields
    assert set(ANSWER_METRICS) <= set(get_args(fields["primary_metric"].annotation))
    assert set(RULES) == set(get_args(fields["answer_rules"].annotation))
    assert np.isfinite([metric.worst for metric in ANSWER_METRICS.values()]).all()
