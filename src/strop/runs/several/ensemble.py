"""Let runs, their folds, or checkpoints vote on labels, and judge every vote beside the voters; no model is loaded.

Dimensions: S voters, R rows, L labels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from strop.ensembling.calibrate import cross_fitted_probabilities, fit_temperature
from strop.ensembling.vote import (
    as_logits,
    cross_fitted_vote,
    fit_vote_weights,
    hard_vote,
    soft_vote,
    weighted_vote,
)
from strop.errors import Problem, RunError
from strop.evaluation.evaluate import score_predictions
from strop.metrics.registry import METRICS
from strop.recipe.sections import Recipe
from strop.records.files import write_json
from strop.records.predictions import Predictions
from strop.records.scores import Difference, Scores
from strop.reporting.sentences import difference_text, metric_name, part_name, score_text
from strop.runs.judge import CHOSE_CHECKPOINT
from strop.runs.several.named_voters import Voter, named_voters
from strop.runs.several.saved_ensemble import FILE, voters_as_json
from strop.runs.several.together import must_be_opened, write_look
from strop.runs.several.voters import Ballots, must_be_divisible, open_ballots, sealed_ballots

How = Literal["soft", "calibrated", "hard", "weighted"]
HOWS: tuple[How, ...] = get_args(How)
Kind = TypeVar("Kind", bound=str)
BEST_CHOSEN_HERE = "the best single voter was chosen on these rows, which flatters it beside the votes"
NAMED_CHECKPOINTS = "single checkpoints were named: if that was for their scores on these rows, it flatters the votes"
OPENED_BEFORE = "the test parts had been opened before: choices made since may be fitted to them"
FOLDS_VOTE_ON_TEST = "the folds of a run held out different rows: on these rows a run has one vote"


@dataclass(frozen=True)
class Judged:
    """Votes on one part.

    Attributes:
        predictions: By vote: its probabilities as logits. Rows that are not sealed were weighted by weights, and
            calibrated by temperatures, that were fitted without them and their groups.
        scores: By vote; those of the vote that was asked for have every voter beside them, the best first, the others
            the best voter alone.
    """

    predictions: Mapping[How, Predictions]
    scores: Mapping[How, Scores]


@dataclass(frozen=True)
class Ensemble:
    """Voters and their votes.

    Attributes:
        voters: The voters by name; with `of_folds` they stand for their folds on test rows.
        how: The vote that was asked for.
        best: The voter with the best primary score on the rows that are not sealed.
        weights: Weight of every voter in the weighted vote, not negative and with sum 1, fitted on all these rows.
        temperatures: What divides every voter's logits in the calibrated vote, fitted on all these rows.
        of_folds: Whether every fold of a run has a vote on test rows; a run's weight is shared evenly by its folds.
        held_out: The votes on rows that are not sealed.
        test: The votes on test rows, by weights and temperatures of the rows that are not sealed; None unless wanted.
    """

    voters: Mapping[str, Voter]
    how: How
    best: str
    weights: Mapping[str, float]
    temperatures: Mapping[str, float]
    of_folds: bool
    held_out: Judged
    test: Judged | None = None

    @property
    def scores(self) -> Scores:
        """Scores of the vote that was asked for, on rows that are not sealed."""
        return self.held_out.scores[self.how]

    def save(self, folder: Path) -> None:
        """Write `ensemble.json`, and predictions and scores of the vote that was asked for.

        They are `predictions.arrow` and `scores.json`, and the same with `.test` in their names for test rows.
        """
        for judged, ending in ((self.held_out, ""), (self.test, ".test")):
            if judged is not None:
                judged.predictions[self.how].save(folder / f"predictions{ending}.arrow")
                judged.scores[self.how].save(folder / f"scores{ending}.json")
        content = {
            "how": self.how,
            "best_voter": self.best,
            "weights": dict(self.weights),
            "temperatures": dict(self.temperatures),
            "temperature": self.scores.temperature,
            "votes_by_fold": self.of_folds,
            "labels": list(self.held_out.predictions[self.how].labels),
            "voters": voters_as_json(self.voters, folder),
            "held_out": votes_as_json(self.held_out.scores, self.best),
            "test": None if self.test is None else votes_as_json(self.test.scores, self.best),
        }
        # Written last: where it stands the others stand too.
        write_json(folder / FILE, content)

    def lines(self, judged: Judged) -> list[str]:
        """Every vote and every voter in words, a line each."""
        return votes_in_words(judged.scores, self.how, self.best)


def vote_run_folders(
    paths: Sequence[Path],
    *,
    how: How = "soft",
    of_checkpoints: bool = False,
    of_folds: bool = False,
    on_test: bool = False,
) -> Ensemble:
    """Let runs vote on the rows that all of them held out.

    Votes are `soft` (mean of probabilities), `calibrated` (mean of probabilities that each voter's temperature made
    honest), `hard` (most votes; ties by mean probability) and `weighted` (mean by weights of least log loss). All are
    judged; temperatures and weights by cross-fitting.

    Args:
        paths: Finished runs of the task `classify`, single folds and checkpoints of them (see `named_voters`), at least
            two unless checkpoints or folds vote.
        how: The vote that is saved, and judged beside every voter.
        of_checkpoints: Whether every evaluated checkpoint of a run's last stage votes instead of the chosen one.
        of_folds: Whether on test rows every fold of a run votes by itself instead of their average.
        on_test: Whether the runs also vote on test rows, which must have been opened; it stands in their ledgers.

    Raises:
        RunError: Runs are not finished or cannot vote together, or a test part is sealed.
    """
    voters = named_voters(paths)
    must_be_possible(voters, of_checkpoints=of_checkpoints, of_folds=of_folds, on_test=on_test)
    ballots = open_ballots(voters, of_checkpoints=of_checkpoints, least=1 if of_folds else 2)
    runs = {voter.run.folder.path: voter.run for voter in voters.values()}
    if on_test:
        for run in runs.values():
            must_be_opened(run, "vote", "ensembled")
    recipe = next(iter(runs.values())).recipe
    best = _best_voter(ballots, recipe)
    names = list(ballots.predictions)
    weights = dict(zip(names, fit_vote_weights(ballots.probabilities_SRL, ballots.target_R).tolist(), strict=True))
    temperatures = {
        name: fit_temperature(one.outputs_RL, ballots.target_R) for name, one in ballots.predictions.items()
    }
    caveats = [CHOSE_CHECKPOINT, BEST_CHOSEN_HERE]
    caveats += [NAMED_CHECKPOINTS] if any(voter.checkpoint for voter in voters.values()) else []
    caveats += [FOLDS_VOTE_ON_TEST] if of_folds else []
    held_out = _judged_open(ballots, how, best, recipe, tuple(caveats))
    found = Ensemble(voters, how, best, weights, temperatures, of_folds, held_out)
    if not on_test:
        return found
    write = (runs.values(), "ensemble", f"let {', '.join(voters)} vote")
    return replace(found, test=_judged_test(found, recipe, lambda: write_look(*write)))


def must_be_possible(voters: Mapping[str, Voter], *, of_checkpoints: bool, of_folds: bool, on_test: bool) -> None:
    """Check that what is asked for can be had of saved predictions.

    Args:
        voters: By name.
        of_checkpoints: Whether every evaluated checkpoint is to vote.
        of_folds: Whether every fold is to vote by itself on test rows.
        on_test: Whether test rows are voted on.

    Raises:
        RunError: It cannot.
    """
    is_checkpoint = of_checkpoints or any(voter.checkpoint is not None for voter in voters.values())
    if on_test and is_checkpoint:
        must, do = "checkpoints vote on held-out rows alone, since they predicted no test rows", "leave one of them out"
        raise RunError(Problem("strop ensemble", must, "checkpoints and --on-test", do))
    if of_folds and not on_test:
        must = "the folds of a run vote together on test rows alone: of the others each held out different ones"
        do = "add --on-test, or name the same fold of several runs (RUN/folds/0 OTHER/folds/0)"
        raise RunError(Problem("strop ensemble", must, "--folds without --on-test", do))
    if of_folds and all(list(voter.by_folds()) == [name] for name, voter in voters.items()):
        must, do = "a run must have folds that can vote", "leave --folds out, or fit with split.folds"
        raise RunError(Problem("strop ensemble", must, f"none in {', '.join(voters)}", do))


def _best_voter(ballots: Ballots, recipe: Recipe) -> str:
    metric = METRICS[recipe.evaluation.primary_metric]
    sign = 1.0 if metric.higher_is_better else -1.0
    values = {
        name: sign * metric.value(ballots.target_R, one.probabilities_RL()) for name, one in ballots.predictions.items()
    }
    return max(values, key=lambda name: values[name])


def _judged_open(ballots: Ballots, how: How, best: str, recipe: Recipe, caveats: tuple[str, ...]) -> Judged:
    target_R, group_R, seed = ballots.target_R, ballots.group_R, recipe.seed
    must_be_divisible(group_R, len(target_R))
    calibrated_SRL = np.stack(
        [
            cross_fitted_probabilities(one.outputs_RL, target_R, seed=seed, group_R=group_R)
            for one in ballots.predictions.values()
        ]
    )
    weighted_RL = cross_fitted_vote(ballots.probabilities_SRL, target_R, group_R=group_R, seed=seed)
    votes = _votes(ballots, ballots.probabilities_SRL, calibrated_SRL, weighted_RL, list(ballots.predictions))
    part = "out of fold" if recipe.split.folds is not None else "validation"
    scores = {
        one: _scores(vote, ballots, best, recipe, part, caveats, is_asked=one == how) for one, vote in votes.items()
    }
    return Judged(votes, scores)


def _judged_test(found: Ensemble, recipe: Recipe, write: Callable[[], None]) -> Judged:
    """Votes on test rows; every voter, and with folds every run's average, stands beside them."""
    by_folds = {name: voter.by_folds() if found.of_folds else {name: voter} for name, voter in found.voters.items()}
    voters = {name: voter for folds in by_folds.values() for name, voter in folds.items()}
    named_by = {name: of_whole for of_whole, folds in by_folds.items() for name in folds}
    temperatures = {name: found.temperatures[of_whole] for name, of_whole in named_by.items()}
    weights_S = np.array([found.weights[one] / len(by_folds[one]) for one in named_by.values()])
    everyone = sealed_ballots({**found.voters, **voters})
    probabilities_SRL = np.stack([everyone.predictions[name].probabilities_RL() for name in voters])
    calibrated_SRL = sealed_ballots(voters, temperatures).probabilities_SRL
    # Written before anyone sees a score, so that no look goes unrecorded.
    write()
    weighted_RL = weighted_vote(probabilities_SRL, weights_S)
    votes = _votes(everyone, probabilities_SRL, calibrated_SRL, weighted_RL, list(voters))
    scores = {
        one: _scores(
            vote,
            everyone,
            found.best,
            recipe,
            "test",
            (OPENED_BEFORE,),
            is_asked=one == found.how,
            temperature=found.held_out.scores[one].temperature,
        )
        for one, vote in votes.items()
    }
    return Judged(votes, scores)


