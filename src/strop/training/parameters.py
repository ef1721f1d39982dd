"""Which parameters a stage trains, and at which rates."""

import re
from collections.abc import Iterator
from typing import Any

from torch import nn

from strop.errors import Problem, RecipeError
from strop.models.network import Network
from strop.recipe.sections import Stage

LAYER_NUMBER = re.compile(r"\.(?:layers?|h|blocks?)\.(\d+)\.")


def choose_trainable(network: Network, stage: Stage, stage_number: int) -> list[tuple[str, nn.Parameter]]:
    """Set `requires_grad` as the stage asks, and list what it trains.

    Raises:
        RecipeError: A pattern of `frozen` matches nothing, or nothing is left to train.
    """
    unused = [pattern for pattern in stage.frozen if not any(pattern in name for name, _ in network.named_parameters())]
    if unused:
        problem = Problem(
            where=f"stages.{stage_number}.frozen",
            must="every entry must be part of a parameter's name",
            came=", ".join(repr(pattern) for pattern in unused),
            do=f"names look like {next(iter(dict(network.named_parameters())))!r}",
        )
        raise RecipeError(problem)
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


def _is_covered(network: Network, name: str, stage: Stage) -> bool:
    if ".original_module." in name:
        return False
    if network.is_head(name):
        return True
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
    if network.is_head(name):
        return stage.head_learning_rate or stage.learning_rate
    depth = next(_layer_numbers(name), None)
    if depth is not None:
        return stage.learning_rate * stage.layer_decay ** (n_layers - 1 - depth)
    is_embedding = "embed" in name or ".wte." in name or ".wpe." in name
    return stage.learning_rate * (stage.layer_decay**n_layers if is_embedding else 1.0)


def _layer_numbers(name: str) -> Iterator[int]:
    found = LAYER_NUMBER.search(name)
    if found is not None:
        yield int(found.group(1))
