"""Read prompts in batches, and what the prompts of a context have in common only once.

A batch is a rectangle of N prompts, aligned at the right:

    [padding][shared beginning][rest of prompt]
             |---- cached ----|--- S columns --|

S is the longest rest in the batch. Every prompt is fed its last S tokens (one with a shorter rest reads a few tokens of
its beginning again), and its cache holds the keys and values of the tokens before. Keys carry their positions already,
so that they can be moved to any column; distances between columns stay those between tokens, which is what sliding
windows are measured by. The cache keeps all tokens of sliding layers, too: their masks leave out what is too far away.

Dimensions: N prompts in a batch, T columns, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from strop.records.completions import Completions, TokenIds

ROWS_PER_BATCH = 32
TOKENS_PER_BATCH = 16384
# For so many more tokens there is room in a cache, whenever it is made anew.
ROOM_TOKENS = 64

# Keys and values of every layer for one text, each of shape (heads, tokens, width).
_Read = list[tuple[Tensor, Tensor]]


@dataclass
class PromptBatch:
    """N prompts as a model takes them.

    Attributes:
        prompts: Their positions in `Completions`, shape (N,).
        input_ids_NT: Token ids, aligned at the right; padding repeats a prompt's first token, so that penalties on
            tokens that came before mean the prompt's own alone.
        mask_NT: 1 for a token, 0 for padding.
        cache: Keys and values of the first columns; None where nothing is read yet.
    """

    prompts: NDArray[np.intp]
    input_ids_NT: Tensor
    mask_NT: Tensor
    cache: DynamicCache | None

    @property
    def n_columns(self) -> int:
        """T."""
        return int(self.mask_NT.shape[1])

    @property
    def n_cached(self) -> int:
        """Columns whose keys and values are known."""
        return 0 if self.cache is None else int(self.cache.get_seq_length())


def why_read_whole(model: Any) -> str:
    """Why a model has to read every prompt whole; "" where prompts can share what they have in common.

    Args:
        model: A causal model of transformers.
    """
    family = f"a model of the family '{model.config.model_type}' reads every prompt from its first token on: "
    if not model._supports_default_dynamic_cache():
        return f"{family}it keeps a state in place of keys and values"
    layers = DynamicCache(config=model.config).layers
    others = sorted(
        {type(layer).__name__ for layer in layers} - {DynamicLayer.__name__, DynamicSlidingWindowLayer.__name__}
    )
    return f"{family}not all of its layers keep keys and values ({', '.join(others)})" if others else ""


def plan_prompts(completions: Completions, copies: int, n_more_tokens: int) -> list[NDArray[np.intp]]:
    """Divide prompts into batches: longest first, those of a context together, those that share nothing at the end.

    Args:
        completions: All prompts.
        copies: How many rows every prompt becomes.
        n_more_tokens: How many tokens are written behind it.

    Returns:
        Prompt numbers of every batch; each prompt is in exactly one.
    """
    length_P, context_P = completions.prompt_tokens_P, completions.context_P
    _, number_P, n_C = np.unique(context_P, return_inverse=True, return_counts=True)
    shares_P = (completions.shared_P > 0) & (n_C[number_P] > 1)
    longest_C = np.zeros(len(n_C), dtype=np.int64)
    np.maximum.at(longest_C, number_P, length_P)
    together = np.lexsort((-length_P, number_P, -longest_C[number_P]))
    alone = np.argsort(-length_P, kind="stable")
    batches = []
    for order in (together[shares_P[together]], alone[~shares_P[alone]]):
        start = 0
        while start < len(order):
            width = int(length_P[order[start]]) + n_more_tokens
            n_rows = max(1, rows_at_once(width) // copies)
            batches.append(order[start : start + n_rows])
            start += n_rows
    return batches


def rows_at_once(width: int) -> int:
    """How many rows of so many tokens are read together, at least one."""
    return max(1, min(ROWS_PER_BATCH, TOKENS_PER_BATCH // max(width, 1)))


def align_right(rows: Sequence[TokenIds], device: torch.device) -> tuple[Tensor, Tensor]:
    """Put token ids into one rectangle, padded at the left with each row's first token; the mask is 0 there."""
    width = max(map(len, rows))
    input_ids_NT = np.stack([np.pad(row, (width - len(row), 0), mode="edge") for row in rows]).astype(np.int64)
    mask_NT = np.arange(width) >= width - np.asarray([[len(row)] for row in rows])
    return torch.from_numpy(input_ids_NT).to(device), torch.from_numpy(mask_NT.astype(np.int64)).to(device)


