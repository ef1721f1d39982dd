import numpy as np
import pytest
from scipy.special import softmax
from sklearn.ensemble import VotingClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

from strop.ensembling.vote import (
    as_logits,
    cross_fitted_vote,
    fit_vote_weights,
    hard_vote,
    soft_vote,
    weighted_vote,
)
from strop.metrics.probability import row_log_loss


def drawn(noise_of_voter: tuple[float, ...], n_rows: int = 400, n_labels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    target_R = generator.integers(n_labels, size=n_rows)
    noise_SRL = generator.normal(size=(len(noise_of_voter), n_rows, n_labels))
    logits_SRL = 2 * np.eye(n_labels)[target_R] + np.array(noise_of_voter)[:, None, None] * noise_SRL
    return softmax(logits_SRL, axis=2), target_R


def test_votes_by_hand():
    probabilities_SRL = np.array([[[0.6, 0.4]], [[0.6, 0.4]], [[0.1, 0.9]]])
    assert soft_vote(probabilities_SRL) == pytest.approx(np.array([[1.3 / 3, 1.7 / 3]]))
    assert hard_vote(probabilities_SRL) == pytest.approx(np.array([[(2 + 1.3 / 3) / 4, (1 + 1.7 / 3) / 4]]))
    weights_S = np.array([0.5, 0.25, 0.25])
    assert weighted_vote(probabilities_SRL, weights_S) == pytest.approx(np.array([[0.475, 0.525]]))


def test_ties_are_decided_by_the_mean_probability():
    probabilities_SRL = np.array([[[0.6, 0.4, 0.0]], [[0.1, 0.9, 0.0]]])
    assert hard_vote(probabilities_SRL).argmax() == 1
    # The mean alone would name the second label: 0.50 against 0.34.
    votes = np.array([[[0.4, 0.3, 0.3]], [[0.4, 0.3, 0.3]], [[0.22, 0.9 - 0.22, 0.1]], [[0.4, 0.39, 0.21]]])
    assert hard_vote(votes).argmax() == 0


def test_votes_are_those_of_scikit_learn():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 4))
    target_R = (features[:, 0] + generator.normal(size=200) > 0).astype(int) + (features[:, 1] > 1)
    voters = [("bayes", GaussianNB()), ("small", DecisionTreeClassifier(max_depth=2, random_state=0))]
    voters.append(("large", DecisionTreeClassifier(max_depth=5, random_state=0)))
    soft = VotingClassifier(voters, voting="soft", weights=[1, 2, 3]).fit(features, target_R)
    probabilities_SRL = np.stack([voter.predict_proba(features) for voter in soft.estimators_])
    weights_S = np.array([1, 2, 3]) / 6
    assert weighted_vote(probabilities_SRL, weights_S) == pytest.approx(soft.predict_proba(features))
    hard = VotingClassifier(voters, voting="hard").fit(features, target_R)
    predicted_SR = probabilities_SRL.argmax(axis=2)
    is_tied_R = np.array([len(set(votes)) == 3 for votes in predicted_SR.T])
    ours_R = hard_vote(probabilities_SRL).argmax(axis=1)
    assert (ours_R == hard.predict(features))[~is_tied_R].all()


def test_weights_have_the_least_log_loss():
    probabilities_SRL, target_R = drawn((1.0, 3.0, 1.2))
    weights_S = fit_vote_weights(probabilities_SRL, target_R)
    assert weights_S.sum() == pytest.approx(1.0)
    assert (weights_S >= 0).all()
    assert weights_S[1] < weights_S[0]
    loss = row_log_loss(target_R, weighted_vote(probabilities_SRL, weights_S)).mean()
    grid = [np.array([a, b, 20 - a - b]) / 20 for a in range(21) for b in range(21 - a)]
    others = [row_log_loss(target_R, weighted_vote(probabilities_SRL, one)).mean() for one in grid]
    assert loss <= min(others) + 1e-6
    assert weights_S.tolist() == fit_vote_weights(probabilities_SRL, target_R).tolist()


