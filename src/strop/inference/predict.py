"""Predict windows in batches of similar length, and average the windows of a row.

Dimensions: B windows in a batch, T tokens, H hidden size, L labels, R rows, W windows.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor

from strop.models.network import Network, pool_states
from strop.records.examples import Examples
from strop.text.batches import inference_batches, pad_batch

TOKENS_PER_BATCH = 8192
WINDOWS_PER_BATCH = 64


def predict_logits(
    network: Network,
    examples: Examples,
    accelerator: Accelerator,
    *,
    pad_id: int,
    rows_done: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Logits of every row, shape (R, L): the mean over its windows.

    Args:
        network: A network with a head.
        examples: Token ids.
        accelerator: Device and precision.
        pad_id: Token id that fills short windows.
        rows_done: Told how many of how many windows are done.
    """
    outputs = _windows(network, examples, accelerator, pad_id, network, rows_done)
    return _mean_by_row(examples, outputs)


def pooled_features(
    network: Network, examples: Examples, accelerator: Accelerator, *, pad_id: int
) -> NDArray[np.float32]:
    """Pooled states of the body for every row, shape (R, H): the mean over its windows; the head plays no part."""

    def features(ids: Tensor, mask: Tensor) -> Tensor:
        states_BTH = network.transformer(input_ids=ids, attention_mask=mask).last_hidden_state
        return pool_states(states_BTH.float(), mask, network.pooling)

    return _mean_by_row(examples, _windows(network, examples, accelerator, pad_id, features, None))


def _windows(
    network: Network,
    examples: Examples,
    accelerator: Accelerator,
    pad_id: int,
    compute: Callable[[Tensor, Tensor], Tensor],
    rows_done: Callable[[int, int], None] | None,
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    was_training = network.training
    network.eval()
    device = accelerator.device
    n_done = 0
    with torch.no_grad(), accelerator.autocast():
        for batch in inference_batches(examples.length_W, WINDOWS_PER_BATCH, TOKENS_PER_BATCH):
            input_ids, mask = pad_batch(examples, batch, pad_id)
            output_BX = compute(torch.from_numpy(input_ids).to(device), torch.from_numpy(mask).to(device))
            yield batch, output_BX.float().cpu().numpy()
            n_done += len(batch)
            if rows_done is not None:
                rows_done(n_done, examples.n_windows)
    network.train(was_training)


def _mean_by_row(
    examples: Examples, outputs: Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]
) -> NDArray[np.float32]:
    window_WX: NDArray[np.float64] | None = None
    for batch, values_BX in outputs:
        if window_WX is None:
            window_WX = np.zeros((examples.n_windows, values_BX.shape[1]))
        window_WX[batch] = values_BX
    if window_WX is None:
        raise ValueError("there must be at least one row to predict")
    sums_RX = np.zeros((examples.n_rows, window_WX.shape[1]))
    np.add.at(sums_RX, examples.row_W, window_WX)
    counts_R = np.bincount(examples.row_W, minlength=examples.n_rows)
    return (sums_RX / counts_R[:, None]).astype(np.float32)
