"""Make a network ready to write: without gradients, and with weights in the number format they are computed in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from strop.models.network import Network


def causal_model(network: Network) -> Any:
    """The model of transformers inside a network; adapters stay in its layers."""
    model: Any = network.transformer
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@contextmanager
def ready_to_write(network: Network, accelerator: Accelerator) -> Iterator[Any]:
    """Give the causal model of a network, in evaluation mode and without gradients; afterwards all is as it was.

    Where bfloat16 is computed in, float32 weights are exchanged for rounded ones meanwhile (half as much memory on
    top): autocast would round each of them again for every single token. The output matrix is given its states in one
    stretch: on a CPU, torch 2.13 multiplies bfloat16 slices, such as the states of last tokens alone, some hundred
    times more slowly.

    Args:
        network: A network whose transformer is a causal model, plain or under PEFT.
        accelerator: Device and precision.
    """
    was_training = network.training
    network.eval()
    head = causal_model(network).get_output_embeddings()
    laid_out = None if head is None else head.register_forward_pre_hook(_in_one_stretch)
    try:
        with torch.no_grad():
            if accelerator.mixed_precision == "bf16":
                with _rounded_weights(network):
                    yield causal_model(network)
            else:
                with accelerator.autocast():
                    yield causal_model(network)
    finally:
        if laid_out is not None:
            laid_out.remove()
        network.train(was_training)


def _in_one_stretch(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(one.contiguous() if isinstance(one, torch.Tensor) else one for one in given)


@contextmanager
def _rounded_weights(network: nn.Module) -> Iterator[None]:
    exact = {weight: weight.data for weight in network.parameters() if weight.dtype == torch.float32}
    try:
        for weight in exact:
            weight.data = weight.data.to(torch.bfloat16)
        yield
    finally:
        for weight, data in exact.items():
            weight.data = data
