import numpy as np
import pytest

from strop.metrics.guards import check_numbers, check_rows, check_weights

TWO_ROWS = np.array([[0.5, 0.5], [0.2, 0.8]])


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (np.array([], dtype=int), r"one-dimensional and not empty, came shape \(0,\)"),
        (np.array(1), r"one-dimensional and not empty, came shape \(\)"),
        (np.array([[0, 1]]), r"one-dimensional and not empty, came shape \(1, 2\)"),
        (np.array([0.0, 1.0]), "label numbers must be whole numbers, came float64"),
        (np.array([0, 2]), "label numbers must lie between 0 and 1, came 0 to 2"),
        (np.array([-1, 1]), "label numbers must lie between 0 and 1, came -1 to 1"),
    ],
)
def test_label_numbers(numbers, words):
    with pytest.raises(ValueError, match=words):
        check_numbers(numbers, 2)


@pytest.mark.parametrize(
    ("probabilities", "words"),
    [
        (np.array([0.5, 0.5]), r"probabilities must have shape \(rows, labels\), came \(2,\)"),
        (TWO_ROWS[:1], "probabilities must have 2 rows as the target has, came 1"),
        (np.array([[np.nan, 1.0], [0.2, 0.8]]), "probabilities must be finite, came NaN or infinity"),
        (np.array([[-0.5, 1.5], [0.2, 0.8]]), "must not be negative and must sum to 1 in every row"),
        (np.array([[0.5, 0.4], [0.2, 0.8]]), "must not be negative and must sum to 1 in every row"),
    ],
)
def test_probabilities(probabilities, words):
    with pytest.raises(ValueError, match=words):
        check_rows(np.array([0, 1]), probabilities)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (np.ones(2), r"weights must have shape \(weightings, 2\), came \(2,\)"),
        (np.ones((1, 3)), r"weights must have shape \(weightings, 2\), came \(1, 3\)"),
        (np.array([[1.0, -1.0]]), "weights must not be negative or NaN"),
        (np.array([[1.0, np.nan]]), "weights must not be negative or NaN"),
        (np.array([[1.0, 1.0], [0.0, 0.0]]), "every weighting must give some row a weight"),
    ],
)
def test_weights(weights, words):
    with pytest.raises(ValueError, match=words):
        check_weights(weights, 2)


def test_what_is_right_passes():
    check_rows(np.array([0, 1]), TWO_ROWS)
    check_weights(np.array([[0.0, 2.0], [1.0, 0.5]]), 2)
