"""Attention that trains fast on short texts on a CPU.

Dimensions: B windows in a batch, N heads, T tokens, D size of a head.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "sdpa_short_in_float32"
# Up to here the backward pass of fused attention on a CPU is slower in bfloat16 than in float32: 9 times at 24 tokens,
# 2.3 times at 128, 1.5 times at 256, no more at 512 (torch 2.13, avx512_bf16 without AMX, one thread, 12 heads of 32).
MOST_TOKENS = 256


def use_fast_attention(transformer: Any, device: torch.device) -> None:
    """Let a model compute attention over short texts in float32 where bfloat16 is slower.

    Args:
        transformer: A model of `transformers`; one whose attention is not `sdpa` stays as it is.
        device: Where it will run; only a CPU is meant.
    """
    if device.type != "cpu" or transformer.config._attn_implementation != "sdpa":
        return
    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    transformer.set_attn_implementation(NAME)


def attend(
    module: torch.nn.Module,
    query_BNTD: Tensor,
    key_BNTD: Tensor,
    value_BNTD: Tensor,
    attention_mask: Tensor | None,
    **settings: Any,
) -> tuple[Tensor, None]:
    """The library's `sdpa`, in float32 for texts of at most `MOST_TOKENS`; the output has the type of the query.

    What no gradient flows back through (predictions, frozen layers below all others) stays as it is: there bfloat16 is
    faster, with the copies that it spares (MiniLM on texts of 228 tokens, two threads: 28 rows a second against 20).
    """
    given = query_BNTD.dtype
    needs_gradient = any(states.requires_grad for states in (query_BNTD, key_BNTD, value_BNTD))
    if given == torch.float32 or key_BNTD.shape[2] > MOST_TOKENS or not needs_gradient:
        return _sdpa(module, query_BNTD, key_BNTD, value_BNTD, attention_mask, settings)
    if attention_mask is not None and attention_mask.is_floating_point():
        attention_mask = attention_mask.float()
    with torch.autocast("cpu", enabled=False):
        output, weights = _sdpa(
            module, query_BNTD.float(), key_BNTD.float(), value_BNTD.float(), attention_mask, settings
        )
    return output.to(given), weights


def _sdpa(
    module: torch.nn.Module,
    query_BNTD: Tensor,
    key_BNTD: Tensor,
    value_BNTD: Tensor,
    attention_mask: Tensor | None,
    settings: dict[str, Any],
) -> tuple[Tensor, None]:
    attended: tuple[Tensor, None] = sdpa_attention_forward(
        module, query_BNTD, key_BNTD, value_BNTD, attention_mask, **settings
    )
    return attended
