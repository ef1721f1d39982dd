from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import stats
from scipy.special import softmax

from strop.evaluation.intervals import (
    bootstrap_p_value,
    bootstrap_scores,
    difference_interval,
    interval,
    numbers_of_groups,
    resample,
    resample_weights,
    score_with_interval,
    swap_p_value,
)
from strop.metrics.classification import f1_by_class
from strop.metrics.registry import METRICS
from strop.records.dataset import strings

EVERY_METRIC = list(METRICS.values())


def drawn(n_rows: int, seed: int = 0, n_labels: int = 3, strength: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    target_R = generator.integers(n_labels, size=n_rows)
    logits_RL = generator.normal(size=(n_rows, n_labels))
    logits_RL[np.arange(n_rows), target_R] += strength
    return target_R, softmax(logits_RL, axis=1)


def all_weights(*arguments: object, **options: object) -> np.ndarray:
    return np.concatenate(list(resample_weights(*arguments, **options)))  # type: ignore[arg-type]


def test_a_resample_draws_as_many_rows_as_there_are():
    weight_BR = all_weights(20, 300, 0)
    assert weight_BR.shape == (300, 20)
    assert (weight_BR.sum(axis=1) == 20).all()
    # Each row is drawn once on average; of 300 x 20 multiplicities 36.8 % are 0.
    np.testing.assert_allclose(weight_BR.mean(axis=0), 1.0, atol=0.25)
    assert (weight_BR == 0).mean() == pytest.approx(0.95**20, abs=0.02)


def test_groups_are_drawn_whole():
    group_R = np.array([0, 1, 1, 2, 0])
    weight_BR = all_weights(5, 200, 0, group_R)
    assert (weight_BR[:, 0] == weight_BR[:, 4]).all()
    assert (weight_BR[:, 1] == weight_BR[:, 2]).all()
    assert (weight_BR[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_the_size_of_chunks_changes_no_resample():
    np.testing.assert_array_equal(all_weights(30, 600, 5), all_weights(30, 600, 5, most_weights=100))
    assert [len(chunk) for chunk in resample_weights(30, 600, 5)] == [256, 256, 88]
    assert {len(chunk) for chunk in resample_weights(30, 7, 5, most_weights=10)} == {1}


def test_the_same_seed_gives_the_same_resamples():
    np.testing.assert_array_equal(all_weights(30, 50, 1), all_weights(30, 50, 1))
    assert (all_weights(30, 50, 1) != all_weights(30, 50, 2)).any()


def test_groups_are_numbered():
    assert numbers_of_groups(None) is None
    numbers = numbers_of_groups(strings(["b", "a", "b", "c"]))
    assert numbers is not None
    assert numbers.tolist() == [1, 0, 1, 2]


def test_resampled_metrics_are_those_of_the_resampled_rows():
    target_R, probabilities_RL = drawn(40)
    found = resample(EVERY_METRIC, target_R, probabilities_RL, n_resamples=5, seed=3)
    assert found.values.keys() == METRICS.keys()
    for at, weight_R in enumerate(all_weights(40, 5, 3)):
        rows = np.repeat(np.arange(40), weight_R.astype(int))
        for metric in EVERY_METRIC:
            expected = metric.value(target_R[rows], probabilities_RL[rows])
            assert found.values[metric.name][at] == pytest.approx(expected)
        counts = Counter(zip(target_R[rows], probabilities_RL[rows].argmax(axis=1), strict=True))
        counts_LL = np.array([[[counts[true, said] for said in range(3)] for true in range(3)]], dtype=float)
        np.testing.assert_allclose(found.classes["f1"][at], f1_by_class(counts_LL)[0])


def test_percentiles_by_hand():
    assert interval(np.arange(101) / 100, 0.9) == (pytest.approx(0.05), pytest.approx(0.95))


def test_a_corrected_interval_by_hand():
    # The percentiles are 0.25 and 0.75. The value is 0.4: they lie 0.15 below it and 0.35 above, and change places.
    assert interval(np.arange(101) / 100, 0.5, about=0.4) == (pytest.approx(0.05), pytest.approx(0.55))
    # In the middle nothing is corrected.
    assert interval(np.arange(101) / 100, 0.9, about=0.5) == pytest.approx(interval(np.arange(101) / 100, 0.9))


def test_a_metric_scipy_can_correct_has_scipys_interval():
    values_R = np.random.default_rng(0).exponential(size=200)
    theirs = stats.bootstrap((values_R,), np.mean, n_resamples=4000, method="basic", rng=1).confidence_interval
    values_B = all_weights(200, 4000, 0) @ values_R / 200
    assert interval(values_B, 0.95, about=values_R.mean()) == pytest.approx((theirs.low, theirs.high), abs=0.012)


@pytest.mark.parametrize(("shift", "at_least"), [(0.0, 0.65), (0.03, 0.75), (0.2, 0.85)])
def test_the_interval_of_the_calibration_error_holds_the_truth(shift, at_least):
    # Confidence is `shift` too high throughout, so the true error is `shift`. Percentiles as they are never hold a true
    # error of 0, since noise makes every resample's error positive.
    metric, generator, n_held = METRICS["calibration_error"], np.random.default_rng(0), 0
    for seed in range(100):
        confidence_R = generator.uniform(0.5 + shift / 2, 1.0, size=200)
        target_R = (generator.random(200) < confidence_R - shift).astype(np.int64)
        probabilities_RL = np.column_stack([1 - confidence_R, confidence_R])
        resampled = resample([metric], target_R, probabilities_RL, n_resamples=200, seed=seed)
        score = bootstrap_scores([metric], target_R, probabilities_RL, resampled, 0.95)["calibration_error"]
        assert score.low is not None
        assert score.high is not None
        assert score.low >= 0.0
        n_held += score.low <= shift <= score.high
    assert n_held / 100 >= at_least


def test_resamples_that_all_agree_give_a_point():
    assert interval(np.ones(100), 0.95) == (1.0, 1.0)
    assert interval(np.ones(100), 0.95, about=1.0) == (1.0, 1.0)


def test_the_interval_holds_the_value_and_keeps_to_the_limits():
    values_B = np.linspace(0.2, 0.3, 50)
    # Reflected at 0.1 the resamples lie between -0.1 and 0.
    score = score_with_interval("calibration_error", 0.1, values_B, 0.95, is_bias_corrected=True, limits=(0.0, 1.0))
    assert (score.low, score.high) == (0.0, 0.1)
    score = score_with_interval("accuracy", 0.1, values_B, 0.95)
    assert (score.low, score.high) == (0.1, pytest.approx(0.3, abs=0.01))


def test_the_interval_of_a_difference_holds_the_value():
    values_B = np.linspace(0.2, 0.3, 51)
    assert difference_interval(0.1, values_B, 0.9) == (0.1, pytest.approx(0.295))
    assert difference_interval(0.4, values_B, 0.9) == (pytest.approx(0.205), 0.4)
    assert difference_interval(0.25, values_B, 0.9) == interval(values_B, 0.9)


def test_a_metric_scipy_can_resample_has_scipys_interval():
    target_R, probabilities_RL = drawn(150)
    is_right_R = (probabilities_RL.argmax(axis=1) == target_R).astype(float)
    values_B = resample([METRICS["accuracy"]], target_R, probabilities_RL, n_resamples=4000, seed=0).values["accuracy"]
    theirs = stats.bootstrap((is_right_R,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    assert interval(values_B, 0.95) == pytest.approx((theirs.low, theirs.high), abs=0.012)


@pytest.mark.parametrize(("name", "at_least"), [("accuracy", 0.9), ("macro_f1", 0.9), ("log_loss", 0.89)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(name, at_least):
    metric = METRICS[name]
    truth = metric.value(*drawn(100_000, seed=1_000))
    n_held = 0
    for seed in range(200):
        target_R, probabilities_RL = drawn(120, seed=seed)
        values_B = resample([metric], target_R, probabilities_RL, n_resamples=300, seed=seed).values[name]
        low, high = interval(values_B, 0.95)
        n_held += low <= truth <= high
    assert at_least <= n_held / 200 <= 0.995


def test_resampling_rows_of_groups_one_by_one_would_be_too_sure():
    # Ten equal rows a group: the interval must be about as wide as that of a tenth of the rows.
    target_R, probabilities_RL = drawn(60)
    ten_R, ten_RL, group_R = (
        np.repeat(target_R, 10),
        np.repeat(probabilities_RL, 10, axis=0),
        np.repeat(np.arange(60), 10),
    )
    metric = [METRICS["accuracy"]]

    def width(*rows: np.ndarray, groups: np.ndarray | None = None) -> float:
        found = resample(metric, *rows, n_resamples=1000, seed=0, group_R=groups)
        low, high = interval(found.values["accuracy"], 0.95)
        return high - low

    assert width(ten_R, ten_RL, groups=group_R) == pytest.approx(width(target_R, probabilities_RL))
    assert width(ten_R, ten_RL) < 0.5 * width(target_R, probabilities_RL)


@pytest.mark.parametrize("name", ["macro_f1", "mcc", "log_loss", "calibration_error"])
def test_swaps_agree_with_all_swaps_there_are(name):
    metric = METRICS[name]
    target_R, one_RL = drawn(9, seed=2, strength=2.0)
    _, other_RL = drawn(9, seed=5, strength=0.0)
    observed = abs(metric.value(target_R, one_RL) - metric.value(target_R, other_RL))
    n_at_least = 0
    for kept in product([True, False], repeat=9):
        is_kept_R1 = np.array(kept)[:, None]
        first, second = np.where(is_kept_R1, one_RL, other_RL), np.where(is_kept_R1, other_RL, one_RL)
        n_at_least += abs(metric.value(target_R, first) - metric.value(target_R, second)) >= observed - 1e-12
    found = swap_p_value(metric, target_R, one_RL, other_RL, n_swaps=6000)
    assert found == pytest.approx(n_at_least / 2**9, abs=0.025)


def test_swaps_of_ranks_agree_with_all_swaps_there_are():
    target_R, one_RL = drawn(9, seed=2, strength=2.0)
    _, other_RL = drawn(9, seed=5, strength=0.0)
    other_RL = softmax(3 * np.log(other_RL), axis=1).round(1)
    other_RL /= other_RL.sum(axis=1, keepdims=True)
    ranks = np.array([stats.rankdata(scores_RL, axis=0) for scores_RL in (one_RL, other_RL)])

    def area(ranks_RL: np.ndarray) -> float:
        areas = []
        for label in np.unique(target_R):
            ahead = ranks_RL[target_R == label, label][:, None] - ranks_RL[target_R != label, label][None, :]
            areas.append((0.5 + 0.5 * np.sign(ahead)).mean())
        return float(np.mean(areas))

    differences = []
    for which in product([0, 1], repeat=9):
        which_R, rows = np.array(which), np.arange(9)
        differences.append(abs(area(ranks[which_R, rows]) - area(ranks[1 - which_R, rows])))
    n_at_least = sum(difference >= differences[0] - 1e-12 for difference in differences)
    found = swap_p_value(METRICS["auroc"], target_R, one_RL, other_RL, n_swaps=6000)
    assert found == pytest.approx(n_at_least / 2**9, abs=0.025)


@pytest.mark.parametrize(
    "name", [metric.name for metric in EVERY_METRIC if metric.of_confusion or metric.name == "brier"]
)
@pytest.mark.parametrize("n_groups", [None, 20])
def test_the_quick_ways_to_swap_give_what_the_slow_one_gives(name, n_groups):
    metric = METRICS[name]
    target_R, one_RL = drawn(80, seed=1)
    _, other_RL = drawn(80, seed=1, strength=0.6)
    other_RL[:30] = one_RL[:30]
    group_R = None if n_groups is None else np.arange(80) % n_groups
    slow = replace(metric, of_confusion=None, difference_by_row=None)
    found, expected = (
        swap_p_value(one, target_R, one_RL, other_RL, n_swaps=300, seed=4, group_R=group_R) for one in (metric, slow)
    )
    assert found == expected


def test_the_area_is_compared_by_order_alone():
    target_R, one_RL = drawn(80, n_labels=2)
    _, other_RL = drawn(80, n_labels=2, strength=0.3)
    # The same order with every score nearly 1: a swap of raw scores would measure the scale.
    second_R = 1 - 1e-3 * other_RL[:, 0]
    shifted_RL = np.column_stack([1 - second_R, second_R])
    metric = METRICS["auroc"]
    expected = swap_p_value(metric, target_R, one_RL, other_RL)
    assert swap_p_value(metric, target_R, one_RL, shifted_RL) == expected
    assert swap_p_value(metric, target_R, other_RL, shifted_RL) == 1.0


def test_an_area_that_no_class_has_is_no_difference():
    _, one_RL = drawn(10)
    _, other_RL = drawn(10, seed=1)
    assert swap_p_value(METRICS["auroc"], np.zeros(10, dtype=np.int64), one_RL, other_RL) == 1.0


def test_scipys_permutation_test_agrees():
    target_R, one_RL = drawn(60, seed=1)
    _, other_RL = drawn(60, seed=1, strength=0.9)
    loss = [-np.log(one[np.arange(60), target_R]) for one in (one_RL, other_RL)]
    theirs = stats.permutation_test(
        loss, lambda x, y: np.mean(x) - np.mean(y), permutation_type="samples", n_resamples=6000, rng=0
    )
    found = swap_p_value(METRICS["log_loss"], target_R, one_RL, other_RL, n_swaps=6000)
    assert found == pytest.approx(theirs.pvalue, abs=0.03)


def test_a_p_value_by_hand():
    # Six rows, each as much better as the others: only no swap or six swaps differ as much, 2 of 64.
    target_R = np.zeros(6, dtype=np.int64)
    one_RL, other_RL = np.tile([0.8, 0.2], (6, 1)), np.tile([0.5, 0.5], (6, 1))
    found = swap_p_value(METRICS["log_loss"], target_R, one_RL, other_RL, n_swaps=20_000)
    assert found == pytest.approx(2 / 64, abs=0.005)


def test_equal_systems_have_a_p_value_of_one():
    target_R, one_RL = drawn(30)
    assert swap_p_value(METRICS["macro_f1"], target_R, one_RL, one_RL) == 1.0


def test_the_smallest_p_value():
    target_R, _ = drawn(300)
    perfect_RL, wrong_RL = np.eye(3)[target_R], np.eye(3)[(target_R + 1) % 3]
    assert swap_p_value(METRICS["accuracy"], target_R, perfect_RL, wrong_RL, n_swaps=99) == 1 / 100


@pytest.mark.parametrize("name", ["macro_f1", "auroc", "log_loss"])
def test_p_values_are_even_where_there_is_no_difference(name):
    # Two systems of the same strength: about one p-value in ten lies below 0.1, and half lie below a half.
    p_values = []
    metric = METRICS[name]
    for seed in range(150):
        target_R, one_RL = drawn(60, seed=seed)
        generator = np.random.default_rng(10_000 + seed)
        logits_RL = generator.normal(size=(60, 3))
        logits_RL[np.arange(60), target_R] += 1.0
        other_RL = softmax(logits_RL, axis=1)
        p_values.append(swap_p_value(metric, target_R, one_RL, other_RL, n_swaps=200, seed=seed))
    assert np.mean(np.array(p_values) < 0.1) == pytest.approx(0.1, abs=0.06)
    assert np.mean(np.array(p_values) < 0.5) == pytest.approx(0.5, abs=0.1)


def test_groups_are_swapped_whole():
    # One group: swapping it gives the same difference with the other sign, so nothing can be told.
    target_R, one_RL = drawn(40, strength=3.0)
    _, other_RL = drawn(40, strength=0.0, seed=4)
    one_group_R = np.zeros(40, dtype=np.int64)
    assert swap_p_value(METRICS["accuracy"], target_R, one_RL, other_RL, group_R=one_group_R) == 1.0
    assert swap_p_value(METRICS["accuracy"], target_R, one_RL, other_RL) < 0.01


@pytest.mark.parametrize(
    ("values", "n_units", "p_value"),
    [
        ([0.1, 0.2, 0.3], 50, 2 / 4),  # none on the other side of zero: (0 + 1) / (3 + 1), twice
        ([-0.1, 0.2, 0.3, 0.1, 0.2, 0.4, 0.1, 0.1, 0.2], 50, 2 * 2 / 10),
        ([-0.1, 0.1], 50, 1.0),
        ([0.0, 0.0, 0.0], 50, 1.0),
        ([0.1] * 999, 50, 2 / 1000),
        ([-0.1] * 999, 4, 1 / 8),  # four groups cannot tell more
        ([0.1] * 999, 1, 1.0),
    ],
)
def test_bootstrap_p_values_by_hand(values, n_units, p_value):
    assert bootstrap_p_value(np.array(values), n_units) == pytest.approx(p_value)


def test_bootstrap_p_values_are_even_where_nothing_differs():
    generator, p_values = np.random.default_rng(0), []
    for trial in range(200):
        difference_R = generator.normal(size=60)
        values_B = np.concatenate([weight_BR @ difference_R for weight_BR in resample_weights(60, 200, trial)])
        p_values.append(bootstrap_p_value(values_B, 60))
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.1
