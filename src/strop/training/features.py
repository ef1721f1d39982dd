"""Body features that head-only stages train on: computed once, kept in the run folder, keyed by content.

Dimensions: F width of pooled states, W windows.
"""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from strop.inference.predict import window_features
from strop.models.network import Network
from strop.records.examples import Examples
from strop.records.files import read_arrow, write_arrow
from strop.training.watch import Watcher


def body_features(
    network: Network, examples: Examples, accelerator: Accelerator, folder: Path, *, pad_id: int, watcher: Watcher
) -> NDArray[np.float32]:
    """What the head is given of the body for every window, shape (W, F), from the cache where it is there.

    The key is a digest of the body's weights, of the windows and of the pooling: stages and folds with the same body on
    the same windows share it, and nothing else does.

    Args:
        network: A network with a head on pooled states, or a body alone.
        examples: All windows.
        accelerator: Device and precision.
        folder: Where features are kept.
        pad_id: Token id that fills short windows.
        watcher: Receives news.

    Raises:
        RunError: A kept file is damaged.
        MachineError: The disk is full.
    """
    path = folder / f"{_key(network, examples, accelerator)}.arrow"
    if not path.exists():
        watcher.station_began("features of the body")
        features_WF = window_features(network, examples, accelerator, pad_id=pad_id, rows_done=watcher.rows_done)
        column = pa.FixedSizeListArray.from_arrays(pa.array(features_WF.reshape(-1)), features_WF.shape[1])
        write_arrow(path, pa.table({"features": column}), {"record": "features", "width": features_WF.shape[1]})
    table, notes = read_arrow(path)
    flat = table.column("features").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.array(flat.reshape(-1, notes["width"]), dtype=np.float32)


def _key(network: Network, examples: Examples, accelerator: Accelerator) -> str:
    digest = hashlib.sha256(f"{network.pooling} {network.inputs.segments} {accelerator.mixed_precision}".encode())
    for name, weights in network.state_dict().items():
        if not network.is_head(name):
            digest.update(name.encode())
            digest.update(_bytes(weights))
    for array in (examples.tokens_T, examples.start_W1, examples.part_T):
        if array is not None:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:24]


def _bytes(weights: object) -> bytes:
    """The bytes of a tensor of any number format; of what is not a tensor (4-bit states), its words."""
    if not isinstance(weights, torch.Tensor):
        return repr(weights).encode()
    return weights.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
