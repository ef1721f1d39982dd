"""What every registered metric keeps to."""

from typing import get_args

import numpy as np
import pytest

from strop.metrics.answers import ANSWER_METRICS
from strop.metrics.registry import METRICS
from strop.metrics.regression import REGRESSION_METRICS
from strop.recipe.sections import Evaluation

every_metric = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)


def drawn(seed: int, n_labels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.integers(n_labels, size=50), generator.dirichlet(np.ones(n_labels), size=50)


@every_metric
@pytest.mark.parametrize("n_labels", [2, 3, 6])
def test_perfect_predictions_have_the_best_value(metric, n_labels):
    target_R = np.arange(24) % n_labels
    assert metric.value(target_R, np.eye(n_labels)[target_R]) == pytest.approx(metric.best, abs=1e-12)


@every_metric
@pytest.mark.parametrize("seed", range(3))
def test_values_lie_in_the_range(metric, seed):
    value = metric.value(*drawn(seed))
    assert min(metric.worst, metric.best) <= value <= max(metric.worst, metric.best)


@every_metric
def test_the_direction_is_that_of_the_range(metric):
    assert metric.higher_is_better is (metric.best > metric.worst)


@every_metric
def test_better_predictions_score_better(metric):
    target_R, poor_RL = drawn(0)
    good_RL = 0.2 * poor_RL + 0.8 * np.eye(3)[target_R]
    sign = 1 if metric.higher_is_better else -1
    assert sign * metric.value(target_R, good_RL) > sign * metric.value(target_R, poor_RL)


@every_metric
def test_the_order_of_rows_makes_no_difference(metric):
    target_R, probabilities_RL = drawn(1)
    order = np.random.default_rng(0).permutation(50)
    assert metric.value(target_R[order], probabilities_RL[order]) == pytest.approx(
        metric.value(target_R, probabilities_RL)
    )


@every_metric
def test_the_order_of_labels_makes_no_difference(metric):
    target_R, probabilities_RL = drawn(2)
    new_number = np.array([2, 0, 1])
    moved_RL = np.empty_like(probabilities_RL)
    moved_RL[:, new_number] = probabilities_RL
    assert metric.value(new_number[target_R], moved_RL) == pytest.approx(metric.value(target_R, probabilities_RL))


@every_metric
def test_a_weight_counts_as_so_many_rows(metric):
    target_R, probabilities_RL = drawn(3)
    weight_BR = np.random.default_rng(5).integers(0, 3, size=(4, 50)).astype(float)
    for weight_R, found in zip(weight_BR, metric.weighted(target_R, probabilities_RL, weight_BR), strict=True):
        rows = np.repeat(np.arange(50), weight_R.astype(int))
        assert found == pytest.approx(metric.value(target_R[rows], probabilities_RL[rows]))


@every_metric
def test_what_depends_on_counts_alone_says_so(metric):
    target_R, probabilities_RL = drawn(4)
    sharper_RL = np.eye(3)[probabilities_RL.argmax(axis=1)]
    unchanged = metric.value(target_R, sharper_RL) == pytest.approx(metric.value(target_R, probabilities_RL))
    assert unchanged is (metric.of_confusion is not None)


@every_metric
@pytest.mark.parametrize("n_labels", [2, 3])
def test_what_rows_add_to_a_difference_sums_up_to_it(metric, n_labels):
    if metric.difference_by_row is None:
        return
    (target_R, one_RL), (_, other_RL) = drawn(5, n_labels), drawn(6, n_labels)
    one_RL[:20] = one_RL[20:40]  # ties
    by_row_R = metric.difference_by_row(target_R, one_RL, other_RL)
    assert by_row_R.shape == (50,)
    assert by_row_R.sum() == pytest.approx(metric.value(target_R, one_RL) - metric.value(target_R, other_RL))
    np.testing.assert_allclose(metric.difference_by_row(target_R, other_RL, one_RL), -by_row_R, atol=1e-12)


@every_metric
@pytest.mark.parametrize(
    ("target", "probabilities", "words"),
    [
        (np.array([], dtype=int), np.empty((0, 2)), "not empty"),
        (np.array([0, 1]), np.array([0.5, 0.5]), "must have shape"),
        (np.array([0, 1, 1]), np.array([[0.5, 0.5], [0.5, 0.5]]), "must have 3 rows"),
        (np.array([0, 2]), np.array([[0.5, 0.5], [0.5, 0.5]]), "between 0 and 1, came 0 to 2"),
        (np.array([0, 1]), np.array([[0.5, 0.5], [np.nan, 0.5]]), "must be finite"),
        (np.array([0.0, 1.0]), np.array([[0.5, 0.5], [0.5, 0.5]]), "whole numbers"),
    ],
)
def test_what_is_no_prediction_is_refused(metric, target, probabilities, words):
    with pytest.raises(ValueError, match=words):
        metric.value(target, probabilities)


def test_names_are_those_they_are_registered_by():
    assert [metric.name for metric in METRICS.values()] == list(METRICS)


def test_every_primary_metric_of_a_recipe_is_registered():
    known = METRICS.keys() | REGRESSION_METRICS.keys() | ANSWER_METRICS.keys()
    assert set(get_args(Evaluation.model_fields["primary_metric"].annotation)) <= known
