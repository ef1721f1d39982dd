"""The folder of a trained model: plain `transformers` and `peft` load it, Strop adds the head, labels and recipe."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from strop.errors import ModelError, Problem
from strop.models.adapters import keep_4bit_weights_unpacked, peft_warnings_left_out
from strop.models.causal import load_causal_transformer
from strop.models.load import load_transformer, new_head
from strop.models.locate import LocatedModel, locate_model
from strop.models.network import Inputs, Network
from strop.recipe.answer import Decoding
from strop.recipe.load import dump_recipe, read_recipe
from strop.recipe.sections import Recipe
from strop.records.files import folder_written_whole, read_json, write_json, write_text

ABOUT = "strop.json"
HEAD = "head.safetensors"
COPIED_FILES = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "*.model",
    "spiece*",
    "chat_template*",
)


@dataclass(frozen=True)
class TrainedModel:
    """A trained network and all that is needed to use it.

    Attributes:
        network: In evaluation mode, on its device.
        folder: Where it lies; also holds the tokenizer.
        recipe: What it was trained by.
        labels: Names of the labels, in the order of the logits.
        pad_id: Token id that fills short windows.
        preprocessing: What was fitted on the training rows and is needed to predict.
    """

    network: Network
    folder: Path
    recipe: Recipe
    labels: tuple[str, ...]
    pad_id: int
    preprocessing: Mapping[str, Any] = field(default_factory=dict)


def save_trained(
    network: Network,
    folder: Path,
    *,
    recipe: Recipe,
    located: LocatedModel,
    labels: Sequence[str],
    pad_id: int,
    preprocessing: Mapping[str, Any] | None = None,
) -> None:
    """Write the trained model folder, whole or not at all.

    With pooling "native" and no adapter, `AutoModelForSequenceClassification.from_pretrained(folder)` is the trained
    classifier, or `AutoModelForCausalLM` the trained model that writes. With pooled states, `AutoModel` loads the body,
    and `head.safetensors` holds `linear.weight` (L, F) and `linear.bias` (L,), and the hidden layers of the head if it
    has any. With an adapter, `peft` loads it on the base model, of which the folder, the revision and a digest of the
    weights are kept.

    Args:
        network: The trained network.
        folder: Where to write it.
        recipe: What it was trained by.
        located: The pretrained model.
        labels: Names of the labels or targets, in the order of the logits.
        pad_id: Token id that fills short windows.
        preprocessing: What was fitted on the training rows and is needed to predict; plain values.

    Raises:
        MachineError: The disk is full.
    """
    transformer: Any = network.transformer
    with folder_written_whole(folder) as work:
        transformer.save_pretrained(work)
        for pattern in COPIED_FILES:
            for file in located.folder.glob(pattern):
                if file.is_file():
                    shutil.copyfile(file, work / file.name)
        if network.head is not None:
            save_file(
                {name: value.contiguous().cpu() for name, value in network.head.state_dict().items()}, work / HEAD
            )
        about = {
            "task": recipe.task,
            "labels": list(labels),
            "pooling": network.pooling,
            "head_modules": list(network.head_modules),
            "pad_id": pad_id,
            "inputs": asdict(network.inputs),
            "preprocessing": preprocessing or {},
            "base_model": {
                "name": located.name,
                "folder": str(located.folder.resolve()),
                "revision": recipe.model.revision,
                "digest": weights_digest(located.folder),
            },
        }
        write_json(work / ABOUT, about)
        write_text(work / "recipe.yaml", dump_recipe(recipe))


def load_trained(folder: Path, device: torch.device) -> TrainedModel:
    """Load what `save_trained` wrote.

    Raises:
        ModelError: The folder is not one, or is damaged, or its base model is gone.
        RunError: Its description is missing or damaged.
    """
    _must_be_whole(folder)
    about = read_json(folder / ABOUT)
    recipe = read_recipe(folder / "recipe.yaml")
    labels, pad_id, pooling = tuple(about["labels"]), int(about["pad_id"]), about["pooling"]
    inputs = Inputs(**{**about["inputs"], "segments": tuple(about["inputs"]["segments"])})
    located = _base_of(recipe, about["base_model"], folder) if recipe.model.adapter else _own_weights(folder, recipe)
    if recipe.writes:
        transformer = load_causal_transformer(recipe.model, located, device)
    else:
        transformer, _ = load_transformer(recipe.model, located, labels, pooling, pad_id, device, inputs)
    if recipe.model.adapter is not None:
        transformer = _with_saved_adapter(transformer, folder, about["head_modules"])
    head = None
    if pooling != "native":
        head = new_head(recipe.model, transformer, pooling, len(labels), inputs)
        try:
            head.load_state_dict(load_file(folder / HEAD))
        except (SafetensorError, OSError, RuntimeError) as error:
            raise ModelError(_damaged(folder / HEAD, error)) from error
    network = Network(transformer, head, pooling, tuple(about["head_modules"]), inputs).to(device)
    network.eval()
    return TrainedModel(network, folder, recipe, labels, pad_id, about["preprocessing"])


def set_decoding(folder: Path, decoding: Decoding) -> None:
    """Store the decoding that was chosen for a model that writes beside its weights.

    Args:
        folder: A folder that `save_trained` wrote.
        decoding: How its answers are chosen from now on.
    """
    about = read_json(folder / ABOUT)
    preprocessing = {**about["preprocessing"], "decoding": decoding.model_dump(mode="json")}
    write_json(folder / ABOUT, {**about, "preprocessing": preprocessing})


def weights_digest(folder: Path) -> str:
    """A SHA-256 over the weight files of a model folder, in hexadecimal."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def _base_of(recipe: Recipe, base: Mapping[str, Any], folder: Path) -> LocatedModel:
    """The base that an adapter was trained on: found where it lay, or by its name, and checked to be the same.

    Raises:
        ModelError: It is gone, or its weights are others.
    """
    is_there = Path(base["folder"]).is_dir()
    model = recipe.model.model_copy(update={"name": base["folder"], "revision": None}) if is_there else recipe.model
    located = locate_model(model)
    found = weights_digest(located.folder)
    if found != base["digest"]:
        problem = Problem(
            where=str(folder),
            must="an adapter is used on the very weights that it was trained on",
            came=f"other weights in {located.folder} (digest {found[:12]}, trained on {base['digest'][:12]})",
            do="put the original base model back, or give model.revision; without it, fit again",
        )
        raise ModelError(problem)
    return located


