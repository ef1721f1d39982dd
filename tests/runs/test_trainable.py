"""What training would refuse is refused before it, and nothing that training would accept."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from strop.errors import MachineError, RecipeError, StropError
from strop.models.locate import LocatedModel, locate_model
from strop.recipe.load import resolve
from strop.recipe.sections import Recipe
from strop.runs.trainable import must_be_trainable


def recipe_of(model: Path, *, adapter: dict[str, Any] | None = None, **more: Any) -> Recipe:
    stage = {"trainable": "adapter"} if adapter is not None else {}
    content = {
        "name": "tiny",
        "data": {"path": "unused.csv", "text": "text", "target": "label"},
        "model": {"name": str(model)} | ({} if adapter is None else {"adapter": adapter}),
        "stages": [stage],
    }
    return resolve({**content, **more})


def refused(recipe: Recipe) -> StropError:
    with pytest.raises(StropError) as caught:
        must_be_trainable(recipe, locate_model(recipe.model))
    return caught.value


@pytest.fixture
def no_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    """None in `sys.modules` is Python's own sign for a module that cannot be imported."""
    for name in ("bitsandbytes", "mlflow", "wandb"):
        monkeypatch.setitem(sys.modules, name, None)


def test_missing_libraries_are_said_at_once(tiny_causal: Path, no_extras: None) -> None:
    error = refused(recipe_of(tiny_causal, adapter={"base_in_4bit": True}, report_to=["mlflow", "wandb"]))
    assert isinstance(error, MachineError)
    assert [(problem.where, problem.came) for problem in error.problems] == [
        ("report_to", "mlflow is not"),
        ("report_to", "wandb is not"),
        ("model.adapter.base_in_4bit", "it is not installed"),
    ]
    assert error.problems[2].must == "a 4-bit base needs the library bitsandbytes"
    assert error.problems[2].do == "install it with `pip install 'strop[qlora]'`, or set base_in_4bit=false"


def test_an_8bit_optimiser_needs_its_library(tiny_encoder: Path, no_extras: None) -> None:
    error = refused(recipe_of(tiny_encoder, stages=[{}, {"optimizer": "adamw_8bit"}]))
    assert [problem.where for problem in error.problems] == ["stages.1.optimizer"]
    assert "the 8-bit optimiser needs the library bitsandbytes" in str(error)


def test_words_that_name_no_weights_are_said_with_everything_else(tiny_causal: Path, no_extras: None) -> None:
    adapter = {"target_modules": ["q_proj", "k_porj", "embed_tokens"]}
    stages = [{"trainable": "adapter", "frozen": ["layers.0.", "emebd_tokens"]}, {"trainable": ["layers.77."]}]
    error = refused(recipe_of(tiny_causal, adapter=adapter, stages=stages, report_to=["wandb"]))
    assert isinstance(error, RecipeError)
    assert [(problem.where, problem.came) for problem in error.problems] == [
        ("stages.0.frozen", "'emebd_tokens'"),
        ("stages.1.trainable", "'layers.77.'"),
        ("model.adapter.target_modules", "'k_porj'"),
        ("model.adapter.target_modules", "'embed_tokens'"),
        ("report_to", "wandb is not"),
    ]
    assert error.problems[0].must == "every entry must be part of a parameter's name"
    assert error.problems[0].do == "did you mean 'embed_tokens'?"
    assert error.problems[2].must == "every entry must name linear modules of the model's body"
    assert error.problems[2].do == "did you mean 'k_proj'?"


def test_a_word_of_repeated_stages_is_said_once(tiny_encoder: Path) -> None:
    stage = {"learning_rates": {"encoedr": 1e-3}}
    error = refused(recipe_of(tiny_encoder, stages=[{"cycles": 3, "stages": [stage]}]))
    assert [(problem.where, problem.came) for problem in error.problems] == [("stages.0.learning_rates", "'encoedr'")]


@pytest.mark.parametrize("pooling", ["native", "mean"])
@pytest.mark.parametrize("adapter", [None, {"rank": 2}], ids=["whole", "LoRA"])
@pytest.mark.parametrize("kind", ["tiny_encoder", "tiny_causal"])
def test_every_name_of_the_loaded_network_passes(
    request: pytest.FixtureRequest, kind: str, adapter: dict[str, Any] | None, pooling: str
) -> None:
    import torch

    from strop.models.load import build_network

    folder: Path = request.getfixturevalue(kind)
    recipe = recipe_of(folder, adapter=adapter, stages=[{"trainable": "head"}])
    recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"pooling": pooling})})
    located = locate_model(recipe.model)
    network = build_network(recipe.model, located, ("a", "b"), pad_id=0, device=torch.device("cpu"), seed=0)
    names = [name for name, _ in network.named_parameters()]
    shortened = [".".join(name.split(".")[start:]) for name in names for start in range(len(name.split(".")))]
    stage = recipe.stages[0].model_copy(update={"frozen": shortened})
    must_be_trainable(recipe.model_copy(update={"stages": [stage]}), located)
    if adapter is None:
        return
    linear = [name for name, module in network.transformer.named_modules() if ".lora_A." in name]
    targets = sorted({name.split(".lora_A.")[0].removeprefix("base_model.model.") for name in linear})
    assert targets
    targeted = {"adapter": recipe.model.adapter.model_copy(update={"target_modules": targets})}  # type: ignore[union-attr]
    must_be_trainable(recipe.model_copy(update={"model": recipe.model.model_copy(update=targeted)}), located)


def with_weights(folder: Path, name: str, **config: Any) -> LocatedModel:
    save_file({name: np.zeros((2, 2), dtype=np.float32)}, folder / "model.safetensors")
    return LocatedModel("made", folder, "folder", config, None)


def test_names_of_a_mixture_of_experts_are_left_to_training(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, stages=[{"frozen": ["gate_up_proj"]}])
    name = "layers.0.mlp.experts.0.w1.weight"
    must_be_trainable(recipe, with_weights(tmp_path, name, model_type="mixture", num_local_experts=8))
    with pytest.raises(RecipeError, match="gate_up_proj"):
        must_be_trainable(recipe, with_weights(tmp_path, name, model_type="plain"))


def test_norms_of_old_files_are_known_by_today_s_names(tmp_path: Path) -> None:
    located = with_weights(tmp_path, "bert.embeddings.LayerNorm.gamma", model_type="bert")
    must_be_trainable(recipe_of(tmp_path, stages=[{"frozen": ["LayerNorm.weight"]}]), located)