def test_a_useless_voter_gets_no_weight_and_a_perfect_one_all():
    probabilities_SRL, target_R = drawn((0.0, 5.0))
    probabilities_SRL[0] = np.eye(3)[target_R]
    assert fit_vote_weights(probabilities_SRL, target_R) == pytest.approx([1.0, 0.0], abs=1e-6)
    probabilities_SRL[1] = 1 / 3
    assert fit_vote_weights(probabilities_SRL[[1, 0]], target_R) == pytest.approx([0.0, 1.0], abs=1e-6)


def test_voters_alike_share_and_one_row_does_no_harm():
    probabilities_SRL, target_R = drawn((1.0,))
    assert fit_vote_weights(probabilities_SRL, target_R).tolist() == [1.0]
    assert fit_vote_weights(np.repeat(probabilities_SRL, 2, axis=0), target_R) == pytest.approx([0.5, 0.5])
    assert fit_vote_weights(probabilities_SRL[:, :1].repeat(3, axis=0), target_R[:1]).sum() == pytest.approx(1.0)
    certain_SRL = np.repeat(np.eye(3)[(target_R + 1) % 3][None], 2, axis=0)
    assert fit_vote_weights(certain_SRL, target_R).sum() == pytest.approx(1.0)


def test_many_voters_and_hard_zeros_give_finite_weights():
    generator = np.random.default_rng(2)
    for n_voters in (2, 7, 25):
        probabilities_SRL = generator.dirichlet(np.full(4, 0.05), size=(n_voters, 30))
        weights_S = fit_vote_weights(probabilities_SRL, generator.integers(4, size=30))
        assert np.isfinite(weights_S).all()
        assert weights_S.sum() == pytest.approx(1.0)
        assert (weights_S >= 0).all()


def test_a_row_does_not_see_its_own_label():
    probabilities_SRL, target_R = drawn((1.0, 1.5), n_rows=60)
    group_R = np.arange(60) // 3
    changed_R = target_R.copy()
    changed_R[group_R == 4] = (changed_R[group_R == 4] + 1) % 3
    before, after = (
        cross_fitted_vote(probabilities_SRL, of, group_R=group_R, n_folds=3) for of in (target_R, changed_R)
    )
    assert (before[group_R == 4] == after[group_R == 4]).all()
    assert (before != after).any()
    assert before.sum(axis=1) == pytest.approx(np.ones(60))


def test_logits_give_the_probabilities_again():
    probabilities_RL = np.array([[0.25, 0.75], [1.0, 0.0]])
    assert softmax(as_logits(probabilities_RL), axis=1) == pytest.approx(probabilities_RL, abs=1e-6)


def test_what_makes_no_sense_is_refused():
    probabilities_SRL, target_R = drawn((1.0, 1.0), n_rows=5)
    with pytest.raises(ValueError, match=r"shape \(voters, rows, labels\), came \(5, 3\)"):
        fit_vote_weights(probabilities_SRL[0], target_R)
    with pytest.raises(ValueError, match="must have 4 rows as the target has, came 5"):
        fit_vote_weights(probabilities_SRL, target_R[:4])
    with pytest.raises(ValueError, match="must sum to 1 in every row"):
        cross_fitted_vote(probabilities_SRL * 2, target_R)
    with pytest.raises(ValueError, match="at least 2 groups, came 1"):
        cross_fitted_vote(probabilities_SRL, target_R, group_R=np.zeros(5, dtype=int))
    with pytest.raises(ValueError, match=r"must sum to 1, came \[0.5, 0.6\]"):
        weighted_vote(probabilities_SRL, np.array([0.5, 0.6]))


def test_a_voter_that_only_harms_has_no_weight_at_all() -> None:
    target_R = np.array([0, 1, 0, 1, 1, 0])
    right_RL = np.where(np.eye(2)[target_R] > 0, 0.9, 0.1)
    weights_S = fit_vote_weights(np.stack([right_RL, 1 - right_RL]), target_R)
    assert weights_S.tolist() == [1.0, 0.0]
