import numpy as np
import pytest

from strop.metrics.probability import calibration_error
from strop.records.dataset import Dataset, strings
from strop.records.predictions import Predictions
from strop.reporting.reliability import reliability


def predictions_of(p_first: list[float]) -> Predictions:
    p_R = np.asarray(p_first)
    n_rows = len(p_first)
    return Predictions(
        ids=strings([str(number) for number in range(n_rows)]),
        labels=("a", "b"),
        outputs_RL=np.log(np.column_stack([p_R, 1 - p_R])).astype(np.float32),
        part=strings(["validation"] * n_rows),
        seen_R=np.zeros(n_rows, dtype=np.bool_),
        fold_R=np.full(n_rows, -1),
    )


def rows_of(labels: str) -> Dataset:
    ids = strings([str(number) for number in range(len(labels))])
    return Dataset(ids, {"text": strings(list(labels))}, strings(list(labels)))


def test_bins_by_hand() -> None:
    # Confidences 0.9, 0.9, 0.7, 0.6; right, wrong, right, wrong. Two bins hold rows: 0.5 to 0.75, 0.75 to 1.
    found = reliability(predictions_of([0.9, 0.9, 0.7, 0.4]), rows_of("abaa"), n_bins=4)
    np.testing.assert_allclose(found.middle_B, [0.625, 0.875])
    np.testing.assert_allclose(found.confidence_B, [0.65, 0.9], atol=1e-6)
    np.testing.assert_allclose(found.accuracy_B, [0.5, 0.5])
    assert found.n_rows_B.tolist() == [2, 2]
    assert found.error == pytest.approx((2 * 0.15 + 2 * 0.4) / 4, abs=1e-6)


def test_the_error_is_that_of_the_metric() -> None:
    p_first = [0.95, 0.83, 0.65, 0.63, 0.31, 0.22, 0.12]
    found = reliability(predictions_of(p_first), rows_of("aabbaab"), n_bins=5)
    p_RL = np.column_stack([p_first, 1 - np.asarray(p_first)])
    metric = calibration_error(np.array([0, 0, 1, 1, 0, 0, 1]), p_RL, np.ones((1, 7)), n_bins=5)
    assert found.error == pytest.approx(metric[0], abs=1e-6)


def test_certainty_falls_into_the_last_bin() -> None:
    certain = Predictions(
        strings(["0"]),
        ("a", "b"),
        np.array([[100.0, 0.0]], dtype=np.float32),
        strings(["new"]),
        np.array([False]),
        np.array([-1]),
    )
    found = reliability(certain, rows_of("a"), n_bins=10)
    np.testing.assert_allclose(found.middle_B, [0.95])


def test_a_temperature_above_one_lowers_confidence() -> None:
    before = reliability(predictions_of([0.9]), rows_of("a"), n_bins=10)
    after = reliability(predictions_of([0.9]), rows_of("a"), n_bins=10, temperature=2.0)
    assert before.confidence_B[0] == pytest.approx(0.9, abs=1e-6)
    assert after.confidence_B[0] == pytest.approx(0.75, abs=1e-6)  # odds of 9 become odds of 3


def test_rows_without_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="reliability needs rows with labels"):
        reliability(predictions_of([0.9]), Dataset(strings(["0"]), {"text": strings(["x"])}), n_bins=10)
