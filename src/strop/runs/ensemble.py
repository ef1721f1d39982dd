"""Let runs, or their checkpoints, vote on labels, and judge every vote beside the voters; no model is loaded.

Dimensions: S voters, R rows, L labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

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
from strop.runs.run import Run
from strop.runs.together import must_be_opened, named_runs, write_look
from strop.runs.voters import Ballots, open_ballots, sealed_ballots

How = Literal["soft", "calibrated", "hard", "weighted"]
HOWS: tuple[How, ...] = get_args(How)
BEST_CHOSEN_HERE = "the best single voter was chosen on these rows, which flatters it beside the votes"


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
        how: The vote that was asked for.
        best: The voter with the best primary score on the rows that are not sealed.
        weights: Weight of every voter in the weighted vote, not negative and with sum 1, fitted on all these rows.
        held_out: The votes on rows that are not sealed.
        test: The votes on test rows, by weights and temperatures of the rows that are not sealed; None unless wanted.
    """

    how: How
    best: str
    weights: Mapping[str, float]
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
            "held_out": _votes_as_json(self.held_out, self.best),
            "test": None if self.test is None else _votes_as_json(self.test, self.best),
        }
        write_json(folder / "ensemble.json", content)

    def lines(self, judged: Judged) -> list[str]:
        """Every vote and every voter in words, a line each."""
        asked = judged.scores[self.how]
        lines = [f"{metric_name(asked.primary)} on {part_name(asked.part)}, {len(asked.ids):,} rows:"]
        for how, scores in judged.scores.items():
            gain = difference_text(_difference_to(scores, self.best))
            lines.append(f"  {how} vote: {score_text(scores.primary_score)}; minus {self.best}: {gain}")
        lines += [f"  {one.system}: {score_text(one.metrics[asked.primary])}" for one in asked.baselines]
        return lines


def vote_run_folders(
    paths: Sequence[Path], *, how: How = "soft", of_checkpoints: bool = False, on_test: bool = False
) -> Ensemble:
    """Let runs vote on the rows that all of them held out.

    Votes are `soft` (mean of probabilities), `calibrated` (mean of probabilities that each voter's temperature made
    honest), `hard` (most votes; ties by mean probability) and `weighted` (mean by weights of least log loss). All are
    judged; temperatures and weights by cross-fitting.

    Args:
        paths: Folders of finished runs of the task `classify`, at least two unless checkpoints vote.
        how: The vote that is saved, and judged beside every voter.
        of_checkpoints: Whether every evaluated checkpoint of a run's last stage votes instead of the chosen one.
        on_test: Whether the runs also vote on test rows, which must have been opened; it stands in their ledgers.

    Raises:
        RunError: Runs are not finished or cannot vote together, or a test part is sealed.
    """
    runs = named_runs(paths, "ensemble", least=1)
    if on_test and of_checkpoints:
        must, do = "checkpoints vote on held-out rows alone, since they predicted no test rows", "leave one of them out"
        raise RunError(Problem("strop ensemble", must, "--checkpoints and --on-test", do))
    ballots = open_ballots(runs, of_checkpoints=of_checkpoints)
    if on_test:
        for run in runs.values():
            must_be_opened(run, "vote", "ensembled")
    recipe = next(iter(runs.values())).recipe
    best = _best_voter(ballots, recipe)
    weights_S = fit_vote_weights(ballots.probabilities_SRL, ballots.target_R)
    held_out = _judged_open(ballots, how, best, recipe)
    test = _judged_test(runs, ballots, weights_S, how, best, held_out, recipe) if on_test else None
    weights = dict(zip(ballots.predictions, weights_S.tolist(), strict=True))
    return Ensemble(how, best, weights, held_out, test)


def _best_voter(ballots: Ballots, recipe: Recipe) -> str:
    metric = METRICS[recipe.evaluation.primary_metric]
    sign = 1.0 if metric.higher_is_better else -1.0
    values = {
        name: sign * metric.value(ballots.target_R, one.probabilities_RL()) for name, one in ballots.predictions.items()
    }
    return max(values, key=lambda name: values[name])


def _judged_open(ballots: Ballots, how: How, best: str, recipe: Recipe) -> Judged:
    target_R, group_R, seed = ballots.target_R, ballots.group_R, recipe.seed
    n_units = len(np.unique(np.arange(len(target_R)) if group_R is None else group_R))
    if n_units < 2:
        must, do = "weights are judged on rows, or groups, that they were not fitted on: there must be two", "fit anew"
        raise RunError(Problem("strop ensemble", must, f"{n_units}, with {len(target_R)} rows", do))
    calibrated_SRL = np.stack(
        [
            cross_fitted_probabilities(one.outputs_RL, target_R, seed=seed, group_R=group_R)
            for one in ballots.predictions.values()
        ]
    )
    weighted_RL = cross_fitted_vote(ballots.probabilities_SRL, target_R, group_R=group_R, seed=seed)
    votes = _votes(ballots, calibrated_SRL, weighted_RL)
    part = "out of fold" if recipe.split.folds is not None else "validation"
    scores = {
        one: _scores(vote, ballots, best, recipe, part, (CHOSE_CHECKPOINT, BEST_CHOSEN_HERE), is_asked=one == how)
        for one, vote in votes.items()
    }
    return Judged(votes, scores)


def _judged_test(
    runs: Mapping[str, Run],
    ballots: Ballots,
    weights_S: NDArray[np.float64],
    how: How,
    best: str,
    held_out: Judged,
    recipe: Recipe,
) -> Judged:
    temperatures = {
        name: fit_temperature(one.outputs_RL, ballots.target_R) for name, one in ballots.predictions.items()
    }
    sealed, calibrated = sealed_ballots(runs), sealed_ballots(runs, temperatures)
    # Written before anyone sees a score, so that no look goes unrecorded.
    write_look(runs.values(), "ensemble", f"let {', '.join(runs)} vote")
    votes = _votes(sealed, calibrated.probabilities_SRL, weighted_vote(sealed.probabilities_SRL, weights_S))
    caveats = ("the test parts had been opened before: choices made since may be fitted to them",)
    scores = {
        one: _scores(
            vote,
            sealed,
            best,
            recipe,
            "test",
            caveats,
            is_asked=one == how,
            temperature=held_out.scores[one].temperature,
        )
        for one, vote in votes.items()
    }
    return Judged(votes, scores)


def _votes(
    ballots: Ballots, calibrated_SRL: NDArray[np.float64], weighted_RL: NDArray[np.float64]
) -> dict[How, Predictions]:
    first, probabilities_SRL = ballots.first, ballots.probabilities_SRL
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
            made_by={"system": f"{how} vote", "voters": ", ".join(ballots.predictions)},
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


def _votes_as_json(judged: Judged, best: str) -> dict[str, object]:
    """Of every vote the primary score with its interval, and what it gains over the best single voter."""
    content: dict[str, object] = {}
    for how, scores in judged.scores.items():
        score, gain = scores.primary_score, _difference_to(scores, best)
        content[how] = {
            "metric": score.metric,
            "value": score.value,
            "low": score.low,
            "high": score.high,
            "minus_best_voter": {"value": gain.value, "low": gain.low, "high": gain.high, "p_value": gain.p_value},
        }
    return content
