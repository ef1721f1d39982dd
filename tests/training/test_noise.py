from pathlib import Path
from typing import Any

import pytest
import torch

from strop.testing.tiny_models import make_tiny_causal
from strop.training.noise import noisy_embeddings


@pytest.fixture
def model(tmp_path: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(make_tiny_causal(tmp_path / "llama"))


def test_noise_lies_within_its_bounds_and_follows_the_seed(model: Any) -> None:
    ids = torch.arange(3, 43).reshape(2, 20)
    # Rows of 20 tokens, and of 5: the bound is alpha / sqrt(tokens * 32).
    row_tokens = torch.tensor([[20.0] * 20, [5.0] * 20])
    embed = model.get_input_embeddings()
    plain = embed(ids)

    def noise() -> torch.Tensor:
        torch.manual_seed(4)
        with noisy_embeddings(model, 5.0, row_tokens):
            return embed(ids) - plain

    found = noise()
    for row, bound in enumerate((5.0 / (20 * 32) ** 0.5, 5.0 / (5 * 32) ** 0.5)):
        assert found[row].abs().max() <= bound + 1e-6
        assert found[row].abs().max() > 0.95 * bound
        # The mean size of a uniform number is half its bound.
        assert found[row].abs().mean().item() == pytest.approx(bound / 2, rel=0.1)
    assert torch.equal(found, noise())
    assert torch.equal(embed(ids), plain)


def test_no_noise_draws_no_random_numbers(model: Any) -> None:
    ids = torch.arange(3, 23)[None]
    torch.manual_seed(4)
    state = torch.get_rng_state()
    with noisy_embeddings(model, 0.0, torch.full((1, 20), 20.0)):
        model.get_input_embeddings()(ids)
    assert torch.equal(torch.get_rng_state(), state)
