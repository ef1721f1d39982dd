import math

import numpy as np
import pytest

from strop.evaluation.intervals import resample_weights
from strop.evaluation.value_intervals import (
    difference_of,
    mean_of_resamples,
    mean_value,
    measured,
    resampled,
    score_of,
    varies_by_target,
)
from strop.metrics.regression import REGRESSION_METRICS

SPEARMAN, MAE = REGRESSION_METRICS["spearman"], REGRESSION_METRICS["mae"]
# Of three targets the first varies, the second is constant, the third has no rows.
TARGET_RT = np.array([[0.0, 0.5, np.nan], [0.5, 0.5, np.nan], [1.0, 0.5, np.nan]])


def test_whether_a_target_varies_under_a_weighting():
    weight_BR = np.array([[1.0, 1.0, 1.0], [0.0, 3.0, 0.0]])
    assert varies_by_target(TARGET_RT, weight_BR).tolist() == [[True, False, False], [False, False, False]]


def test_a_constant_answer_ranks_nothing_and_counts_as_0():
    by_target = measured(SPEARMAN, TARGET_RT, np.full((3, 3), 0.4))
    assert by_target[0] == 0.0
    assert np.isnan(by_target[1:]).all()
    assert mean_value(by_target) == 0.0
    assert measured(MAE, TARGET_RT, np.full((3, 3), 0.5)) == pytest.approx([1 / 3, 0, np.nan], nan_ok=True)


def test_the_mean_of_a_resample_is_over_the_same_targets_or_none():
    # The second resample cannot measure the second target, none measures the third.
    by_target_BT = np.array([[0.4, 0.2, np.nan], [0.5, np.nan, np.nan], [0.6, 0.0, np.nan]])
    assert mean_of_resamples(by_target_BT) == pytest.approx([0.3, np.nan, 0.3], nan_ok=True)
    assert np.isnan(mean_of_resamples(np.full((3, 2), np.nan))).all()


def test_where_nothing_is_defined_the_mean_is_0():
    assert mean_value(np.array([np.nan, np.nan])) == 0.0


def test_resamples_are_those_of_the_weights():
    target_RT, values_RT = np.random.default_rng(0).normal(size=(2, 12, 2))
    found = resampled([SPEARMAN, MAE], target_RT, {"a": values_RT}, n_resamples=300, seed=3)["a"]
    (first, *_) = resample_weights(12, 300, 3)
    assert found["mae"].shape == (300, 2)
    at = np.repeat(np.arange(12), first[7].astype(int))
    again = measured(SPEARMAN, target_RT[at], values_RT[at])
    assert found["spearman"][7] == pytest.approx(again)


def test_an_interval_stands_on_the_resamples_where_the_value_is_defined():
    score = score_of(SPEARMAN, 0.5, np.array([np.nan, 0.4, 0.6, np.nan]), 0.9)
    assert (score.low, score.high) == (pytest.approx(0.41), pytest.approx(0.59))
    alone = score_of(SPEARMAN, 0.5, np.full(4, np.nan), 0.9)
    assert (alone.value, alone.low, alone.high, alone.higher_is_better) == (0.5, None, None, True)


def test_a_difference_is_signed_by_the_metrics_direction():
    values_B = (np.linspace(0.1, 0.2, 100), np.full(100, 0.3))
    found = difference_of("mean", MAE, (0.15, 0.3), values_B, 0.9, n_units=50)
    assert (found.other, found.metric, found.value) == ("mean", "mae", pytest.approx(0.15))
    assert (found.low, found.high) == (pytest.approx(0.105), pytest.approx(0.195))
    assert found.p_value == pytest.approx(2 / 101)
    assert difference_of("mean", SPEARMAN, (0.3, 0.1), values_B, 0.9, n_units=50).value == pytest.approx(0.2)


def test_a_difference_that_no_resample_shows_is_not_clear():
    nothing = np.full(3, np.nan)
    found = difference_of("mean", SPEARMAN, (0.0, 0.0), (nothing, nothing), 0.9, n_units=3)
    assert (found.value, found.low, found.high, found.p_value) == (0, 0, 0, 1)
    assert not math.isnan(found.low)
