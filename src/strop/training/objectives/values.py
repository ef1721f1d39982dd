"""Objectives of many targets in [0, 1], each predicted by the sigmoid of a logit; missing targets are left out.

Dimensions: B windows in a batch, T targets, R rows.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]


def build_bce(*_: Any) -> Loss:
    """Binary cross-entropy with the target as the probability, shape (B,): the mean over a window's targets."""
    return _mean_of_known(_bce)


def build_mse(*_: Any) -> Loss:
    """Squared error of the sigmoid, shape (B,): the mean over a window's targets."""
    return _mean_of_known(lambda logits_BT, target_BT: (torch.sigmoid(logits_BT) - target_BT).square())


def build_pairwise_rank(*_: Any) -> Loss:
    """Logistic loss on every pair of windows whose targets differ, shape (B,): log(1 + exp(-(higher - lower))).

    RankNet (Burges et al. 2005, equation 3) with certain ranks. A pair's loss is shared by its two windows, and the
    mean over the batch is the mean over all pairs. A batch without such a pair has loss 0.
    """

    def loss_of_windows(logits_BT: Tensor, target_BT: Tensor) -> Tensor:
        # NaN is higher than nothing, so that missing targets make no pairs.
        is_higher_BBT = target_BT[:, None] > target_BT[None, :]
        losses_BBT = functional.softplus(logits_BT[None, :] - logits_BT[:, None]) * is_higher_BBT
        per_window_B = (losses_BBT.sum(dim=(1, 2)) + losses_BBT.sum(dim=(0, 2))) / 2
        n_pairs = is_higher_BBT.sum().clamp(min=1)
        return per_window_B * len(logits_BT) / n_pairs

    return loss_of_windows


def _bce(logits_BT: Tensor, target_BT: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits_BT, target_BT, reduction="none")


def _mean_of_known(of_each: Loss) -> Loss:
    """The mean of a loss over the targets that a window has; a window without any has loss 0."""

    def loss_of_windows(logits_BT: Tensor, target_BT: Tensor) -> Tensor:
        is_known_BT = ~torch.isnan(target_BT)
        losses_BT = of_each(logits_BT, torch.nan_to_num(target_BT)) * is_known_BT
        return losses_BT.sum(dim=1) / is_known_BT.sum(dim=1).clamp(min=1)

    return loss_of_windows
