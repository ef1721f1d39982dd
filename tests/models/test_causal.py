import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from strop.errors import ModelError
from strop.models.adapters import peft_warnings_left_out
from strop.models.causal import load_causal
from strop.models.load import count_parameters
from strop.models.locate import locate_model
from strop.models.network import Network
from strop.models.vllm import vllm_command, vllm_problems
from strop.recipe.sections import Adapter, Model

CPU = torch.device("cpu")
LAYER_MODULES = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def loaded(folder: Path, adapter: Adapter | None = None, precision: str = "float32", seed: int = 0) -> Network:
    model = Model.model_validate({"name": str(folder), "adapter": adapter, "precision": precision})
    return load_causal(model, locate_model(model), CPU, seed=seed)


def test_a_plain_model_writes_and_is_trained_whole(tiny_causal: Path) -> None:
    network = loaded(tiny_causal)
    assert network.transformer(input_ids=torch.tensor([[3, 4, 5]])).logits.shape[:2] == (1, 3)
    counts = count_parameters(network)
    assert (counts.n_head, counts.n_adapter) == (0, 0)
    assert counts.n_parameters == sum(parameter.numel() for parameter in network.parameters())


def test_adapters_sit_on_all_layers_and_not_on_the_output_matrix(tiny_causal: Path) -> None:
    network = loaded(tiny_causal, Adapter(rank=4))
    trained = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    assert {name.split(".lora_")[0].split(".")[-1] for name in trained} == LAYER_MODULES
    assert len(trained) == 2 * 2 * len(LAYER_MODULES)
    assert not any("lm_head" in name for name in trained)


def test_the_seed_draws_the_adapters_and_half_precision_leaves_them_exact(tiny_causal: Path) -> None:
    def first(seed: int) -> torch.Tensor:
        network = loaded(tiny_causal, Adapter(rank=4), "bfloat16", seed)
        return next(parameter for name, parameter in network.named_parameters() if ".lora_A." in name)

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))
    assert first(1).dtype == torch.float32
    base = loaded(tiny_causal, Adapter(rank=4), "bfloat16").transformer.get_input_embeddings()
    assert base.weight.dtype == torch.bfloat16


def test_a_family_that_is_computed_wrongly_in_batches_is_refused(tmp_path: Path, tiny_causal: Path) -> None:
    folder = tmp_path / "rwkv"
    shutil.copytree(tiny_causal, folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "rwkv", "vocab_size": 64}), encoding="utf-8")
    model = Model(name=str(folder))
    with pytest.raises(ModelError, match="several rows must be read as each is alone") as caught:
        load_causal(model, locate_model(model), torch.device("cpu"))
    assert "a model of the family 'rwkv', of which transformers" in str(caught.value)


def test_an_encoder_is_refused_in_words(tiny_encoder: Path) -> None:
    # transformers would make a BERT write from left to right; a model without any such class cannot.
    config = json.loads((tiny_encoder / "config.json").read_text())
    folder = tiny_encoder.parent / "seen"
    folder.mkdir()
    for file in tiny_encoder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "distilbert"}))
    with pytest.raises(ModelError) as caught:
        loaded(folder)
    (problem,) = caught.value.problems
    assert problem.must == "transformers must be able to load the model as one that writes (AutoModelForCausalLM)"
    assert problem.do.endswith("the task 'answer' needs a causal model, such as Llama, Qwen, Gemma or SmolLM")


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
def test_a_base_in_4_bits_is_trained_through_adapters(tiny_causal: Path) -> None:
    network = loaded(tiny_causal, Adapter(rank=4, base_in_4bit=True))
    assert type(network.transformer.get_output_embeddings()) is torch.nn.Linear
    kinds = {type(module).__name__ for name, module in network.named_modules() if name.endswith("q_proj.base_layer")}
    assert kinds == {"Linear4bit"}
    loss = network.transformer(input_ids=torch.tensor([[3, 4, 5]]), labels=torch.tensor([[3, 4, 5]])).loss
    loss.backward()
    assert all(one.grad is not None for name, one in network.named_parameters() if ".lora_B." in name)


@pytest.mark.parametrize(("rank", "served"), [(4, 8), (8, 8), (12, 16), (64, 64)])
def test_saved_adapters_can_be_served(rank: int, served: int, tiny_causal: Path, tmp_path: Path) -> None:
    folder = tmp_path / "an adapter"
    loaded(tiny_causal, Adapter(rank=rank)).transformer.save_pretrained(folder)
    assert vllm_problems(folder) == []
    command = (
        f"vllm serve {tiny_causal} --enable-lora --lora-modules 'mine={folder}' --max-lora-rank {served} "
        "--generation-config vllm"
    )
    assert vllm_command(folder, "mine") == command
    assert vllm_command(folder, "mine", base_in_4bit=True) == f"{command} --quantization bitsandbytes"


def test_what_cannot_be_served_is_said(tiny_causal: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    base = loaded(tiny_causal).transformer
    config = LoraConfig(r=1024, target_modules=["q_proj", "lm_head"], modules_to_save=["norm"], use_dora=True)
    folder = tmp_path / "adapter"
    with peft_warnings_left_out():
        get_peft_model(base, config).save_pretrained(folder, save_embedding_layers=False)
    said = {problem.must: problem.came for problem in vllm_problems(folder)}
    assert said["vLLM takes False alone"] == "True"
    assert said["vLLM takes None alone"] == "['norm']"
    assert said["vLLM takes ranks up to 512"] == "1024"
    assert "input_layernorm.weight" in said["every saved weight must be that of a low-rank adapter (lora_A, lora_B)"]
    assert "lm_head" in said["vLLM adapts the layers of a model, not its embeddings or its output matrix"]
    assert len(said) == 5
    assert "fit with a lower model.adapter.rank" in " ".join(problem.do for problem in vllm_problems(folder))


def test_a_folder_without_an_adapter_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        vllm_problems(tmp_path)
