import numpy as np
import pytest

from strop.evaluation.clarity import holm, is_clear


def test_holm_by_hand():
    # Sorted 0.01, 0.02, 0.04 times 3, 2, 1: 0.03, 0.04, and 0.04 again, since none may fall below the one before.
    assert holm(np.array([0.04, 0.01, 0.02])) == pytest.approx([0.04, 0.03, 0.04])
    assert holm(np.array([0.6, 0.5])).tolist() == [1.0, 1.0]
    assert holm(np.array([0.2])).tolist() == [0.2]


@pytest.mark.parametrize(
    ("low", "high", "p_value", "expected"),
    [
        (0.01, 0.2, 0.04, True),
        (-0.2, -0.01, 0.04, True),
        (0.01, 0.2, 0.06, False),
        (-0.01, 0.2, 0.001, False),
        (0.0, 0.2, 0.001, False),
    ],
)
def test_interval_and_test_must_agree(low, high, p_value, expected):
    assert is_clear(low, high, p_value, 0.95) is expected
