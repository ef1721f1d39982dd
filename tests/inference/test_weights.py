"""A network that writes is as it was before, and its output matrix is given states in one stretch."""

from typing import Any

import torch

from strop.inference.weights import ready_to_write
from strop.models.network import Network
from strop.models.precision import make_accelerator


def test_the_output_matrix_reads_last_tokens_in_one_stretch(network: Network) -> None:
    ids = torch.arange(3, 15).reshape(2, 6)
    seen: list[bool] = []
    transformer: Any = network.transformer
    head = transformer.get_output_embeddings()
    watch = head.register_forward_hook(lambda _, given, __: seen.append(given[0].is_contiguous()))
    with torch.no_grad():
        plain = transformer.eval()(input_ids=ids, logits_to_keep=1).logits
    with ready_to_write(network, make_accelerator("float32")) as model:
        written = model(input_ids=ids, logits_to_keep=1).logits
    with torch.no_grad():
        transformer(input_ids=ids, logits_to_keep=1)
    watch.remove()
    # Without it, here and again afterwards, the states are a slice: what some processors are slow at.
    assert seen == [False, True, False]
    assert torch.equal(plain, written)


def test_weights_are_rounded_meanwhile_alone(network: Network) -> None:
    network.train()
    before = {name: weight.data.clone() for name, weight in network.named_parameters()}
    with ready_to_write(network, make_accelerator("bfloat16")) as model:
        assert not model.training
        assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert network.training
    assert all(torch.equal(weight.data, before[name]) for name, weight in network.named_parameters())
