"""Body features: computed once, the same as the body gives, and enough to train a head on."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from strop.inference.predict import mean_by_row, predict_from_features, predict_logits
from strop.models.load import build_network
from strop.models.locate import locate_model
from strop.models.network import Inputs, Network
from strop.models.precision import make_accelerator
from strop.recipe.sections import Model, Stage, Text, Windows
from strop.records.dataset import strings
from strop.records.examples import Examples
from strop.records.predictions import Predictions
from strop.text.tokenizer import TextTokenizer
from strop.text.windows import make_examples
from strop.training.features import body_features
from strop.training.feed import WindowFeed
from strop.training.stage import Evaluated, StageJob, train_stage
from strop.training.watch import Watchers

TEXTS = ["the cat sat on the mat and the dog ran home again", "a dog ran home", "the network failed", "학생 질문"] * 4
TARGET = np.tile(np.array([[0.0, 1.0], [0.3, np.nan], [0.7, 0.2], [1.0, 0.5]], dtype=np.float32), (4, 1))
METADATA = np.random.default_rng(0).normal(size=(len(TEXTS), 3)).astype(np.float32)
ACCELERATOR = make_accelerator("float32")


class Stations(Watchers):
    """Remembers what was begun."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[str] = []

    def station_began(self, name: str) -> None:
        self.begun.append(name)


@pytest.fixture
def examples(tiny_encoder: Path) -> Examples:
    tokenizer = TextTokenizer.from_folder(tiny_encoder)
    ids = strings([f"row-{at}" for at in range(len(TEXTS))])
    text = Text(max_length_tokens=9, windows=Windows(stride_tokens=2))
    return make_examples(ids, strings(TEXTS), tokenizer, text)


@pytest.fixture
def network(tiny_encoder: Path) -> Network:
    model = Model(name=str(tiny_encoder), precision="float32", pooling="mean", head_dropout=0.0, hidden_dropout=0.0)
    inputs = Inputs(n_metadata=3, is_regression=True)
    device = torch.device("cpu")
    return build_network(model, locate_model(model), ("a", "b"), pad_id=0, device=device, seed=1, inputs=inputs)


def features_in(folder: Path, network: Network, examples: Examples) -> tuple[np.ndarray, list[str]]:
    watcher = Stations()
    return body_features(network, examples, ACCELERATOR, folder, pad_id=0, watcher=watcher), watcher.begun


def test_features_of_every_window_are_kept_and_found_again(tmp_path, network, examples):
    first, begun = features_in(tmp_path, network, examples)
    assert examples.n_windows > examples.n_rows
    assert first.shape == (examples.n_windows, network.transformer.config.hidden_size)
    assert begun == ["features of the body"]
    again, begun = features_in(tmp_path, network, examples)
    assert begun == []
    np.testing.assert_array_equal(first, again)


def test_another_head_shares_features_and_another_body_does_not(tmp_path, network, examples):
    features_in(tmp_path, network, examples)
    with torch.no_grad():
        network.head.linear.weight.add_(1.0)
    assert features_in(tmp_path, network, examples)[1] == []
    assert features_in(tmp_path, network, examples.take(np.arange(3)))[1] == ["features of the body"]
    with torch.no_grad():
        next(network.transformer.parameters()).add_(1e-3)
    assert features_in(tmp_path, network, examples)[1] == ["features of the body"]


def test_the_head_predicts_from_features_what_the_network_predicts(tmp_path, network, examples):
    features_WF, _ = features_in(tmp_path, network, examples)
    whole = predict_logits(network, examples, ACCELERATOR, pad_id=0, metadata_RM=METADATA)
    from_head = predict_from_features(network, examples, features_WF, ACCELERATOR, metadata_RM=METADATA)
    np.testing.assert_allclose(from_head, whole, atol=1e-5)


def test_the_mean_is_over_the_windows_of_a_row(examples):
    values = np.arange(examples.n_windows, dtype=np.float64)[:, None]
    expected = [values[examples.row_W == row].mean() for row in range(examples.n_rows)]
    np.testing.assert_allclose(mean_by_row(examples, values)[:, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("objective", ["bce", "mse", "pairwise_rank"])
def test_a_head_trained_on_features_is_the_head_trained_on_the_body(tmp_path, network, examples, objective):
    start = {name: value.clone() for name, value in network.state_dict().items()}
    used: list[bool] = []

    def evaluate(network: Network, feed: WindowFeed) -> Evaluated:
        used.append(feed.features_WF is not None)
        score = float(len(used))
        n_rows = examples.n_rows
        nothing = Predictions(
            examples.ids,
            ("a", "b"),
            np.zeros((n_rows, 2), dtype=np.float32),
            strings(["validation"] * n_rows),
            np.zeros(n_rows, dtype=bool),
            np.full(n_rows, -1),
            kind="values",
        )
        return Evaluated(score, {"spearman": score}, nothing)

    stage = Stage(objective=objective, trainable="head", epochs=3, learning_rate=1e-2, batch_size=4)

    def feed(network: Network, *, has_features: bool) -> WindowFeed:
        return WindowFeed(
            stage,
            examples,
            np.arange(examples.n_rows),
            TARGET,
            ACCELERATOR.device,
            n_labels=2,
            pad_id=0,
            seed=5,
            metadata_RM=METADATA,
            features_WF=features_in(tmp_path, network, examples)[0] if has_features else None,
        )

    job = StageJob(
        name="the head",
        number=0,
        stage=stage,
        feed=partial(feed, has_features=True),
        evaluate=evaluate,
        higher_is_better=True,
        start=None,
        folder=tmp_path / "with",
        seed=5,
        note=lambda entry: None,
    )
    train_stage(job, network, ACCELERATOR, Watchers())
    with_features = {name: value.clone() for name, value in network.state_dict().items()}
    assert all(used)
    network.load_state_dict(start)
    train_stage(
        replace(job, folder=tmp_path / "without", feed=partial(feed, has_features=False)),
        network,
        ACCELERATOR,
        Watchers(),
    )
    assert not used[-1]
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, with_features[name], atol=2e-5, rtol=1e-3)
    assert not torch.equal(start["head.linear.weight"], with_features["head.linear.weight"])
