"""Weights of voters on answers in words, fitted on held-out rows.

Dimensions: S voters, R rows, G groups of equal answers in a row.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strop.ensembling.answer_vote import DIGITS, aligned, groups_of, vote
from strop.ensembling.group_folds import held_folds, numbered_groups
from strop.metrics.answers import RULES, Accepted, AnswerMetric
from strop.records.answers import Answers

Floats = NDArray[np.float64]

# What other weights must add to the metric: less is rounding.
LEAST_GAIN = 1e-9
# Weight moved at once from one voter to another, coarse to fine.
STEPS = (0.2, 0.1, 0.05)
OF_ANSWERS = ("text_RC", "log_likelihood_RC", "n_tokens_RC", "ended_RC")


@dataclass(frozen=True)
class Ballots:
    """What can be voted for, in every row; the group that wins a tie stands first.

    Attributes:
        share_RGS: Share of every voter's candidates that are in the group, shape (R, G, S); 0 where there is no group.
        value_RG: The metric of the group's answer, shape (R, G).
    """

    share_RGS: Floats
    value_RG: Floats

    @classmethod
    def of(
        cls,
        voters: Mapping[str, Answers],
        accepted: Accepted,
        metric: AnswerMetric,
        rules: str,
        no_answer: str | None = None,
    ) -> "Ballots":
        """Count the ballots of aligned voters.

        Args:
            voters: By name; the rows in the order of `accepted`.
            accepted: The accepted answers of every row.
            metric: Of the answers.
            rules: Name of the rules by which answers are equal.
            no_answer: Words by which a question is said to have no answer.
        """
        columns = list(voters.values())
        one_each_S = np.ones(len(columns))
        rows = [groups_of(columns, row, RULES[rules], "votes", one_each_S) for row in range(columns[0].n_rows)]
        shape = (len(rows), max(map(len, rows)))
        share_RGS, value_RG = np.zeros((*shape, len(columns))), np.zeros(shape)
        for row, groups in enumerate(rows):
            ranked = sorted(groups, key=lambda group: -group.mean_log_likelihood)
            texts = [group.candidates[0].text for group in ranked]
            right = [accepted[row]] * len(texts)
            value_RG[row, : len(texts)] = metric.by_row(texts, right, RULES[rules], no_answer)
            for at, group in enumerate(ranked):
                for one in group.candidates:
                    share_RGS[row, at, one.voter] += one.weight
        return cls(share_RGS, value_RG)

    def take(self, rows: NDArray[np.intp]) -> "Ballots":
        """The ballots of these rows."""
        return Ballots(self.share_RGS[rows], self.value_RG[rows])

    def score(self, weight_S: Floats) -> float:
        """Mean of the metric over rows where voters have these weights."""
        winner_R = np.round(self.share_RGS @ weight_S, DIGITS).argmax(axis=1)
        return float(self.value_RG[np.arange(len(winner_R)), winner_R].mean())


def fit_answer_weights(ballots: Ballots) -> Floats:
    """One weight a voter, shape (S,), with sum 1: weight is moved between two voters while the vote's metric rises.

    The search starts from equal weights and is deterministic. On few rows it fits noise: judge what it gains on other
    rows, with `cross_fitted_answer_vote`.

    Args:
        ballots: Of rows that no voter was trained on.
    """
    n_voters = ballots.share_RGS.shape[2]
    best_S = np.full(n_voters, 1.0 / n_voters)
    best = ballots.score(best_S)
    for step in STEPS:
        is_better = True
        while is_better:
            is_better = False
            for moved_S in _moves(best_S, step):
                if (moved := ballots.score(moved_S)) > best + LEAST_GAIN:
                    best_S, best, is_better = moved_S, moved, True
                    break
    return best_S


def cross_fitted_answer_vote(
    answers: Mapping[str, Answers],
    accepted: Accepted,
    metric: AnswerMetric,
    rules: str,
    *,
    group_R: NDArray[np.int64] | None = None,
    n_folds: int = 5,
    seed: int = 0,
    no_answer: str | None = None,
) -> Answers:
    """Weighted votes, each row's by weights that were fitted without it and its group.

    Args:
        answers: By voter; the same rows, none trained on. `accepted` is in the order of the first.
        accepted: The accepted answers of every row.
        metric: What the weights raise.
        rules: Name of the rules by which answers are equal.
        group_R: Group number of every row, where rows come in groups.
        n_folds: How many times weights are fitted; fewer where there are fewer groups.
        seed: Deals the folds.
        no_answer: Words by which a question is said to have no answer.

    Raises:
        RunError: As `vote`.
        ValueError: There are fewer than two groups.
    """
    voters = aligned(answers)
    ballots = Ballots.of(voters, accepted, metric, rules, no_answer)
    whole = vote(voters, rules)
    columns = {name: getattr(whole, name).copy() for name in OF_ANSWERS}
    for is_held_R in held_folds(numbered_groups(group_R, whole.n_rows), n_folds, seed):
        weight_S = fit_answer_weights(ballots.take(np.flatnonzero(~is_held_R)))
        weights = dict(zip(voters, weight_S.tolist(), strict=True))
        held = np.flatnonzero(is_held_R)
        voted = vote({name: one.take(held) for name, one in voters.items()}, rules, weights=weights)
        for name, column_RC in columns.items():
            column_RC[held] = getattr(voted, name)
    return Answers(
        ids=whole.ids,
        part=whole.part,
        seen_R=whole.seen_R,
        fold_R=whole.fold_R,
        made_by={**whole.made_by, "weights": "cross-fitted"},
        **columns,
    )


def _moves(weight_S: Floats, step: float) -> Iterator[Floats]:
    """All ways to move so much weight, or what is left of it, from one voter to another."""
    for giver in np.flatnonzero(weight_S > 0).tolist():
        for taker in range(len(weight_S)):
            if taker != giver:
                moved = min(step, float(weight_S[giver]))
                moved_S = weight_S.copy()
                moved_S[giver] -= moved
                moved_S[taker] += moved
                yield moved_S
