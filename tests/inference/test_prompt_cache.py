"""Prompts are divided as they share."""

import numpy as np
import pytest
import torch

from strop.inference import prompt_cache
from strop.inference.prompt_cache import align_right, plan_prompts
from strop.records.completions import Completions


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
