"""NEFTune: noise on the token embeddings in training, so that answers are learnt less by heart.

Dimensions: B packs in a pass, T tokens, H hidden size.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def noisy_embeddings(transformer: Any, alpha: float, row_tokens_BT: Tensor) -> Iterator[None]:
    """Add noise to what the input embeddings give while the context lasts.

    Every number gets uniform(-1, 1) * alpha / sqrt(L * H), with L the tokens of the row (Jain et al. 2023, NEFTune,
    algorithm 1). It is drawn from torch's generator of the device, whose state checkpoints keep.

    Args:
        transformer: A model of `transformers`, plain or under PEFT.
        alpha: Strength of the noise; 0 adds none and draws nothing.
        row_tokens_BT: L of the row that a token belongs to; tokens that rows share get one noise for all of them.
    """
    if alpha == 0:
        yield
        return

    def add_noise(_: nn.Module, __: tuple[Any, ...], states_BTH: Tensor) -> Tensor:
        scale_BT1 = alpha / torch.sqrt(row_tokens_BT * states_BTH.shape[-1]).unsqueeze(-1)
        noise_BTH = torch.empty_like(states_BTH, dtype=torch.float32).uniform_(-1.0, 1.0)
        return states_BTH + (noise_BTH * scale_BT1).to(states_BTH.dtype)

    handle = transformer.get_input_embeddings().register_forward_hook(add_noise)
    try:
        yield
    finally:
        handle.remove()
