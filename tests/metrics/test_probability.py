import numpy as np
import pytest
from sklearn import metrics as peer

from strop.metrics import probability as ours


def ones(n_rows: int) -> np.ndarray:
    return np.ones((1, n_rows))


def drawn(seed: int, n_rows: int = 80, n_labels: int = 4, decimals: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Targets and probabilities; few decimals of the logits make ties."""
    generator = np.random.default_rng(seed)
    target_R = generator.integers(n_labels, size=n_rows)
    logits_RL = generator.normal(size=(n_rows, n_labels)).round(decimals)
    logits_RL[np.arange(n_rows), target_R] += 0.5
    raised = np.exp(logits_RL)
    return target_R, raised / raised.sum(axis=1, keepdims=True)


def two(p_second: list[float]) -> np.ndarray:
    p_R = np.asarray(p_second, dtype=float)
    return np.column_stack([1 - p_R, p_R])


def test_rows_by_hand():
    target_R, probabilities_RL = np.array([0, 1]), np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]])
    np.testing.assert_allclose(ours.row_log_loss(target_R, probabilities_RL), [np.log(2), -np.log(0.8)])
    np.testing.assert_allclose(ours.row_brier(target_R, probabilities_RL), [0.25 + 0.09 + 0.04, 0.01 + 0.04 + 0.01])


def test_a_truth_held_impossible_costs_a_finite_loss():
    assert ours.row_log_loss(np.array([1]), np.array([[1.0, 0.0]]))[0] == pytest.approx(-np.log(1e-15))


def test_area_by_hand():
    # Positives at 0.8 and 0.4, negatives at 0.4 and 0.1: three pairs won, one tied.
    found = ours.auroc(np.array([1, 1, 0, 0]), two([0.8, 0.4, 0.4, 0.1]), ones(4))
    assert found[0] == pytest.approx(3.5 / 4)


def test_weighted_area_by_hand():
    weight_BR = np.array([[1.0, 0, 1, 0], [1, 3, 2, 1]])
    found = ours.auroc(np.array([1, 1, 0, 0]), two([0.3, 0.4, 0.4, 0.1]), weight_BR)
    # First: 0.3 against 0.4, lost. Second: 0.3 wins 1 of 3; three times 0.4 wins 1 and ties 2 of 3.
    np.testing.assert_allclose(found, [0.0, (1 + 3 * (1 + 1)) / (4 * 3)])


@pytest.mark.parametrize("seed", range(4))
def test_scikit_learn_agrees(seed):
    target_R, probabilities_RL = drawn(seed)
    area = ours.auroc(target_R, probabilities_RL, ones(80))[0]
    assert area == pytest.approx(peer.roc_auc_score(target_R, probabilities_RL, multi_class="ovr", average="macro"))
    loss_R = ours.row_log_loss(target_R, probabilities_RL)
    assert loss_R.mean() == pytest.approx(peer.log_loss(target_R, probabilities_RL, labels=range(4)))
    brier = peer.brier_score_loss(target_R, probabilities_RL, labels=range(4), scale_by_half=False)
    assert ours.row_brier(target_R, probabilities_RL).mean() == pytest.approx(brier)
    binary_R, binary_RL = drawn(seed, n_labels=2)
    assert ours.auroc(binary_R, binary_RL, ones(80))[0] == pytest.approx(peer.roc_auc_score(binary_R, binary_RL[:, 1]))


def test_weights_count_as_so_many_rows():
    target_R, probabilities_RL = drawn(7)
    weight_BR = np.random.default_rng(1).integers(0, 3, size=(3, 80)).astype(float)
    for metric in (ours.auroc, ours.calibration_error):
        for weight_R, found in zip(weight_BR, metric(target_R, probabilities_RL, weight_BR), strict=True):
            rows = np.repeat(np.arange(80), weight_R.astype(int))
            assert found == pytest.approx(metric(target_R[rows], probabilities_RL[rows], ones(len(rows)))[0])


def test_a_class_without_rows_has_no_area_and_is_left_out():
    target_R, probabilities_RL = drawn(3, n_labels=3)
    wider_RL = np.column_stack([probabilities_RL * 0.9, np.full(80, 0.1)])
    expected = ours.auroc(target_R, probabilities_RL, ones(80))
    assert ours.auroc(target_R, wider_RL, ones(80)) == pytest.approx(expected)


@pytest.mark.parametrize("n_labels", [2, 3])
def test_one_class_alone_has_the_area_of_guessing(n_labels):
    target_R, probabilities_RL = drawn(3, n_labels=n_labels)
    assert ours.auroc(np.zeros_like(target_R), probabilities_RL, ones(80)).tolist() == [0.5]


def test_a_resample_may_lose_a_class():
    target_R, probabilities_RL = (
        np.array([0, 0, 1, 2]),
        np.array([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]),
    )
    # Without the third class: both zeros against the one, and the one against both zeros.
    found = ours.auroc(target_R, probabilities_RL, np.array([[1.0, 1, 1, 0]]))
    assert found[0] == pytest.approx((1.0 + 0.5) / 2)


def test_calibration_error_by_hand():
    # Bins of width 0.25. Confidences 0.7 (right) and 0.6 (wrong) share one, 0.9 (right) has one of its own.
    target_R, probabilities_RL = np.array([1, 1, 1]), two([0.7, 0.4, 0.9])
    found = ours.calibration_error(target_R, probabilities_RL, ones(3), n_bins=4)
    assert found[0] == pytest.approx((abs(1.3 - 1) + abs(0.9 - 1)) / 3)
    # In one bin only: mean confidence 2.2 / 3, accuracy 2 / 3.
    assert ours.calibration_error(target_R, probabilities_RL, ones(3), n_bins=1)[0] == pytest.approx(0.2 / 3)


def test_bins_are_closed_above():
    assert ours.confidence_bins(np.array([0.0, 0.25, 0.26, 0.5, 1.0]), 4).tolist() == [0, 0, 1, 1, 3]
