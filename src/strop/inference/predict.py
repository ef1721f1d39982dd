"""Predict windows in batches of similar length, and average the windows of a row.

Dimensions: B windows in a batch, F width of pooled states, L outputs, R rows, W windows, M metadata values.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor

from strop.models.batch import make_batch, metadata_of
from strop.models.network import Network
from strop.records.examples import Examples
from strop.text.batches import inference_batches

TOKENS_PER_BATCH = 8192
WINDOWS_PER_BATCH = 64


def predict_logits(
    network: Network,
    examples: Examples,
    accelerator: Accelerator,
    *,
    pad_id: int,
    metadata_RM: NDArray[np.float32] | None = None,
    rows_done: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Logits of every row, shape (R, L): the mean over its windows.

    Args:
        network: A network with a head.
        examples: Token ids.
        accelerator: Device and precision.
        pad_id: Token id that fills short windows.
        metadata_RM: Metadata of every row, where the network is given any.
        rows_done: Told how many of how many windows are done.
    """

    def logits(windows: NDArray[np.intp]) -> Tensor:
        batch = make_batch(examples, windows, metadata_RM, pad_id=pad_id, device=accelerator.device)
        logits_BL: Tensor = network(*batch)
        return logits_BL

    return mean_by_row(examples, _window_outputs(network, examples, accelerator, logits, rows_done))


def window_features(
    network: Network,
    examples: Examples,
    accelerator: Accelerator,
    *,
    pad_id: int,
    rows_done: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """What the head is given of the body for every window, shape (W, F); the head plays no part.

    Args:
        network: A network that pools states (not pooling "native").
        examples: Token ids.
        accelerator: Device and precision.
        pad_id: Token id that fills short windows.
        rows_done: Told how many of how many windows are done.
    """

    def features(windows: NDArray[np.intp]) -> Tensor:
        batch = make_batch(examples, windows, None, pad_id=pad_id, device=accelerator.device)
        return network.pool(batch.input_ids_BT, batch.mask_BT, batch.part_BT)

    return _window_outputs(network, examples, accelerator, features, rows_done).astype(np.float32)


def predict_from_features(
    network: Network,
    examples: Examples,
    features_WF: NDArray[np.float32],
    accelerator: Accelerator,
    *,
    metadata_RM: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Logits of every row, shape (R, L), by the head alone.

    Args:
        network: A network with a head on pooled states.
        examples: The rows' windows.
        features_WF: What `window_features` gave for them.
        accelerator: Device and precision.
        metadata_RM: Metadata of every row, where the network is given any.
    """
    if network.head is None:
        raise ValueError("only a head on pooled states predicts from features")
    was_training = network.head.training
    network.head.eval()
    device = accelerator.device
    with torch.no_grad():
        metadata_WM = metadata_of(examples, np.arange(examples.n_windows), metadata_RM, device)
        logits_WL = network.head(torch.from_numpy(features_WF).to(device), metadata_WM).float().cpu().numpy()
    network.head.train(was_training)
    return mean_by_row(examples, logits_WL)


def _window_outputs(
    network: Network,
    examples: Examples,
    accelerator: Accelerator,
    compute: Callable[[NDArray[np.intp]], Tensor],
    rows_done: Callable[[int, int], None] | None,
) -> NDArray[np.float64]:
    """What `compute` gives for every window, shape (W, X), computed in batches of similar length."""
    was_training = network.training
    network.eval()
    found_WX: NDArray[np.float64] | None = None
    n_done = 0
    with torch.no_grad(), accelerator.autocast():
        for windows in inference_batches(examples.length_W, WINDOWS_PER_BATCH, TOKENS_PER_BATCH):
            values_BX = compute(windows).float().cpu().numpy()
            if found_WX is None:
                found_WX = np.zeros((examples.n_windows, values_BX.shape[1]))
            found_WX[windows] = values_BX
            n_done += len(windows)
            if rows_done is not None:
                rows_done(n_done, examples.n_windows)
    network.train(was_training)
    if found_WX is None:
        raise ValueError("there must be at least one row to predict")
    return found_WX


def mean_by_row(examples: Examples, window_WX: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """The mean over each row's windows, shape (R, X)."""
    sums_RX = np.zeros((examples.n_rows, window_WX.shape[1]))
    np.add.at(sums_RX, examples.row_W, window_WX)
    counts_R = np.bincount(examples.row_W, minlength=examples.n_rows)
    return np.asarray(sums_RX / counts_R[:, None], dtype=np.float32)
