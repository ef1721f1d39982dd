import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from strop.ensembling.calibrate import HIGHEST, LOWEST, cross_fitted_probabilities, fit_temperature


def honest(n_rows: int, seed: int = 0, n_labels: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits of which labels are drawn: their best temperature is 1."""
    generator = np.random.default_rng(seed)
    logits_RL = generator.normal(scale=2.0, size=(n_rows, n_labels))
    drawn = [generator.choice(n_labels, p=one) for one in softmax(logits_RL, axis=1)]
    return logits_RL, np.array(drawn)


def log_loss(logits_RL: np.ndarray, target_R: np.ndarray, temperature: float) -> float:
    return float(-log_softmax(logits_RL / temperature, axis=1)[np.arange(len(target_R)), target_R].mean())


@pytest.mark.parametrize("factor", [0.25, 1.0, 5.0])
def test_finds_the_factor_by_which_logits_are_too_large(factor):
    logits_RL, target_R = honest(4000)
    assert fit_temperature(factor * logits_RL, target_R) == pytest.approx(factor, rel=0.08)


def test_another_optimiser_finds_the_same():
    logits_RL, target_R = honest(3000, seed=3)
    found = minimize(lambda log_t: log_loss(logits_RL, target_R, float(np.exp(log_t[0]))), x0=[0.5], tol=1e-10)
    # The smoothing of the truth, 1 in 3,002, is all that differs.
    assert fit_temperature(logits_RL, target_R) == pytest.approx(float(np.exp(found.x[0])), rel=0.01)


def test_two_rows_by_hand():
    # Both rows prefer the first of two labels by 1, and both are right. The smoothed truth is 3/4 likely,
    # so 1 / T = log(3) makes the probabilities match it.
    assert fit_temperature(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 0])) == pytest.approx(
        1 / np.log(3), rel=1e-3
    )


def test_a_few_rows_that_are_all_right_do_not_make_the_model_certain():
    logits_RL, target_R = np.eye(3)[[0, 1, 2, 0, 1]] * 2.0, np.array([0, 1, 2, 0, 1])
    temperature = fit_temperature(logits_RL, target_R)
    assert LOWEST < temperature < 1
    # Five rows right: the smoothed truth is 6/7 likely.
    assert softmax(logits_RL / temperature, axis=1).max(axis=1) == pytest.approx(6 / 7, rel=1e-3)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_stays_within_bounds(scale):
    logits_RL, target_R = honest(50)
    assert LOWEST <= fit_temperature(scale * logits_RL, target_R) <= HIGHEST


def test_rows_that_are_all_wrong_flatten_the_probabilities():
    assert fit_temperature(np.eye(3)[[0, 1, 2]] * 5.0, np.array([1, 2, 0])) == pytest.approx(HIGHEST, rel=0.01)


def test_equal_logits_leave_any_temperature():
    assert LOWEST <= fit_temperature(np.zeros((4, 3)), np.array([0, 1, 2, 0])) <= HIGHEST


def test_the_order_of_labels_stays():
    logits_RL, target_R = honest(100)
    calibrated_RL = cross_fitted_probabilities(3 * logits_RL, target_R)
    assert calibrated_RL.argmax(axis=1).tolist() == logits_RL.argmax(axis=1).tolist()
    np.testing.assert_allclose(calibrated_RL.sum(axis=1), 1.0)


def test_a_row_has_no_say_in_its_own_temperature():
    logits_RL, target_R = honest(60)
    changed_R = target_R.copy()
    changed_R[7] = (changed_R[7] + 1) % 4
    before, after = (cross_fitted_probabilities(logits_RL, one, seed=4) for one in (target_R, changed_R))
    np.testing.assert_array_equal(before[7], after[7])
    assert (before != after).any()


def test_a_group_has_no_say_in_its_own_temperature():
    logits_RL, target_R = honest(60)
    group_R = np.arange(60) // 6
    changed_R = np.where(group_R == 3, (target_R + 1) % 4, target_R)
    before, after = (
        cross_fitted_probabilities(logits_RL, one, seed=4, group_R=group_R) for one in (target_R, changed_R)
    )
    np.testing.assert_array_equal(before[group_R == 3], after[group_R == 3])
    assert (before != after).any()


def test_one_group_stays_as_it_is():
    logits_RL, target_R = honest(10)
    calibrated_RL = cross_fitted_probabilities(logits_RL, target_R, group_R=np.zeros(10, dtype=np.int64))
    np.testing.assert_allclose(calibrated_RL, softmax(logits_RL, axis=1))


def test_the_same_seed_gives_the_same_folds():
    logits_RL, target_R = honest(60)
    one, same, other = (cross_fitted_probabilities(logits_RL, target_R, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_cross_fitting_improves_logits_that_are_too_large():
    logits_RL, target_R = honest(400)
    rows = np.arange(400)
    calibrated_RL = cross_fitted_probabilities(4 * logits_RL, target_R)
    assert -np.log(calibrated_RL[rows, target_R]).mean() < log_loss(4 * logits_RL, target_R, 1.0)


def test_one_row_stays_as_it_is():
    logits_RL = np.array([[1.0, 3.0]])
    np.testing.assert_allclose(cross_fitted_probabilities(logits_RL, np.array([0])), softmax(logits_RL, axis=1))


@pytest.mark.parametrize("function", [fit_temperature, cross_fitted_probabilities])
@pytest.mark.parametrize(
    ("logits", "target", "words"),
    [
        (np.empty((0, 2)), np.array([], dtype=int), r"must have the same rows, came \(0, 2\) and \(0,\)"),
        (np.zeros((2, 2)), np.array([0]), r"must have the same rows, came \(2, 2\) and \(1,\)"),
        (np.array([[0.0, np.nan]]), np.array([0]), "logits must be finite, came NaN or infinity"),
    ],
)
def test_what_has_no_temperature_is_refused(function, logits, target, words):
    with pytest.raises(ValueError, match=words):
        function(logits, target)
