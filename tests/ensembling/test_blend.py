import numpy as np
import pytest

from strop.ensembling.blend import blend, cross_fitted_blend, cross_fitted_blend_and_snap, fit_blend
from strop.metrics.regression import REGRESSION_METRICS

SPEARMAN = REGRESSION_METRICS["spearman"]


def drawn(noise_of_system: tuple[float, ...], n_rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    target_RT = generator.normal(size=(n_rows, 2))
    noise_SRT = generator.normal(size=(len(noise_of_system), n_rows, 2))
    return target_RT + np.array(noise_of_system)[:, None, None] * noise_SRT, np.round(target_RT, 1)


def test_a_blend_beats_each_of_its_systems():
    values_SRT, target_RT = drawn((1.0, 1.5, 1.0))
    target_RT[:50, 1] = np.nan
    weights_S = fit_blend(values_SRT, target_RT)
    assert weights_S.sum() == pytest.approx(1)
    assert (weights_S > 0).all()
    # The noisier system gets less: inverse variances would give it 1 / (1 + 2.25 * 2) of the weight.
    assert weights_S[1] == pytest.approx(0.18, abs=0.1)
    value = SPEARMAN.value(target_RT, blend(values_SRT, weights_S))
    equal = SPEARMAN.value(target_RT, values_SRT.mean(axis=0))
    assert value >= max(equal, *(SPEARMAN.value(target_RT, values_RT) for values_RT in values_SRT))


def test_a_useless_system_gets_no_weight():
    values_SRT, target_RT = drawn((0.5, 0.0))
    values_SRT[1] = np.random.default_rng(5).normal(size=target_RT.shape)
    assert fit_blend(values_SRT, target_RT)[1] <= 0.1
    values_SRT[1] = -values_SRT[0]
    assert fit_blend(values_SRT, target_RT)[0] > 0.5


def test_the_same_input_gives_the_same_weights():
    values_SRT, target_RT = drawn((1.0, 2.0, 0.7), n_rows=100)
    assert fit_blend(values_SRT, target_RT).tolist() == fit_blend(values_SRT, target_RT).tolist()


def test_one_system_and_constants_do_no_harm():
    values_SRT, target_RT = drawn((1.0,), n_rows=20)
    assert fit_blend(values_SRT, target_RT).tolist() == [1.0]
    weights_S = fit_blend(np.zeros((2, 20, 2)), np.full((20, 2), np.nan))
    assert weights_S.tolist() == [0.5, 0.5]


def test_a_constant_system_is_not_paid_for_it():
    # Left out of the mean, the second target, which the first system ranks badly, would leave the other system ahead.
    values_SRT, target_RT = drawn((0.5, 0.5))
    values_SRT[0, :, 1] += 4 * np.random.default_rng(1).normal(size=len(target_RT))
    values_SRT[1] = values_SRT[0]
    values_SRT[1, :, 1] = 0.0
    by_target_T = SPEARMAN.by_target_values(target_RT, values_SRT[0])
    assert 0 < by_target_T[1] < 0.4 < 0.8 < by_target_T[0]
    assert SPEARMAN.value(target_RT, values_SRT[1]) > SPEARMAN.value(target_RT, values_SRT[0])
    assert fit_blend(values_SRT, target_RT)[0] > 0


def test_blend_by_hand():
    values_SRT = np.array([[[1.0, 2.0]], [[3.0, 6.0]]])
    assert blend(values_SRT, np.array([0.25, 0.75])).tolist() == [[2.5, 5.0]]


def test_a_row_does_not_see_its_own_target():
    values_SRT, target_RT = drawn((1.0, 1.5), n_rows=60)
    group_R = np.arange(60) // 3
    changed_RT = target_RT.copy()
    changed_RT[group_R == 4] = 9.0
    before, after = (cross_fitted_blend(values_SRT, of, group_R=group_R) for of in (target_RT, changed_RT))
    assert (before[group_R == 4] == after[group_R == 4]).all()
    assert SPEARMAN.value(target_RT, before) > SPEARMAN.value(target_RT, values_SRT[1])


def test_a_row_is_snapped_without_its_own_target():
    values_SRT, target_RT = drawn((0.5, 0.7))
    # Two values, the higher one rare: grids pay.
    target_RT = (target_RT > 1.2).astype(np.float64)
    group_R = np.arange(400) // 2
    blended_RT, snapped_RT = cross_fitted_blend_and_snap(values_SRT, target_RT, group_R=group_R)
    alone_RT = cross_fitted_blend(values_SRT, target_RT, group_R=group_R)
    np.testing.assert_array_equal(blended_RT, alone_RT)
    assert len(np.unique(snapped_RT)) < 60
    assert SPEARMAN.value(target_RT, snapped_RT) > SPEARMAN.value(target_RT, blended_RT)
    changed_RT = target_RT.copy()
    changed_RT[group_R == 4] = 1.0 - changed_RT[group_R == 4]
    _, after_RT = cross_fitted_blend_and_snap(values_SRT, changed_RT, group_R=group_R)
    np.testing.assert_array_equal(after_RT[group_R == 4], snapped_RT[group_R == 4])


def test_what_makes_no_sense_is_refused():
    values_SRT, target_RT = drawn((1.0, 1.0), n_rows=5)
    with pytest.raises(ValueError, match=r"shape \(systems, rows, targets\), came \(5, 2\)"):
        fit_blend(values_SRT[0], target_RT)
    with pytest.raises(ValueError, match=r"shape \(systems, rows, targets\), came \(0, 5, 2\)"):
        fit_blend(values_SRT[:0], target_RT)
    with pytest.raises(ValueError, match=r"values must have shape \(4, 2\) as the target has, came \(5, 2\)"):
        fit_blend(values_SRT, target_RT[:4])
    with pytest.raises(ValueError, match=r"one weight for each of 2 systems, came \(3,\)"):
        blend(values_SRT, np.ones(3) / 3)
    with pytest.raises(ValueError, match=r"must sum to 1, came \[0.5, 0.6\]"):
        blend(values_SRT, np.array([0.5, 0.6]))
    with pytest.raises(ValueError, match="at least 2 groups, came 1"):
        cross_fitted_blend(values_SRT, target_RT, group_R=np.zeros(5, dtype=int))
