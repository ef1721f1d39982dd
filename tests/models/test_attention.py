"""Attention over short texts in float32: the same values, and only where it is meant."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from strop.models.attention import MOST_TOKENS, NAME, attend, use_fast_attention

CPU = torch.device("cpu")


def states(n_tokens: int, dtype: torch.dtype = torch.bfloat16) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(n_tokens)
    return [torch.randn(2, 3, n_tokens, 4, generator=generator).to(dtype).requires_grad_() for _ in range(3)]


def by_hand(given: list[torch.Tensor], seen: torch.Tensor) -> torch.Tensor:
    query, key, value = (tensor.detach().double() for tensor in given)
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    weights = torch.softmax(scores.masked_fill(~seen, -torch.inf), dim=-1)
    return (weights @ value).transpose(1, 2)


@pytest.mark.parametrize("as_numbers", [False, True], ids=["boolean mask", "additive mask"])
def test_short_texts_are_computed_exactly_and_come_back_in_their_format(as_numbers: bool) -> None:
    given = states(5)
    seen = torch.ones(2, 1, 5, 5, dtype=torch.bool)
    seen[0, :, :, 3:] = False
    mask = torch.zeros(seen.shape, dtype=torch.bfloat16).masked_fill(~seen, -3e38) if as_numbers else seen
    with torch.autocast("cpu", torch.bfloat16):
        output, weights = attend(torch.nn.Module(), *given, mask, scaling=0.5, is_causal=False)
    assert weights is None
    assert output.dtype == torch.bfloat16
    # Rounded once, at the end: bfloat16 keeps 8 bits.
    torch.testing.assert_close(output.double(), by_hand(given, seen), rtol=2**-8, atol=1e-6)
    output.sum().backward()
    assert all(tensor.grad is not None and tensor.grad.dtype == torch.bfloat16 for tensor in given)


@pytest.mark.parametrize(("n_tokens", "dtype"), [(MOST_TOKENS + 1, torch.bfloat16), (5, torch.float32)])
def test_long_texts_and_float32_are_left_to_the_library(n_tokens: int, dtype: torch.dtype) -> None:
    given = states(n_tokens, dtype)
    ours, _ = attend(torch.nn.Module(), *given, None, is_causal=False)
    theirs, _ = sdpa_attention_forward(torch.nn.Module(), *given, None, is_causal=False)
    assert torch.equal(ours, theirs)


def test_what_needs_no_gradient_is_left_to_the_library() -> None:
    given = states(5)
    frozen = [tensor.detach() for tensor in given]
    theirs, _ = sdpa_attention_forward(torch.nn.Module(), *frozen, None, is_causal=False)
    assert torch.equal(attend(torch.nn.Module(), *frozen, None, is_causal=False)[0], theirs)
    # One of the three is enough.
    ours, _ = attend(torch.nn.Module(), *frozen[:2], given[2], None, is_causal=False)
    assert ours.requires_grad
    assert not torch.equal(ours, theirs)


@pytest.mark.parametrize("family", ["tiny_encoder", "tiny_causal"])
def test_a_model_gives_the_same_states_and_does_not_save_the_name(
    family: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder: Path = request.getfixturevalue(family)
    model = AutoModel.from_pretrained(folder).eval()
    ids = torch.tensor([[5, 6, 7, 8], [9, 5, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    with torch.no_grad():
        plain = model(input_ids=ids, attention_mask=mask).last_hidden_state
        use_fast_attention(model, CPU)
        fast = model(input_ids=ids, attention_mask=mask).last_hidden_state
    assert model.config._attn_implementation == NAME
    torch.testing.assert_close(fast[mask.bool()], plain[mask.bool()])
    model.save_pretrained(tmp_path)
    assert NAME not in (tmp_path / "config.json").read_text()


def test_other_devices_and_other_attention_stay_as_they_are(tiny_encoder: Path) -> None:
    model = AutoModel.from_pretrained(tiny_encoder)
    use_fast_attention(model, torch.device("cuda"))
    assert model.config._attn_implementation == "sdpa"
    eager = AutoModel.from_pretrained(tiny_encoder, attn_implementation="eager")
    use_fast_attention(eager, CPU)
    assert eager.config._attn_implementation == "eager"
