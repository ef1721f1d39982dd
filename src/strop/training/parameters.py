"""Which parameters a stage trains, and at which rates."""

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from strop.errors import MachineError, Problem, RecipeError
from strop.models.network import Network
from strop.recipe.sections import Stage

LAYER_OF_NAME = re.compile(r"\.(?:layers?|h|blocks?)\.(\d+)\.")


def choose_trainable(network: Network, stage: Stage, stage_number: int) -> list[tuple[str, nn.Parameter]]:
    """Set `requires_grad` as the stage asks, and list what it trains.

    Raises:
        RecipeError: A word of `frozen`, `trainable` or `learning_rates` is in no name, or nothing is left to train.
    """
    problems = [*_unused_patterns(network, stage, stage_number)]
    if problems:
        raise RecipeError(*problems)
    chosen = []
    for name, parameter in network.named_parameters():
        is_chosen = _is_covered(network, name, stage) and not any(pattern in name for pattern in stage.frozen)
        # 4-bit weights cannot hold gradients.
        is_chosen = is_chosen and parameter.is_floating_point()
        parameter.requires_grad_(is_chosen)
        if is_chosen:
            chosen.append((name, parameter))
    if not chosen:
        problem = Problem(
            where=f"stages.{stage_number}",
            must="a stage must train something",
            came=f"trainable={stage.trainable}, frozen={stage.frozen}",
            do="freeze less",
        )
        raise RecipeError(problem)
    return chosen


def _unused_patterns(network: Network, stage: Stage, stage_number: int) -> Iterator[Problem]:
    names = [name for name, _ in network.named_parameters()]
    given = {"frozen": stage.frozen, "learning_rates": list(stage.learning_rates)}
    if isinstance(stage.trainable, list):
        given["trainable"] = stage.trainable
    for key, patterns in given.items():
        unused = [pattern for pattern in patterns if not any(pattern in name for name in names)]
        if unused:
            yield Problem(
                where=f"stages.{stage_number}.{key}",
                must="every entry must be part of a parameter's name",
                came=", ".join(repr(pattern) for pattern in unused),
                do=f"names look like {names[0]!r}",
            )


def _is_covered(network: Network, name: str, stage: Stage) -> bool:
    if ".original_module." in name:
        return False
    if network.is_head(name):
        return True
    if isinstance(stage.trainable, list):
        return any(pattern in name for pattern in stage.trainable)
    if stage.trainable == "adapter":
        return network.is_adapter(name)
    return stage.trainable == "all"


def rate_groups(network: Network, chosen: list[tuple[str, nn.Parameter]], stage: Stage) -> list[dict[str, Any]]:
    """Parameter groups for the optimiser: by layer (layer-wise decay), by head or body, with or without weight decay.

    The layer next to the head trains at the stage's rate, each layer below it at `layer_decay` times the rate of the
    one above, embeddings below the first layer (Howard and Ruder 2018, discriminative fine-tuning).
    """
    n_layers = 1 + max((depth for name, _ in network.named_parameters() for depth in _layer_numbers(name)), default=-1)
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in chosen:
        rate = _rate(network, name, n_layers, stage)
        # Vectors are biases and norms: pulling them to zero does not regularise.
        decay = stage.weight_decay if parameter.ndim > 1 else 0.0
        group = groups.setdefault((rate, decay), {"params": [], "lr": rate, "weight_decay": decay})
        group["params"].append(parameter)
    return list(groups.values())


def _rate(network: Network, name: str, n_layers: int, stage: Stage) -> float:
    own = [rate for pattern, rate in stage.learning_rates.items() if pattern in name]
    if own:
        return own[0]
    if network.is_head(name):
        return stage.head_learning_rate or stage.learning_rate
    depth = next(_layer_numbers(name), None)
    if depth is not None:
        return stage.learning_rate * stage.layer_decay ** (n_layers - 1 - depth)
    is_embedding = "embed" in name or ".wte." in name or ".wpe." in name
    return stage.learning_rate * (stage.layer_decay**n_layers if is_embedding else 1.0)


def _layer_numbers(name: str) -> Iterator[int]:
    found = LAYER_OF_NAME.search(name)
    if found is not None:
        yield int(found.group(1))


def build_optimizer(network: Network, chosen: list[tuple[str, nn.Parameter]], stage: Stage) -> torch.optim.Optimizer:
    """The optimiser that the stage names, over its parameter groups.

    Raises:
        MachineError: `adamw_8bit` is asked for where bitsandbytes or a GPU is missing.
    """
    groups = rate_groups(network, chosen, stage)
    device = chosen[0][1].device.type
    if stage.optimizer == "adamw":
        return torch.optim.AdamW(groups, fused=device in ("cpu", "cuda"))
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError:
        device = "a machine without bitsandbytes"
    if device != "cuda":
        problem = Problem(
            where="optimizer=adamw_8bit",
            must="the 8-bit optimiser needs a GPU and the library bitsandbytes",
            came=device,
            do="set optimizer=adamw; its moments take 8 bytes a trained weight instead of 2",
        )
        raise MachineError(problem)
    optimizer: torch.optim.Optimizer = AdamW8bit(groups)
    return optimizer
