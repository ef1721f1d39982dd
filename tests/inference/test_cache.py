"""A cache with room holds what transformers' own holds."""

import pytest
import torch
from transformers.cache_utils import DynamicLayer

from strop.inference import cache
from strop.inference.cache import GrowingLayer


def test_a_layer_with_room_holds_what_one_without_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "ROOM_TOKENS", 3)
    generator = torch.Generator().manual_seed(0)
    ours, theirs = GrowingLayer(), DynamicLayer()
    for number, n_tokens in enumerate([5, 1, 1, 4, 1, 1, 1]):
        new = [torch.randn(3, 2, n_tokens, 4, generator=generator) for _ in range(2)]
        earlier = None if number == 0 else ours.keys.clone()
        view = ours.keys
        for given, expected in zip(ours.update(*new), theirs.update(*new), strict=True):
            assert torch.equal(given, expected)
        assert earlier is None or torch.equal(view, earlier)
        if number == 2:
            for layer in (ours, theirs):
                layer.reorder_cache(torch.tensor([2, 0, 0]))
        if number == 4:
            for layer in (ours, theirs):
                layer.crop(-2)
        assert ours.get_seq_length() == theirs.get_seq_length()
    assert torch.equal(ours.keys, theirs.keys)
    assert torch.equal(ours.values, theirs.values)
