import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.ensembling.answer_vote import refuse_single_answers, vote
from strop.errors import RunError
from strop.records.answers import Answers
from strop.records.dataset import strings


def voter(
    rows: list[list[str]],
    log_likelihoods: list[list[float]] | None = None,
    *,
    ids: list[str] | None = None,
    n_tokens: int = 1,
    seen: bool = False,
    fold: int = -1,
) -> Answers:
    text_RC = np.empty((len(rows), len(rows[0])), dtype=object)
    for at, row in enumerate(rows):
        text_RC[at] = row
    known = np.full(text_RC.shape, np.nan) if log_likelihoods is None else np.asarray(log_likelihoods)
    return Answers(
        ids=strings(ids or [f"r{at}" for at in range(len(rows))]),
        text_RC=text_RC,
        log_likelihood_RC=known.astype(np.float32),
        n_tokens_RC=np.full(text_RC.shape, n_tokens, dtype=np.int64),
        ended_RC=np.ones(text_RC.shape, dtype=np.bool_),
        part=strings(["test"] * len(rows)),
        seen_R=np.full(len(rows), seen),
        fold_R=np.full(len(rows), fold),
    )


def won(answers: dict[str, Answers], rules: str = "squad", **options) -> list[str]:
    return vote(answers, rules, **options).text_R.tolist()


def test_most_votes_win_however_the_answer_is_written():
    three = {"a": voter([["Seoul"]]), "b": voter([["the seoul."]]), "c": voter([["Busan"]])}
    assert won(three) == ["Seoul"]
    # The form that is written most often stands.
    assert won({**three, "d": voter([["the seoul."]])}) == ["the seoul."]
    assert won({"a": voter([["서울 시"]]), "b": voter([["《서울 시》"]]), "c": voter([["부산"]])}, "korquad") == [
        "서울 시"
    ]


def test_ties_go_to_the_likelier_answer_then_to_the_first():
    assert won({"a": voter([["x"]], [[-2.0]]), "b": voter([["y"]], [[-1.0]])}) == ["y"]
    assert won({"a": voter([["x"]], [[-1.0]]), "b": voter([["y"]], [[-1.0]])}) == ["x"]
    assert won({"a": voter([["x"]]), "b": voter([["y"]])}) == ["x"]
    # A known likelihood goes before an unknown one, and it counts by token.
    assert won({"a": voter([["x"]]), "b": voter([["y"]], [[-9.0]])}) == ["y"]
    assert won({"a": voter([["x"]], [[-2.0]]), "b": voter([["y"]], [[-3.0]], n_tokens=3)}) == ["y"]


def test_candidates_share_the_vote_of_their_voter():
    samples = voter([["x", "x", "y", "z"]])
    assert won({"samples": samples}) == ["x"]
    # Two whole votes for y against two halves of one for x.
    assert won({"samples": samples, "a": voter([["y"]]), "b": voter([["z"]])}) == ["y"]
    three = {"samples": samples, "a": voter([["y"]])}
    assert won(three) == ["y"]
    assert won(three, weights={"samples": 3.0, "a": 1.0}) == ["y"]
    assert won(three, weights={"samples": 5.0, "a": 1.0}) == ["x"]


def test_likelihoods_are_summed_by_answer():
    # exp(-1) = 0.37 for x; 2 * exp(-2) = 0.27 for y; by votes y wins.
    answers = {"a": voter([["x"]], [[-1.0]]), "b": voter([["y"]], [[-2.0]]), "c": voter([["Y."]], [[-2.0]])}
    assert won(answers) == ["y"]
    assert won(answers, by="likelihood") == ["x"]
    # Per token y has -1 as well, and twice.
    longer = {name: voter(one.text_RC.tolist(), one.log_likelihood_RC.tolist()) for name, one in answers.items()}
    longer["b"] = voter([["y"]], [[-2.0]], n_tokens=2)
    longer["c"] = voter([["Y."]], [[-2.0]], n_tokens=2)
    assert won(longer, by="mean_likelihood") == ["y"]


