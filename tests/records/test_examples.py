"""Token ids in windows."""

import numpy as np
import pytest

from strop.records.dataset import strings
from strop.records.examples import Examples

# Row "a" has 3 tokens in one window; row "b" had 9, of which two windows hold 7 different ones.
TWO_ROWS = Examples(
    ids=strings(["a", "b"]),
    row_W=np.array([0, 1, 1]),
    tokens_T=np.array([101, 7, 102, 101, 8, 9, 102, 101, 9, 10, 102], dtype=np.int32),
    start_W1=np.array([0, 3, 7, 11]),
    n_tokens_R=np.array([3, 9]),
    n_cut_R=np.array([0, 2]),
)
NO_ROWS = Examples(
    ids=strings([]),
    row_W=np.array([], dtype=np.int64),
    tokens_T=np.array([], dtype=np.int32),
    start_W1=np.array([0]),
    n_tokens_R=np.array([], dtype=np.int64),
    n_cut_R=np.array([], dtype=np.int64),
)


@pytest.mark.parametrize("examples", [TWO_ROWS, NO_ROWS], ids=["two rows", "no rows"])
def test_saved_examples_are_loaded_again_the_same(tmp_path, examples):
    examples.save(tmp_path / "one.arrow")
    loaded = Examples.load(tmp_path / "one.arrow")
    assert loaded.ids.tolist() == examples.ids.tolist()
    for name in ("row_W", "tokens_T", "start_W1", "n_tokens_R", "n_cut_R"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(examples, name), err_msg=name)
    assert loaded.tokens_T.dtype == np.int32
    loaded.save(tmp_path / "two.arrow")
    assert (tmp_path / "one.arrow").read_bytes() == (tmp_path / "two.arrow").read_bytes()


def test_windows_are_counted_measured_and_found_by_row():
    assert (TWO_ROWS.n_rows, TWO_ROWS.n_windows) == (2, 3)
    assert TWO_ROWS.length_W.tolist() == [3, 4, 4]
    assert TWO_ROWS.window(2).tolist() == [101, 9, 10, 102]
    assert TWO_ROWS.windows_of_rows(np.array([1])).tolist() == [1, 2]
    assert TWO_ROWS.windows_of_rows(np.array([1, 0])).tolist() == [0, 1, 2]
