import numpy as np
import pytest

from strop.text.coverage import token_coverage


def test_shares_and_quantiles_by_hand() -> None:
    coverage = token_coverage(np.array([10, 32, 33, 128, 129, 200, 300, 513, 600, 5000]))
    assert coverage.n_rows == 10
    assert coverage.n_tokens == 6945
    assert coverage.fitting[32] == pytest.approx(0.2)
    assert coverage.fitting[128] == pytest.approx(0.4)
    assert coverage.fitting[256] == pytest.approx(0.6)
    assert coverage.fitting[512] == pytest.approx(0.7)
    assert coverage.fitting[4096] == pytest.approx(0.9)
    assert coverage.fitting[8192] == 1.0
    assert max(coverage.fitting) == 8192
    # Five of ten rows have at most 129 tokens, nine of ten at most 600, and no fewer than all ten make up 95 percent.
    assert coverage.quantiles == {0.5: 129, 0.9: 600, 0.95: 5000, 0.99: 5000, 1.0: 5000}


def test_short_texts_still_show_the_usual_lengths() -> None:
    coverage = token_coverage(np.array([3, 4]))
    assert list(coverage.fitting) == [32, 64, 128, 256, 512, 1024, 2048, 4096]
    assert set(coverage.fitting.values()) == {1.0}


def test_without_rows_there_is_nothing() -> None:
    coverage = token_coverage(np.zeros(0, dtype=np.int64))
    assert (coverage.n_rows, coverage.fitting, coverage.quantiles) == (0, {}, {})
