"""Read prompts in batches, and what the prompts of a context have in common only once.

A batch is a rectangle of N prompts, aligned at the right:

    [padding][shared beginning][rest of prompt]
             |---- cached ----|--- S columns --|

The beginnings themselves are read in the same way where all of them begin alike, as behind examples: what is common to
all prompts is read once.

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

from strop.inference.cache import Read, behind, empty_cache
from strop.records.completions import Completions, TokenIds
from strop.text.shared import common_beginning

ROWS_PER_BATCH = 32
TOKENS_PER_BATCH = 16384
# Fewer first tokens that all prompts have in common are read with each.
LEAST_COMMON = 16


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
    if "past_key_values" not in signature(model.forward).parameters:
        return f"{family}it keeps nothing of what it has read"
    layers = DynamicCache(config=model.config).layers
    others = sorted(
        {type(layer).__name__ for layer in layers} - {DynamicLayer.__name__, DynamicSlidingWindowLayer.__name__}
    )
    return f"{family}not all of its layers keep keys and values ({', '.join(others)})" if others else ""


def plan_prompts(
    completions: Completions, copies: int, n_more_tokens: int, *, read_whole: bool = False
) -> list[NDArray[np.intp]]:
    """Divide prompts into batches: longest first, those of a context together, those that share nothing at the end.

    Args:
        completions: All prompts.
        copies: How many rows every prompt becomes.
        n_more_tokens: How many tokens are written behind it.
        read_whole: Whether the model reads every prompt whole: then only prompts of equal length go together, since a
            state may take in padding that a mask would keep from keys and values.

    Returns:
        Prompt numbers of every batch; each prompt is in exactly one.
    """
    length_P, context_P = completions.prompt_tokens_P, completions.context_P
    _, number_P, n_C = np.unique(context_P, return_inverse=True, return_counts=True)
    shares_P = (completions.shared_P > 0) & (n_C[number_P] > 1) & (not read_whole)
    longest_C = np.zeros(len(n_C), dtype=np.int64)
    np.maximum.at(longest_C, number_P, length_P)
    together = np.lexsort((-length_P, number_P, -longest_C[number_P]))
    alone = np.argsort(-length_P, kind="stable")
    batches = []
    for order in (together[shares_P[together]], alone[~shares_P[alone]]):
        start = 0
        while start < len(order):
            width = int(length_P[order[start]]) + n_more_tokens
            batch = order[start : start + max(1, rows_at_once(width) // copies)]
            if read_whole:
                batch = batch[length_P[batch] == length_P[batch[0]]]
            batches.append(batch)
            start += len(batch)
    return batches


def prompts_by_beginning(completions: Completions) -> list[tuple[int, list[int]]]:
    """Length of a shared beginning and the prompts that have it, the longest first.

    The beginning of a prompt that shares nothing is all but its last token.
    """
    by_context: dict[int, list[int]] = {}
    for at, (context, n_shared) in enumerate(zip(completions.context_P, completions.shared_P, strict=True)):
        # Prompts that share nothing get a number of their own.
        by_context.setdefault(int(context) if n_shared else -1 - at, []).append(at)
    shares = [
        (int(completions.shared_P[own[0]]) if len(own) > 1 else len(completions.prompts[own[0]]) - 1, own)
        for own in by_context.values()
    ]
    return sorted(shares, key=lambda one: -one[0])


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
        self._n_common = 0 if self.why_whole else _n_common(completions)
        self._common: Read | None = None
        self._beginnings: dict[int, Read] = {}

    def begin(self, prompts: NDArray[np.intp]) -> PromptBatch:
        """Lay prompts out, with a cache of what they share with others of their context, or with all prompts."""
        texts = [self._completions.prompts[at] for at in prompts]
        input_ids_NT, mask_NT = align_right(texts, self._device)
        batch = PromptBatch(prompts, input_ids_NT, mask_NT, None)
        shared_N = self._completions.shared_P[prompts]
        if not self.why_whole and len(prompts) > 1 and shared_N.min() > 0:
            self._read_beginnings(prompts)
            read_N = [self._beginnings[context] for context in self._completions.context_P[prompts].tolist()]
            batch.cache = behind(read_N, texts, shared_N)
        elif self._n_common:
            batch.cache = self._behind_common(texts)
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

    def read(self, texts: Sequence[TokenIds]) -> tuple[DynamicCache, Tensor]:
        """Read texts from what is common to all prompts: keys and values, aligned at the right, and their mask.

        Args:
            texts: Prompts, or beginnings of prompts that share them.
        """
        input_ids_NT, mask_NT = align_right(texts, self._device)
        cache = (self._behind_common(texts) if self._n_common else None) or empty_cache()
        start = cache.get_seq_length()
        feed(self.model, input_ids_NT[:, start:], mask_NT, cache, 1)
        self.n_tokens_read += int(mask_NT[:, start:].sum())
        return cache, mask_NT

    def _read_beginnings(self, prompts: NDArray[np.intp]) -> None:
        """Read the beginnings of contexts that are new in this batch, and forget those that are over."""
        one_of = dict(zip(self._completions.context_P[prompts].tolist(), prompts.tolist(), strict=True))
        self._beginnings = {context: read for context, read in self._beginnings.items() if context in one_of}
        new = [context for context in one_of if context not in self._beginnings]
        if not new:
            return
        at_C = [one_of[context] for context in new]
        texts = [self._completions.prompts[at][: self._completions.shared_P[at]] for at in at_C]
        cache, _ = self.read(texts)
        for row, (context, text) in enumerate(zip(new, texts, strict=True)):
            self._beginnings[context] = [
                (layer.keys[row, :, -len(text) :], layer.values[row, :, -len(text) :]) for layer in cache.layers
            ]

    def _behind_common(self, texts: Sequence[TokenIds]) -> DynamicCache | None:
        """A copy of what is common to all prompts for every text."""
        if self._common is None:
            common = torch.from_numpy(self._completions.prompts[0][: self._n_common].astype(np.int64))
            input_ids_1T = common.unsqueeze(0).to(self._device)
            cache = empty_cache()
            feed(self.model, input_ids_1T, torch.ones_like(input_ids_1T), cache, 1)
            self.n_tokens_read += self._n_common
            self._common = [(layer.keys[0], layer.values[0]) for layer in cache.layers]
        return behind([self._common] * len(texts), texts, np.full(len(texts), self._n_common))


def _n_common(completions: Completions) -> int:
    """How many first tokens all have in common; 0 where it does not pay to read them first."""
    shares = prompts_by_beginning(completions)
    if len(shares) == 1:
        return 0
    n_common = common_beginning([completions.prompts[members[0]][: max(n_shared, 1)] for n_shared, members in shares])
    return n_common if n_common >= LEAST_COMMON else 0
