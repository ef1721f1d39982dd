import numpy as np
import pytest

from strop.ensembling.answer_vote import vote
from strop.ensembling.answer_vote_weights import Ballots, cross_fitted_answer_vote, fit_answer_weights
from strop.metrics.answers import ANSWER_METRICS, RULES
from strop.records.answers import Answers
from strop.records.dataset import strings

EXACT = ANSWER_METRICS["exact_match"]
N_ROWS = 60


def voter(texts: list[str]) -> Answers:
    n_rows = len(texts)
    return Answers(
        ids=strings([f"r{at}" for at in range(n_rows)]),
        text_RC=strings(texts)[:, None],
        log_likelihood_RC=np.full((n_rows, 1), np.nan, dtype=np.float32),
        n_tokens_RC=np.ones((n_rows, 1), dtype=np.int64),
        ended_RC=np.ones((n_rows, 1), dtype=np.bool_),
        part=strings(["validation"] * n_rows),
        seen_R=np.zeros(n_rows, dtype=np.bool_),
        fold_R=np.full(n_rows, -1),
    )


@pytest.fixture
def voters() -> dict[str, Answers]:
    """Two that always err, in the same words, and one that is right two times of three."""
    right = [f"right {at}" if at % 3 else "wrong" for at in range(N_ROWS)]
    return {"a": voter(["same"] * N_ROWS), "b": voter(["same"] * N_ROWS), "good": voter(right)}


ACCEPTED = [(f"right {at}",) for at in range(N_ROWS)]


def test_the_good_voter_gets_the_weight(voters):
    ballots = Ballots.of(voters, ACCEPTED, EXACT, "squad")
    assert ballots.score(np.full(3, 1 / 3)) == 0
    weight_S = fit_answer_weights(ballots)
    assert weight_S.sum() == pytest.approx(1)
    assert weight_S[2] > 0.5
    assert ballots.score(weight_S) == pytest.approx(2 / 3)
    assert (fit_answer_weights(ballots) == weight_S).all()


def test_ballots_count_what_a_vote_counts(voters):
    ballots = Ballots.of(voters, ACCEPTED, EXACT, "squad")
    for weights in ([0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.25, 0.25, 0.5]):
        voted = vote(voters, "squad", weights=dict(zip(voters, weights, strict=True)))
        expected = EXACT.value(voted.text_R, ACCEPTED, RULES["squad"])
        assert ballots.score(np.array(weights)) == pytest.approx(expected)


def test_weights_of_a_row_are_fitted_without_it(voters):
    voted = cross_fitted_answer_vote(voters, ACCEPTED, EXACT, "squad", group_R=np.arange(N_ROWS) // 6)
    assert EXACT.value(voted.text_R, ACCEPTED, RULES["squad"]) == pytest.approx(2 / 3)
    assert voted.made_by["weights"] == "cross-fitted"
    assert voted.ids.tolist() == voters["a"].ids.tolist()
    # Where the good voter is right in one group alone, nothing speaks for it outside.
    one = [f"right {at}" if at < 6 else "wrong" for at in range(N_ROWS)]
    lone = {**voters, "good": voter(one)}
    voted = cross_fitted_answer_vote(lone, ACCEPTED, EXACT, "squad", group_R=np.arange(N_ROWS) // 6)
    assert EXACT.value(voted.text_R, ACCEPTED, RULES["squad"]) == 0
    with pytest.raises(ValueError, match="at least 2 groups, came 1"):
        cross_fitted_answer_vote(voters, ACCEPTED, EXACT, "squad", group_R=np.zeros(N_ROWS, dtype=np.int64))
