"""The training loop: it learns, it chooses, and it goes on after a crash as if nothing had happened."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from strop.errors import MachineError, RunError
from strop.inference.predict import predict_logits
from strop.models.load import build_network
from strop.models.locate import locate_model
from strop.models.network import Network
from strop.models.precision import make_accelerator
from strop.recipe.sections import Model, Stage, Text
from strop.records.dataset import strings
from strop.records.predictions import Predictions
from strop.text.tokenizer import TextTokenizer
from strop.text.windows import make_examples
from strop.training.feed import WindowFeed
from strop.training.stage import Evaluated, StageJob, train_stage
from strop.training.watch import Watchers

TEXTS = ["the cat sat", "a dog ran home", "the network failed", "학생 질문 하나"] * 6
LABELS = ("a", "b", "c", "d")
TARGET = np.arange(len(TEXTS)) % 4


class Bench:
    """A tiny encoder, its examples, and jobs on them."""

    def __init__(self, folder: Path, model_folder: Path, **model: object) -> None:
        self.folder = folder
        self.model = Model(name=str(model_folder), precision="float32", **model)
        self.located = locate_model(self.model)
        self.accelerator = make_accelerator("float32")
        self.tokenizer = TextTokenizer.from_folder(self.located.folder)
        ids = strings([f"row-{at}" for at in range(len(TEXTS))])
        self.examples = make_examples(ids, strings(TEXTS), self.tokenizer, Text(max_length_tokens=16))
        self.scores: list[float] | None = None

    def network(self) -> Network:
        return build_network(
            self.model,
            self.located,
            LABELS,
            pad_id=self.tokenizer.pad_id,
            device=self.accelerator.device,
            seed=3,
        )

    def evaluate(self, network: Network, features: object = None) -> Evaluated:
        logits = predict_logits(network, self.examples, self.accelerator, pad_id=self.tokenizer.pad_id)
        n_rows = len(TEXTS)
        predictions = Predictions(
            self.examples.ids,
            LABELS,
            logits,
            strings(["validation"] * n_rows),
            np.zeros(n_rows, dtype=bool),
            np.full(n_rows, -1),
        )
        score = float((logits.argmax(axis=1) == TARGET).mean())
        if self.scores is not None:
            score = self.scores.pop(0)
        return Evaluated(score, {"accuracy": score}, predictions)

    def job(self, name: str, stage: Stage, **changes: object) -> StageJob:
        job = StageJob(
            name="a stage",
            number=0,
            stage=stage,
            feed=lambda network: WindowFeed(
                stage,
                self.examples,
                np.arange(len(TEXTS)),
                TARGET,
                self.accelerator.device,
                n_labels=4,
                pad_id=self.tokenizer.pad_id,
                seed=11,
            ),
            evaluate=self.evaluate,
            higher_is_better=True,
            start=None,
            folder=self.folder / name,
            seed=11,
            note=lambda entry: self.entries.append(entry),
        )
        self.entries: list[object] = []
        return replace(job, **changes)

    def train(self, job: StageJob, network: Network | None = None) -> tuple[Network, object]:
        network = network or self.network()
        return network, train_stage(job, network, self.accelerator, Watchers())


@pytest.fixture
def bench(tmp_path: Path, tiny_encoder: Path) -> Bench:
    return Bench(tmp_path, tiny_encoder)


def weights_of(network: Network) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def test_a_stage_learns_what_can_be_learnt(bench: Bench) -> None:
    network, progress = bench.train(bench.job("learn", Stage(epochs=25, learning_rate=5e-3, batch_size=8)))
    assert bench.evaluate(network).score == 1.0
    assert progress.is_done
    lines = [json.loads(line) for line in (bench.folder / "learn" / "history.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < 0.5 * losses[0]


def test_a_head_stage_leaves_the_body_as_it_was(bench: Bench) -> None:
    before = weights_of(bench.network())
    network, _ = bench.train(bench.job("head", Stage(trainable="head", epochs=2, learning_rate=1e-2)))
    changed = {name for name, value in network.named_parameters() if not torch.equal(value, before[name])}
    assert changed == {"transformer.classifier.weight", "transformer.classifier.bias"}


def test_frozen_parameters_stay_as_they_were(bench: Bench) -> None:
    before = weights_of(bench.network())
    network, _ = bench.train(bench.job("frozen", Stage(frozen=["word_embeddings"], epochs=1, learning_rate=1e-2)))
    same = {name for name, value in network.named_parameters() if torch.equal(value, before[name])}
    assert any("word_embeddings" in name for name in same)
    assert not any("layer.0" in name and "weight" in name for name in same)


class StopHereError(Exception):
    """Stands for a kill: whatever the process held is gone."""


@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize("stop_at", [1, 4, 7])
def test_a_killed_stage_goes_on_to_the_same_weights_and_predictions(bench: Bench, average: float, stop_at: int) -> None:
    stage = Stage(
        epochs=3,
        learning_rate=1e-3,
        batch_size=8,
        evaluations_per_epoch=1.5,
        weight_average=average,
        checkpoint_seconds=0,
    )
    unbroken, end = bench.train(bench.job("unbroken", stage))

    class Stopper(Watchers):
        def step_done(self, step: int, loss: float, learning_rate: float) -> None:
            if step == stop_at:
                raise StopHereError

    job = bench.job("broken", stage)
    with pytest.raises(StopHereError):
        train_stage(job, bench.network(), bench.accelerator, Stopper())
    torch.manual_seed(999)
    continued, end_again = bench.train(job)
    assert end.best_step == end_again.best_step
    assert all(torch.equal(value, weights_of(continued)[name]) for name, value in weights_of(unbroken).items())
    for file in sorted((bench.folder / "unbroken" / "predictions").iterdir()):
        assert file.read_bytes() == (bench.folder / "broken" / "predictions" / file.name).read_bytes()
    histories = [(bench.folder / name / "history.jsonl").read_text().splitlines() for name in ("unbroken", "broken")]
    kept = [[{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines] for lines in histories]
    assert kept[0] == kept[1]


def test_an_ended_stage_is_loaded_not_trained_again(bench: Bench) -> None:
    job = bench.job("once", Stage(epochs=2, learning_rate=1e-2))
    first, _ = bench.train(job)

    def never(network: Network) -> Evaluated:
        raise AssertionError

    second, _ = bench.train(replace(job, evaluate=never))
    assert all(torch.equal(value, weights_of(second)[name]) for name, value in weights_of(first).items())
    assert not (bench.folder / "once" / "checkpoints").exists()


def test_damaged_weights_of_an_ended_stage_are_said(bench: Bench) -> None:
    job = bench.job("ended", Stage(epochs=1, learning_rate=5e-3))
    bench.train(job)
    weights = bench.folder / "ended" / "weights" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:50])
    with pytest.raises(RunError, match="the weights of a stage that has ended must be as they were written"):
        bench.train(job)


def test_the_best_checkpoint_is_kept_and_patience_ends_the_stage(bench: Bench) -> None:
    bench.scores = [0.2, 0.6, 0.5, 0.4, 0.9]
    _, progress = bench.train(bench.job("patience", Stage(epochs=5, batch_size=8, patience=2)))
    assert (progress.best_score, progress.best_step, progress.stopped_early) == (0.6, 6, True)
    assert progress.step == 12
    assert bench.scores == [0.9]


def test_a_stage_that_only_harms_gives_back_what_it_began_with(bench: Bench) -> None:
    network = bench.network()
    before = weights_of(network)
    bench.scores = [0.5, 0.7]
    job = bench.job("harm", Stage(epochs=2, learning_rate=1e-1), start=0.8)
    _, progress = bench.train(job, network)
    assert (progress.best_step, progress.best_score) == (0, 0.8)
    assert all(torch.equal(value, before[name]) for name, value in network.named_parameters())


def test_lower_is_better_where_the_metric_says_so(bench: Bench) -> None:
    bench.scores = [0.9, 0.3, 0.5]
    job = bench.job("loss", Stage(epochs=3, batch_size=8), higher_is_better=False)
    _, progress = bench.train(job)
    assert progress.best_score == 0.3


def test_a_damaged_checkpoint_is_set_aside_and_said(bench: Bench) -> None:
    stage = Stage(epochs=2, learning_rate=1e-3, batch_size=8, checkpoint_seconds=0)
    unbroken, _ = bench.train(bench.job("whole", stage))

    class Stopper(Watchers):
        def step_done(self, step: int, loss: float, learning_rate: float) -> None:
            if step == 4:
                raise StopHereError

    job = bench.job("damaged", stage)
    with pytest.raises(StopHereError):
        train_stage(job, bench.network(), bench.accelerator, Stopper())
    (place,) = (bench.folder / "damaged" / "checkpoints").iterdir()
    state = place / "state.pt"
    state.write_bytes(state.read_bytes()[:100])
    continued, _ = bench.train(job)
    (entry,) = bench.entries
    assert entry.kind == "repaired"
    assert entry.what == "checkpoint damaged/step-0000003 was damaged and is set aside"
    assert all(torch.equal(value, weights_of(continued)[name]) for name, value in weights_of(unbroken).items())


def test_accumulated_batches_step_like_one_large_batch(bench: Bench) -> None:
    settings = {"epochs": 1, "learning_rate": 1e-3, "length_grouping": False, "warmup_fraction": 0.0}
    network = bench.network()
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    start = weights_of(network)
    bench.train(bench.job("one", Stage(batch_size=24, **settings)), network)
    at_once = weights_of(network)
    with torch.no_grad():
        for name, value in network.named_parameters():
            value.copy_(start[name])
    bench.train(bench.job("four", Stage(batch_size=6, gradient_accumulation=4, **settings)), network)
    for name, value in network.named_parameters():
        torch.testing.assert_close(value, at_once[name], atol=1e-4, rtol=0)


def test_a_loss_that_is_not_finite_is_said(bench: Bench) -> None:
    network = bench.network()
    with torch.no_grad():
        network.transformer.classifier.weight.fill_(float("nan"))
    with pytest.raises(MachineError) as caught:
        bench.train(bench.job("nan", Stage(epochs=1)), network)
    assert "a stage, step 1: the loss must stay finite" in str(caught.value)
    assert "lower learning_rate" in str(caught.value)
