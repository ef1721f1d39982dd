"""Trained folders: they give back the same logits, and plain transformers and peft load them."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from strop.errors import ModelError
from strop.models.load import build_network, count_parameters
from strop.models.locate import locate_model
from strop.models.network import Inputs, Network
from strop.models.trained import load_trained, save_trained
from strop.recipe.load import resolve
from strop.recipe.sections import Recipe
from strop.testing.tiny_models import make_tiny_causal
from strop.training.parameters import choose_trainable, rate_groups

CPU = torch.device("cpu")
IDS = torch.tensor([[5, 6, 7, 8, 9], [10, 11, 12, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
LABELS = ("no", "yes", "maybe")


def recipe_of(model: Path, **settings: object) -> Recipe:
    has_adapter = settings.get("adapter") is not None
    content = {
        "name": "trained",
        "data": {"path": "rows.csv", "text": "text", "target": "label"},
        "model": {"name": str(model), "precision": "float32", **settings},
        "stages": [{"trainable": "adapter" if has_adapter else "all", "learning_rate": 1e-2}],
    }
    return resolve(content)


def trained_network(recipe: Recipe) -> Network:
    """A network after a few steps, so that head, body and adapters all differ from how they began."""
    located = locate_model(recipe.model)
    network = build_network(recipe.model, located, LABELS, pad_id=0, device=CPU, seed=1)
    chosen = choose_trainable(network, recipe.stages[0], 0)
    optimizer = torch.optim.AdamW(rate_groups(network, chosen, recipe.stages[0]))
    network.train()
    for _ in range(3):
        torch.nn.functional.cross_entropy(network(IDS, MASK), torch.tensor([0, 1])).backward()
        optimizer.step()
        optimizer.zero_grad()
    return network.eval()


def logits(network: Network) -> torch.Tensor:
    with torch.no_grad():
        return network(IDS, MASK)


def saved(recipe: Recipe, folder: Path) -> torch.Tensor:
    network = trained_network(recipe)
    located = locate_model(recipe.model)
    save_trained(network, folder, recipe=recipe, located=located, labels=LABELS, pad_id=0)
    return logits(network)


@pytest.mark.parametrize("adapter", [None, {"rank": 4}, {"rank": 4, "base_in_4bit": True}])
@pytest.mark.parametrize("pooling", ["native", "mean"])
@pytest.mark.parametrize("family", ["encoder", "llama", "gemma3", "qwen3"])
def test_a_saved_model_gives_the_same_logits(
    tmp_path: Path, tiny_encoder: Path, family: str, pooling: str, adapter: dict[str, object] | None
) -> None:
    if adapter and adapter.get("base_in_4bit"):
        pytest.importorskip("bitsandbytes", reason="4-bit bases need bitsandbytes")
    folder = tiny_encoder if family == "encoder" else make_tiny_causal(tmp_path / family, family)
    recipe = recipe_of(folder, pooling=pooling, adapter=adapter)
    before = saved(recipe, tmp_path / "model")
    trained = load_trained(tmp_path / "model", CPU)
    torch.testing.assert_close(logits(trained.network), before, atol=1e-6, rtol=0)
    assert trained.labels == LABELS
    assert trained.recipe == recipe
    assert not trained.network.training


def test_plain_transformers_loads_a_native_model(tmp_path: Path, tiny_encoder: Path) -> None:
    before = saved(recipe_of(tiny_encoder, pooling="native"), tmp_path / "model")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    assert model.config.id2label == {0: "no", 1: "yes", 2: "maybe"}
    with torch.no_grad():
        found = model(input_ids=IDS, attention_mask=MASK).logits
    torch.testing.assert_close(found, before)
    assert AutoTokenizer.from_pretrained(tmp_path / "model")("cat")["input_ids"]


def test_plain_transformers_and_one_matrix_product_give_a_pooled_model(tmp_path: Path, tiny_encoder: Path) -> None:
    before = saved(recipe_of(tiny_encoder, pooling="mean"), tmp_path / "model")
    body = AutoModel.from_pretrained(tmp_path / "model").eval()
    head = load_file(tmp_path / "model" / "head.safetensors")
    with torch.no_grad():
        states = body(input_ids=IDS, attention_mask=MASK).last_hidden_state
        pooled = (states * MASK.unsqueeze(-1)).sum(1) / MASK.sum(1, keepdim=True)
    torch.testing.assert_close(pooled @ head["linear.weight"].T + head["linear.bias"], before)


def test_plain_peft_loads_an_adapter_with_its_head(tmp_path: Path, tiny_causal: Path) -> None:
    from peft import PeftModel

    from strop.models.adapters import peft_warnings_left_out

    before = saved(recipe_of(tiny_causal, pooling="native", adapter={"rank": 4}), tmp_path / "model")
    base = AutoModelForSequenceClassification.from_pretrained(tiny_causal, num_labels=3, pad_token_id=0)
    with peft_warnings_left_out():
        model = PeftModel.from_pretrained(base, tmp_path / "model").eval()
    with torch.no_grad():
        found = model(input_ids=IDS, attention_mask=MASK).logits
    torch.testing.assert_close(found, before)


def test_the_head_stays_out_of_quantization(tiny_encoder: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="4-bit bases need bitsandbytes")
    recipe = recipe_of(tiny_encoder, pooling="native", adapter={"rank": 4, "base_in_4bit": True})
    network = build_network(recipe.model, locate_model(recipe.model), LABELS, pad_id=0, device=CPU, seed=1)
    kinds = {name: type(module).__name__ for name, module in network.named_modules()}
    assert {kind for name, kind in kinds.items() if "classifier" in name and "Linear" in kind} == {"Linear"}
    assert any(kind == "Linear4bit" for kind in kinds.values())
    counts = count_parameters(network)
    assert counts.n_head == 32 * 3 + 3


def test_a_folder_without_a_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the folder must hold a trained model\n  came: no such folder"):
        load_trained(tmp_path / "nowhere", CPU)


def test_damaged_head_weights_are_said(tmp_path: Path, tiny_encoder: Path) -> None:
    saved(recipe_of(tiny_encoder, pooling="mean"), tmp_path / "model")
    head = tmp_path / "model" / "head.safetensors"
    head.write_bytes(head.read_bytes()[:40])
    with pytest.raises(ModelError, match="must hold the weights that Strop wrote"):
        load_trained(tmp_path / "model", CPU)


def test_an_unknown_target_module_is_said(tiny_encoder: Path) -> None:
    recipe = recipe_of(tiny_encoder, adapter={"target_modules": ["qurey"]})
    with pytest.raises(ModelError, match=r"came: 'qurey'\n  do:   did you mean 'query'\?"):
        build_network(recipe.model, locate_model(recipe.model), LABELS, pad_id=0, device=CPU, seed=1)


def test_an_adapter_is_loaded_on_the_base_it_was_trained_on_wherever_one_stands(tmp_path, tiny_encoder) -> None:
    base = shutil.copytree(tiny_encoder, tmp_path / "base")
    before = saved(recipe_of(base, pooling="mean", adapter={"rank": 4}), tmp_path / "model")
    trained = load_trained(tmp_path / "model", CPU)
    with torch.no_grad():
        torch.testing.assert_close(trained.network(IDS, MASK), before)


def test_an_adapter_is_refused_on_other_weights(tmp_path: Path, tiny_encoder: Path) -> None:
    base = shutil.copytree(tiny_encoder, tmp_path / "base")
    saved(recipe_of(base, pooling="mean", adapter={"rank": 4}), tmp_path / "model")
    weights = load_file(base / "model.safetensors")
    save_file({name: value + 1e-3 for name, value in weights.items()}, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="an adapter is used on the very weights that it was trained on") as caught:
        load_trained(tmp_path / "model", CPU)
    assert "put the original base model back" in str(caught.value)


def test_metadata_parts_and_hidden_layers_are_loaded_again(tmp_path: Path, tiny_encoder: Path) -> None:
    recipe = recipe_of(tiny_encoder, head_hidden=[5])
    located = locate_model(recipe.model)
    inputs = Inputs(segments=(0, 0, 1), n_metadata=2, is_regression=True)
    network = build_network(recipe.model, located, LABELS, pad_id=0, device=CPU, seed=1, inputs=inputs).eval()
    part, metadata = torch.ones_like(IDS), torch.ones(len(IDS), 2)
    with torch.no_grad():
        before = network(IDS, MASK, part, metadata)
    learnt = {"targets": {"low": [0.0], "high": [2.0]}}
    save_trained(
        network, tmp_path / "model", recipe=recipe, located=located, labels=LABELS, pad_id=0, preprocessing=learnt
    )
    trained = load_trained(tmp_path / "model", CPU)
    assert (trained.network.inputs, trained.preprocessing) == (inputs, learnt)
    with torch.no_grad():
        torch.testing.assert_close(trained.network(IDS, MASK, part, metadata), before)
