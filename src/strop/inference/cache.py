"""Keys and values of texts that were read, to go on from.

Dimensions: N texts in a batch, H heads, T tokens, D width of a head.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from strop.records.completions import TokenIds

# For so many more tokens there is room in a cache, whenever it is made anew.
ROOM_TOKENS = 64

# Keys and values of every layer for one text, each of shape (heads, tokens, width).
Read = list[tuple[Tensor, Tensor]]


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


def behind(read_N: Sequence[Read], texts: Sequence[TokenIds], known_N: NDArray[np.int64]) -> DynamicCache | None:
    """A copy of what is read of every text, aligned as the texts are; None where the longest rest leaves nothing.

    Args:
        read_N: Keys and values of the beginning of every text.
        texts: Token ids.
        known_N: How many first tokens of each are read.
    """
    length_N = np.asarray([len(text) for text in texts])
    n_fed = int((length_N - known_N).max())
    width = int(length_N.max()) - n_fed
    if width == 0:
        return None
    rows = list(zip(read_N, np.maximum(length_N - n_fed, 0).tolist(), strict=True))

    def stacked(layer: int, kind: int) -> Tensor:
        return torch.stack([_moved(read[layer][kind], n_kept, width) for read, n_kept in rows])

    return _cache([(stacked(layer, 0), stacked(layer, 1)) for layer in range(len(read_N[0]))])


def _moved(states_HTD: Tensor, n_kept: int, width: int) -> Tensor:
    """The first `n_kept` tokens at the right end of `width` columns, zeros before them."""
    return torch.nn.functional.pad(states_HTD[:, :n_kept], (0, 0, width - n_kept, 0))
