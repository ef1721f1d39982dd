import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from strop.records.dataset import strings
from strop.records.examples import Examples
from strop.text.batches import batch_width, inference_batches, pad_batch, padded_width, plan_batches

lengths = st.lists(st.integers(1, 60), min_size=0, max_size=80).map(lambda values: np.array(values, dtype=np.int64))


def padded_tokens(batches: list, length_W: np.ndarray) -> int:
    return sum(len(batch) * int(length_W[batch].max()) for batch in batches)


@given(
    length_W=lengths, batch_size=st.integers(1, 9), seed=st.integers(0, 5), epoch=st.integers(0, 3), by=st.booleans()
)
def test_every_window_is_in_exactly_one_batch(length_W, batch_size, seed, epoch, by) -> None:
    batches = plan_batches(length_W, batch_size, seed=seed, epoch=epoch, group_by_length=by)
    assert sorted(np.concatenate([[], *batches]).tolist()) == list(range(len(length_W)))
    assert len(batches) == -(-len(length_W) // batch_size)
    assert all(len(batch) <= batch_size for batch in batches)


@pytest.mark.parametrize("by", [True, False])
def test_the_plan_depends_on_its_arguments_alone(by: bool) -> None:
    length_W = np.random.default_rng(0).integers(1, 500, size=300)

    def plan(**changes: int) -> list[list[int]]:
        settings = {"seed": 1, "epoch": 0, **changes}
        return [batch.tolist() for batch in plan_batches(length_W, 8, group_by_length=by, **settings)]

    np.random.default_rng(99).random()
    assert plan() == plan()
    assert plan() != plan(epoch=1)
    assert plan() != plan(seed=2)
    # Seed 0, epoch 1 is not seed 1, epoch 0.
    assert plan(seed=0, epoch=1) != plan(seed=1, epoch=0)


def test_grouping_by_length_saves_most_of_the_padding() -> None:
    length_W = np.random.default_rng(0).integers(1, 500, size=2000)
    grouped = plan_batches(length_W, 16, seed=0, epoch=0, group_by_length=True)
    loose = plan_batches(length_W, 16, seed=0, epoch=0, group_by_length=False)
    assert padded_tokens(grouped, length_W) < 1.05 * length_W.sum()
    assert padded_tokens(loose, length_W) > 1.7 * length_W.sum()


def test_grouped_batches_come_in_random_order_of_length() -> None:
    length_W = np.arange(1, 801)
    means = [length_W[batch].mean() for batch in plan_batches(length_W, 8, seed=0, epoch=0, group_by_length=True)]
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.3


def test_a_batch_size_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, came 0"):
        plan_batches(np.array([1]), 0, seed=0, epoch=0, group_by_length=True)


def test_inference_goes_from_long_to_short_within_the_budget() -> None:
    """Ten tokens are padded to 16, three to 8."""
    batches = inference_batches(np.array([3, 50, 10, 10, 3, 3, 9]), batch_size=3, max_batch_tokens=32)
    assert [batch.tolist() for batch in batches] == [[1], [2, 3], [6, 0], [4, 5]]


@given(length_W=lengths, batch_size=st.integers(1, 9), budget=st.integers(1, 200))
def test_inference_covers_every_window_once_within_the_budget(length_W, batch_size, budget) -> None:
    batches = inference_batches(length_W, batch_size, budget)
    assert sorted(np.concatenate([[], *batches]).tolist()) == list(range(len(length_W)))
    for batch in batches:
        width = padded_width(int(length_W[batch].max()), int(length_W.max()))
        assert len(batch) == 1 or len(batch) * width <= budget
        assert 1 <= len(batch) <= batch_size


def test_a_batch_is_padded_at_the_right_and_masked() -> None:
    examples = Examples(
        ids=strings(["a", "b"]),
        row_W=np.array([0, 0, 1]),
        tokens_T=np.array([5, 6, 7, 8, 9, 4], dtype=np.int32),
        start_W1=np.array([0, 3, 5, 6]),
        n_tokens_R=np.array([5, 1]),
        n_cut_R=np.array([0, 0]),
    )
    input_ids_BT, mask_BT = pad_batch(examples, np.array([1, 0, 2]), pad_id=4)
    assert_array_equal(input_ids_BT, [[8, 9, 4], [5, 6, 7], [4, 4, 4]])
    # A token of the text that happens to be the padding token stays visible.
    assert_array_equal(mask_BT, [[1, 1, 0], [1, 1, 1], [1, 0, 0]])
    assert (input_ids_BT.dtype, mask_BT.dtype) == (np.int64, np.int64)
    # Wider by a step, but never wider than the longest window of all.
    assert pad_batch(examples, np.array([2]), pad_id=0)[0].tolist() == [[4, 0, 0]]


@pytest.mark.parametrize(
    ("longest", "width"), [(1, 8), (8, 8), (9, 16), (64, 64), (65, 96), (96, 96), (200, 224), (300, 300)]
)
def test_widths_are_whole_steps_up_to_the_longest_window(longest: int, width: int) -> None:
    """Eights up to 64 tokens, then 32; 300 is the longest window there is."""
    lengths = np.array([longest, 300])
    examples = Examples(
        ids=strings(["a", "b"]),
        row_W=np.array([0, 1]),
        tokens_T=np.zeros(lengths.sum(), dtype=np.int32),
        start_W1=np.concatenate([[0], np.cumsum(lengths)]),
        n_tokens_R=lengths,
        n_cut_R=np.array([0, 0]),
    )
    assert batch_width(examples, np.array([0])) == width
    assert pad_batch(examples, np.array([0]), pad_id=0)[0].shape == (1, width)
