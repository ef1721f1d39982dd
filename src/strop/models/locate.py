"""Find a pretrained model: a folder, an installed package that carries one, or a name on the Hugging Face hub."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from strop.errors import ModelError, Problem
from strop.models.check_folder import check_folder, read_model_json
from strop.models.weight_files import TensorInfo, read_tensors
from strop.recipe.sections import Model

Source = Literal["folder", "package", "hub"]
DeclaredPooling = Literal["mean", "first", "last"]

HUB_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken")
HUB_NAME = re.compile(r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")
CAUSAL_ARCHITECTURES = ("ForCausalLM", "LMHeadModel")
CAUSAL_TYPES = re.compile(
    "bloom|codegen|cohere|deepseek|exaone|falcon|gemma|glm|gpt|granite|hunyuan|internlm|lfm|llama|ministral|mistral|"
    "mixtral|nemotron|olmo|opt$|phi|qwen|smollm|stablelm|starcoder"
)
POSITION_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "n_ctx")
# These families number positions from the padding token's id + 1, and so have that many fewer.
POSITIONS_AFTER_PADDING = re.compile(
    "camembert|data2vec-text|ernie_m|ibert|longformer|luke|mpnet|roberta|xlm-roberta|xmod"
)
POOLING_FLAGS: Mapping[str, DeclaredPooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "first",
    "pooling_mode_lasttoken": "last",
}
POOLING_NAMES: Mapping[str, DeclaredPooling] = {"mean": "mean", "cls": "first", "lasttoken": "last"}


@dataclass(frozen=True)
class LocatedModel:
    """A complete model folder on this machine.

    Attributes:
        name: What the recipe calls it.
        folder: Where its files lie.
        source: How it was found.
        config: Content of config.json.
        revision: Commit of a hub model, else None.
    """

    name: str
    folder: Path
    source: Source
    config: Mapping[str, Any]
    revision: str | None

    @property
    def text_config(self) -> Mapping[str, Any]:
        """The part of the config that describes the text model: the whole, or `text_config` of a multimodal model."""
        inner = self.config.get("text_config")
        return {**self.config, **inner} if isinstance(inner, dict) else self.config

    @property
    def is_causal(self) -> bool:
        """Whether tokens see only what stands before them (Llama, Gemma, Qwen and the like)."""
        if self.text_config.get("use_bidirectional_attention"):
            return False
        architectures = self.config.get("architectures") or []
        named = any(str(name).endswith(CAUSAL_ARCHITECTURES) for name in architectures)
        return named or bool(CAUSAL_TYPES.match(str(self.config.get("model_type"))))

    @cached_property
    def declared_pooling(self) -> DeclaredPooling | None:
        """How a sentence-embedding model says that its token states are pooled; None where it does not say.

        Raises:
            ModelError: A file that should say so is damaged.
        """
        modules = self.folder / "modules.json"
        place = "1_Pooling"
        if modules.exists():
            pooling = [one for one in read_model_json(modules) if str(one.get("type", "")).endswith("Pooling")]
            place = pooling[0].get("path") or "1_Pooling" if len(pooling) == 1 else "1_Pooling"
        path = self.folder / place / "config.json"
        return _pooling_in(read_model_json(path)) if path.exists() else None

    @property
    def max_positions(self) -> int | None:
        """The longest input in tokens that the model has positions for; None where it has no limit."""
        config = self.text_config
        found = next((config[key] for key in POSITION_KEYS if isinstance(config.get(key), int)), None)
        if found is None or found <= 0:
            return None
        if POSITIONS_AFTER_PADDING.match(str(config.get("model_type"))):
            pad_id = config.get("pad_token_id")
            return int(found) - (1 if pad_id is None else int(pad_id)) - 1
        return int(found)

    @cached_property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Shape and number format of every tensor in the weight files, by name; only the files' headers are read."""
        return read_tensors(self.folder)

    @property
    def n_parameters(self) -> int:
        """Weights in the files, buffers of whole numbers left out."""
        return sum(tensor.n_elements for tensor in self.tensors.values() if tensor.is_floating_point)


