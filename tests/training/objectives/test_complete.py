from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from strop.models.causal import load_causal
from strop.models.locate import locate_model
from strop.models.network import Network
from strop.models.precision import make_accelerator
from strop.recipe.sections import Adapter, Model, Stage
from strop.records.completions import Completions
from strop.records.dataset import strings
from strop.testing.tiny_models import make_tiny_causal
from strop.training.objectives import complete
from strop.training.objectives.complete import CompletionFeed


def questions(lengths: tuple[int, ...] = (1, 4, 2, 6, 3, 5), rows: list[int] | None = None) -> Completions:
    """Two contexts with three prompts each, and answers of so many tokens."""
    generator = np.random.default_rng(2)
    contexts = [generator.integers(3, 250, size=20), generator.integers(3, 250, size=24)]
    prompts = [np.concatenate([contexts[at // 3], generator.integers(3, 250, size=4 + at)]) for at in range(6)]
    row_P = np.asarray(rows if rows is not None else range(6), dtype=np.int64)
    n_rows = int(row_P.max()) + 1
    return Completions(
        ids=strings([str(at) for at in range(n_rows)]),
        row_P=row_P,
        prompts=[prompt.astype(np.int32) for prompt in prompts],
        answers=[generator.integers(3, 250, size=length).astype(np.int32) for length in lengths],
        context_P=np.asarray([0, 0, 0, 1, 1, 1]),
        shared_P=np.asarray([20, 20, 20, 24, 24, 24]),
        n_tokens_R=np.ones(n_rows, dtype=np.int64),
        n_cut_R=np.zeros(n_rows, dtype=np.int64),
    )


def feed_of(completions: Completions, **settings: Any) -> CompletionFeed:
    stage = Stage(objective="complete", class_weights="none", **{"batch_size": 4, **settings})
    return CompletionFeed.of_stage(stage, completions, np.arange(completions.n_rows), pad_id=0, seed=0)


@pytest.fixture(scope="module")
def accelerator() -> Accelerator:
    return make_accelerator("float32")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return tiny(tmp_path_factory.mktemp("complete"))


def tiny(folder: Path) -> Network:
    model = Model(
        name=str(make_tiny_causal(folder / "gemma3", "gemma3", sliding_window=8)),
        adapter=Adapter(rank=4, dropout=0.0),
        precision="float32",
    )
    network = load_causal(model, locate_model(model), torch.device("cpu"))
    for name, parameter in network.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


def loss_of(feed: CompletionFeed, network: Network, accelerator: Accelerator, batches: Any) -> tuple[float, Any]:
    """A step's loss and gradients, pass by pass."""
    network.zero_grad()
    total = 0.0
    for one in feed.passes(batches, accelerator.device):
        loss = feed.loss(network, one, accelerator)
        accelerator.backward(loss)
        total += loss.item()
    return total, {name: one.grad.clone() for name, one in network.named_parameters() if one.grad is not None}


def by_the_library(network: Network, completions: Completions, prompt: int) -> float:
    """The mean loss over an answer's tokens, from logits of the whole row."""
    tokens = torch.tensor(np.concatenate([completions.prompts[prompt], completions.answers[prompt]])[None]).long()
    labels = tokens.clone()
    labels[:, : len(completions.prompts[prompt])] = -100
    with torch.no_grad():
        return float(network.transformer(input_ids=tokens, labels=labels).loss)


@pytest.mark.parametrize("weights", ["tokens", "rows"])
@pytest.mark.parametrize("share", [True, False])
def test_the_loss_is_the_weighted_mean_over_single_rows(
    weights: str, share: bool, network: Network, accelerator: Accelerator
) -> None:
    completions = questions()
    feed = feed_of(completions, batch_size=6, answer_weights=weights, share_context=share)
    each = np.asarray([by_the_library(network, completions, at) for at in range(6)])
    n_tokens = completions.answer_tokens_P
    expected = np.average(each, weights=n_tokens if weights == "tokens" else None)
    assert loss_of(feed, network, accelerator, feed.plan(0))[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("weights", ["tokens", "rows"])
def test_passes_and_accumulation_change_neither_loss_nor_gradients(
    weights: str, network: Network, accelerator: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    completions = questions()
    whole = feed_of(completions, batch_size=6, answer_weights=weights)
    loss, gradients = loss_of(whole, network, accelerator, whole.plan(0))
    parts = replace(whole, batch_size=2)
    monkeypatch.setattr(complete, "PASS_TOKENS", {"cpu": 40, "cuda": 40})
    batches = parts.plan(0)
    assert len(parts.passes(batches, accelerator.device)) > len(batches) == 3
    again, same = loss_of(parts, network, accelerator, batches)
    assert again == pytest.approx(loss, rel=1e-5)
    assert gradients
    for name, gradient in gradients.items():
        torch.testing.assert_close(same[name], gradient, rtol=1e-4, atol=1e-5)


def test_windows_share_the_weight_of_their_row() -> None:
    # Prompts 0 and 1 are windows of row 0; row 3 has a window without the answer.
    completions = questions((1, 4, 2, 6, 0, 5), rows=[0, 0, 1, 2, 3, 3])
    by_tokens, by_rows = feed_of(completions), feed_of(completions, answer_weights="rows")
    assert by_tokens.prompts.tolist() == [0, 1, 2, 3, 5]
    assert by_tokens.weight_P.tolist() == [0.5, 0.5, 1, 1, 0, 1]
    assert by_rows.weight_P.tolist() == [0.5, 0.125, 0.5, pytest.approx(1 / 6), 0, 0.2]
    # The weights of all tokens of a row add up to 1, and those of a step stand in every pass.
    assert by_rows.passes(by_rows.plan(0), torch.device("cpu"))[0].step_weight == pytest.approx(4)


def test_all_epochs_have_as_many_batches() -> None:
    feed = feed_of(questions())
    assert feed.n_batches == 2
    assert [len(feed.plan(epoch)) for epoch in range(4)] == [2, 2, 2, 2]


def test_rows_without_any_answer_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one prompt of the rows to train on must have an answer"):
        feed_of(questions((0,) * 6))


def test_a_model_that_can_share_keeps_the_feed(network: Network, accelerator: Accelerator) -> None:
    feed = feed_of(questions())
    assert feed.proven(network, accelerator) == (feed, [])


def test_a_model_that_cannot_share_reads_rows_alone_and_says_so(accelerator: Accelerator) -> None:
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(vocab_size=256, hidden_size=16, num_hidden_layers=1, state_size=4)
    feed, entries = feed_of(questions()).proven(Network(MambaForCausalLM(config), None, "native", ()), accelerator)
    assert not feed.share_context
    assert [(entry.kind, entry.station) for entry in entries] == [("note", "training")]
    assert entries[0].what.startswith("contexts are read once for every row, not once for all rows of a context: with")


def test_noise_is_added_in_training_alone(network: Network, accelerator: Accelerator) -> None:
    quiet, noisy = feed_of(questions()), feed_of(questions(), neftune_alpha=5.0)

    def first(feed: CompletionFeed) -> float:
        torch.manual_seed(1)
        return float(feed.loss(network, feed.passes(feed.plan(0)[:1], accelerator.device)[0], accelerator).detach())

    assert first(noisy) == first(quiet)
    network.train()
    try:
        assert first(noisy) != first(quiet)
        assert first(noisy) == first(noisy)
    finally:
        network.eval()


def test_answers_are_learnt_in_half_precision(tmp_path: Path) -> None:
    network, accelerator = tiny(tmp_path).train(), make_accelerator("bfloat16")
    feed = feed_of(questions(), batch_size=6)
    optimizer = torch.optim.AdamW([one for one in network.parameters() if one.requires_grad], lr=0.02)
    losses = []
    for epoch in range(15):
        losses.append(loss_of(feed, network, accelerator, feed.plan(epoch))[0])
        optimizer.step()
    assert losses[-1] < 0.85 * losses[0]
