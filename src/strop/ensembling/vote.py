"""Votes of several classifiers on the same rows: soft, hard, and weighted.

Dimensions: S voters, R rows, L labels.
"""

import numpy as np
from numpy.typing import NDArray

from strop.ensembling.blend import blend, cross_fitted_blend_by
from strop.ensembling.out_of_fold import SMALLEST_PROBABILITY
from strop.metrics.guards import check_rows

# The search ends a little beside zero; a voter with less than this has no say.
SMALLEST_WEIGHT = 1e-6

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


def soft_vote(probabilities_SRL: Floats) -> Floats:
    """Mean of the voters' probabilities, shape (R, L).

    Args:
        probabilities_SRL: Probabilities of at least one voter.
    """
    return np.asarray(probabilities_SRL.mean(axis=0))


def hard_vote(probabilities_SRL: Floats) -> Floats:
    """Share of the votes that every label has, shape (R, L), where each voter names its likeliest label.

    The mean of the voters' probabilities counts as one vote more: it decides ties and nothing else, since it adds less
    to a label than another vote would.

    Args:
        probabilities_SRL: Probabilities of at least one voter.
    """
    n_voters, _, n_labels = probabilities_SRL.shape
    votes_RL = np.eye(n_labels)[probabilities_SRL.argmax(axis=2)].sum(axis=0)
    return np.asarray((votes_RL + soft_vote(probabilities_SRL)) / (n_voters + 1))


def fit_vote_weights(probabilities_SRL: Floats, target_R: Numbers) -> Floats:
    """One weight a voter, shape (S,), not negative and with sum 1: those whose mean has the least log loss.

    The log loss of a weighted mean is convex in the weights, so that there is one best value; it is found from equal
    weights by sequential quadratic programming (Kraft 1988).

    Args:
        probabilities_SRL: Probabilities of every voter for the same rows, none trained on them.
        target_R: True label numbers.

    Raises:
        ValueError: There are no voters or rows, shapes differ, or the probabilities are none.
    """
    from scipy.optimize import LinearConstraint, minimize

    _check_voters(probabilities_SRL, target_R)
    n_voters, n_rows = probabilities_SRL.shape[:2]
    of_truth_SR = np.clip(probabilities_SRL[:, np.arange(n_rows), target_R], SMALLEST_PROBABILITY, 1.0)

    def loss_and_slope(weights_S: Floats) -> tuple[float, Floats]:
        mixed_R = np.maximum(weights_S @ of_truth_SR, SMALLEST_PROBABILITY)
        return -float(np.log(mixed_R).mean()), -(of_truth_SR / mixed_R).mean(axis=1)

    found = minimize(
        loss_and_slope,
        np.full(n_voters, 1 / n_voters),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * n_voters,
        constraints=LinearConstraint(np.ones((1, n_voters)), 1.0, 1.0),
        options={"maxiter": 300, "ftol": 1e-9},
    )
    weights_S = np.where(found.x < SMALLEST_WEIGHT, 0.0, np.minimum(found.x, 1.0))
    return np.asarray(weights_S / weights_S.sum())


def cross_fitted_vote(
    probabilities_SRL: Floats,
    target_R: Numbers,
    *,
    group_R: Numbers | None = None,
    n_folds: int = 5,
    seed: int = 0,
) -> Floats:
    """Weighted means, shape (R, L), each row's by weights that were fitted without it and its group.

    Args:
        probabilities_SRL: Probabilities of every voter for the same rows, none trained on them.
        target_R: True label numbers.
        group_R: Group number of every row, where rows come in groups.
        n_folds: How many times weights are fitted; fewer where there are fewer groups.
        seed: Deals the folds.

    Raises:
        ValueError: As `fit_vote_weights`, or there are fewer than two groups.
    """
    _check_voters(probabilities_SRL, target_R)
    return cross_fitted_blend_by(
        lambda is_kept_R: fit_vote_weights(probabilities_SRL[:, is_kept_R], target_R[is_kept_R]),
        probabilities_SRL,
        group_R=group_R,
        n_folds=n_folds,
        seed=seed,
    )


def weighted_vote(probabilities_SRL: Floats, weights_S: Floats) -> Floats:
    """Weighted mean of the voters' probabilities, shape (R, L).

    Args:
        probabilities_SRL: Probabilities of every voter.
        weights_S: One weight a voter.

    Raises:
        ValueError: There are not as many weights as voters, one is negative, or their sum is not 1.
    """
    return blend(probabilities_SRL, weights_S)


def as_logits(probabilities_RL: Floats) -> NDArray[np.float32]:
    """The logarithms of probabilities, shape (R, L): logits whose softmax gives them again."""
    return np.log(np.clip(probabilities_RL, SMALLEST_PROBABILITY, 1.0)).astype(np.float32)


def _check_voters(probabilities_SRL: Floats, target_R: Numbers) -> None:
    if probabilities_SRL.ndim != 3 or len(probabilities_SRL) == 0:
        raise ValueError(f"probabilities must have shape (voters, rows, labels), came {probabilities_SRL.shape}")
    for probabilities_RL in probabilities_SRL:
        check_rows(target_R, probabilities_RL)
