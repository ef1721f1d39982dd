import numpy as np
import pytest
from sklearn import metrics as peer

from strop.metrics import classification as ours

# True label by row, predicted by column: 4 + 1 of the first class, 2 + 3 of the second, none of the third.
COUNTS = np.array([[[4.0, 1.0, 0.0], [2.0, 3.0, 0.0], [0.0, 0.0, 0.0]]])


def drawn(seed: int, n_rows: int = 60, n_labels: int = 5) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.integers(n_labels, size=n_rows), generator.integers(n_labels, size=n_rows)


def counted(target_R: np.ndarray, predicted_R: np.ndarray, n_labels: int = 5) -> np.ndarray:
    return ours.confusion_counts(target_R, predicted_R, n_labels, np.ones((1, len(target_R))))


def test_counts_by_hand():
    target_R, predicted_R = np.array([0, 0, 1, 2, 1]), np.array([0, 1, 1, 2, 0])
    weight_BR = np.array([[1.0, 1, 1, 1, 1], [2.0, 0, 3, 0, 0.5]])
    found = ours.confusion_counts(target_R, predicted_R, 3, weight_BR)
    assert found[0].tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert found[1].tolist() == [[2, 0, 0], [0.5, 3, 0], [0, 0, 0]]


def test_classes_by_hand():
    np.testing.assert_allclose(ours.precision_by_class(COUNTS)[0], [4 / 6, 3 / 4, 0])
    np.testing.assert_allclose(ours.recall_by_class(COUNTS)[0], [4 / 5, 3 / 5, 0])
    np.testing.assert_allclose(ours.f1_by_class(COUNTS)[0], [8 / 11, 6 / 9, 0])


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        (ours.accuracy, 7 / 10),
        # The third class is in neither targets nor predictions: two classes make the mean.
        (ours.macro_f1, (8 / 11 + 6 / 9) / 2),
        (ours.macro_precision, (4 / 6 + 3 / 4) / 2),
        (ours.macro_recall, (4 / 5 + 3 / 5) / 2),
        (ours.weighted_f1, (8 / 11 + 6 / 9) / 2),
        # (4 * 3 - 1 * 2) / sqrt(5 * 5 * 6 * 4)
        (ours.mcc, 10 / np.sqrt(600)),
    ],
)
def test_averages_by_hand(metric, value):
    assert metric(COUNTS)[0] == pytest.approx(value)


@pytest.mark.parametrize("seed", range(5))
def test_scikit_learn_agrees(seed):
    target_R, predicted_R = drawn(seed)
    counts = counted(target_R, predicted_R)
    assert counts[0].tolist() == peer.confusion_matrix(target_R, predicted_R, labels=range(5)).tolist()
    precision_L, recall_L, f1_L, _ = peer.precision_recall_fscore_support(
        target_R, predicted_R, labels=range(5), zero_division=0
    )
    np.testing.assert_allclose(ours.precision_by_class(counts)[0], precision_L)
    np.testing.assert_allclose(ours.recall_by_class(counts)[0], recall_L)
    np.testing.assert_allclose(ours.f1_by_class(counts)[0], f1_L)
    for average, metric in (("macro", ours.macro_f1), ("weighted", ours.weighted_f1)):
        wanted = peer.f1_score(target_R, predicted_R, average=average, zero_division=0)
        assert metric(counts)[0] == pytest.approx(wanted)
    assert ours.mcc(counts)[0] == pytest.approx(peer.matthews_corrcoef(target_R, predicted_R))
    assert ours.accuracy(counts)[0] == pytest.approx(peer.accuracy_score(target_R, predicted_R))


@pytest.mark.parametrize(("target", "predicted"), [([0, 0, 1], [0, 3, 1]), ([0, 3, 1], [0, 0, 1]), ([2, 2], [2, 2])])
def test_scikit_learn_agrees_where_classes_are_missing(target, predicted):
    target_R, predicted_R = np.array(target), np.array(predicted)
    counts = counted(target_R, predicted_R)
    for average, metric in (("macro", ours.macro_f1), ("weighted", ours.weighted_f1)):
        wanted = peer.f1_score(target_R, predicted_R, average=average, zero_division=0)
        assert metric(counts)[0] == pytest.approx(wanted)
    wanted = peer.precision_score(target_R, predicted_R, average="macro", zero_division=0)
    assert ours.macro_precision(counts)[0] == pytest.approx(wanted)


def test_constant_predictions_have_no_correlation():
    assert ours.mcc(counted(np.array([0, 1, 2]), np.array([1, 1, 1])))[0] == 0
    assert ours.mcc(counted(np.array([1, 1, 1]), np.array([1, 1, 1])))[0] == 0


def test_a_weight_counts_as_so_many_rows():
    target_R, predicted_R = drawn(9)
    times_R = np.random.default_rng(0).integers(0, 4, size=len(target_R))
    weighted = ours.confusion_counts(target_R, predicted_R, 5, times_R[None].astype(float))
    repeated = counted(np.repeat(target_R, times_R), np.repeat(predicted_R, times_R))
    assert weighted.tolist() == repeated.tolist()


def test_small_integers_do_not_overflow():
    target_R = np.array([99, 3], dtype=np.int8)
    assert ours.confusion_counts(target_R, target_R, 100, np.ones((1, 2)))[0].diagonal().nonzero()[0].tolist() == [
        3,
        99,
    ]


def test_targets_and_predictions_must_be_of_the_same_rows():
    with pytest.raises(ValueError, match="predictions must have 3 rows as the target has, came 2"):
        counted(np.array([0, 1, 1]), np.array([0, 1]))
