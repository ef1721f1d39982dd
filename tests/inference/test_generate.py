"""What is written in batches, behind caches that are shared, is what is written for each prompt alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from strop.inference import prompt_cache
from strop.inference.generate import generate
from strop.inference.generated import Generated
from strop.models.adapters import add_adapter
from strop.models.network import Network
from strop.models.precision import make_accelerator
from strop.recipe.answer import Decoding
from strop.recipe.sections import Adapter
from strop.records.completions import Completions
from strop.testing.tiny_models import make_tiny_causal

DrawPrompts = Callable[..., Completions]

PAD, N_TOKENS = 0, 8
# Tokens that the tiny models write now and then, so that some answers end and others do not.
END = (1, *range(40, 512, 7))


def write(network: Network, completions: Completions, decoding: Decoding, **other: Any) -> Generated:
    settings: dict[str, Any] = {"pad_id": PAD, "end_ids": END, "max_answer_tokens": N_TOKENS, "seed": 5}
    accelerator = make_accelerator("float32")
    return generate(
        network, completions, decoding, accelerator, decode=lambda ids: " ".join(map(str, ids)), **{**settings, **other}
    )


def alone(network: Network, prompt: np.ndarray, **settings: Any) -> list[list[int]]:
    """What `model.generate` itself writes behind one prompt."""
    config = GenerationConfig(max_new_tokens=N_TOKENS, pad_token_id=PAD, eos_token_id=list(END), **settings)
    ids = torch.from_numpy(prompt.astype(np.int64)).unsqueeze(0)
    with torch.no_grad():
        rows = network.transformer.eval().generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
    answers = [row[len(prompt) :].tolist() for row in rows]
    return [answer[: next((at + 1 for at, token in enumerate(answer) if token in END), None)] for answer in answers]


def log_likelihood(network: Network, prompt: np.ndarray, answer: list[int]) -> float:
    """By one forward pass over prompt and answer."""
    ids = torch.tensor([[*prompt.tolist(), *answer]])
    with torch.no_grad():
        log_probability_TV = network.transformer.eval()(ids).logits[0].log_softmax(-1)
    return sum(float(log_probability_TV[len(prompt) - 1 + at, token]) for at, token in enumerate(answer))


def ids_of(generated: Generated) -> list[list[list[int]]]:
    return [[ids.tolist() for ids in own] for own in generated.token_ids]


@pytest.mark.parametrize(("rows_per_batch", "penalty"), [(32, 1.0), (3, 1.4)])
def test_greedy_answers_are_those_of_each_prompt_alone(
    network: Network, completions: Completions, rows_per_batch: int, penalty: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompt_cache, "ROWS_PER_BATCH", rows_per_batch)
    found = write(network, completions, Decoding(repetition_penalty=penalty))
    expected = [alone(network, prompt, do_sample=False, repetition_penalty=penalty) for prompt in completions.prompts]
    assert ids_of(found) == expected
    assert 0 < found.ended_PC.sum() < found.ended_PC.size
    assert found.ended_PC[:, 0].tolist() == [answer[0][-1] in END for answer in expected]
    assert found.n_tokens_PC[:, 0].tolist() == [len(answer[0]) for answer in expected]
    assert found.text_PC[0, 0] == " ".join(str(token) for token in expected[0][0] if token not in END)
    exact = [log_likelihood(network, p, own[0]) for p, own in zip(completions.prompts, expected, strict=True)]
    np.testing.assert_allclose(found.log_likelihood_PC[:, 0], exact, rtol=1e-4, atol=1e-4)
    assert found.note == ""


@pytest.mark.parametrize(("rows_per_batch", "length_penalty"), [(32, None), (4, 0.0)])
def test_beams_are_those_of_each_prompt_alone(
    network: Network,
    completions: Completions,
    rows_per_batch: int,
    length_penalty: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prompt_cache, "ROWS_PER_BATCH", rows_per_batch)
    decoding = Decoding(method="beams", n_beams=2, n_candidates=2, length_penalty=length_penalty)
    found = write(network, completions, decoding)
    settings = {"num_beams": 2, "num_return_sequences": 2, "do_sample": False}
    penalty = 1.0 if length_penalty is None else length_penalty
    expected = [alone(network, prompt, length_penalty=penalty, **settings) for prompt in completions.prompts]
    assert ids_of(found) == expected
    exact = [
        [log_likelihood(network, prompt, answer) for answer in own]
        for prompt, own in zip(completions.prompts, expected, strict=True)
    ]
    np.testing.assert_allclose(found.log_likelihood_PC, exact, rtol=1e-4, atol=1e-4)


def test_every_token_of_a_context_is_read_once(network: Network, draw_prompts: DrawPrompts) -> None:
    prompts = draw_prompts([(40, [5, 5, 5, 5])], [])
    assert write(network, prompts, Decoding()).n_tokens_read == 40 + 4 * 5
    # A prompt with a shorter rest reads two tokens of its beginning again.
    assert write(network, draw_prompts([(40, [5, 3])], []), Decoding()).n_tokens_read == 40 + 2 * 5
    eight = Decoding(method="sample", n_candidates=8)
    assert write(network, prompts, eight).n_tokens_read == 40 + 4 * 5


@pytest.mark.parametrize("rows_per_batch", [32, 2])
def test_what_all_prompts_begin_with_is_read_once(
    network: Network, draw_prompts: DrawPrompts, rows_per_batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompt_cache, "ROWS_PER_BATCH", rows_per_batch)
    prompts = draw_prompts([(9, [5, 5]), (9, [5, 5])], [6, 6], common=24)
    found = write(network, prompts, Decoding())
    assert ids_of(found) == [alone(network, prompt) for prompt in prompts.prompts]
    assert found.n_tokens_read == 24 + 2 * 9 + 4 * 5 + 2 * 6


def test_a_context_that_goes_on_in_the_next_batch_is_not_read_again(
    network: Network, draw_prompts: DrawPrompts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompt_cache, "ROWS_PER_BATCH", 2)
    prompts = draw_prompts([(40, [5, 5, 5, 5])], [])
    assert write(network, prompts, Decoding()).n_tokens_read == 40 + 4 * 5


def test_samples_follow_the_seed_and_the_model_s_own_probabilities(network: Network, completions: Completions) -> None:
    decoding = Decoding(method="sample", n_candidates=4, temperature=0.7, top_k=40, repetition_penalty=1.2)
    state = torch.random.get_rng_state()
    found = write(network, completions, decoding)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert ids_of(found) == ids_of(write(network, completions, decoding))
    assert ids_of(found) != ids_of(write(network, completions, decoding, seed=6))
    assert any(len({tuple(ids.tolist()) for ids in own}) > 1 for own in found.token_ids)
    exact = [
        [log_likelihood(network, prompt, ids.tolist()) for ids in own]
        for prompt, own in zip(completions.prompts, found.token_ids, strict=True)
    ]
    np.testing.assert_allclose(found.log_likelihood_PC, exact, rtol=1e-4, atol=1e-4)


def test_samples_are_drawn_by_the_probabilities(network: Network, draw_prompts: DrawPrompts) -> None:
    one = draw_prompts([], [20])
    prompt = one.prompts[0].astype(np.int64)
    completions = one.take(np.zeros(100, dtype=np.intp))
    found = write(network, completions, Decoding(method="sample", n_candidates=20, top_k=3), max_answer_tokens=1)
    with torch.no_grad():
        logits_V = network.transformer.eval()(torch.from_numpy(prompt).unsqueeze(0)).logits[0, -1]
    best = logits_V.topk(3)
    drawn = np.asarray([ids[0] for own in found.token_ids for ids in own])
    share = [float((drawn == int(token)).mean()) for token in best.indices]
    assert sum(share) == pytest.approx(1.0)
    # 2,000 draws: three standard errors are at most 0.034.
    assert share == pytest.approx(best.values.softmax(0).tolist(), abs=0.034)


def test_settings_of_the_folder_play_no_part(network: Network, completions: Completions) -> None:
    plain = write(network, completions, Decoding())
    given = network.transformer.generation_config
    other = GenerationConfig(
        do_sample=True, top_k=64, top_p=0.95, no_repeat_ngram_size=1, suppress_tokens=[*range(250)]
    )
    network.transformer.generation_config = other
    try:
        assert ids_of(write(network, completions, Decoding())) == ids_of(plain)
        assert network.transformer.generation_config is other
    finally:
        network.transformer.generation_config = given


def test_mode_weights_and_progress(network: Network, completions: Completions) -> None:
    network.train()
    before = {name: weight.data for name, weight in network.named_parameters()}
    told: list[tuple[int, int]] = []
    accelerator = make_accelerator("bfloat16")
    found = generate(
        network,
        completions,
        Decoding(),
        accelerator,
        pad_id=PAD,
        end_ids=END,
        max_answer_tokens=3,
        seed=0,
        decode=str,
        done=lambda done, of: told.append((done, of)),
    )
    assert network.training
    assert all(
        weight.data is before[name] or weight.data_ptr() == before[name].data_ptr()
        for name, weight in network.named_parameters()
    )
    assert all(weight.dtype == torch.float32 for weight in network.parameters())
    assert told[-1] == (completions.n_prompts, completions.n_prompts)
    assert np.isfinite(found.log_likelihood_PC).all()


def test_adapters_write_too(tmp_path: Path, completions: Completions) -> None:
    folder = make_tiny_causal(tmp_path, "llama")
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    without = write(Network(plain, None, "native", ()), completions, Decoding())
    adapted = Network(add_adapter(plain, Adapter(), "causal"), None, "native", ())
    torch.manual_seed(0)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    found = write(adapted, completions, Decoding())
    merged = Network(adapted.transformer.merge_and_unload(), None, "native", ())
    assert ids_of(found) == ids_of(write(merged, completions, Decoding()))
    assert ids_of(found) != ids_of(without)


@pytest.mark.parametrize("decoding", [Decoding(), Decoding(method="beams", n_beams=2)])
def test_a_model_without_keys_and_values_reads_prompts_whole(
    decoding: Decoding, network_without_cache: Network, draw_prompts: DrawPrompts
) -> None:
    network = network_without_cache
    prompts = draw_prompts([(20, [4, 4]), (9, [3, 2])], [8])
    found = write(network, prompts, decoding)
    settings = {"num_beams": decoding.n_beams or 1, "do_sample": False}
    assert ids_of(found) == [alone(network, prompt, **settings) for prompt in prompts.prompts]
    exact = [
        log_likelihood(network, p, own[0].tolist()) for p, own in zip(prompts.prompts, found.token_ids, strict=True)
    ]
    np.testing.assert_allclose(found.log_likelihood_PC[:, 0], exact, rtol=1e-4, atol=1e-4)
    family = network.transformer.config.model_type
    assert found.note.startswith(f"a model of the family '{family}' reads every prompt from its first token on: ")
