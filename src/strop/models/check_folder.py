"""Check that a model folder is complete and safe to load; find all that is wrong at once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from strop.errors import ModelError, Problem
from strop.models.weight_files import INDEX, WEIGHTS, read_header, weight_paths
from strop.text.tokenizer import TOKENIZER_FILES

PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")


def read_model_json(path: Path) -> Any:
    """Read a JSON file of a model folder.

    Raises:
        ModelError: It is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError) as error:
        came = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        problem = Problem(
            where=str(path),
            must="the file must be complete JSON, as the model's authors saved it",
            came=came,
            do="fetch the model again, or copy this file from the original",
        )
        raise ModelError(problem) from error


def check_folder(folder: Path, *, trust_remote_code: bool) -> list[Problem]:
    """Find everything that keeps a folder from being loaded as a model.

    Args:
        folder: An existing folder.
        trust_remote_code: Whether the recipe allows code that comes with the model.

    Returns:
        All problems; empty where the model is complete.
    """
    return [
        *_config_problems(folder, trust_remote_code=trust_remote_code),
        *_weight_problems(folder),
        *_tokenizer_problems(folder),
    ]


def _config_problems(folder: Path, *, trust_remote_code: bool) -> Iterator[Problem]:
    if not (folder / "config.json").exists():
        do = "give the folder into which `save_pretrained` wrote"
        if (folder / "adapter_config.json").exists():
            do = "the folder holds adapters only: merge them into their base model, or name the base model"
        yield Problem(str(folder), "a model folder must hold config.json", _content(folder), do)
        return
    try:
        config = read_model_json(folder / "config.json")
    except ModelError as error:
        yield from error.problems
        return
    if not isinstance(config, dict) or not config.get("model_type"):
        must = "config.json must name its model_type"
        yield Problem(str(folder / "config.json"), must, "none", "copy config.json from the original model")
    elif config.get("auto_map") and not trust_remote_code:
        yield Problem(
            where=str(folder / "config.json"),
            must="the model must load without running Python code that comes with it",
            came=f"auto_map: {', '.join(sorted(str(value) for value in config['auto_map'].values()))}",
            do="read that code, then set model.trust_remote_code=true; or use a model that transformers has itself",
        )


def _weight_problems(folder: Path) -> Iterator[Problem]:
    if not (folder / WEIGHTS).exists() and not (folder / INDEX).exists():
        yield _no_weights(folder)
        return
    try:
        paths = weight_paths(folder)
    except ModelError as error:
        yield from error.problems
        return
    for path in paths:
        try:
            read_header(path)
        except ModelError as error:
            yield from error.problems


def _no_weights(folder: Path) -> Problem:
    must = f"a model folder must hold {WEIGHTS}, or {INDEX} and the files it names"
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if pickles:
        return Problem(
            where=str(folder),
            must=must,
            came=f"{', '.join(pickles)}: pickles, which can run any code when they are loaded",
            do="if you trust where they come from, convert them once: "
            "AutoModel.from_pretrained(folder).save_pretrained(new_folder), then copy the tokenizer files",
        )
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    if others:
        return Problem(
            str(folder), must, ", ".join(others), f"rename the file to {WEIGHTS} if it holds the whole model"
        )
    return Problem(str(folder), must, _content(folder), "fetch the model again, with its safetensors files")


def _tokenizer_problems(folder: Path) -> Iterator[Problem]:
    if not any((folder / name).exists() for name in TOKENIZER_FILES):
        yield Problem(
            where=str(folder),
            must="a model folder must hold its tokenizer (tokenizer.json, or an older format)",
            came=_content(folder),
            do="copy tokenizer.json and tokenizer_config.json from the original model",
        )


def _content(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f"a folder with {shown}" if names else "an empty folder"
