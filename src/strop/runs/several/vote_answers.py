"""`strop ensemble` for runs that answer in words: votes by the texts of answers; no model is run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from strop.ensembling.answer_vote import How as AnswerHow
from strop.ensembling.answer_vote import refuse_single_answers, vote_as
from strop.ensembling.answer_vote_weights import Ballots, cross_fitted_answer_vote, fit_answer_weights
from strop.evaluation.answer_intervals import means, measured_by_row
from strop.evaluation.evaluate_answers import score_answers
from strop.evaluation.intervals import numbers_of_groups
from strop.metrics.answers import ANSWER_METRICS
from strop.recipe.sections import Recipe
from strop.records.answers import Answers
from strop.records.dataset import Dataset
from strop.records.files import write_json
from strop.records.scores import Scores
from strop.records.split import Split
from strop.runs.judge import CHOSE_CHECKPOINT, accepted_of, answering_of
from strop.runs.several.answer_voters import AnswerVoter, answer_voters, open_answers, sealed_answers
from strop.runs.several.ensemble import (
    BEST_CHOSEN_HERE,
    FOLDS_VOTE_ON_TEST,
    NAMED_CHECKPOINTS,
    OPENED_BEFORE,
    must_be_possible,
    votes_as_json,
    votes_in_words,
)
from strop.runs.several.named_voters import named_voters
from strop.runs.several.saved_answer_ensemble import answer_voters_as_json
from strop.runs.several.saved_ensemble import FILE
from strop.runs.several.together import must_be_opened, write_look
from strop.runs.several.voters import must_be_divisible

ANSWER_HOWS: tuple[AnswerHow, ...] = get_args(AnswerHow)


@dataclass(frozen=True)
class AnswerEnsemble:
    """Voters that answer in words, and their votes.

    Attributes:
        voters: The voters by name; with `of_folds` they stand for their folds on test rows.
        how: The vote that was asked for.
        best: The voter with the best primary score on held-out rows.
        weights: Weight of every voter in the weighted vote, fitted on all held-out rows.
        of_folds: Whether every fold of a run has a vote on test rows; a run's weight is shared evenly by its folds.
        held_out: Scores of every vote on held-out rows, the best voter and the others beside it.
        test: The same on test rows, by weights of held-out rows; empty unless wanted.
        answers: The answers of the vote that was asked for, by part.
    """

    voters: Mapping[str, AnswerVoter]
    how: AnswerHow
    best: str
    weights: Mapping[str, float]
    of_folds: bool
    held_out: Mapping[AnswerHow, Scores]
    test: Mapping[AnswerHow, Scores]
    answers: Mapping[str, Answers]

    def save(self, folder: Path) -> None:
        """Write answers and scores of the vote that was asked for, and `ensemble.json`."""
        for part, answers in self.answers.items():
            answers.save(folder / f"answers{'.test' if part == 'test' else ''}.arrow")
        for scores, ending in ((self.held_out, ""), (self.test, ".test")):
            if scores:
                scores[self.how].save(folder / f"scores{ending}.json")
        content = {
            "task": "answer",
            "how": self.how,
            "best_voter": self.best,
            "weights": dict(self.weights),
            "votes_by_fold": self.of_folds,
            "voters": answer_voters_as_json(self.voters, folder),
            "held_out": votes_as_json(self.held_out, self.best),
            "test": votes_as_json(self.test, self.best) if self.test else None,
        }
        # Written last: where it stands the others stand too.
        write_json(folder / FILE, content)

    def lines(self, judged: Mapping[AnswerHow, Scores]) -> list[str]:
        """Every vote and every voter in words, a line each."""
        return votes_in_words(judged, self.how, self.best)


def vote_on_answers(
    paths: Sequence[Path],
    *,
    how: AnswerHow = "soft",
    of_checkpoints: bool = False,
    of_folds: bool = False,
    of_decodings: bool = False,
    on_test: bool = False,
) -> AnswerEnsemble:
    """Let runs vote on the rows that all of them held out, by the normalised texts of their cleaned answers.

    Votes are `hard` (most votes, ties by likelihood), `soft` (sum of likelihoods per token) and `weighted` (most
    weight, by weights that raise the primary metric). All are judged; weights by cross-fitting. Every candidate of a
    voter has its share of the voter's vote, so that beams and samples of one run vote too.

    Args:
        paths: Finished runs of the task `answer`, single folds and checkpoints of them (see `named_voters`), at least
            two unless checkpoints, folds or decodings vote or candidates are several.
        how: The vote that is saved, and judged beside every voter.
        of_checkpoints: Whether every evaluated checkpoint of a run's last stage votes instead of the chosen one.
        of_folds: Whether on test rows every fold of a run votes by itself instead of their vote.
        of_decodings: Whether every decoding that `strop decode` compared votes, instead of the chosen one.
        on_test: Whether the runs also vote on test rows, which must have been opened; it stands in their ledgers.

    Raises:
        RunError: Runs are not finished or cannot vote together, a test part is sealed, or decodings were never compared
            on the rows asked for.
    """
    named = named_voters(paths)
    voters = answer_voters(named, of_checkpoints=of_checkpoints, of_decodings=of_decodings)
    must_be_possible(named, of_checkpoints=of_checkpoints, of_folds=of_folds, on_test=on_test)
    runs = {voter.run.folder.path: voter.run for voter in voters.values()}
    if on_test:
        for run in runs.values():
            must_be_opened(run, "vote", "ensembled")
    answers, rows = open_answers(voters)
    if not of_folds:
        refuse_single_answers(answers)
    caveats = [CHOSE_CHECKPOINT, BEST_CHOSEN_HERE]
    caveats += [NAMED_CHECKPOINTS] if any(voter.checkpoint for voter in named.values()) else []
    caveats += [FOLDS_VOTE_ON_TEST] if of_folds else []
    found = _judged_open(voters, answers, rows, how, tuple(caveats), of_folds=of_folds)
    return _judged_test(found) if on_test else found


def _judged_open(
    voters: Mapping[str, AnswerVoter],
    answers: Mapping[str, Answers],
    rows: Dataset,
    how: AnswerHow,
    caveats: tuple[str, ...],
    *,
    of_folds: bool,
) -> AnswerEnsemble:
    first = next(iter(voters.values())).run
    recipe, accepted, group_R = first.recipe, accepted_of(rows), numbers_of_groups(rows.groups)
    must_be_divisible(group_R, rows.n_rows)
    metric, rules = ANSWER_METRICS[recipe.evaluation.primary_metric], recipe.evaluation.answer_rules
    no_answer = answering_of(recipe).prompt.no_answer
    fitted = fit_answer_weights(Ballots.of(answers, accepted, metric, rules, no_answer))
    weights = dict(zip(answers, fitted.tolist(), strict=True))
    votes: dict[AnswerHow, Answers] = {
        "hard": vote_as("hard", answers, rules, weights),
        "soft": vote_as("soft", answers, rules, weights),
        "weighted": cross_fitted_answer_vote(
            answers, accepted, metric, rules, group_R=group_R, seed=recipe.seed, no_answer=no_answer
        ),
    }
    best = _best_voter(answers, rows, recipe)
    part = "out of fold" if Split.load(first.folder.split).held_out else "validation"
    held_out = _scores(votes, answers, best, rows, recipe, part, caveats)
    return AnswerEnsemble(voters, how, best, weights, of_folds, held_out, {}, {part: votes[how]})


def _judged_test(found: AnswerEnsemble) -> AnswerEnsemble:
    """The same with votes on test rows; every voter, and with folds every run's own vote, stands beside them."""
    by_folds = {name: voter.by_folds() if found.of_folds else {name: voter} for name, voter in found.voters.items()}
    voters = {name: voter for folds in by_folds.values() for name, voter in folds.items()}
    weights = {name: found.weights[of_whole] / len(folds) for of_whole, folds in by_folds.items() for name in folds}
    everyone, rows = sealed_answers({**found.voters, **voters})
    answers = {name: everyone[name] for name in voters}
    if not found.of_folds:
        refuse_single_answers(answers)
    runs = {voter.run.folder.path: voter.run for voter in voters.values()}
    # Written before anyone sees a score, so that no look goes unrecorded.
    write_look(runs.values(), "ensemble", f"let {', '.join(found.voters)} vote")
    recipe = next(iter(runs.values())).recipe
    votes = {one: vote_as(one, answers, recipe.evaluation.answer_rules, weights) for one in ANSWER_HOWS}
    test = _scores(votes, everyone, found.best, rows, recipe, "test", (OPENED_BEFORE,))
    return replace(found, test=test, answers={**found.answers, "test": votes[found.how]})


def _best_voter(voters: Mapping[str, Answers], rows: Dataset, recipe: Recipe) -> str:
    metric, rules, accepted = recipe.evaluation.primary_metric, recipe.evaluation.answer_rules, accepted_of(rows)
    no_answer = answering_of(recipe).prompt.no_answer
    values = {name: means(measured_by_row(one, accepted, rules, no_answer))[metric] for name, one in voters.items()}
    return max(values, key=lambda name: values[name])


def _scores(
    votes: Mapping[AnswerHow, Answers],
    voters: Mapping[str, Answers],
    best: str,
    rows: Dataset,
    recipe: Recipe,
    part: str,
    caveats: tuple[str, ...],
) -> dict[AnswerHow, Scores]:
    in_order = {best: voters[best], **voters}
    return {
        how: score_answers(
            answers,
            accepted_of(rows),
            baselines=in_order,
            evaluation=recipe.evaluation,
            part=part,
            seed=recipe.seed,
            groups=rows.groups,
            caveats=caveats,
            no_answer=answering_of(recipe).prompt.no_answer,
        )
        for how, answers in votes.items()
    }
