"""Objectives of targets in [0, 1], worked out by hand."""

import math

import pytest
import torch

from strop.training.objectives import OBJECTIVES
from strop.training.objectives.values import build_bce, build_mse, build_pairwise_rank

NAN = float("nan")
LOGITS = torch.tensor([[0.0, 2.0], [1.0, -1.0]])


def test_bce_is_the_mean_over_the_targets_that_are_known():
    losses = build_bce()(LOGITS, torch.tensor([[0.5, NAN], [1.0, 0.25]]))
    first = math.log(2.0)
    second = (math.log1p(math.exp(-1.0)) + 0.25 * math.log1p(math.exp(1.0)) + 0.75 * math.log1p(math.exp(-1.0))) / 2
    torch.testing.assert_close(losses, torch.tensor([first, second]))


def test_mse_is_that_of_the_sigmoid():
    losses = build_mse()(LOGITS, torch.tensor([[0.5, 1.0], [NAN, 0.0]]))
    sigmoid = 1 / (1 + math.exp(-2.0)), 1 / (1 + math.exp(1.0))
    torch.testing.assert_close(losses, torch.tensor([(1 - sigmoid[0]) ** 2 / 2, sigmoid[1] ** 2]))


def test_pairwise_rank_is_the_mean_over_pairs_that_differ():
    # Target 0: window 1 above window 0. Target 1: a tie, no pair.
    losses = build_pairwise_rank()(LOGITS, torch.tensor([[0.0, 0.5], [1.0, 0.5]]))
    assert losses.mean().item() == pytest.approx(math.log1p(math.exp(-(1.0 - 0.0))))
    # Both targets: the second puts window 0 above window 1.
    both = build_pairwise_rank()(LOGITS, torch.tensor([[0.0, 0.9], [1.0, 0.1]]))
    expected = (math.log1p(math.exp(-1.0)) + math.log1p(math.exp(-(2.0 - -1.0)))) / 2
    assert both.mean().item() == pytest.approx(expected)


def test_missing_targets_and_ties_make_no_pairs():
    losses = build_pairwise_rank()(LOGITS, torch.tensor([[NAN, 0.5], [1.0, 0.5]]))
    assert losses.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", ["bce", "mse", "pairwise_rank"])
def test_missing_targets_leave_gradients_finite(name):
    logits = LOGITS.clone().requires_grad_()
    OBJECTIVES[name](None, None, 2, torch.device("cpu"))(logits, torch.full((2, 2), NAN)).mean().backward()
    assert logits.grad.tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("name", ["bce", "mse", "pairwise_rank"])
def test_a_step_down_the_gradient_brings_values_nearer_to_the_targets(name):
    target = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.5, 0.4]])
    logits = torch.zeros(3, 2, requires_grad=True)
    loss_of = OBJECTIVES[name](None, target.numpy(), 2, torch.device("cpu"))
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        loss_of(logits, target).mean().backward()
        optimizer.step()
    assert logits.argsort(dim=0).tolist() == target.argsort(dim=0).tolist()
