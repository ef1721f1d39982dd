"""Windows as tensors on the device of the model.

Dimensions: B windows in a batch, T tokens, R rows, M metadata values.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from strop.models.network import Batch
from strop.records.examples import Examples
from strop.text.batches import pad_batch, pad_parts


def make_batch(
    examples: Examples,
    windows: NDArray[np.intp],
    metadata_RM: NDArray[np.float32] | None,
    *,
    pad_id: int,
    device: torch.device,
) -> Batch:
    """Put windows into tensors: token ids, mask, and where there are any, parts and metadata.

    Args:
        examples: All windows.
        windows: Numbers of the batch's windows, shape (B,).
        metadata_RM: Metadata of every row of `examples`, None where there is none.
        pad_id: Token id that fills short windows.
        device: Where the model runs.
    """
    input_ids, mask = pad_batch(examples, windows, pad_id)
    part = pad_parts(examples, windows)
    return Batch(
        torch.from_numpy(input_ids).to(device),
        torch.from_numpy(mask).to(device),
        None if part is None else torch.from_numpy(part).to(device),
        metadata_of(examples, windows, metadata_RM, device),
    )


def metadata_of(
    examples: Examples, windows: NDArray[np.intp], metadata_RM: NDArray[np.float32] | None, device: torch.device
) -> torch.Tensor | None:
    """Metadata of the windows' rows, shape (B, M)."""
    return None if metadata_RM is None else torch.from_numpy(metadata_RM[examples.row_W[windows]]).to(device)
