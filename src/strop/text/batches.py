"""Which windows go into which batch, and how a batch is padded."""

import numpy as np
from numpy.typing import NDArray

from strop.records.examples import Examples

# Enough batches that lengths inside one are alike, few enough that the order of rows stays random.
BATCHES_SORTED_TOGETHER = 50
# Widths of batches are whole steps: every new shape of a matrix product costs the CPU library tens of milliseconds and
# memory that it keeps, and GPUs compute fastest in eights.
SHORT_STEP, LONG_STEP, LONG_FROM = 8, 32, 64


def plan_batches(
    length_W: NDArray[np.int64], batch_size: int, *, seed: int, epoch: int, group_by_length: bool
) -> list[NDArray[np.intp]]:
    """Divide all windows into training batches; a pure function of its arguments.

    With `group_by_length` windows are shuffled, cut into stretches of 50 batches, sorted by length inside each, and the
    batches are shuffled, so that little is padded while the order stays random.

    Args:
        length_W: Tokens in every window, shape (W,).
        batch_size: Windows in a batch; one batch may have fewer.
        seed: The recipe's seed.
        epoch: Counted from 0; every epoch has its own order.
        group_by_length: Whether windows of similar length share a batch.

    Returns:
        Window numbers of every batch; each window is in exactly one.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, came {batch_size}")
    generator = np.random.default_rng([seed, epoch])
    order_W = generator.permutation(len(length_W))
    if not group_by_length:
        return _cut(order_W, batch_size)
    batches: list[NDArray[np.intp]] = []
    for stretch in _cut(order_W, batch_size * BATCHES_SORTED_TOGETHER):
        by_length = stretch[np.argsort(-length_W[stretch], kind="stable")]
        batches += _cut(by_length, batch_size)
    return [batches[number] for number in generator.permutation(len(batches))]


def inference_batches(length_W: NDArray[np.int64], batch_size: int, max_batch_tokens: int) -> list[NDArray[np.intp]]:
    """Divide all windows into batches for prediction, longest first, so that memory runs out at once or never.

    Args:
        length_W: Tokens in every window, shape (W,).
        batch_size: At most this many windows in a batch.
        max_batch_tokens: At most this many tokens in a padded batch; a longer window stands alone.

    Returns:
        Window numbers of every batch; each window is in exactly one.
    """
    order_W = np.argsort(-length_W, kind="stable")
    batches: list[NDArray[np.intp]] = []
    start = 0
    while start < len(order_W):
        width = max(1, padded_width(int(length_W[order_W[start]]), int(length_W.max())))
        n_windows = max(1, min(batch_size, max_batch_tokens // width))
        batches.append(order_W[start : start + n_windows])
        start += n_windows
    return batches


def padded_width(longest: int, longest_of_all: int) -> int:
    """Tokens in a row of a batch: its longest window, rounded up to a whole step.

    It is never more than the longest window of all: a model may have no further positions.
    """
    step = SHORT_STEP if longest <= LONG_FROM else LONG_STEP
    return min(-(-longest // step) * step, longest_of_all)


def batch_width(examples: Examples, windows: NDArray[np.intp]) -> int:
    """Tokens in a row of the batch that these windows make."""
    length_W = examples.length_W
    return padded_width(int(length_W[windows].max(initial=0)), int(length_W.max(initial=0)))


def pad_batch(
    examples: Examples, windows: NDArray[np.intp], pad_id: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Put windows into one rectangle, padded at the right.

    Args:
        examples: All windows.
        windows: Numbers of the batch's windows, shape (B,).
        pad_id: The token that fills short windows.

    Returns:
        Token ids, shape (B, T) with T from `batch_width`, and a mask of the same shape: 1 a token, 0 padding.
    """
    length_B = examples.length_W[windows]
    mask_BT = np.arange(batch_width(examples, windows)) < length_B[:, None]
    input_ids_BT = np.full(mask_BT.shape, pad_id, dtype=np.int64)
    if len(windows):
        input_ids_BT[mask_BT] = np.concatenate([examples.window(int(window)) for window in windows])
    return input_ids_BT, mask_BT.astype(np.int64)


def pad_parts(examples: Examples, windows: NDArray[np.intp]) -> NDArray[np.int64] | None:
    """The part number of every token in the rectangle that `pad_batch` makes, 0 for padding; None without parts."""
    if examples.part_T is None:
        return None
    length_B = examples.length_W[windows]
    is_token_BT = np.arange(batch_width(examples, windows)) < length_B[:, None]
    part_BT = np.zeros(is_token_BT.shape, dtype=np.int64)
    if len(windows):
        part_BT[is_token_BT] = np.concatenate([examples.window_parts(int(window)) for window in windows])
    return part_BT


def _cut(order: NDArray[np.intp], size: int) -> list[NDArray[np.intp]]:
    return [order[start : start + size] for start in range(0, len(order), size)]
