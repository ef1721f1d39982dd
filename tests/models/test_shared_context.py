from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from strop.models.causal import load_causal
from strop.models.locate import locate_model
from strop.models.network import Network
from strop.models.shared_context import answer_logits, branch_mask, layer_kinds, pack_batch, why_not_shared
from strop.recipe.sections import Adapter, Model
from strop.records.completions import Completions
from strop.records.dataset import strings
from strop.testing.tiny_models import Architecture, make_tiny_causal
from strop.text.packs import make_pack

CPU = torch.device("cpu")
FAMILIES: list[Architecture] = ["llama", "gemma3", "qwen3", "mistral"]


def questions(n_contexts: int = 2, n_each: int = 3, n_shared: int = 30) -> Completions:
    """Contexts of about 30 tokens, longer than the sliding windows, with questions and answers of uneven lengths."""
    generator = np.random.default_rng(1)
    prompts, answers, contexts = [], [], []
    for context in range(n_contexts):
        shared = generator.integers(3, 250, size=n_shared + context)
        for number in range(n_each):
            own = generator.integers(3, 250, size=4 + 3 * number)
            prompts.append(np.concatenate([shared, own]).astype(np.int32))
            answers.append(generator.integers(3, 250, size=1 + 2 * number).astype(np.int32))
            contexts.append(context)
    n = len(prompts)
    return Completions(
        ids=strings([str(at) for at in range(n)]),
        row_P=np.arange(n),
        prompts=prompts,
        answers=answers,
        context_P=np.asarray(contexts, dtype=np.int64),
        shared_P=np.asarray([n_shared + context for context in contexts]),
        n_tokens_R=np.ones(n, dtype=np.int64),
        n_cut_R=np.zeros(n, dtype=np.int64),
    )


def tiny(folder: Path, architecture: Architecture, **settings: Any) -> Network:
    model = Model(
        name=str(make_tiny_causal(folder / architecture, architecture, sliding_window=8)),
        adapter=Adapter(rank=4, dropout=0.0),
        precision="float32",
        **settings,
    )
    network = load_causal(model, locate_model(model), CPU)
    # Adapters begin as nothing: without this the gradients of their first matrices would all be 0.
    for name, parameter in network.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return network


def loss_and_gradients(network: Network, completions: Completions, groups: list[list[int]]) -> tuple[float, Any]:
    packs = [make_pack(completions, group) for group in groups]
    packed = pack_batch(completions, packs, pad_id=0, device=CPU)
    loss = functional.cross_entropy(answer_logits(network, packed), packed.target_N)
    trained = {name: one for name, one in network.named_parameters() if one.requires_grad}
    return loss.item(), dict(zip(trained, torch.autograd.grad(loss, list(trained.values())), strict=True))


def test_a_pack_is_laid_out_branch_by_branch() -> None:
    def tokens(*ids: int) -> np.ndarray[Any, np.dtype[np.int32]]:
        return np.asarray(ids, dtype=np.int32)

    completions = replace(
        questions(1, 2),
        prompts=[tokens(5, 6, 7), tokens(5, 6, 8, 9)],
        answers=[tokens(20, 21), tokens(30, 31, 32)],
        shared_P=np.asarray([2, 2]),
    )
    packed = pack_batch(completions, [make_pack(completions, [0, 1])], pad_id=99, device=CPU)
    #                                              shared  prompt, answer   prompt, answer
    assert packed.input_ids_BT.tolist() == [[5, 6, 7, 20, 8, 9, 30, 31]]
    assert packed.position_BT.tolist() == [[0, 1, 2, 3, 2, 3, 4, 5]]
    assert packed.branch_BT.tolist() == [[0, 0, 1, 1, 2, 2, 2, 2]]
    assert packed.target_BT.tolist() == [[-1, -1, 20, 21, -1, 30, 31, 32]]
    assert packed.target_N.tolist() == [20, 21, 30, 31, 32]
    assert packed.prompt_N.tolist() == [0, 0, 1, 1, 1]
    assert packed.row_tokens_BT.tolist() == [[5, 5, 4, 4, 6, 6, 6, 6]]
    assert packed.is_shared
    alone = pack_batch(completions, [make_pack(completions, [at]) for at in (0, 1)], pad_id=99, device=CPU)
    assert alone.input_ids_BT.tolist() == [[5, 6, 7, 20, 99, 99, 99, 99], [5, 6, 8, 9, 30, 31, 99, 99]]
    assert alone.branch_BT.tolist() == [[1, 1, 1, 1, -1, -1, -1, -1], [1, 1, 1, 1, 1, 1, -1, -1]]
    assert not alone.is_shared


def test_the_mask_shows_a_branch_the_shared_tokens_and_itself() -> None:
    branch_BT = torch.tensor([[0, 0, 1, 1, 2, -1]])
    position_BT = torch.tensor([[0, 1, 2, 3, 2, 0]])
    mask = branch_mask(branch_BT, position_BT)
    assert mask.shape == (1, 1, 6, 6)
    assert mask[0, 0, :5].int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
    ]
    assert mask[0, 0, 5, 5]
    # A window of two positions: the second branch still sees the last shared token, which stands three places before.
    windowed = branch_mask(branch_BT, position_BT, window=2)
    assert windowed[0, 0, :5].int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0],
        [0, 0, 1, 1, 0, 0],
        [0, 1, 0, 0, 1, 0],
    ]


