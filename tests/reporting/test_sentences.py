import math
from dataclasses import replace

import pytest

from strop.records.scores import Difference, Score, Scores, Treated
from strop.reporting.sentences import (
    best_baseline,
    counted,
    differences_lines,
    metric_name,
    moment,
    number,
    p_text,
    percent,
    rows_judged,
    score_text,
    sentence,
    signed,
    system_name,
    verdict,
)


def with_difference(scores: Scores, value: float, low: float, high: float, p_value: float = 0.01) -> Scores:
    return replace(scores, differences=(Difference("tfidf", "macro_f1", value, low, high, p_value),))


def test_numbers_are_written_with_three_decimals_and_a_true_minus() -> None:
    assert number(0.81249) == "0.812"
    assert number(-0.5) == "−0.500"
    assert number(None) == number(math.nan) == "–"
    assert signed(0.12) == "+0.120"
    assert signed(-0.12) == "−0.120"


def test_counts_and_shares() -> None:
    assert counted(1, "row") == "1 row"
    assert counted(1234, "row") == "1,234 rows"
    assert counted(2, "entry", "entries") == "2 entries"
    assert percent(0.059) == "5.9 %"
    assert percent(0.0) == "0 %"
    assert percent(1.0) == "100 %"
    assert percent(0.0996) == "10 %"
    assert percent(0.996) == "99.6 %"


def test_p_values() -> None:
    assert p_text(0.0004) == "p < 0.001"
    assert p_text(0.0124) == "p = 0.012"


def test_moments_are_shown_to_the_minute() -> None:
    assert moment("2026-03-01T09:00:30+00:00") == "2026-03-01 09:00 UTC"
    assert moment("2026-03-01T09:00:30") == "2026-03-01 09:00"
    assert moment("") == "at an unknown time"


def test_a_score_without_interval_stands_alone() -> None:
    assert score_text(Score("accuracy", 0.5)) == "0.500"
    assert score_text(Score("accuracy", 0.5, 0.4, 0.6)) == "0.500 [0.400, 0.600]"


def test_names_that_nobody_listed_are_shown() -> None:
    assert metric_name("top_3_accuracy") == "Top 3 accuracy"
    # A run that a person named is called as they called it.
    assert system_name("my-run_2") == "my-run_2"


def test_a_sentence_has_a_capital_and_one_full_stop() -> None:
    assert sentence("these rows chose the AUROC") == "These rows chose the AUROC."
    assert sentence("Done.") == "Done."


def test_rows_judged_names_the_part(scores: Scores) -> None:
    assert rows_judged(scores) == "25 rows of the validation part"
    assert rows_judged(replace(scores, part="out of fold")) == "25 rows held out by the folds"


def test_the_verdict_says_that_the_edge_is_there(scores: Scores) -> None:
    assert verdict(scores) == (
        "Macro F1 0.812 [0.762, 0.862] on the validation part: clearly above the best baseline, TF-IDF "
        "(+0.120 [0.050, 0.190])."
    )


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ((0.02, -0.03, 0.07), "not distinguishable from the best baseline, TF-IDF (+0.020 [−0.030, 0.070])."),
        ((-0.1, -0.15, -0.05), "clearly below the best baseline, TF-IDF (−0.100 [−0.150, −0.050])."),
        ((0.05, 0.0, 0.1), "not distinguishable from the best baseline, TF-IDF (+0.050 [0.000, 0.100])."),
    ],
)
def test_the_verdict_claims_no_more_than_the_interval(
    scores: Scores, difference: tuple[float, float, float], words: str
) -> None:
    assert verdict(with_difference(scores, *difference)).endswith(words)


def test_where_lower_is_better_the_best_baseline_is_the_lowest(scores: Scores) -> None:
    by_loss = replace(
        scores, primary="log_loss", differences=(Difference("tfidf", "log_loss", 0.12, 0.05, 0.19, 0.01),)
    )
    best = best_baseline(by_loss)
    assert best is not None
    assert best.system == "tfidf"
    assert "clearly better than the best baseline, TF-IDF (+0.120" in verdict(by_loss)


def test_without_a_baseline_nothing_is_claimed(scores: Scores) -> None:
    alone = replace(scores, baselines=(), differences=())
    assert verdict(alone) == (
        "Macro F1 0.812 [0.762, 0.862] on the validation part; there is no baseline beside it, so nothing says whether "
        "the edge is there."
    )


def test_without_a_paired_difference_none_is_made_up(scores: Scores) -> None:
    assert verdict(replace(scores, differences=())).endswith(
        "the best baseline, TF-IDF, has 0.692 [0.642, 0.742], and the two were not compared row by row."
    )


def test_differences_stand_in_order_of_the_lead(scores: Scores) -> None:
    assert differences_lines(scores) == [
        "Clearly above the majority class in Macro F1: +0.725 [0.650, 0.790], corrected p < 0.001",
        "Clearly above the linear probe in Macro F1: +0.162 [0.080, 0.240], corrected p = 0.004",
        "Clearly above TF-IDF in Macro F1: +0.120 [0.050, 0.190], corrected p = 0.012",
    ]


def test_the_verdict_claims_no_more_than_the_corrected_p_value(scores: Scores) -> None:
    assert verdict(with_difference(scores, 0.1, 0.01, 0.2, 0.06)).endswith(
        "not distinguishable from the best baseline, TF-IDF (+0.100 [0.010, 0.200]; p = 0.060)."
    )
    # Alone 0.03 would be small enough; beside two others that are just as small it is not.
    three = tuple(replace(one, p_value=0.03) for one in scores.differences)
    assert verdict(replace(scores, differences=three)).endswith(
        "not distinguishable from the best baseline, TF-IDF (+0.120 [0.050, 0.190]; corrected p = 0.090)."
    )


def test_treatments_stand_after_the_baselines(scores: Scores) -> None:
    gain = Difference("model", "macro_f1", 0.01, 0.002, 0.018, 0.01)
    treated = (
        Treated("snapped", replace(scores.model, system="snapped"), gain),
        Treated("without_metadata", scores.model, replace(gain, low=-0.01, p_value=0.4)),
    )
    assert differences_lines(replace(scores, treated=treated))[3:] == [
        (
            "Snapped to each target's grid of values, Macro F1 0.812 [0.762, 0.862]: clearly above the model as it "
            "was, +0.010 [0.002, 0.018], corrected p = 0.020"
        ),
        (
            "Without metadata, Macro F1 0.812 [0.762, 0.862]: not distinguishable from the model as it was, "
            "+0.010 [−0.010, 0.018], corrected p = 0.400"
        ),
    ]
