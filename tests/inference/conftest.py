"""Tiny causal models, and prompts of several contexts for them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, MambaConfig, OpenAIGPTConfig, RecurrentGemmaConfig

from strop.models.network import Network
from strop.records.completions import Completions
from strop.records.dataset import strings
from strop.testing.tiny_models import Architecture, make_tiny_causal


def _load_network(folder: Path) -> Network:
    return Network(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), None, "native", ())


def _make_completions(prompts: list[list[int]], context: list[int], shared: list[int]) -> Completions:
    n_prompts = len(prompts)
    return Completions(
        ids=strings([f"r{row}" for row in range(n_prompts)]),
        row_P=np.arange(n_prompts),
        prompts=[np.asarray(prompt, dtype=np.int32) for prompt in prompts],
        answers=[np.asarray([], dtype=np.int32)] * n_prompts,
        context_P=np.asarray(context),
        shared_P=np.asarray(shared),
        n_tokens_R=np.asarray([len(prompt) for prompt in prompts]),
        n_cut_R=np.zeros(n_prompts, dtype=np.int64),
    )


def _prompts_of_contexts(sizes: list[tuple[int, list[int]]], alone: list[int], common: int = 0) -> Completions:
    generator = np.random.default_rng(0)

    def draw(n_tokens: int) -> list[int]:
        return generator.integers(3, 300, n_tokens).tolist()

    examples = draw(common)
    prompts, context, shared = [], [], []
    for number, (n_shared, rests) in enumerate(sizes):
        beginning = examples + draw(n_shared)
        prompts += [beginning + draw(rest) for rest in rests]
        context += [number] * len(rests)
        shared += [common + n_shared] * len(rests)
    prompts += [examples + draw(n_tokens) for n_tokens in alone]
    context += range(len(sizes), len(sizes) + len(alone))
    shared += [0] * len(alone)
    order = generator.permutation(len(prompts)).tolist()
    return _make_completions([prompts[at] for at in order], [context[at] for at in order], [shared[at] for at in order])


@pytest.fixture(scope="session", params=["llama", "gemma3", "qwen3"])
def network(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Network:
    """A tiny causal model in float32; of gemma3 one layer looks back 16 tokens."""
    architecture: Architecture = request.param
    return _load_network(make_tiny_causal(tmp_path_factory.mktemp("tiny") / architecture, architecture))


@pytest.fixture(params=["mamba", "recurrent_gemma", "openai-gpt"])
def network_without_cache(request: Any) -> Network:
    """A tiny causal model that keeps a state in place of keys and values, which may take in padding, or nothing."""
    torch.manual_seed(0)
    configs = {
        "mamba": MambaConfig(vocab_size=512, hidden_size=32, num_hidden_layers=2, state_size=4, pad_token_id=0),
        "recurrent_gemma": RecurrentGemmaConfig(
            vocab_size=512,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=2,
            lru_width=32,
            attention_window_size=16,
            pad_token_id=0,
        ),
        "openai-gpt": OpenAIGPTConfig(vocab_size=512, n_positions=64, n_embd=32, n_layer=2, n_head=2),
    }
    return Network(AutoModelForCausalLM.from_config(configs[request.param]), None, "native", ())


@pytest.fixture
def draw_prompts() -> Callable[..., Completions]:
    """Makes prompts, given every context's length with those of the rests behind it, and lengths of other prompts.

    With `common` all begin with so many tokens.
    """
    return _prompts_of_contexts


@pytest.fixture
def completions() -> Completions:
    """Three contexts (one shorter than a rest, two longer than a window of 16), and prompts that share nothing."""
    return _prompts_of_contexts([(40, [5, 9, 3]), (23, [7, 2]), (4, [12, 6])], [31, 1, 18])
