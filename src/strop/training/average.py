"""Exponential moving average of the weights (Polyak and Juditsky 1992, with decay)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """A running average of trained weights.

    The decay is held back in the first steps, min(decay, (1 + step) / (10 + step)), so that the average is not tied to
    the initial weights.
    """

    def __init__(self, chosen: list[tuple[str, nn.Parameter]], decay: float) -> None:
        self.chosen = chosen
        self.decay = decay
        self.weights = {name: parameter.detach().clone() for name, parameter in chosen}

    def update(self, step: int) -> None:
        """Move the average towards the current weights."""
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, parameter in self.chosen:
                self.weights[name].lerp_(parameter, 1.0 - decay)

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Take an average that was saved."""
        for name, value in weights.items():
            self.weights[name].copy_(value)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average into the network for the length of a block."""
        trained = {name: parameter.detach().clone() for name, parameter in self.chosen}
        self._put(self.weights)
        try:
            yield
        finally:
            self._put(trained)

    def _put(self, weights: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.chosen:
                parameter.copy_(weights[name])