def feed(
    model: Any,
    input_ids_NS: Tensor,
    mask_NT: Tensor,
    cache: DynamicCache | None,
    n_logits: int,
    *,
    position_NS: Tensor | None = None,
    seen: Any = None,
) -> Tensor:
    """Run a model over the last S columns, shape of the logits (N, n_logits, V); the cache grows by these columns.

    Args:
        model: A causal model of transformers.
        input_ids_NS: Token ids of the columns that are fed.
        mask_NT: The mask of all columns up to there.
        cache: Keys and values of the columns before, none yet in an empty one; None to keep none.
        n_logits: For how many of the last columns logits are wanted.
        position_NS: Positions of the tokens that are fed; None where they follow each other.
        seen: A mask of one's own in place of the usual one, as the model takes it.
    """
    if position_NS is None:
        position_NS = (mask_NT.cumsum(dim=1) - 1).clamp(min=0)[:, -input_ids_NS.shape[1] :]
    takes = signature(model.forward).parameters
    given: dict[str, Any] = {"input_ids": input_ids_NS, "use_cache": cache is not None}
    given["attention_mask"] = mask_NT if seen is None else seen
    if "position_ids" in takes:
        given["position_ids"] = position_NS
    if cache is not None:
        given["past_key_values"] = cache
    if "logits_to_keep" in takes:
        given["logits_to_keep"] = n_logits
    logits_NSV: Tensor = model(**given).logits[:, -n_logits:]
    return logits_NSV


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values with room for tokens to come: transformers' own layer copies all of them for every new token."""

    keys: Tensor
    values: Tensor

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._room: tuple[Tensor, Tensor] | None = None
        self._used: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Add the states of new tokens, each of shape (N, heads, tokens, width); gives those of all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        after = start + key_states.shape[-2]
        # Whoever reorders or crops a cache puts other tensors in place of ours.
        is_ours = self._used is not None and self.keys is self._used[0] and self.values is self._used[1]
        if self._room is None or not is_ours or after > self._room[0].shape[-2]:
            self._room = (_with_room(self.keys, key_states, start), _with_room(self.values, value_states, start))
        for room, states in zip(self._room, (key_states, value_states), strict=True):
            room[..., start:after, :] = states
        self._used = (self._room[0][..., :after, :], self._room[1][..., :after, :])
        self.keys, self.values = self._used
        return self._used


def _with_room(known: Tensor, new: Tensor, n_known: int) -> Tensor:
    """A tensor that begins with what is known, and has room for what is new and more."""
    *before, n_new, width = new.shape
    room = new.new_empty(*before, n_known + n_new + ROOM_TOKENS, width)
    if n_known:
        room[..., :n_known, :] = known
    return room


def empty_cache() -> DynamicCache:
    """A cache that keeps all tokens in all layers."""
    cache = DynamicCache()
    cache.layer_class_to_replicate = GrowingLayer
    return cache


def chosen_rows(cache: DynamicCache, rows: Tensor | slice) -> DynamicCache:
    """A cache of these rows, in this order; the given one stays as it is, whatever the new one is used for."""
    return _cache([(layer.keys[rows], layer.values[rows]) for layer in cache.layers])


def _cache(layers: Sequence[tuple[Tensor, Tensor]]) -> DynamicCache:
    """A cache of these keys and values, which are not copied before more are added."""
    cache = empty_cache()
    for keys, values in layers:
        layer = GrowingLayer()
        layer.lazy_initialization(keys, values)
        layer.keys, layer.values = keys, values
        cache.layers.append(layer)
    return cache