def _votes(
    ballots: Ballots,
    probabilities_SRL: NDArray[np.float64],
    calibrated_SRL: NDArray[np.float64],
    weighted_RL: NDArray[np.float64],
    voters: Sequence[str],
) -> dict[How, Predictions]:
    first = ballots.first
    votes: dict[How, NDArray[np.float64]] = {
        "soft": soft_vote(probabilities_SRL),
        "calibrated": soft_vote(calibrated_SRL),
        "hard": hard_vote(probabilities_SRL),
        "weighted": weighted_RL,
    }
    return {
        how: Predictions(
            ids=first.ids,
            labels=first.labels,
            outputs_RL=as_logits(vote_RL),
            part=first.part,
            seen_R=np.any([one.seen_R for one in ballots.predictions.values()], axis=0),
            fold_R=np.full(first.n_rows, -1, dtype=np.int64),
            made_by={"system": f"{how} vote", "voters": ", ".join(voters)},
        )
        for how, vote_RL in votes.items()
    }


def _scores(
    vote: Predictions,
    ballots: Ballots,
    best: str,
    recipe: Recipe,
    part: str,
    caveats: tuple[str, ...],
    *,
    is_asked: bool,
    temperature: float | None = None,
) -> Scores:
    others = [name for name in ballots.predictions if name != best] if is_asked else []
    return score_predictions(
        vote,
        ballots.target,
        baselines={name: ballots.predictions[name] for name in (best, *others)},
        evaluation=recipe.evaluation,
        part=part,
        seed=recipe.seed,
        groups=ballots.groups,
        temperature=temperature,
        caveats=caveats,
    )


