"""Scales of targets worked out by hand."""

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import rankdata

from strop.tasks.target_scale import MOST_KNOTS, TargetScale


def test_a_range_is_one_straight_line() -> None:
    scale = TargetScale.of_ranges([0.0, 10.0], [1.0, 30.0])
    np.testing.assert_allclose(scale.encode(np.array([[0.25, 20.0], [2.0, np.nan]])), [[0.25, 0.5], [1.0, np.nan]])
    np.testing.assert_allclose(scale.decode(logit([[0.25, 0.5]]).astype(np.float32)), [[0.25, 20.0]], rtol=1e-6)


def test_known_ranges_are_those_of_the_rows() -> None:
    scale = TargetScale.of_known_ranges(np.array([[2.0, 5.0, np.nan], [4.0, 5.0, np.nan], [np.nan, 5.0, np.nan]]))
    assert [value_K.tolist() for value_K in scale.values] == [[2.0, 4.0], [5.0, 6.0], [0.0, 1.0]]


def test_ranks_are_the_mean_ranks_of_training_rows() -> None:
    """Ranks 1.5, 1.5, 3, 4 become 0, 0, 0.6, 1; a value in between stands in between."""
    scale = TargetScale.of_ranks(np.array([[0.0], [0.0], [0.5], [1.0], [np.nan]]))
    encoded = scale.encode(np.array([[0.0], [0.5], [1.0], [0.75], [np.nan]]))
    np.testing.assert_allclose(encoded[:, 0], [0.0, 0.6, 1.0, 0.8, np.nan])
    np.testing.assert_allclose(scale.decode(logit([[0.3], [0.8]])), [[0.25], [0.75]], rtol=1e-6)


def test_ranks_agree_with_scipy_and_come_back_as_values() -> None:
    target_RT = np.random.default_rng(0).choice(
        [0.0, 1 / 3, 0.5, 2 / 3, 1.0], size=(200, 3), p=[0.7, 0.1, 0.1, 0.05, 0.05]
    )
    scale = TargetScale.of_ranks(target_RT)
    ranks_RT = rankdata(target_RT, axis=0)
    expected = (ranks_RT - ranks_RT.min(axis=0)) / np.ptp(ranks_RT, axis=0)
    encoded = scale.encode(target_RT)
    np.testing.assert_allclose(encoded, expected, atol=1e-6)
    inside = np.clip(encoded.astype(np.float64), 1e-9, 1 - 1e-9)
    np.testing.assert_allclose(scale.decode(logit(inside)), target_RT, atol=1e-5)


def test_different_outputs_stay_different_values() -> None:
    """A target that is nearly always 0 would otherwise have ties where the network has none."""
    scale = TargetScale.of_ranks(np.array([[0.0]] * 99 + [[1.0]]))
    decoded = scale.decode(np.linspace(-6, 6, 50)[:, None])
    assert (np.diff(decoded[:, 0]) > 0).all()


@pytest.mark.parametrize("column", [[3.0, 3.0], [np.nan, np.nan]])
def test_what_has_no_ranks_gets_a_range(column: list[float]) -> None:
    scale = TargetScale.of_ranks(np.array([column]).T)
    assert np.ptp(scale.values[0]) == 1.0


def test_many_values_are_described_by_fewer_knots() -> None:
    target_RT = np.random.default_rng(1).normal(size=(5 * MOST_KNOTS, 1))
    scale = TargetScale.of_ranks(target_RT)
    assert len(scale.values[0]) <= MOST_KNOTS
    assert scale.values[0][[0, -1]].tolist() == [target_RT.min(), target_RT.max()]
    exact = (rankdata(target_RT[:, 0]) - 1) / (len(target_RT) - 1)
    np.testing.assert_allclose(scale.encode(target_RT)[:, 0], exact, atol=1 / MOST_KNOTS)


def test_a_scale_is_saved_as_plain_lists() -> None:
    scale = TargetScale.of_ranks(np.array([[0.0], [0.0], [0.5], [1.0]]))
    again = TargetScale.from_saved(scale.saved())
    outputs = np.linspace(-2, 2, 5)[:, None]
    np.testing.assert_array_equal(again.decode(outputs), scale.decode(outputs))
