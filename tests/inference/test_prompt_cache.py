"""A cache with room holds what transformers' own holds, and prompts are divided as they share."""

import numpy as np
import pytest
import torch
from transformers.cache_utils import DynamicLayer

from strop.inference import prompt_cache
from strop.inference.prompt_cache import GrowingLayer, align_right, plan_prompts
from strop.records.completions import Completions


def test_a_layer_with_room_holds_what_one_without_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_cache, "ROOM_TOKENS", 3)
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


def test_prompts_of_a_context_stay_together_longest_first(
    completions: Completions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompt_cache, "ROWS_PER_BATCH", 4)
    batches = plan_prompts(completions, 1, 8)
    lengths = [completions.prompt_tokens_P[batch].tolist() for batch in batches]
    # Contexts of 40, 23 and 4 tokens, then the prompts that share nothing.
    assert lengths == [[49, 45, 43, 30], [25, 16, 10], [31, 18, 1]]
    assert sorted(np.concatenate(batches).tolist()) == list(range(completions.n_prompts))
    assert [len(batch) for batch in plan_prompts(completions, 4, 8)] == [1] * 10
    monkeypatch.setattr(prompt_cache, "TOKENS_PER_BATCH", 100)
    assert [len(batch) for batch in plan_prompts(completions, 1, 8)] == [1, 1, 1, 2, 2, 2, 1]


def test_padding_repeats_a_prompt_s_first_token() -> None:
    rows = [np.asarray([7, 8], dtype=np.int32), np.asarray([3, 4, 5, 6], dtype=np.int32)]
    input_ids_NT, mask_NT = align_right(rows, torch.device("cpu"))
    assert input_ids_NT.tolist() == [[7, 7, 7, 8], [3, 4, 5, 6]]
    assert mask_NT.tolist() == [[0, 0, 1, 1], [1, 1, 1, 1]]