def _difference_to(scores: Scores, other: str) -> Difference:
    return next(one for one in scores.differences if one.other == other)


def votes_in_words(judged: Mapping[Kind, Scores], how: Kind, best: str) -> list[str]:
    """Every vote and every voter, a line each.

    Args:
        judged: Scores by vote; those of the vote `how` have every voter beside them, the others the best one at least.
        how: The vote that was asked for.
        best: The best single voter.
    """
    asked = judged[how]
    lines = [f"{metric_name(asked.primary)} on {part_name(asked.part)}, {len(asked.ids):,} rows:"]
    for name, scores in judged.items():
        gain = difference_text(_difference_to(scores, best))
        lines.append(f"  {name} vote: {score_text(scores.primary_score)}; minus {best}: {gain}")
    lines += [f"  {one.system}: {score_text(one.metrics[asked.primary])}" for one in asked.baselines]
    return lines


def votes_as_json(judged: Mapping[Kind, Scores], best: str) -> dict[str, object]:
    """Of every vote the primary score with its interval, and what it gains over the best single voter.

    Args:
        judged: Scores by vote.
        best: The best single voter.
    """
    content: dict[str, object] = {}
    for how, scores in judged.items():
        score, gain = scores.primary_score, _difference_to(scores, best)
        content[how] = {
            "metric": score.metric,
            "value": score.value,
            "low": score.low,
            "high": score.high,
            "minus_best_voter": {"value": gain.value, "low": gain.low, "high": gain.high, "p_value": gain.p_value},
        }
    return content
