"""Which parameters a stage trains, and at which rates."""

from pathlib import Path

import pytest
import torch

from strop.errors import RecipeError
from strop.models.load import build_network
from strop.models.locate import locate_model
from strop.models.network import Network
from strop.recipe.sections import Adapter, Model, Stage
from strop.training.parameters import choose_trainable, rate_groups


def network_of(folder: Path, **settings: object) -> Network:
    model = Model(name=str(folder), precision="float32", **settings)
    return build_network(model, locate_model(model), ("a", "b"), pad_id=0, device=torch.device("cpu"), seed=0)


def rates(network: Network, stage: Stage) -> dict[str, tuple[float, float]]:
    chosen = choose_trainable(network, stage, 0)
    name_of = {id(parameter): name for name, parameter in chosen}
    return {
        name_of[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in rate_groups(network, chosen, stage)
        for parameter in group["params"]
    }


def test_rates_fall_from_the_head_to_the_embeddings(tiny_encoder: Path) -> None:
    stage = Stage(learning_rate=1e-3, head_learning_rate=1e-2, layer_decay=0.5, weight_decay=0.1)
    found = rates(network_of(tiny_encoder, pooling="mean"), stage)
    assert found["head.linear.weight"] == (1e-2, 0.1)
    assert found["head.linear.bias"] == (1e-2, 0.0)
    assert found["transformer.encoder.layer.1.output.dense.weight"] == (1e-3, 0.1)
    assert found["transformer.encoder.layer.0.output.dense.weight"] == (5e-4, 0.1)
    assert found["transformer.encoder.layer.0.output.LayerNorm.weight"] == (5e-4, 0.0)
    assert found["transformer.embeddings.word_embeddings.weight"] == (2.5e-4, 0.1)


def test_an_adapter_stage_trains_adapters_and_head_alone(tiny_causal: Path) -> None:
    network = network_of(tiny_causal, adapter=Adapter(rank=2))
    chosen = [name for name, _ in choose_trainable(network, Stage(trainable="adapter"), 0)]
    assert all(".lora_" in name or ".score.modules_to_save." in name for name in chosen)
    assert any(".score.modules_to_save." in name for name in chosen)
    assert not any("original_module" in name for name in chosen)


def test_a_pattern_that_matches_nothing_is_refused(tiny_encoder: Path) -> None:
    with pytest.raises(RecipeError, match=r"stages.0.frozen: every entry must be part of a parameter's name"):
        choose_trainable(network_of(tiny_encoder), Stage(frozen=["wrod_embeddings"]), 0)


def test_a_stage_with_nothing_to_train_is_refused(tiny_encoder: Path) -> None:
    with pytest.raises(RecipeError, match="a stage must train something"):
        choose_trainable(network_of(tiny_encoder), Stage(trainable="head", frozen=["classifier"]), 0)
