"""A transformer and a head that turn token ids into logits.

Dimensions: B windows in a batch, T tokens, H hidden size, L labels.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

Pooling = Literal["native", "mean", "first", "last"]


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


class PooledHead(nn.Module):
    """Dropout and one linear layer on a pooled vector."""

    def __init__(self, hidden_size: int, n_labels: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden_size, n_labels)
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, pooled_BH: Tensor) -> Tensor:
        """Logits, shape (B, L)."""
        logits_BL: Tensor = self.linear(self.dropout(pooled_BH.to(self.linear.weight.dtype)))
        return logits_BL


class Network(nn.Module):
    """A transformer of the `transformers` library, plain or under PEFT, and what makes it a classifier.

    Attributes:
        transformer: With pooling "native" the family's own model for sequence classification, else the bare body.
        head: The head on pooled states; None with pooling "native".
        pooling: How token states become one vector.
        head_modules: Names of the modules that are the head inside a native model.
    """

    def __init__(
        self, transformer: nn.Module, head: PooledHead | None, pooling: Pooling, head_modules: tuple[str, ...]
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.head = head
        self.pooling = pooling
        self.head_modules = head_modules

    def forward(self, input_ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Logits in float32, shape (B, L)."""
        output: Any = self.transformer(input_ids=input_ids_BT, attention_mask=mask_BT)
        if self.head is None:
            native_BL: Tensor = output.logits.float()
            return native_BL
        pooled_BH = pool_states(output.last_hidden_state, mask_BT, self.pooling)
        logits_BL: Tensor = self.head(pooled_BH)
        return logits_BL.float()

    def is_head(self, parameter_name: str) -> bool:
        """Whether a parameter, named as in `named_parameters`, belongs to the head."""
        if self.head is not None:
            return parameter_name.startswith("head.")
        return any(f".{module}." in f".{parameter_name}" for module in self.head_modules)

    def is_adapter(self, parameter_name: str) -> bool:
        """Whether a parameter belongs to a low-rank adapter."""
        return ".lora_" in parameter_name
