import numpy as np
import pytest

from strop.ensembling.ranges import cross_fitted_coverage, fit_half_widths, ranges


def test_half_widths_by_hand():
    # Nine residuals, 1 to 9: of confidence 0.8 it is number 10 * 0.8 = 8, of 0.9 the ninth, of 0.91 there is none.
    target_RT = np.array([3.0, 1, 2, 9, 8, 7, 6, 5, 4])[:, None] * [1, -1]
    values_RT = np.zeros((9, 2))
    assert fit_half_widths(target_RT, values_RT, 0.8).tolist() == [8, 8]
    assert fit_half_widths(target_RT, values_RT, 0.9).tolist() == [9, 9]
    assert fit_half_widths(target_RT, values_RT, 0.91).tolist() == [np.inf, np.inf]


def test_missing_targets_count_for_nothing():
    target_RT = np.array([[1.0, np.nan], [np.nan, np.nan], [2, np.nan], [3, np.nan]])
    assert fit_half_widths(target_RT, np.zeros((4, 2)), 0.5).tolist() == [2, np.inf]


def test_ranges_end_where_the_target_does():
    low_RT, high_RT = ranges(
        np.array([[0.1, 5.0], [0.5, -5.0]]), np.array([0.2, np.inf]), np.array([0.0, -np.inf]), np.array([1.0, 9.0])
    )
    np.testing.assert_allclose(low_RT, [[0, -np.inf], [0.3, -np.inf]])
    np.testing.assert_allclose(high_RT, [[0.3, 9], [0.7, 9]])


@pytest.mark.parametrize("confidence", [0.5, 0.9])
def test_coverage_is_as_stated(confidence):
    generator = np.random.default_rng(0)
    target_RT = generator.normal(size=(4000, 3))
    target_RT[:, 2] = np.nan
    coverage_T = cross_fitted_coverage(target_RT, np.zeros((4000, 3)), confidence)
    assert coverage_T[:2] == pytest.approx(confidence, abs=0.03)
    assert np.isnan(coverage_T[2])


def test_rows_of_a_group_do_not_vouch_for_each_other():
    # Each group has a residual of its own: the other group's is too small, or larger than needed.
    target_RT, group_R = np.repeat([1.0, 2.0], 50)[:, None], np.repeat([0, 1], 50)
    assert cross_fitted_coverage(target_RT, np.zeros((100, 1)), 0.9, group_R=group_R).tolist() == [0.5]


def test_what_makes_no_sense_is_refused():
    one_RT, one_T = np.zeros((1, 1)), np.zeros(1)
    with pytest.raises(ValueError, match=r"the confidence must lie between 0 and 1, came 1\.0"):
        fit_half_widths(one_RT, one_RT, 1.0)
    with pytest.raises(ValueError, match=r"shape \(1, 1\) as the target has, came \(1, 2\)"):
        fit_half_widths(one_RT, np.zeros((1, 2)), 0.9)
    with pytest.raises(ValueError, match=r"half widths must have shape \(1,\) as there are targets, came \(2,\)"):
        ranges(one_RT, np.zeros(2), one_T, one_T)
    with pytest.raises(ValueError, match=r"half widths must not be negative or NaN, came \[-1.0\]"):
        ranges(one_RT, one_T - 1, one_T, one_T)
    with pytest.raises(ValueError, match=r"low ends must not be above high ends, came \[1.0\] and \[0.0\]"):
        ranges(one_RT, one_T, one_T + 1, one_T)
    with pytest.raises(ValueError, match="at least 2 groups, came 1"):
        cross_fitted_coverage(one_RT, one_RT, 0.9)
