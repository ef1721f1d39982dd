"""Votes of several sets of answers in words: over models, prompts, beams, samples and folds.

Answers that are equal by the rules of the metric are votes for the same thing, however they are written.

Dimensions: S voters, R rows, C candidates of a voter, G groups of equal answers in a row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, isnan
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from strop.errors import Problem, RunError
from strop.metrics.answers import RULES, Rules
from strop.records.answers import Answers
from strop.records.dataset import strings

Floats = NDArray[np.float64]
VoteBy = Literal["votes", "likelihood", "mean_likelihood"]
How = Literal["hard", "soft", "weighted"]

# Shares of votes are no whole numbers: beyond so many digits they are equal.
DIGITS = 9


@dataclass(frozen=True)
class Candidate:
    """One answer of one voter to a row.

    Attributes:
        voter: Number of the voter.
        column: Number of the answer among the voter's candidates.
        text: The answer.
        weight: What it adds to its group.
        mean_log_likelihood: Per token; NaN where it is not known.
    """

    voter: int
    column: int
    text: str
    weight: float
    mean_log_likelihood: float


@dataclass(frozen=True)
class Group:
    """Answers to a row that are equal by the rules.

    Attributes:
        text: What they have in common.
        candidates: The answers, in the order of voters and candidates.
    """

    text: str
    candidates: tuple[Candidate, ...]

    @property
    def weight(self) -> float:
        """What its candidates add up to."""
        return sum(one.weight for one in self.candidates)

    @property
    def mean_log_likelihood(self) -> float:
        """Mean over the candidates whose likelihood is known; minus infinity where none is."""
        known = [one.mean_log_likelihood for one in self.candidates if not isnan(one.mean_log_likelihood)]
        return sum(known) / len(known) if known else -np.inf


def vote(
    answers: Mapping[str, Answers],
    rules: str,
    *,
    by: VoteBy = "votes",
    weights: Mapping[str, float] | None = None,
) -> Answers:
    """One answer a row, the one that most votes are for.

    By "votes" every voter has a vote, of its weight, that its candidates share evenly; ties are broken by the higher
    mean over the group of the log-likelihood per token, then by the order of voters and candidates. By "likelihood" the
    probabilities of the candidates are summed, exp(log-likelihood), times the voter's weight over its number of
    candidates; by "mean_likelihood" exp(log-likelihood / tokens), under which long answers are not at a disadvantage.
    An empty answer votes for nothing, unless all of a row are empty. Of the group that wins, the form that is written
    most often stands. A voter without weight has no say, not even in ties.

    Args:
        answers: By voter, at least one; the order of rows is that of the first.
        rules: Name of the rules by which answers are equal.
        by: What is summed.
        weights: By voter, not negative; without any, all are equal.

    Returns:
        One candidate a row. Likelihood, tokens and whether it ended are those of the first candidate that is written
        as the winner; a row counts as seen if any voter was trained on it.

    Raises:
        RunError: Voters answered other rows, or likelihoods are unknown where they are summed.
        ValueError: Weights are negative, all zero, or not given for every voter.
    """
    voters = aligned(answers)
    refuse_unknown_likelihoods(voters, by)
    weight_S = _checked_weights(voters, weights)
    columns = list(voters.values())
    chosen = [_winner(groups_of(columns, row, RULES[rules], by, weight_S)) for row in range(columns[0].n_rows)]
    first = columns[0]

    def of_chosen(name: str) -> list[object]:
        return [getattr(columns[one.voter], name)[row, one.column] for row, one in enumerate(chosen)]

    fold_SR = np.stack([one.fold_R for one in columns])
    return Answers(
        ids=first.ids,
        text_RC=strings([one.text for one in chosen])[:, None],
        log_likelihood_RC=np.asarray(of_chosen("log_likelihood_RC"), dtype=np.float32)[:, None],
        n_tokens_RC=np.asarray(of_chosen("n_tokens_RC"), dtype=np.int64)[:, None],
        ended_RC=np.asarray(of_chosen("ended_RC"), dtype=np.bool_)[:, None],
        part=first.part,
        seen_R=np.any([one.seen_R for one in columns], axis=0),
        fold_R=np.where((fold_SR == fold_SR[0]).all(axis=0), fold_SR[0], -1),
        made_by={"system": "vote", "by": by, "rules": rules, "voters": ", ".join(voters)},
    )


def vote_as(how: How, answers: Mapping[str, Answers], rules: str, weights: Mapping[str, float]) -> Answers:
    """The vote that a person knows by this name.

    Args:
        how: `hard`: most votes; `soft`: the largest sum of likelihoods per token; `weighted`: most weight.
        answers: By voter.
        rules: Name of the rules by which answers are equal.
        weights: By voter, for the weighted vote.

    Raises:
        RunError: As `vote`.
    """
    if how == "weighted":
        return vote(answers, rules, weights=weights)
    return vote(answers, rules, by="mean_likelihood" if how == "soft" else "votes")


def voted(by_fold: Mapping[str, Answers], rules: str) -> Answers:
    """The answers of the only fold, or a vote of all folds.

    Args:
        by_fold: Answers of every fold's model to the same rows.
        rules: Name of the rules by which answers are equal.

    Raises:
        RunError: Folds answered other rows.
    """
    return next(iter(by_fold.values())) if len(by_fold) == 1 else vote(by_fold, rules)


def aligned(answers: Mapping[str, Answers]) -> dict[str, Answers]:
    """The voters' answers with the rows in the order of the first voter.

    Args:
        answers: By voter.

    Raises:
        RunError: A voter answered a row twice, or voters answered other rows; with a problem for every voter.
    """
    name, first = next(iter(answers.items()))
    wanted = set(first.ids.tolist())
    problems = []
    for other, one in answers.items():
        ids = set(one.ids.tolist())
        lacks, more = sorted(wanted - ids), sorted(ids - wanted)
        came = [f"{len(lacks)} rows of '{name}' are missing: {_some(lacks)}"] if lacks else []
        came += [f"{len(more)} rows are not among those of '{name}': {_some(more)}"] if more else []
        came += [f"{one.n_rows - len(ids)} ids stand twice"] if len(ids) < one.n_rows else []
        if came:
            must, do = (
                "voters must have answered the same rows",
                "answer the same file, or the same part, with every run",
            )
            problems.append(Problem(f"answers of the voter '{other}'", must, "; ".join(came), do))
    if problems:
        raise RunError(*problems)
    return {voter: one.select(first.ids) for voter, one in answers.items()}


def refuse_single_answers(answers: Mapping[str, Answers]) -> None:
    """Check that there is something to vote on.

    Args:
        answers: By voter.

    Raises:
        RunError: Every row has one answer, or none.
    """
    if sum(one.n_candidates for one in answers.values()) < 2:
        names = ", ".join(answers) or "no voter"
        raise RunError(
            Problem(
                where="the vote",
                must="there must be at least two answers to every row to vote on",
                came=f"{names}, with one candidate a row" if answers else names,
                do="name further runs, or let the model give several with answer.decoding.n_candidates",
            )
        )


def refuse_unknown_likelihoods(voters: Mapping[str, Answers], by: VoteBy) -> None:
    """Check that likelihoods are known where they are summed.

    Args:
        voters: By name.
        by: What is summed.

    Raises:
        RunError: With every voter that has answers of unknown likelihood.
    """
    if by == "votes":
        return
    problems = [
        Problem(
            where=f"answers of the voter '{name}'",
            must="the likelihood of every answer must be known where likelihoods are summed",
            came=f"{n_unknown} of {one.log_likelihood_RC.size} answers without one",
            do="vote by votes, or answer with an engine that gives likelihoods",
        )
        for name, one in voters.items()
        if (n_unknown := int(np.isnan(one.log_likelihood_RC).sum()))
    ]
    if problems:
        raise RunError(*problems)


def _checked_weights(voters: Mapping[str, Answers], weights: Mapping[str, float] | None) -> Floats:
    if weights is None:
        return np.full(len(voters), 1.0 / len(voters))
    if set(weights) != set(voters):
        raise ValueError(f"there must be a weight for each of {', '.join(voters)}, came {', '.join(weights)}")
    weight_S = np.asarray([weights[name] for name in voters], dtype=np.float64)
    if (weight_S < 0).any() or weight_S.sum() <= 0:
        raise ValueError(f"weights must not be negative, and not all zero, came {weight_S.tolist()}")
    return weight_S


def groups_of(columns: Sequence[Answers], row: int, rules: Rules, by: VoteBy, weight_S: Floats) -> list[Group]:
    """Groups of equal answers to a row, in the order in which they first come; an empty one only where it is alone.

    Args:
        columns: The answers of every voter, rows in the same order.
        row: Position of the row.
        rules: By which answers are equal.
        by: What is summed.
        weight_S: Weight of every voter.
    """
    places = [
        (voter, column)
        for voter, one in enumerate(columns)
        if weight_S[voter] > 0
        for column in range(one.n_candidates)
    ]
    known = [float(columns[voter].log_likelihood_RC[row, column]) for voter, column in places]
    means = [
        value / max(1, int(columns[voter].n_tokens_RC[row, column]))
        for value, (voter, column) in zip(known, places, strict=True)
    ]
    summed = {"votes": [0.0] * len(places), "likelihood": known, "mean_likelihood": means}[by]
    # The likeliest counts 1: of long answers all probabilities would vanish.
    largest = max(summed)
    found: dict[str, list[Candidate]] = {}
    for (voter, column), value, mean in zip(places, summed, means, strict=True):
        one = columns[voter]
        weight = float(weight_S[voter]) / one.n_candidates * exp(value - largest)
        candidate = Candidate(voter, column, str(one.text_RC[row, column]), weight, mean)
        found.setdefault(rules.normalized(candidate.text), []).append(candidate)
    if len(found) > 1:
        found.pop("", None)
    return [Group(text, tuple(candidates)) for text, candidates in found.items()]


def _winner(groups: Sequence[Group]) -> Candidate:
    best = max(groups, key=lambda one: (round(one.weight, DIGITS), one.mean_log_likelihood))
    written: dict[str, float] = {}
    for one in best.candidates:
        written[one.text] = written.get(one.text, 0.0) + one.weight
    form = max(written, key=lambda text: round(written[text], DIGITS))
    return next(one for one in best.candidates if one.text == form)


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