def test_probabilities_of_long_answers_do_not_vanish():
    answers = {"a": voter([["x"]], [[-2001.0]]), "b": voter([["y"]], [[-2000.0]]), "c": voter([["x"]], [[-2001.0]])}
    # exp(-1) twice is less than 1.
    assert won(answers, by="likelihood") == ["y"]


def test_empty_answers_vote_for_nothing():
    assert won({"a": voter([[""], [""]]), "b": voter([["."], [" "]]), "c": voter([["x"], [""]])}) == ["x", ""]


def test_rows_are_brought_into_the_order_of_the_first():
    answers = {
        "a": voter([["x"], ["y"]], [[-1.0], [-1.0]], ids=["q1", "q2"], fold=0),
        "b": voter([["z"], ["x"]], [[-0.5], [-3.0]], ids=["q2", "q1"], seen=True, fold=1),
    }
    voted = vote(answers, "squad")
    assert (voted.ids.tolist(), voted.text_R.tolist()) == (["q1", "q2"], ["x", "z"])
    assert voted.log_likelihood_RC.tolist() == [[-1.0], [-0.5]]
    assert voted.n_candidates == 1
    assert voted.seen_R.all()
    assert voted.fold_R.tolist() == [-1, -1]
    assert dict(voted.made_by) == {"system": "vote", "by": "votes", "rules": "squad", "voters": "a, b"}


def test_other_rows_are_named():
    answers = {
        "a": voter([["x"]] * 3, ids=["q1", "q2", "q3"]),
        "b": voter([["x"]] * 3, ids=["q3", "q4", "q5"]),
        "c": voter([["x"]] * 4, ids=["q1", "q2", "q3", "q3"]),
    }
    with pytest.raises(RunError) as caught:
        vote(answers, "squad")
    b, c = caught.value.problems
    assert (b.where, b.must) == ("answers of the voter 'b'", "voters must have answered the same rows")
    assert b.came == "2 rows of 'a' are missing: q1, q2; 2 rows are not among those of 'a': q4, q5"
    assert b.do == "answer the same file, or the same part, with every run"
    assert c.came == "1 ids stand twice"


def test_a_single_answer_is_no_vote():
    with pytest.raises(RunError) as caught:
        refuse_single_answers({"a": voter([["x"]])})
    (problem,) = caught.value.problems
    assert problem.must == "there must be at least two answers to every row to vote on"
    assert problem.came == "a, with one candidate a row"
    assert problem.do == "name further runs, or let the model give several with answer.decoding.n_candidates"
    with pytest.raises(RunError, match="no voter"):
        refuse_single_answers({})


def test_unknown_likelihoods_cannot_be_summed():
    with pytest.raises(RunError) as caught:
        vote({"a": voter([["x"]], [[-1.0]]), "b": voter([["x"]])}, "squad", by="mean_likelihood")
    (problem,) = caught.value.problems
    assert problem.where == "answers of the voter 'b'"
    assert problem.came == "1 of 1 answers without one"
    assert problem.do == "vote by votes, or answer with an engine that gives likelihoods"


def test_weights_must_be_weights():
    two = {"a": voter([["x"]]), "b": voter([["y"]])}
    with pytest.raises(ValueError, match="a weight for each of a, b, came a"):
        vote(two, "squad", weights={"a": 1.0})
    with pytest.raises(ValueError, match="must not be negative"):
        vote(two, "squad", weights={"a": -1.0, "b": 2.0})
    with pytest.raises(ValueError, match="not all zero"):
        vote(two, "squad", weights={"a": 0.0, "b": 0.0})


@settings(max_examples=40)
@given(st.lists(st.lists(st.sampled_from(["x", "y", "X.", "z", ""]), min_size=3, max_size=3), min_size=2, max_size=5))
def test_the_winner_is_an_answer_that_was_given_and_order_decides_ties_alone(rows):
    answers = {str(at): voter([[text] for text in texts]) for at, texts in enumerate(rows)}
    for at, text in enumerate(won(answers)):
        given_texts = [texts[at] for texts in rows]
        assert text in given_texts
        votes = {"x": 0, "y": 0, "z": 0}
        for one in given_texts:
            if one:
                votes[one.lower().strip(".")] += 1
        if any(votes.values()):
            assert votes[text.lower().strip(".")] == max(votes.values())
