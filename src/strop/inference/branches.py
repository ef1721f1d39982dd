"""Score the candidates of a prompt as branches behind it: one copy of its cache, and a mask that keeps them apart.

Dimensions: N prompts in a batch, M candidates, S columns of branches, T columns of prompts, V vocabulary.
"""

from collections.abc import Sequence
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache

from strop.inference.prompt_cache import PromptBatch, chosen_rows, feed
from strop.models.attention import NAME as SHORT_IN_FLOAT32
from strop.models.shared_context import MASKED_LAYERS, PADDING, branch_mask, layer_kinds
from strop.records.completions import TokenIds

# Attention that takes a mask of booleans.
BRANCHING_ATTENTION = ("sdpa", SHORT_IN_FLOAT32)


class _Layout(NamedTuple):
    """Branches of N prompts in one rectangle, padded at the right.

    Attributes:
        input_ids_NS: Tokens that are fed: all of a candidate but its last.
        target_NS: The token that follows each.
        offset_NS: How many tokens of its branch stand before each.
        branch_NS: Number of the branch, from 1; padding is PADDING.
        places: For every candidate its row and columns, M of them.
    """

    input_ids_NS: Tensor
    target_NS: Tensor
    offset_NS: Tensor
    branch_NS: Tensor
    places: list[tuple[int, slice]]


def takes_branches(model: Any) -> bool:
    """Whether a model's attention takes a mask of one's own, and its positions are given rather than counted."""
    config = model.config.get_text_config(decoder=True)
    is_masked = config._attn_implementation in BRANCHING_ATTENTION and set(layer_kinds(config)) <= set(MASKED_LAYERS)
    has_positions = "position_ids" in signature(model.forward).parameters
    return is_masked and has_positions and not getattr(config, "alibi", False)


def log_probability(logits: Tensor, chosen: Tensor) -> Tensor:
    """Log-probability of chosen tokens in float32: `logits` has the shape of `chosen` and V behind it."""
    exact = logits.float()
    return exact.gather(-1, chosen.unsqueeze(-1)).squeeze(-1) - exact.logsumexp(dim=-1)


def score_branches(
    model: Any, batch: PromptBatch, cache: DynamicCache, candidates: Sequence[TokenIds], row_M: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Log-likelihood of all tokens but the first, shape (M,).

    Args:
        model: A causal model of which `takes_branches` holds.
        batch: Prompts.
        cache: Keys and values of all their columns; it stays as it is.
        candidates: Token ids, at least two each.
        row_M: For every candidate the row of its prompt in the batch, ascending.
    """
    config = model.config.get_text_config(decoder=True)
    rows = slice(int(row_M[0]), int(row_M[-1]) + 1)
    mask_NT = batch.mask_NT[rows]
    layout = _lay_out(candidates, row_M - rows.start, mask_NT)
    width = layout.input_ids_NS.shape[1]
    position_NS = mask_NT.sum(dim=1, keepdim=True) + layout.offset_NS
    position_NT = torch.cat([(mask_NT.cumsum(dim=1) - 1).clamp(min=0), position_NS], dim=1)
    # Tokens of the prompt are branch 0, which all see.
    branch_NT = torch.cat([torch.where(mask_NT == 1, 0, PADDING), layout.branch_NS], dim=1)
    seen = {
        kind: branch_mask(branch_NT, position_NT, config.sliding_window if kind == "sliding_attention" else None)
        for kind in layer_kinds(config)
    }
    seen = {kind: mask[:, :, -width:] for kind, mask in seen.items()}
    logits_NSV = feed(
        model,
        layout.input_ids_NS,
        mask_NT,
        chosen_rows(cache, rows),
        width,
        position_NS=position_NS,
        seen=seen if len(seen) > 1 else next(iter(seen.values())),
    )
    found_NS = log_probability(logits_NSV, layout.target_NS).cpu().numpy()
    return np.asarray([found_NS[place].sum() for place in layout.places], dtype=np.float32)


def _lay_out(candidates: Sequence[TokenIds], row_M: NDArray[np.intp], mask_NT: Tensor) -> _Layout:
    rest_M = [len(candidate) - 1 for candidate in candidates]
    shape = (len(mask_NT), int(np.bincount(row_M, weights=rest_M).max()))
    input_ids_NS, target_NS, offset_NS = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    branch_NS = np.full(shape, PADDING, dtype=np.int64)
    used_N = [0] * len(mask_NT)
    places = []
    for number, (row, candidate, n_rest) in enumerate(zip(row_M.tolist(), candidates, rest_M, strict=True), 1):
        here = (row, slice(used_N[row], used_N[row] + n_rest))
        input_ids_NS[here], target_NS[here] = candidate[:-1], candidate[1:]
        branch_NS[here], offset_NS[here] = number, np.arange(n_rest)
        used_N[row] += n_rest
        places.append(here)

    def tensor(array: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(array).to(mask_NT.device)

    return _Layout(tensor(input_ids_NS), tensor(target_NS), tensor(offset_NS), tensor(branch_NS), places)
