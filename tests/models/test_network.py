"""Pooling worked out by hand."""

import pytest
import torch

from strop.models.network import pool_states

STATES = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]], [[1.0, 1.0], [2.0, 2.0], [7.0, 7.0]]])
RIGHT = torch.tensor([[1, 1, 0], [1, 1, 1]])
LEFT = torch.tensor([[0, 1, 1], [1, 1, 1]])


@pytest.mark.parametrize(
    ("pooling", "mask", "expected"),
    [
        ("mean", RIGHT, [[2.0, 3.0], [10 / 3, 10 / 3]]),
        ("mean", LEFT, [[4.0, 6.5], [10 / 3, 10 / 3]]),
        ("first", RIGHT, [[1.0, 2.0], [1.0, 1.0]]),
        ("first", LEFT, [[3.0, 4.0], [1.0, 1.0]]),
        ("last", RIGHT, [[3.0, 4.0], [7.0, 7.0]]),
        ("last", LEFT, [[5.0, 9.0], [7.0, 7.0]]),
    ],
)
def test_padding_is_left_out_on_either_side(pooling: str, mask: torch.Tensor, expected: list[list[float]]) -> None:
    torch.testing.assert_close(pool_states(STATES, mask, pooling), torch.tensor(expected))
