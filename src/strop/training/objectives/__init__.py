"""Objectives by name: what a stage minimises. To add one, write a file here and enter it below."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from strop.recipe.sections import Stage
from strop.training.objectives.cross_entropy import build_cross_entropy

# Loss of every window, shape (B,), from its logits (B, L) and its target (B,).
WindowLoss = Callable[[Tensor, Tensor], Tensor]
# Builds the loss from the stage, the targets of the whole training part (R,), the number of labels, and the device.
BuildLoss = Callable[[Stage, NDArray[np.int64], int, torch.device], WindowLoss]

OBJECTIVES: Mapping[str, BuildLoss] = {"cross_entropy": build_cross_entropy}
