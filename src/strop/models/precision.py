"""Which number format the hardware computes fast in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from strop.models.host_memory import give_back_large_blocks

MixedPrecision = Literal["no", "bf16", "fp16"]


def choose_device() -> torch.device:
    """The accelerator if there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the hardware has instructions for bfloat16 matrix products; emulated ones are slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.get_device_capability(device) >= (8, 0))
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


def choose_precision(asked: str, device: torch.device) -> MixedPrecision:
    """Resolve `model.precision`.

    Args:
        asked: auto, float32, bfloat16 or float16.
        device: Where the model runs.

    Returns:
        What Accelerate calls the mixed precision: "no" computes in float32.
    """
    if asked == "auto":
        return "bf16" if has_fast_bfloat16(device) else "no"
    named: dict[str, MixedPrecision] = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
    return named[asked]


def make_accelerator(asked: str, *, trackers: Sequence[str] = (), folder: Path | None = None) -> Accelerator:
    """Accelerate's view of the device and the precision.

    Args:
        asked: The recipe's `model.precision`.
        trackers: Experiment trackers that receive what is logged.
        folder: Where trackers that write files put them.
    """
    # Accelerate keeps one state a process and refuses another precision; runs of one process may differ in it.
    AcceleratorState._reset_state(reset_partial_state=True)
    device = choose_device()
    if device.type == "cpu":
        give_back_large_blocks()
    return Accelerator(
        cpu=device.type == "cpu",
        mixed_precision=choose_precision(asked, device),
        log_with=list(trackers) or None,
        project_dir=folder,
    )
