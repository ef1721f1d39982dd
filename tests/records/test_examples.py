"""Token ids in windows."""

from dataclasses import replace

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
# Two parts a window, each with its separator.
IN_PARTS = replace(TWO_ROWS, part_T=np.array([0, 1, 2, 0, 1, 2, 2, 0, 1, 1, 2], dtype=np.int8))
NO_ROWS = Examples(
    ids=strings([]),
    row_W=np.array([], dtype=np.int64),
    tokens_T=np.array([], dtype=np.int32),
    start_W1=np.array([0]),
    n_tokens_R=np.array([], dtype=np.int64),
    n_cut_R=np.array([], dtype=np.int64),
)


@pytest.mark.parametrize("examples", [TWO_ROWS, NO_ROWS, IN_PARTS], ids=["two rows", "no rows", "in parts"])
def test_saved_examples_are_loaded_again_the_same(tmp_path, examples):
    examples.save(tmp_path / "one.arrow")
    loaded = Examples.load(tmp_path / "one.arrow")
    assert loaded.ids.tolist() == examples.ids.tolist()
    for name in ("row_W", "tokens_T", "start_W1", "n_tokens_R", "n_cut_R", "part_T"):
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


def test_rows_are_taken_with_all_their_windows():
    taken = IN_PARTS.take(np.array([1, 0]))
    assert taken.ids.tolist() == ["b", "a"]
    assert taken.row_W.tolist() == [0, 0, 1]
    assert [taken.window(number).tolist() for number in range(3)] == [
        [101, 8, 9, 102],
        [101, 9, 10, 102],
        [101, 7, 102],
    ]
    assert [taken.window_parts(number).tolist() for number in range(3)] == [[0, 1, 2, 2], [0, 1, 1, 2], [0, 1, 2]]
    assert (taken.n_tokens_R.tolist(), taken.n_cut_R.tolist()) == ([9, 3], [2, 0])
    assert [taken.row_W.dtype, taken.tokens_T.dtype, taken.start_W1.dtype] == [np.int64, np.int32, np.int64]


def test_no_rows_may_be_taken():
    taken = IN_PARTS.take(np.array([], dtype=np.intp))
    assert (taken.n_rows, taken.n_windows, taken.start_W1.tolist()) == (0, 0, [0])
    assert taken.part_T is not None
    assert taken.part_T.dtype == np.int8


def test_texts_read_as_one_have_no_parts():
    assert TWO_ROWS.take(np.array([0])).part_T is None
    with pytest.raises(ValueError, match="their texts were read as one"):
        TWO_ROWS.window_parts(0)