def _must_be_whole(folder: Path) -> None:
    if not (folder / ABOUT).exists():
        problem = Problem(
            where=str(folder),
            must="the folder must hold a trained model",
            came=f"no {ABOUT}" if folder.is_dir() else "no such folder",
            do="give the `strop fit` command of this run again: it goes on and writes the model at the end",
        )
        raise ModelError(problem)


def _damaged(file: Path, error: BaseException) -> Problem:
    return Problem(
        where=str(file),
        must="the file must hold the weights that Strop wrote",
        came=str(error),
        do="remove the model folder and give the `strop fit` command of this run again",
    )


def _own_weights(folder: Path, recipe: Recipe) -> LocatedModel:
    """The trained folder as a model to load, judged by the checks for pretrained ones."""
    return locate_model(recipe.model.model_copy(update={"name": str(folder)}))


def _with_saved_adapter(transformer: Any, folder: Path, head_modules: Sequence[str]) -> Any:
    from peft import PeftModel

    keep_4bit_weights_unpacked(transformer)
    # The saved head is float32; it must not be rounded to the base's precision while it is loaded.
    for name, module in transformer.named_modules():
        if name.split(".")[-1] in head_modules and isinstance(module, nn.Module):
            module.float()
    try:
        with peft_warnings_left_out():
            return PeftModel.from_pretrained(transformer, str(folder), is_trainable=False)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise ModelError(_damaged(folder / "adapter_model.safetensors", error)) from error
