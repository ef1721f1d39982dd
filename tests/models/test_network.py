"""Pooling and heads worked out by hand."""

from pathlib import Path

import pytest
import torch

from strop.models.load import build_network, resolve_pooling
from strop.models.locate import locate_model
from strop.models.network import Inputs, PooledHead, pool_parts, pool_states
from strop.recipe.sections import Model

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


def test_parts_are_pooled_apart_after_the_first_token() -> None:
    part = torch.tensor([[0, 1, 0], [0, 1, 2]])
    expected = [[1.0, 2.0, 3.0, 4.0, 0.0, 0.0], [1.0, 1.0, 2.0, 2.0, 7.0, 7.0]]
    torch.testing.assert_close(pool_parts(STATES, RIGHT, part, 2), torch.tensor(expected))


def test_metadata_stand_beside_the_pooled_states() -> None:
    head = PooledHead(2, 3, 0.0, n_metadata=2).eval()
    pooled, metadata = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])
    expected = torch.tensor([[1.0, 2.0, 3.0, 4.0]]) @ head.linear.weight.T
    torch.testing.assert_close(head(pooled, metadata), expected)


def test_a_head_with_hidden_layers_is_a_small_network() -> None:
    head = PooledHead(2, 3, 0.0, hidden=[5, 4]).eval()
    assert [tuple(layer.weight.shape) for layer in [*head.hidden, head.linear]] == [(5, 2), (4, 5), (3, 4)]
    state = torch.tensor([[1.0, -2.0]])
    for layer in head.hidden:
        state = torch.nn.functional.gelu(state @ layer.weight.T)
    torch.testing.assert_close(head(torch.tensor([[1.0, -2.0]])), state @ head.linear.weight.T)


def test_segments_reach_a_body_that_has_them(tiny_encoder: Path) -> None:
    model = Model(name=str(tiny_encoder), precision="float32")
    located = locate_model(model)
    network = build_network(
        model, located, ("t",), pad_id=0, device=torch.device("cpu"), seed=0, inputs=Inputs(segments=(0, 0, 1))
    ).eval()
    assert network.pooling == "parts"
    assert network.head is not None
    assert network.head.linear.in_features == 3 * network.transformer.config.hidden_size
    ids, mask, part = (
        torch.tensor([[2, 7, 3, 9, 3]]),
        torch.ones(1, 5, dtype=torch.long),
        torch.tensor([[0, 1, 1, 2, 2]]),
    )
    with torch.no_grad():
        plain = network.transformer(input_ids=ids, attention_mask=mask, token_type_ids=torch.tensor([[0, 0, 0, 1, 1]]))
        expected = pool_parts(plain.last_hidden_state, mask, part, 2)
        torch.testing.assert_close(network.pool(ids, mask, part), expected)


@pytest.mark.parametrize(
    ("settings", "inputs", "pooling"),
    [
        ({}, Inputs(), "native"),
        ({}, Inputs(n_metadata=3), "mean"),
        ({"head_hidden": [8]}, Inputs(), "mean"),
        ({}, Inputs(segments=(0, 0, 1)), "parts"),
        ({"pooling": "first"}, Inputs(n_metadata=3), "first"),
    ],
)
def test_what_stands_beside_the_tokens_decides_the_pooling(tiny_encoder, settings, inputs, pooling) -> None:
    model = Model(name=str(tiny_encoder), **settings)
    assert resolve_pooling(model, locate_model(model), inputs) == pooling


def test_a_head_computes_in_single_precision_under_autocast(tiny_encoder: Path) -> None:
    model = Model(name=str(tiny_encoder), pooling="mean")
    located = locate_model(model)
    network = build_network(model, located, ["a"], pad_id=0, device=torch.device("cpu"), seed=0).eval()
    input_ids_BT = torch.randint(5, 60, (300, 4), generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        pooled_BF = network.pool(input_ids_BT, torch.ones_like(input_ids_BT))
        logits_BL = network(input_ids_BT, torch.ones_like(input_ids_BT))
    assert torch.equal(logits_BL, network.head(pooled_BF))
    # In half precision most of them would be tied.
    assert len(logits_BL.unique()) > 250
