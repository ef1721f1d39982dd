"""State from which a stage goes on after a crash, and the weights it keeps.

A checkpoint is a folder that is renamed into place when it is complete; the one before it is removed after that.
"""

import json
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from strop.errors import Problem, RunError
from strop.records.files import folder_written_whole, no_space_is_said, write_json
from strop.records.ledger import Entry


@dataclass
class Progress:
    """Where a stage stands.

    Attributes:
        step: Optimiser steps done.
        best_step: The step whose weights are kept; 0 means the weights the stage began with.
        best_score: Their primary metric, None before the first evaluation.
        n_without_gain: Evaluations since the best one.
        is_done: Whether the stage has ended.
        stopped_early: Whether patience ended it.
        seconds: Training time so far.
    """

    step: int = 0
    best_step: int = 0
    best_score: float | None = None
    n_without_gain: int = 0
    is_done: bool = False
    stopped_early: bool = False
    seconds: float = 0.0


def trainable_weights(chosen: list[tuple[str, nn.Parameter]]) -> dict[str, Tensor]:
    """Copies of what a stage trains, on the CPU."""
    return {name: parameter.detach().to("cpu", copy=True).contiguous() for name, parameter in chosen}


def put_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Overwrite parameters by name.

    Raises:
        KeyError: The network has no such parameter.
    """
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for name, value in weights.items():
            parameters[name].copy_(value)


def save_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write weights as safetensors, whole or not at all."""
    with folder_written_whole(path) as work:
        save_file(dict(weights), work / "weights.safetensors")


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read weights that `save_weights` wrote.

    Raises:
        RunError: The file is missing or damaged.
    """
    try:
        return dict(load_file(path / "weights.safetensors"))
    except (OSError, SafetensorError) as error:
        problem = Problem(
            where=str(path / "weights.safetensors"),
            must="the weights of a stage that has ended must be as they were written",
            came=str(error),
            do="remove the stage's folder and those of later stages, and give the `strop fit` command again",
        )
        raise RunError(problem) from error


def save_checkpoint(folder: Path, progress: Progress, weights: Mapping[str, Tensor], extra: Mapping[str, Any]) -> None:
    """Write a resumable checkpoint and remove older ones.

    Args:
        folder: The stage's `checkpoints` folder.
        progress: Where the stage stands.
        weights: What it trains, by name.
        extra: States of optimiser, schedule, averages and random generators; tensors and plain values.

    Raises:
        MachineError: The disk is full.
    """
    place = folder / f"step-{progress.step:07d}"
    with folder_written_whole(place) as work:
        save_file(dict(weights), work / "weights.safetensors")
        with no_space_is_said(place):
            torch.save(dict(extra), work / "state.pt")
        write_json(work / "progress.json", asdict(progress))
    for old in _checkpoints(folder):
        if old != place:
            shutil.rmtree(old)


def latest_checkpoint(folder: Path) -> tuple[tuple[Progress, dict[str, Tensor], dict[str, Any]] | None, list[Entry]]:
    """Read the newest checkpoint that is whole.

    Returns:
        The checkpoint, None where there is none; and a ledger entry for each damaged one, which is set aside.
    """
    entries = []
    for place in reversed(_checkpoints(folder)):
        try:
            progress = Progress(**json.loads((place / "progress.json").read_text(encoding="utf-8")))
            weights = load_file(place / "weights.safetensors")
            # Tensors and plain values only: nothing in the file is executed.
            extra = torch.load(place / "state.pt", weights_only=True, map_location="cpu")
        except (
            OSError,
            ValueError,
            TypeError,
            RuntimeError,
            EOFError,
            SafetensorError,
            pickle.UnpicklingError,
        ) as error:
            aside = place.with_name(f"damaged-{place.name}")
            shutil.rmtree(aside, ignore_errors=True)
            place.rename(aside)
            what = f"checkpoint {place.parent.parent.name}/{place.name} was damaged and is set aside"
            entries.append(Entry("repaired", "training", what, details={"error": str(error)[:200]}))
            continue
        return (progress, dict(weights), extra), entries
    return None, entries


def remove_checkpoints(folder: Path) -> None:
    """Remove the resumable state of a stage that has ended; the weights it keeps lie beside it."""
    shutil.rmtree(folder, ignore_errors=True)


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if path.is_dir())
