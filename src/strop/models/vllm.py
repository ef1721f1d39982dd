"""Whether vLLM loads a saved adapter, and the command that starts it."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from strop.errors import Problem
from strop.models.check_folder import read_model_json
from strop.models.weight_files import read_header

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# What --max-lora-rank takes (vllm/config/lora.py).
MAX_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
# What vLLM has no place for in an adapter (vllm/lora/peft_helper.py), and the value that it takes.
UNSUPPORTED: Mapping[str, Any] = {"use_dora": False, "bias": "none", "modules_to_save": None, "peft_type": "LORA"}
OUTSIDE_OF_LAYERS = ("lm_head", "embed_tokens", "wte")


def vllm_problems(folder: Path) -> list[Problem]:
    """Find everything that keeps vLLM from serving an adapter folder.

    Args:
        folder: A folder that PEFT wrote.

    Raises:
        ModelError: Its description or its weights are missing or damaged.
    """
    config = read_model_json(folder / CONFIG)
    problems = [
        Problem(
            where=f"{folder / CONFIG}, {key}",
            must=f"vLLM takes {wanted!r} alone",
            came=repr(config[key]),
            do="serve the merged model instead, or fit with a plain adapter (model.adapter)",
        )
        for key, wanted in UNSUPPORTED.items()
        if (config.get(key) or wanted) != wanted
    ]
    if _ranks(config)[-1] > MAX_RANKS[-1]:
        problems.append(
            Problem(
                where=f"{folder / CONFIG}, r",
                must=f"vLLM takes ranks up to {MAX_RANKS[-1]}",
                came=str(_ranks(config)[-1]),
                do="serve the merged model instead, or fit with a lower model.adapter.rank",
            )
        )
    return [*problems, *_weight_problems(folder)]


def vllm_command(folder: Path, name: str, *, base_in_4bit: bool = False) -> str:
    """The shell command that serves an adapter beside its base model.

    The model folder's own generation_config.json is left out, as it is at prediction here. A 4-bit base is quantized as
    it is loaded, to NF4 with double quantization as here (vllm/model_executor/model_loader/bitsandbytes_loader.py).

    Args:
        folder: A folder that PEFT wrote and in which `vllm_problems` finds nothing.
        name: What requests call the trained model.
        base_in_4bit: Whether the adapter was trained on a base in 4 bits.
    """
    config = read_model_json(folder / CONFIG)
    rank = next(rank for rank in MAX_RANKS if rank >= _ranks(config)[-1])
    words = ["vllm", "serve", str(config["base_model_name_or_path"]), "--enable-lora"]
    words += ["--lora-modules", f"{name}={folder.resolve()}", "--max-lora-rank", str(rank)]
    words += ["--generation-config", "vllm"]
    words += ["--quantization", "bitsandbytes"] if base_in_4bit else []
    return shlex.join(words)


def _ranks(config: Mapping[str, Any]) -> Sequence[int]:
    """All ranks in an adapter, the highest last."""
    return sorted([int(config.get("r") or 0), *(int(rank) for rank in (config.get("rank_pattern") or {}).values())])


def _weight_problems(folder: Path) -> list[Problem]:
    names = sorted(read_header(folder / WEIGHTS))
    extra = [name for name in names if not name.endswith((".lora_A.weight", ".lora_B.weight"))]
    outside = [name for name in names if any(part in OUTSIDE_OF_LAYERS for part in name.split("."))]
    found = {
        "every saved weight must be that of a low-rank adapter (lora_A, lora_B)": extra,
        "vLLM adapts the layers of a model, not its embeddings or its output matrix": [
            name for name in outside if name not in extra
        ],
    }
    return [
        Problem(
            where=str(folder / WEIGHTS),
            must=must,
            came=", ".join(came[:3]) + (f" and {len(came) - 3} more" if len(came) > 3 else ""),
            do="serve the merged model instead, or fit with model.adapter.target_modules=all-linear",
        )
        for must, came in found.items()
        if came
    ]
