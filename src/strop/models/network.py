"""A transformer and a head that turn token ids, and metadata beside them, into logits.

Dimensions: B windows in a batch, T tokens, H hidden size, F width of what is pooled, M metadata values, L outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

Pooling = Literal["native", "mean", "first", "last", "parts"]


@dataclass(frozen=True)
class Inputs:
    """What a network is given beside token ids, and what its outputs are.

    Attributes:
        segments: Segment id by part number, entry 0 for the special tokens before the first part; empty where texts are
            read as one.
        n_metadata: M.
        is_regression: Whether the outputs are targets, each through a sigmoid, rather than labels through a softmax.
    """

    segments: tuple[int, ...] = ()
    n_metadata: int = 0
    is_regression: bool = False

    @property
    def n_parts(self) -> int:
        """How many text parts there are; 0 where texts are read as one."""
        return max(0, len(self.segments) - 1)


class Batch(NamedTuple):
    """Windows as a network takes them: `network(*batch)`."""

    input_ids_BT: Tensor
    mask_BT: Tensor
    part_BT: Tensor | None = None
    metadata_BM: Tensor | None = None


def pool_states(states_BTH: Tensor, mask_BT: Tensor, pooling: Pooling) -> Tensor:
    """Make one vector of a window's token states, shape (B, H); padding is left out.

    Args:
        states_BTH: Last hidden states.
        mask_BT: 1 for a token, 0 for padding, on either side.
        pooling: mean over tokens, first token, or last token.
    """
    if pooling == "mean":
        weights_BT1 = mask_BT.unsqueeze(-1).to(states_BTH.dtype)
        return (states_BTH * weights_BT1).sum(dim=1) / weights_BT1.sum(dim=1).clamp(min=1.0)
    positions_T = torch.arange(mask_BT.shape[1], device=mask_BT.device)
    if pooling == "first":
        at_B = torch.where(mask_BT.bool(), positions_T, mask_BT.shape[1] - 1).amin(dim=1)
    else:
        at_B = torch.where(mask_BT.bool(), positions_T, 0).amax(dim=1)
    return states_BTH[torch.arange(len(at_B), device=at_B.device), at_B]


def pool_parts(states_BTH: Tensor, mask_BT: Tensor, part_BT: Tensor, n_parts: int) -> Tensor:
    """Pool parts apart: the first token's state, then the mean over every part, shape (B, (1 + n_parts) * H).

    A part without tokens gives zeros.

    Args:
        states_BTH: Last hidden states.
        mask_BT: 1 for a token, 0 for padding.
        part_BT: For every token the number of its part, from 1; 0 for tokens of no part.
        n_parts: How many parts there are.
    """
    of_part = [pool_states(states_BTH, mask_BT * (part_BT == number), "mean") for number in range(1, n_parts + 1)]
    return torch.cat([pool_states(states_BTH, mask_BT, "first"), *of_part], dim=1)


class PooledHead(nn.Module):
    """Linear layers on a pooled vector, with metadata beside it; dropout before each of them, GELU between them.

    Attributes:
        hidden: Hidden layers, none for a linear head.
        linear: The last layer; its weight has shape (L, width).
    """

    def __init__(
        self, n_features: int, n_outputs: int, dropout: float, *, hidden: Sequence[int] = (), n_metadata: int = 0
    ) -> None:
        super().__init__()
        widths = [n_features + n_metadata, *hidden]
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.linear = nn.Linear(widths[-1], n_outputs)
        for layer in [*self.hidden, self.linear]:
            nn.init.normal_(layer.weight, std=0.02 if layer is self.linear else layer.in_features**-0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, pooled_BF: Tensor, metadata_BM: Tensor | None = None) -> Tensor:
        """Logits, shape (B, L)."""
        state = self.dropout(pooled_BF.to(self.linear.weight.dtype))
        if metadata_BM is not None:
            state = torch.cat([state, metadata_BM.to(state.dtype)], dim=1)
        for layer in self.hidden:
            state = self.dropout(nn.functional.gelu(layer(state)))
        logits_BL: Tensor = self.linear(state)
        return logits_BL


class Network(nn.Module):
    """A transformer of the `transformers` library, plain or under PEFT, and what makes it predict.

    Attributes:
        transformer: With pooling "native" the family's own model for sequence classification, else the bare body.
        head: The head on pooled states; None with pooling "native".
        pooling: How token states become one vector.
        head_modules: Names of the modules that are the head inside a native model.
        inputs: What the network is given beside token ids.
    """

    def __init__(
        self,
        transformer: nn.Module,
        head: PooledHead | None,
        pooling: Pooling,
        head_modules: tuple[str, ...],
        inputs: Inputs = Inputs(),
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.head = head
        self.pooling = pooling
        self.head_modules = head_modules
        self.inputs = inputs
        config: Any = transformer.config
        has_segments = bool(inputs.segments) and (getattr(config, "type_vocab_size", 0) or 0) > max(inputs.segments)
        self.segment_of_part: Tensor | None
        self.register_buffer(
            "segment_of_part", torch.tensor(inputs.segments) if has_segments else None, persistent=False
        )

    def forward(
        self,
        input_ids_BT: Tensor,
        mask_BT: Tensor,
        part_BT: Tensor | None = None,
        metadata_BM: Tensor | None = None,
    ) -> Tensor:
        """Logits in float32, shape (B, L)."""
        if self.head is None:
            native_BL: Tensor = self._run(input_ids_BT, mask_BT, part_BT).logits.float()
            return native_BL
        pooled_BF = self.pool(input_ids_BT, mask_BT, part_BT)
        # Not in half precision, which has so few numbers that rows of different features would tie; and as a stage does
        # that trains the head on cached features.
        with torch.autocast(pooled_BF.device.type, enabled=False):
            logits_BL: Tensor = self.head(pooled_BF, metadata_BM)
        return logits_BL.float()

    def pool(self, input_ids_BT: Tensor, mask_BT: Tensor, part_BT: Tensor | None = None) -> Tensor:
        """What the head is given of the body, shape (B, F)."""
        states_BTH = self._run(input_ids_BT, mask_BT, part_BT).last_hidden_state
        if self.pooling == "parts" and part_BT is not None:
            return pool_parts(states_BTH, mask_BT, part_BT, self.inputs.n_parts)
        return pool_states(states_BTH, mask_BT, self.pooling)

    def _run(self, input_ids_BT: Tensor, mask_BT: Tensor, part_BT: Tensor | None) -> Any:
        segments = {}
        if self.segment_of_part is not None and part_BT is not None:
            segments["token_type_ids"] = self.segment_of_part[part_BT]
        return self.transformer(input_ids=input_ids_BT, attention_mask=mask_BT, **segments)

    def is_head(self, parameter_name: str) -> bool:
        """Whether a parameter, named as in `named_parameters`, belongs to the head."""
        if self.head is not None:
            return parameter_name.startswith("head.")
        return any(f".{module}." in f".{parameter_name}" for module in self.head_modules)

    def is_adapter(self, parameter_name: str) -> bool:
        """Whether a parameter belongs to a low-rank adapter."""
        return ".lora_" in parameter_name
