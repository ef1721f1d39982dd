"""Load a causal model as a network that writes: plain, with adapters, or with adapters on a 4-bit base."""

from typing import Any

import torch
from transformers import AutoModelForCausalLM

from strop.errors import ModelError, Problem
from strop.models.adapters import add_adapter, keep_4bit_weights_unpacked
from strop.models.load import load_pretrained, ready_to_train, weights_dtype
from strop.models.locate import LocatedModel
from strop.models.network import Network
from strop.recipe.sections import Model

# Families that transformers loads and computes wrongly.
REFUSED = {"rwkv": "of which transformers 5.23 gives other results for rows in a batch than for each alone"}


def load_causal(model: Model, located: LocatedModel, device: torch.device, *, seed: int = 0) -> Network:
    """Load pretrained weights to be trained on answers.

    Args:
        model: The recipe's section.
        located: Where the model lies.
        device: Where the model will run.
        seed: Seeds the adapters.

    Raises:
        ModelError: The folder holds a model that cannot be loaded so.
        MachineError: It does not fit the device, or bitsandbytes is needed and missing.
    """
    torch.manual_seed(seed)
    transformer = load_causal_transformer(model, located, device)
    if model.adapter is not None:
        transformer = add_adapter(transformer, model.adapter, "causal")
        transformer.get_base_model().config._name_or_path = located.name
        if model.adapter.base_in_4bit:
            # PEFT makes all that is not quantized float32; frozen embeddings would only grow by that.
            dtype = weights_dtype(model, device)
            transformer.get_input_embeddings().to(dtype)
            transformer.get_output_embeddings().to(dtype)
    return ready_to_train(Network(transformer, None, "native", ()), model, device)


def load_causal_transformer(model: Model, located: LocatedModel, device: torch.device) -> Any:
    """Load a causal model of transformers as it is, without adapters.

    Raises:
        ModelError: The folder holds a model that cannot be loaded so, or one of a family that is computed wrongly.
        MachineError: It does not fit the device, or bitsandbytes is needed and missing.
    """
    family = str(located.config.get("model_type"))
    if family in REFUSED:
        must, do = "several rows must be read as each is alone", "choose a model of another family"
        raise ModelError(Problem(located.name, must, f"a model of the family '{family}', {REFUSED[family]}", do))
    transformer, _ = load_pretrained(
        AutoModelForCausalLM,
        model,
        located,
        device,
        lambda _: ["lm_head"],
        kind="as one that writes (AutoModelForCausalLM)",
        else_do="; the task 'answer' needs a causal model, such as Llama, Qwen, Gemma or SmolLM",
    )
    keep_4bit_weights_unpacked(transformer)
    return transformer