class PromptReader:
    """Reads prompts batch by batch, in the order of `plan_prompts`; keeps what the last batch shared.

    Args:
        model: A causal model of transformers, ready to write.
        completions: All prompts.
        device: Where the model runs.

    Attributes:
        model: The model.
        why_whole: Why this model has to read every prompt whole; "" where it has not.
        n_tokens_read: Tokens that were read, padding left out.
    """

    def __init__(self, model: Any, completions: Completions, device: torch.device) -> None:
        self.model = model
        self.why_whole = why_read_whole(model)
        self.n_tokens_read = 0
        self._completions = completions
        self._device = device
        self._beginnings: dict[int, _Read] = {}

    def begin(self, prompts: NDArray[np.intp]) -> PromptBatch:
        """Lay prompts out, with a cache of what they share with others of their context."""
        texts = [self._completions.prompts[at] for at in prompts]
        input_ids_NT, mask_NT = align_right(texts, self._device)
        batch = PromptBatch(prompts, input_ids_NT, mask_NT, None)
        shared_N = self._completions.shared_P[prompts]
        if not self.why_whole and len(prompts) > 1 and shared_N.min() > 0:
            self._read_beginnings(prompts)
            batch.cache = self._beginnings_of(prompts, texts, shared_N)
        self.n_tokens_read += int(mask_NT[:, batch.n_cached :].sum())
        return batch

    def read_on(self, batch: PromptBatch, n_columns: int) -> Tensor | None:
        """Read up to so many columns; None where they are read already, else the last one's logits, shape (N, V)."""
        start = batch.n_cached
        if start >= n_columns:
            return None
        if batch.cache is None:
            batch.cache = empty_cache()
        fed = batch.input_ids_NT[:, start:n_columns]
        return feed(self.model, fed, batch.mask_NT[:, :n_columns], batch.cache, 1)[:, -1]

    def _read_beginnings(self, prompts: NDArray[np.intp]) -> None:
        """Read the beginnings of contexts that are new in this batch, and forget those that are over."""
        one_of = dict(zip(self._completions.context_P[prompts].tolist(), prompts.tolist(), strict=True))
        self._beginnings = {context: read for context, read in self._beginnings.items() if context in one_of}
        new = [context for context in one_of if context not in self._beginnings]
        if not new:
            return
        at_C = [one_of[context] for context in new]
        texts = [self._completions.prompts[at][: self._completions.shared_P[at]] for at in at_C]
        input_ids_NT, mask_NT = align_right(texts, self._device)
        cache = empty_cache()
        feed(self.model, input_ids_NT, mask_NT, cache, 1)
        self.n_tokens_read += sum(map(len, texts))
        for row, (context, text) in enumerate(zip(new, texts, strict=True)):
            kept = slice(input_ids_NT.shape[1] - len(text), None)
            self._beginnings[context] = [
                (layer.keys[row, :, kept], layer.values[row, :, kept]) for layer in cache.layers
            ]

    def _beginnings_of(
        self, prompts: NDArray[np.intp], texts: Sequence[TokenIds], shared_N: NDArray[np.int64]
    ) -> DynamicCache | None:
        """A copy of its context's beginning for every prompt, aligned as the prompts are."""
        length_N = np.asarray([len(text) for text in texts])
        n_fed = int((length_N - shared_N).max())
        width = int(length_N.max()) - n_fed
        if width == 0:
            return None
        read_N = [self._beginnings[context] for context in self._completions.context_P[prompts].tolist()]
        kept_N = np.maximum(length_N - n_fed, 0).tolist()
        rows = list(zip(read_N, kept_N, strict=True))

        def stacked(layer: int, kind: int) -> Tensor:
            return torch.stack([_moved(read[layer][kind], n_kept, width) for read, n_kept in rows])

        return _cache([(stacked(layer, 0), stacked(layer, 1)) for layer in range(len(read_N[0]))])


def _moved(states_HTD: Tensor, n_kept: int, width: int) -> Tensor:
    """The first `n_kept` tokens at the right end of `width` columns, zeros before them."""
    return torch.nn.functional.pad(states_HTD[:, :n_kept], (0, 0, width - n_kept, 0))
