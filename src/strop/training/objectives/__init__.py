"""Objectives by name: what a stage minimises. To add one, write a file here and enter it below."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from strop.recipe.sections import Stage
from strop.training.objectives.cross_entropy import build_cross_entropy
from strop.training.objectives.values import build_bce, build_mse, build_pairwise_rank

# Label numbers (R,), or targets scaled to [0, 1] with NaN where one is missing (R, T).
Targets = NDArray[np.int64] | NDArray[np.float32]
# Loss of every window, shape (B,), from its logits (B, L) and its targets (B,) or (B, L).
WindowLoss = Callable[[Tensor, Tensor], Tensor]
# Builds the loss from the stage, the targets of the whole training part, the number of outputs, and the device.
BuildLoss = Callable[[Stage, NDArray[Any], int, torch.device], WindowLoss]

OBJECTIVES: Mapping[str, BuildLoss] = {
    "cross_entropy": build_cross_entropy,
    "bce": build_bce,
    "mse": build_mse,
    "pairwise_rank": build_pairwise_rank,
}
