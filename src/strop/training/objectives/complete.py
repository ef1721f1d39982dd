"""The loss of a causal model on the tokens of the answers alone.

Dimensions: R rows, P prompts, N answer tokens of a pass, V vocabulary.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from typing import Literal, Self

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from strop.models.adapters import casts_left_to_autocast
from strop.models.network import Network
from strop.models.shared_context import answer_logits, pack_batch, why_not_shared
from strop.recipe.sections import Stage
from strop.records.completions import Completions
from strop.records.ledger import Entry
from strop.text.packs import PASS_TOKENS, Pack, cut_passes, plan_packs
from strop.training.noise import noisy_embeddings

Batch = Sequence[Pack]


@dataclass(frozen=True)
class Pass:
    """Packs that go through the model together.

    Attributes:
        packs: Some of a batch's packs.
        step_weight: The sum of the weights of all answer tokens of the optimiser's step.
    """

    packs: tuple[Pack, ...]
    step_weight: float


@dataclass(frozen=True)
class CompletionFeed:
    """Batches of a stage, and their loss.

    The loss of a step is the weighted mean of the cross-entropy of all its answer tokens, whichever passes and packs
    they stand in: loss and gradient are those of the same rows read one by one. With weights by "tokens" every token of
    every answer counts the same; by "rows" the tokens of an answer share the weight of its row. Windows of one row
    share the row's weight in both.

    Attributes:
        completions: All prompts and answers.
        prompts: Positions of the prompts to train on, each with an answer.
        batch_size: Prompts in a batch.
        seed: Seeds the order.
        pad_id: Token id that fills short packs.
        answer_weights: What counts the same: tokens, or rows.
        neftune_alpha: Strength of the noise on token embeddings.
        share_context: Whether prompts of one context stand behind one copy of it.
    """

    completions: Completions
    prompts: NDArray[np.intp]
    batch_size: int
    seed: int
    pad_id: int
    answer_weights: Literal["tokens", "rows"] = "tokens"
    neftune_alpha: float = 0.0
    share_context: bool = True

    @classmethod
    def of_stage(
        cls, stage: Stage, completions: Completions, rows: NDArray[np.intp], *, pad_id: int, seed: int
    ) -> Self:
        """Feed a stage of the recipe.

        Args:
            stage: The recipe's section.
            completions: Prompts and answers of at least the rows to train on.
            rows: Positions of the rows to train on; their prompts without an answer are left out.
            pad_id: Token id that fills short packs.
            seed: Seeds the order.

        Raises:
            ValueError: No prompt of these rows has an answer.
        """
        is_trained_P = np.isin(completions.row_P, rows) & (completions.answer_tokens_P > 0)
        if not is_trained_P.any():
            raise ValueError("at least one prompt of the rows to train on must have an answer")
        return cls(
            completions,
            np.flatnonzero(is_trained_P),
            stage.batch_size,
            seed,
            pad_id,
            stage.answer_weights,
            stage.neftune_alpha,
            stage.share_context,
        )

    @property
    def n_batches(self) -> int:
        """Batches in an epoch, the same in all."""
        return ceil(len(self.prompts) / self.batch_size)

    @cached_property
    def weight_P(self) -> NDArray[np.float64]:
        """Weight of each answer token of every prompt, 0 for prompts that are not trained on, shape (P,)."""
        weight_P = np.zeros(self.completions.n_prompts)
        row_T = self.completions.row_P[self.prompts]
        weight_P[self.prompts] = 1.0 / np.bincount(row_T, minlength=self.completions.n_rows)[row_T]
        if self.answer_weights == "rows":
            weight_P[self.prompts] /= self.completions.answer_tokens_P[self.prompts]
        return weight_P

    def plan(self, epoch: int) -> list[list[Pack]]:
        """The batches of an epoch, counted from 0."""
        return plan_packs(
            self.completions,
            self.prompts,
            self.batch_size,
            seed=self.seed,
            epoch=epoch,
            share_context=self.share_context,
        )

    def passes(self, batches: Sequence[Batch], device: torch.device) -> list[Pass]:
        """Divide the batches of one optimiser step into passes; each is to be sent backward on its own.

        Args:
            batches: As many as gradients are accumulated over.
            device: Where the model runs.
        """
        prompts = [at for batch in batches for pack in batch for at in pack.prompts]
        step_weight = float((self.weight_P * self.completions.answer_tokens_P)[prompts].sum())
        return [
            Pass(tuple(packs), step_weight)
            for batch in batches
            for packs in cut_passes(batch, PASS_TOKENS.get(device.type, PASS_TOKENS["cuda"]))
        ]

    def loss(self, network: Network, one: Pass, accelerator: Accelerator) -> Tensor:
        """A pass's part of the loss of its step: the parts of all passes sum up to it.

        Args:
            network: A causal network; embeddings get noise where it is in training mode.
            one: What `passes` gave.
            accelerator: Device and precision.
        """
        device = accelerator.device
        packed = pack_batch(self.completions, one.packs, pad_id=self.pad_id, device=device)
        alpha = self.neftune_alpha if network.training else 0.0
        casts = nullcontext() if accelerator.mixed_precision == "no" else casts_left_to_autocast(network.transformer)
        with accelerator.autocast(), casts, noisy_embeddings(network.transformer, alpha, packed.row_tokens_BT):
            logits_NV = answer_logits(network, packed)
        loss_N = functional.cross_entropy(logits_NV.float(), packed.target_N, reduction="none")
        weight_P = torch.from_numpy(self.weight_P / one.step_weight).to(device, torch.float32)
        return (loss_N * weight_P[packed.prompt_N]).sum()

    def proven(self, network: Network, accelerator: Accelerator) -> tuple[Self, list[Entry]]:
        """Share contexts only if that is proven to change nothing for this model, on the longest pack of an epoch.

        Returns:
            This feed, or one that reads every row alone, and what the ledger shall say.
        """
        shared = [pack for batch in self.plan(0) for pack in batch if len(pack.prompts) > 1]
        if not shared:
            return self, []
        longest = max(shared, key=lambda pack: (pack.n_tokens, pack.prompts))
        with accelerator.autocast():
            reason = why_not_shared(network, self.completions, longest, pad_id=self.pad_id, device=accelerator.device)
        if reason is None:
            return self, []
        what = f"contexts are read once for every row, not once for all rows of a context: with this model {reason}"
        return replace(self, share_context=False), [Entry("note", "training", what)]
