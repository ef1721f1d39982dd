"""What a stage trains on: batches in a fixed order, and the loss of each.

Dimensions: B windows in a batch, F width of pooled states, L labels, R rows, W windows.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor

from strop.models.batch import make_batch, metadata_of
from strop.models.network import Network
from strop.recipe.sections import Stage
from strop.records.examples import Examples
from strop.text.batches import plan_batches
from strop.training.objectives import OBJECTIVES, Targets


class Feed(Protocol):
    """Batches to train on."""

    def plan(self, epoch: int) -> list[Any]:
        """The batches of an epoch, counted from 0; equal for equal epochs, and always as many."""

    def passes(self, batches: Sequence[Any], device: torch.device) -> Sequence[Any]:
        """What goes through the model together of the batches of one optimiser step."""

    def loss(self, network: Network, one: Any, accelerator: Accelerator) -> Tensor:
        """A pass's part of the loss of its step, a scalar: the parts of all passes sum up to it."""


class WindowFeed:
    """Windows of rows with labels or targets, read by the whole network or by its head from features of the body.

    Attributes:
        features_WF: What the head is given of the body for every window, where the body stays as it is.
    """

    def __init__(
        self,
        stage: Stage,
        examples: Examples,
        rows: NDArray[np.intp],
        target_R: Targets,
        device: torch.device,
        *,
        n_labels: int,
        pad_id: int,
        seed: int,
        metadata_RM: NDArray[np.float32] | None = None,
        features_WF: NDArray[np.float32] | None = None,
    ) -> None:
        """Take the windows of the rows to train on.

        Args:
            stage: The recipe's section.
            examples: Token ids of at least these rows.
            rows: Positions in `examples` of the rows to train on.
            target_R: Label number of every row in `examples`, or its scaled targets (R, L); only those in `rows` are
                read.
            device: Where the model runs.
            n_labels: L.
            pad_id: Token id that fills short windows.
            seed: Seeds the order.
            metadata_RM: Metadata of every row in `examples`, None where there is none.
            features_WF: Features of every window in `examples`, where the head alone is trained.
        """
        self.stage, self.examples, self.target_R = stage, examples, target_R
        self.pad_id, self.seed, self.metadata_RM, self.features_WF = pad_id, seed, metadata_RM, features_WF
        self.windows_W = examples.windows_of_rows(rows)
        self.length_W = examples.length_W[self.windows_W]
        # The windows of a row share its weight, so that long rows count no more than short ones.
        row_W = examples.row_W[self.windows_W]
        self.share_W = 1.0 / np.bincount(row_W, minlength=examples.n_rows)[row_W]
        self.share_W /= self.share_W.mean()
        self.loss_of_windows = OBJECTIVES[stage.objective](stage, target_R[rows], n_labels, device)

    def plan(self, epoch: int) -> list[NDArray[np.intp]]:
        """Positions among the windows to train on, batch by batch."""
        stage = self.stage
        return plan_batches(
            self.length_W, stage.batch_size, seed=self.seed, epoch=epoch, group_by_length=stage.length_grouping
        )

    def passes(self, batches: Sequence[NDArray[np.intp]], device: torch.device) -> list[tuple[NDArray[np.intp], int]]:
        """Every batch by itself, and how many there are."""
        del device
        return [(batch, len(batches)) for batch in batches]

    def loss(self, network: Network, one: tuple[NDArray[np.intp], int], accelerator: Accelerator) -> Tensor:
        """Mean loss of the windows, each weighed so that rows count the same, over the number of batches."""
        (batch, n_batches), device = one, accelerator.device
        windows = self.windows_W[batch]
        target_B = torch.from_numpy(self.target_R[self.examples.row_W[windows]]).to(device)
        share_B = torch.from_numpy(self.share_W[batch]).to(device, torch.float32)
        losses_B = self.loss_of_windows(self._logits(network, windows, accelerator), target_B)
        return (losses_B * share_B).mean() / n_batches

    def _logits(self, network: Network, windows: NDArray[np.intp], accelerator: Accelerator) -> Tensor:
        """Logits of a batch, shape (B, L): by the whole network, or by the head from features of the body."""
        device = accelerator.device
        if self.features_WF is not None and network.head is not None:
            metadata_BM = metadata_of(self.examples, windows, self.metadata_RM, device)
            from_head_BL: Tensor = network.head(torch.from_numpy(self.features_WF[windows]).to(device), metadata_BM)
            return from_head_BL.float()
        batch = make_batch(self.examples, windows, self.metadata_RM, pad_id=self.pad_id, device=device)
        with accelerator.autocast():
            logits_BL: Tensor = network(*batch)
        return logits_BL
