import numpy as np
import pytest
from scipy import stats

from strop.metrics import regression as ours
from strop.metrics.regression import REGRESSION_METRICS


def drawn(seed: int, n_rows: int = 40, n_targets: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets of few values with some missing, predictions with and without ties, weights by whole numbers."""
    generator = np.random.default_rng(seed)
    target_RT = generator.integers(4, size=(n_rows, n_targets)) / 3
    values_RT = target_RT + generator.normal(size=target_RT.shape)
    values_RT[:, 0] = np.round(values_RT[:, 0])
    target_RT[generator.random(target_RT.shape) < 0.2] = np.nan
    return target_RT, values_RT, generator.integers(4, size=(70, n_rows)).astype(float)


def repeated(target_R: np.ndarray, value_R: np.ndarray, weight_R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    times_R = np.where(np.isnan(target_R), 0, weight_R).astype(int)
    return np.repeat(target_R, times_R), np.repeat(value_R, times_R)


@pytest.mark.parametrize(
    ("metric", "peer"),
    [
        (ours.spearman_by_target, lambda one, other: stats.spearmanr(one, other).statistic),
        (ours.pearson_by_target, lambda one, other: stats.pearsonr(one, other).statistic),
        (ours.mae_by_target, lambda one, other: np.abs(one - other).mean()),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_a_weight_counts_as_so_many_rows(metric, peer, seed):
    target_RT, values_RT, weight_BR = drawn(seed)
    found_BT = metric(target_RT, values_RT, weight_BR)
    assert found_BT.shape == (70, 3)
    for target in range(3):
        for number, weight_R in enumerate(weight_BR):
            wanted = peer(*repeated(target_RT[:, target], values_RT[:, target], weight_R))
            assert found_BT[number, target] == pytest.approx(wanted, abs=1e-12)


def test_by_hand():
    # Ranks 1, 2.5, 2.5, 4 against 2, 1, 3, 4: deviations -1.5, 0, 0, 1.5 and -0.5, -1.5, 0.5, 1.5.
    target_RT, values_RT = np.array([[0.0], [1], [1], [3]]), np.array([[2.0], [1], [4], [5]])
    assert REGRESSION_METRICS["spearman"].value(target_RT, values_RT) == pytest.approx(3 / np.sqrt(4.5 * 5))
    assert REGRESSION_METRICS["mae"].value(target_RT, values_RT) == pytest.approx((2 + 0 + 3 + 2) / 4)
    # Deviations -1.25, -0.25, -0.25, 1.75 and -1, -2, 1, 2.
    assert REGRESSION_METRICS["pearson"].value(target_RT, values_RT) == pytest.approx(5 / np.sqrt(4.75 * 10))


@pytest.mark.parametrize("name", ["spearman", "pearson"])
def test_what_is_constant_has_no_correlation(name):
    # 0.1 three times has a mean that is not 0.1.
    target_RT = np.array([[0.1, 0, 0], [0.1, 1, 1], [0.1, 2, 2]])
    values_RT = np.array([[0.0, 0.1, 0], [1, 0.1, 1], [2, 0.1, 2]])
    found_T = REGRESSION_METRICS[name].by_target_values(target_RT, values_RT)
    assert np.isnan(found_T).tolist() == [True, True, False]
    assert found_T[2] == pytest.approx(1)
    assert REGRESSION_METRICS[name].value(target_RT, values_RT) == pytest.approx(1)
    assert np.isnan(REGRESSION_METRICS[name].value(target_RT[:, :2], values_RT[:, :2]))


@pytest.mark.parametrize("name", ["spearman", "pearson"])
def test_constant_under_one_weighting_alone(name):
    target_RT, values_RT = np.array([[0.1], [0.1], [0.7]]), np.array([[1.3], [2], [3]])
    found_BT = REGRESSION_METRICS[name].by_target(target_RT, values_RT, np.array([[1.0, 1, 0], [1, 1, 1], [0, 0, 3]]))
    assert np.isnan(found_BT[:, 0]).tolist() == [True, False, True]


@pytest.mark.parametrize("name", list(REGRESSION_METRICS))
def test_a_target_without_rows_is_undefined(name):
    target_RT = np.array([[np.nan, 0.0], [np.nan, 1.0], [np.nan, 1.0]])
    values_RT = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 1.0]])
    found_T = REGRESSION_METRICS[name].by_target_values(target_RT, values_RT)
    assert np.isnan(found_T[0])
    assert found_T[1] == pytest.approx(REGRESSION_METRICS[name].best)
    assert REGRESSION_METRICS[name].value(target_RT, values_RT) == pytest.approx(REGRESSION_METRICS[name].best)


def test_large_numbers_lose_no_digits():
    target_RT, values_RT, _ = drawn(3)
    found = REGRESSION_METRICS["pearson"].value(target_RT, values_RT)
    assert REGRESSION_METRICS["pearson"].value(target_RT, values_RT + 1e9) == pytest.approx(found, abs=1e-6)


def test_mean_is_over_what_is_defined():
    found_B = ours.mean_over_targets(np.array([[0.2, np.nan, 0.4], [np.nan] * 3]))
    assert found_B[0] == pytest.approx(0.3)
    assert np.isnan(found_B[1])


def test_directions():
    assert {name: metric.higher_is_better for name, metric in REGRESSION_METRICS.items()} == {
        "spearman": True,
        "pearson": True,
        "mae": False,
    }


@pytest.mark.parametrize("name", list(REGRESSION_METRICS))
@pytest.mark.parametrize(
    ("target", "values", "words"),
    [
        (np.zeros((0, 2)), np.zeros((0, 2)), r"shape \(rows, targets\) and not be empty, came \(0, 2\)"),
        (np.zeros(3), np.zeros(3), r"shape \(rows, targets\) and not be empty, came \(3,\)"),
        (np.zeros((3, 2)), np.zeros((3, 1)), r"values must have shape \(3, 2\) as the target has, came \(3, 1\)"),
        (np.zeros((1, 1)), np.array([[np.nan]]), "values must be finite, came NaN or infinity"),
        (
            np.array([[np.inf]]),
            np.zeros((1, 1)),
            "the target must be finite, or NaN where it is missing, came infinity",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(name, target, values, words):
    with pytest.raises(ValueError, match=words):
        REGRESSION_METRICS[name].value(target, values)


@pytest.mark.parametrize("name", list(REGRESSION_METRICS))
def test_weights_must_fit_the_rows(name):
    with pytest.raises(ValueError, match=r"weights must have shape \(weightings, 3\), came \(1, 2\)"):
        REGRESSION_METRICS[name].by_target(np.zeros((3, 1)), np.zeros((3, 1)), np.ones((1, 2)))
