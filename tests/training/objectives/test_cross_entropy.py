"""Class weights worked out by hand, and the loss against its definition."""

import math

import numpy as np
import pytest
import torch

from strop.recipe.sections import Stage
from strop.training.objectives import OBJECTIVES
from strop.training.objectives.cross_entropy import class_weights

TARGET = np.array([0] * 6 + [1] * 3 + [2] * 1)


def test_balanced_weights_make_all_classes_count_the_same() -> None:
    # 10 rows, 3 classes: 10/18, 10/9, 10/3; their mean over rows is (6*10/18 + 3*10/9 + 10/3) / 10 = 1.
    weights = class_weights(TARGET, 3, balanced=True, rare_class_penalty=1.0)
    np.testing.assert_allclose(weights, [10 / 18, 10 / 9, 10 / 3])
    np.testing.assert_allclose(weights * np.bincount(TARGET), 10 / 3)


def test_the_penalty_lifts_classes_below_the_average() -> None:
    # The average class has 10/3 rows: classes 1 and 2 are rare. Unscaled (1, 2, 2), mean (6 + 6 + 2) / 10 = 1.4.
    weights = class_weights(TARGET, 3, balanced=False, rare_class_penalty=2.0)
    np.testing.assert_allclose(weights, np.array([1, 2, 2]) / 1.4)


def test_a_class_without_rows_has_a_finite_weight() -> None:
    weights = class_weights(np.array([0, 0, 1]), 3, balanced=True, rare_class_penalty=3.0)
    assert np.isfinite(weights).all()


def test_without_weights_all_weigh_one() -> None:
    np.testing.assert_allclose(class_weights(TARGET, 3, balanced=False, rare_class_penalty=1.0), 1.0)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_is_the_weighted_negative_log_likelihood(smoothing: float) -> None:
    stage = Stage(class_weights="balanced", label_smoothing=smoothing)
    loss = OBJECTIVES["cross_entropy"](stage, TARGET, 3, torch.device("cpu"))
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
    weights = [10 / 18, 10 / 9, 10 / 3]
    expected = []
    for row, target in ((logits[0].tolist(), 2), (logits[1].tolist(), 0)):
        total = math.log(sum(math.exp(value) for value in row))
        nll = [total - value for value in row]
        smooth = sum(weight * one for weight, one in zip(weights, nll, strict=True)) / 3
        expected.append((1 - smoothing) * weights[target] * nll[target] + smoothing * smooth)
    np.testing.assert_allclose(loss(logits, torch.tensor([2, 0])).numpy(), expected, rtol=1e-5)


def test_a_batch_of_one_class_keeps_its_weight() -> None:
    loss = OBJECTIVES["cross_entropy"](Stage(), TARGET, 3, torch.device("cpu"))
    rare = loss(torch.zeros(4, 3), torch.tensor([2, 2, 2, 2])).mean()
    np.testing.assert_allclose(float(rare), 10 / 3 * math.log(3), rtol=1e-5)