def locate_model(model: Model) -> LocatedModel:
    """Find the model that a recipe names, and check that it is complete.

    Tried in this order: an existing folder; an installed Python package with a model inside (it is not imported); a
    name on the Hugging Face hub, from the cache where it is complete there, else downloaded.

    Args:
        model: The recipe's section.

    Raises:
        ModelError: It is not found, incomplete, or wants to run code; with all problems of the folder.
    """
    folder, source, revision = _find(model)
    problems = check_folder(folder, trust_remote_code=model.trust_remote_code)
    if problems:
        raise ModelError(*problems)
    return LocatedModel(model.name, folder, source, read_model_json(folder / "config.json"), revision)


def _find(model: Model) -> tuple[Path, Source, str | None]:
    given = Path(model.name).expanduser()
    if given.is_dir():
        return given.resolve(), "folder", None
    if given.exists():
        do = "give the folder that holds config.json and model.safetensors"
        raise ModelError(_not_found(model.name, "a file, not a folder", do))
    inside = list(_folders_in_package(model.name))
    if len(inside) > 1:
        shown = ", ".join(str(folder) for folder in inside)
        raise ModelError(_not_found(model.name, f"a package with several models: {shown}", "name one of these folders"))
    if inside:
        return inside[0], "package", None
    if not HUB_NAME.match(model.name) or model.name.endswith((".json", ".safetensors", ".bin", ".gguf")):
        raise ModelError(_not_found(model.name, "no such folder", "check the path and the working directory"))
    folder = _from_hub(model)
    return folder, "hub", folder.name


def _folders_in_package(name: str) -> Iterator[Path]:
    """Folders with a model inside an installed top-level package; the package's code is not run."""
    module = name.replace("-", "_")
    if not module.isidentifier():
        return
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        for config in sorted(Path(place).rglob("config.json")):
            if any(config.parent.glob("*.safetensors")):
                yield config.parent


def _from_hub(model: Model) -> Path:
    """Give the cached snapshot where it is complete, else download it."""
    from huggingface_hub import constants, errors, snapshot_download

    # A connection that breaks; the library that raises it differs between versions of the client.
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    patterns = [*HUB_FILES, *(("*.py",) if model.trust_remote_code else ())]

    def snapshot(*, local: bool) -> Path:
        return Path(
            snapshot_download(model.name, revision=model.revision, allow_patterns=patterns, local_files_only=local)
        )

    try:
        cached = snapshot(local=True)
    except errors.LocalEntryNotFoundError:
        cached = None
    if cached is not None and (
        constants.HF_HUB_OFFLINE or not check_folder(cached, trust_remote_code=model.trust_remote_code)
    ):
        return cached
    try:
        return snapshot(local=False)
    except (HTTPError, OSError) as error:
        raise ModelError(_hub_problem(model, error)) from error


def _hub_problem(model: Model, error: Exception) -> Problem:
    from huggingface_hub import errors

    came = "the hub cannot be reached, and the model is not in the cache"
    do = "connect this machine and try again, or fetch the model elsewhere and set model.name to its folder"
    if isinstance(error, errors.GatedRepoError):
        came = "the hub says that access to this model must be granted (gated)"
        do = "accept its terms on its page, then run `hf auth login` or set HF_TOKEN"
    elif isinstance(error, errors.RevisionNotFoundError):
        came, do = f"the hub has no revision '{model.revision}' of it", "mend model.revision, or leave it out"
    elif isinstance(error, errors.RepositoryNotFoundError):
        came = "no folder, no installed package with a model, and the hub does not know it (or it is private)"
        do = "check the spelling; for a private model run `hf auth login` or set HF_TOKEN"
    elif isinstance(error, OSError) and error.errno is not None:
        came, do = str(error), "make room or change HF_HOME to a folder that can be written"
    return _not_found(model.name, came, do)


def _not_found(name: str, came: str, do: str) -> Problem:
    must = "it must be a model folder, an installed package that carries a model, or a name on the Hugging Face hub"
    return Problem(where=f"model.name '{name}'", must=must, came=came, do=do)


def _pooling_in(config: Mapping[str, Any]) -> DeclaredPooling | None:
    """Pooling by one method is understood, in the flags of older folders and the name of newer ones."""
    if named := config.get("pooling_mode"):
        names = [named] if isinstance(named, str) else list(named)
        return POOLING_NAMES.get(names[0]) if len(names) == 1 else None
    chosen = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    return POOLING_FLAGS.get(chosen[0]) if len(chosen) == 1 else None
