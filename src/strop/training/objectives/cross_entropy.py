"""Cross-entropy over labels, weighted by class and smoothed.

Dimensions: B windows in a batch, L labels, R rows.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from strop.recipe.sections import Stage


def class_weights(
    target_R: NDArray[np.int64], n_labels: int, *, balanced: bool, rare_class_penalty: float
) -> NDArray[np.float64]:
    """Weight of every class, shape (L,), scaled so that the mean over the training rows is 1.

    A balanced class weighs R / (L * its rows), as in King and Zeng (2001). Classes with fewer rows than R / L are
    multiplied by the penalty. A class without rows weighs 1.

    Args:
        target_R: Label numbers of the whole training part.
        n_labels: L.
        balanced: Whether classes are weighed by the inverse of their share.
        rare_class_penalty: Further factor for rare classes.
    """
    counts_L = np.bincount(target_R, minlength=n_labels).astype(np.float64)
    average = len(target_R) / n_labels
    weights_L = np.ones(n_labels)
    if balanced:
        weights_L = np.divide(average, counts_L, out=weights_L, where=counts_L > 0)
    weights_L[(counts_L < average) & (counts_L > 0)] *= rare_class_penalty
    mean = float((weights_L * counts_L).sum() / max(counts_L.sum(), 1.0))
    return weights_L / mean


def build_cross_entropy(
    stage: Stage, target_R: NDArray[np.int64], n_labels: int, device: torch.device
) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of a stage; class weights come from the whole training part, never from a batch."""
    weights_L = class_weights(
        target_R, n_labels, balanced=stage.class_weights == "balanced", rare_class_penalty=stage.rare_class_penalty
    )
    # reduction="none" leaves out the division by the batch's own sum of weights, which would undo the weights of
    # batches that hold one class only.
    loss = nn.CrossEntropyLoss(
        weight=torch.tensor(weights_L, dtype=torch.float32, device=device),
        reduction="none",
        label_smoothing=stage.label_smoothing,
    )

    def loss_of_windows(logits_BL: Tensor, target_B: Tensor) -> Tensor:
        losses_B: Tensor = loss(logits_BL, target_B)
        return losses_B

    return loss_of_windows