@pytest.mark.parametrize("architecture", FAMILIES)
def test_loss_and_gradients_are_those_of_rows_read_alone(architecture: Architecture, tmp_path: Path) -> None:
    network, completions = tiny(tmp_path, architecture), questions()
    loss, gradients = loss_and_gradients(network, completions, [[0, 1, 2], [3, 4, 5]])
    n_answers = completions.answer_tokens_P
    alone = [loss_and_gradients(network, completions, [[at]]) for at in range(6)]
    share = n_answers / n_answers.sum()
    assert loss == pytest.approx(sum(one[0] * part for one, part in zip(alone, share, strict=True)), rel=1e-5)
    for name, gradient in gradients.items():
        expected = sum(one[1][name] * part for one, part in zip(alone, share, strict=True))
        assert isinstance(expected, torch.Tensor)
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
        assert expected.abs().max() > 0


def test_rows_read_alone_are_those_of_the_library_padded_on_either_side(tmp_path: Path) -> None:
    network, completions = tiny(tmp_path, "gemma3"), questions(1, 3)
    packed = pack_batch(completions, [make_pack(completions, [at]) for at in range(3)], pad_id=0, device=CPU)
    shared = pack_batch(completions, [make_pack(completions, [0, 1, 2])], pad_id=0, device=CPU)
    rows = [np.concatenate([completions.prompts[at], completions.answers[at]]) for at in range(3)]
    width = max(map(len, rows))
    left = torch.tensor([[0] * (width - len(row)) + row.tolist() for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        every = network.transformer(input_ids=left, attention_mask=mask, position_ids=positions).logits
        expected = torch.cat([every[at, -len(completions.answers[at]) - 1 : -1] for at in range(3)])
        torch.testing.assert_close(answer_logits(network, packed), expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(answer_logits(network, shared), expected, rtol=1e-4, atol=1e-4)


def test_caps_on_logits_are_kept_and_eager_attention_is_masked(tmp_path: Path) -> None:
    network, completions = tiny(tmp_path, "gemma3"), questions(1, 3)
    transformer: Any = network.transformer
    transformer.config.final_logit_softcapping = 0.5
    transformer.set_attn_implementation("eager")
    with torch.no_grad():
        shared = answer_logits(
            network, pack_batch(completions, [make_pack(completions, [0, 1, 2])], pad_id=0, device=CPU)
        )
        alone = [
            answer_logits(network, pack_batch(completions, [make_pack(completions, [at])], pad_id=0, device=CPU))
            for at in range(3)
        ]
    assert shared.abs().max() <= 0.5
    torch.testing.assert_close(shared, torch.cat(alone), rtol=1e-4, atol=1e-4)


def test_gradient_checkpointing_changes_nothing(tmp_path: Path) -> None:
    completions = questions(1, 3)
    plain = loss_and_gradients(tiny(tmp_path, "gemma3").train(), completions, [[0, 1, 2]])
    again = loss_and_gradients(tiny(tmp_path, "gemma3", gradient_checkpointing=True).train(), completions, [[0, 1, 2]])
    assert plain[0] == again[0]


@pytest.mark.parametrize("architecture", FAMILIES)
def test_sharing_is_proven_for_models_that_can(architecture: Architecture, tmp_path: Path) -> None:
    network, completions = tiny(tmp_path, architecture).train(), questions(1, 3)
    pack = make_pack(completions, [0, 1, 2])
    assert why_not_shared(network, completions, pack, pad_id=0, device=CPU) is None
    assert network.training
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert why_not_shared(network, completions, pack, pad_id=0, device=CPU) is None


def test_models_that_cannot_share_say_why(tmp_path: Path) -> None:
    network, completions = tiny(tmp_path, "llama"), questions(1, 3)
    pack = make_pack(completions, [0, 1, 2])

    def reason() -> str | None:
        return why_not_shared(network, completions, pack, pad_id=0, device=CPU)

    config: Any = network.transformer.config
    config.layer_types = ["full_attention", "chunked_attention"]
    assert reason() == "it has layers of another kind (chunked_attention)"
    # A window that the model itself does not know makes losses differ, or leaves a mask that it cannot read.
    config.layer_types = ["sliding_attention", "sliding_attention"]
    config.sliding_window = 4
    assert (reason() or "").startswith("losses lie ")
    config.layer_types, config.sliding_window = None, None
    assert reason() is None
    config._attn_implementation = "flash_attention_2"
    assert reason() == "its attention (flash_attention_2) takes no mask of one's own"


def test_a_recurrent_model_reads_every_row_alone() -> None:
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    config = MambaConfig(vocab_size=256, hidden_size=16, num_hidden_layers=1, state_size=4)
    network = Network(MambaForCausalLM(config), None, "native", ())
    completions = questions(1, 3)
    reason = why_not_shared(network, completions, make_pack(completions, [0, 1, 2]), pad_id=0, device=CPU)
    assert reason is not None


def test_kinds_of_layers() -> None:
    from transformers import Gemma3TextConfig, LlamaConfig, MistralConfig, Qwen2Config

    assert layer_kinds(LlamaConfig()) == ["full_attention"]
    assert layer_kinds(MistralConfig()) == ["sliding_attention"]
    assert layer_kinds(MistralConfig(sliding_window=None)) == ["full_attention"]
    assert layer_kinds(Qwen2Config()) == ["full_attention"]
    assert layer_kinds(Gemma3TextConfig()) == ["full_attention", "sliding_attention"]
