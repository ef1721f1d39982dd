"""Read a context once for all prompts about it, and predict their answers as if each had been read alone.

A pack is laid out as [what the prompts share][rest of prompt 1, answer 1][rest of prompt 2, answer 2]...: positions go
on after the shared tokens for each of these branches, and a mask lets every branch see the shared tokens and itself.

Dimensions: B packs in a pass, T tokens, N answer tokens of all packs, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from strop.models.attention import NAME as SHORT_IN_FLOAT32
from strop.models.network import Network
from strop.records.completions import Completions
from strop.text.batches import LONG_STEP, padded_width
from strop.text.packs import Pack, make_pack

PADDING = -1
NOT_PREDICTED = -1
# Attention that takes a mask of one's own, as booleans or as numbers to add.
MASKED_ATTENTION = ("sdpa", SHORT_IN_FLOAT32, "eager")
MASKED_LAYERS = ("full_attention", "sliding_attention")
# How far losses may lie apart, relative to a loss of at least 1. In half precision the order of sums alone makes
# hundredths; that no branch sees another one is therefore proven apart, and without such room.
EQUAL_IN_FLOAT32, EQUAL_IN_HALF, UNMOVED = 1e-4, 2e-2, 1e-3
MOST_BRANCHES_PROVEN = 3


class PackedBatch(NamedTuple):
    """Packs as a model takes them.

    Attributes:
        input_ids_BT: Token ids, padded at the right.
        position_BT: Position of every token in its own row, from 0.
        branch_BT: Number of the branch that a token belongs to, from 1; 0 for shared tokens, -1 for padding.
        target_BT: The token that is to be predicted next, -1 where none is.
        prompt_N: For every predicted token, row by row, the position of its prompt in `Completions`.
        row_tokens_BT: Tokens of the row that a token belongs to, the mean over its rows for a shared token; 1 for
            padding.
        is_shared: Whether a pack has several branches, so that the mask is needed.
    """

    input_ids_BT: Tensor
    position_BT: Tensor
    branch_BT: Tensor
    target_BT: Tensor
    prompt_N: Tensor
    row_tokens_BT: Tensor
    is_shared: bool

    @property
    def target_N(self) -> Tensor:
        """The tokens to be predicted, in the order of the logits."""
        return self.target_BT[self.target_BT != NOT_PREDICTED]


def pack_batch(completions: Completions, packs: Sequence[Pack], *, pad_id: int, device: torch.device) -> PackedBatch:
    """Lay packs out in one rectangle.

    Args:
        completions: All prompts and answers.
        packs: The packs of one pass.
        pad_id: Token id that fills short packs.
        device: Where the model runs.
    """
    longest = max(pack.n_tokens for pack in packs)
    # Padding has position 0, so that no model lacks positions for it.
    shape = (len(packs), padded_width(longest, longest_of_all=longest + LONG_STEP))
    input_ids_BT = np.full(shape, pad_id, dtype=np.int64)
    position_BT = np.zeros(shape, dtype=np.int64)
    branch_BT = np.full(shape, PADDING, dtype=np.int64)
    target_BT = np.full(shape, NOT_PREDICTED, dtype=np.int64)
    row_tokens_BT = np.ones(shape, dtype=np.float32)
    for row, pack in enumerate(packs):
        start = pack.n_shared
        input_ids_BT[row, :start] = completions.prompts[pack.prompts[0]][:start]
        position_BT[row, :start] = np.arange(start)
        branch_BT[row, :start] = 0
        lengths = []
        for branch, at in enumerate(pack.prompts, 1):
            prompt, answer = completions.prompts[at], completions.answers[at]
            tokens = np.concatenate([prompt, answer[:-1]])[pack.n_shared :]
            after = start + len(tokens)
            here = (row, slice(start, after))
            input_ids_BT[here] = tokens
            position_BT[here] = pack.n_shared + np.arange(len(tokens))
            branch_BT[here] = branch
            target_BT[row, after - len(answer) : after] = answer
            lengths.append(pack.n_shared + len(tokens))
            row_tokens_BT[here] = lengths[-1]
            start = after
        row_tokens_BT[row, : pack.n_shared] = np.mean(lengths)
    prompt_N = [np.full(len(completions.answers[at]), at) for pack in packs for at in pack.prompts]

    def tensor(array: Any) -> Tensor:
        return torch.from_numpy(array).to(device)

    return PackedBatch(
        tensor(input_ids_BT),
        tensor(position_BT),
        tensor(branch_BT),
        tensor(target_BT),
        tensor(np.concatenate(prompt_N).astype(np.int64)),
        tensor(row_tokens_BT),
        is_shared=any(len(pack.prompts) > 1 for pack in packs),
    )


def branch_mask(branch_BT: Tensor, position_BT: Tensor, window: int | None = None) -> Tensor:
    """Which token sees which, shape (B, 1, T, T), true where the token of the third axis sees that of the fourth.

    A token sees those before it that are shared or of its own branch. Padding is seen by padding alone, and every token
    sees itself, so that no row of the mask is empty.

    Args:
        branch_BT: As in `PackedBatch`.
        position_BT: As in `PackedBatch`.
        window: Sliding attention sees so many positions, its own included; a branch counts as if it were read alone.
    """
    n_tokens = branch_BT.shape[1]
    is_before_TT = torch.ones(n_tokens, n_tokens, dtype=torch.bool, device=branch_BT.device).tril()
    asking, asked = branch_BT[:, :, None], branch_BT[:, None, :]
    sees_BTT = ((asking == asked) | (asked == 0)) & is_before_TT
    if window is not None:
        sees_BTT &= position_BT[:, :, None] - position_BT[:, None, :] < window
    return sees_BTT[:, None]


def answer_logits(network: Network, packed: PackedBatch) -> Tensor:
    """Logits of every answer token, shape (N, V), in the order of `PackedBatch.target_N`.

    The model computes logits at these positions alone; where it knows no such choice, they are taken out of all.
    """
    is_predicted_BT = packed.target_BT != NOT_PREDICTED
    mask: Any = (packed.branch_BT != PADDING).long()
    if packed.is_shared:
        mask = _masks(network.transformer, packed)
    logits: Tensor = network.transformer(
        input_ids=packed.input_ids_BT,
        attention_mask=mask,
        position_ids=packed.position_BT,
        use_cache=False,
        logits_to_keep=is_predicted_BT,
    ).logits
    return logits if logits.ndim == 2 else logits[is_predicted_BT]


def _masks(transformer: Any, packed: PackedBatch) -> Tensor | Mapping[str, Tensor]:
    """The mask of every kind of layer: one tensor where all are alike, else by kind, as transformers takes them."""
    config = transformer.config.get_text_config()
    masks = {}
    for kind in layer_kinds(config):
        window = config.sliding_window if kind == "sliding_attention" else None
        mask = branch_mask(packed.branch_BT, packed.position_BT, window)
        if config._attn_implementation == "eager":
            # Eager attention adds its mask to the scores.
            dtype = transformer.get_input_embeddings().weight.dtype
            mask = torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)
        masks[kind] = mask
    return masks if len(masks) > 1 else next(iter(masks.values()))


def layer_kinds(config: Any) -> list[str]:
    """The kinds of attention layers that a text model has, in the words of transformers."""
    kinds = getattr(config, "layer_types", None)
    if kinds:
        return sorted(set(kinds))
    slides = getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True)
    return ["sliding_attention" if slides else "full_attention"]


def why_not_shared(
    network: Network, completions: Completions, pack: Pack, *, pad_id: int, device: torch.device
) -> str | None:
    """Prove on one pack that sharing changes nothing: its losses are those of single rows, and no branch sees another.

    To be called as the model is trained, under the same autocast; the model is put into evaluation mode meanwhile.

    Args:
        network: A causal network.
        completions: All prompts and answers.
        pack: A pack of several prompts, as long as there is: windows of attention show only in long ones.
        pad_id: Token id that fills short packs.
        device: Where the model runs.

    Returns:
        Why this model cannot share contexts, None where it is proven that it can.
    """
    config: Any = network.transformer.config
    config = config.get_text_config()
    if config._attn_implementation not in MASKED_ATTENTION:
        return f"its attention ({config._attn_implementation}) takes no mask of one's own"
    others = [kind for kind in layer_kinds(config) if kind not in MASKED_LAYERS]
    if others:
        return f"it has layers of another kind ({', '.join(others)})"
    pack = make_pack(completions, pack.prompts[:MOST_BRANCHES_PROVEN])
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            return _difference(network, completions, pack, pad_id, device)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        return f"it takes no such mask ({str(error).strip().splitlines()[0]})"
    finally:
        network.train(was_training)


def _difference(
    network: Network, completions: Completions, pack: Pack, pad_id: int, device: torch.device
) -> str | None:
    def losses(completions: Completions, packs: Sequence[Pack]) -> Tensor:
        packed = pack_batch(completions, packs, pad_id=pad_id, device=device)
        logits_NV = answer_logits(network, packed).float()
        loss_N = functional.cross_entropy(logits_NV, packed.target_N, reduction="none")
        return torch.stack([loss_N[packed.prompt_N == at].mean() for one in packs for at in one.prompts])

    single = torch.cat([losses(completions, [make_pack(completions, [at])]) for at in pack.prompts])
    shared = losses(completions, [pack])
    is_exact = all(p.dtype == torch.float32 for p in network.parameters()) and not torch.is_autocast_enabled(
        device.type
    )
    apart = ((shared - single).abs() / single.clamp(min=1.0)).max().item()
    if not apart <= (EQUAL_IN_FLOAT32 if is_exact else EQUAL_IN_HALF):
        return f"losses lie {apart:.2g} apart from those of rows read alone"
    # Another first branch must leave the losses of the others as they are.
    first = pack.prompts[0]
    prompts = list(completions.prompts)
    prompts[first] = np.concatenate([prompts[first][: pack.n_shared], prompts[first][pack.n_shared :][::-1] // 2])
    moved = losses(replace(completions, prompts=prompts), [pack])[1:] - shared[1:]
    seen = (moved.abs() / shared[1:].clamp(min=1.0)).max().item()
    return None if seen <= UNMOVED else f"rows see each other: a loss moved by {seen:.2g} with another row's words"
