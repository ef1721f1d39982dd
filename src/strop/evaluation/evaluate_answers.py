"""Score saved answers against the accepted ones, with intervals and baselines beside them.

Dimensions: B resamples, R rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from strop.errors import Problem, RunError
from strop.evaluation.answer_intervals import (
    HIGHER_IS_BETTER,
    ROW_MEAN,
    difference_of,
    measured_by_row,
    resampled_means,
    score_of,
)
from strop.evaluation.caveats import caveats_of_few_rows, caveats_of_groups
from strop.evaluation.folds import fold_scores, known_folds
from strop.evaluation.intervals import numbers_of_groups
from strop.evaluation.refuse import refuse_unfair_rows
from strop.metrics.answers import Accepted
from strop.metrics.probability import weighted_mean
from strop.recipe.sections import Evaluation
from strop.records.answers import Answers
from strop.records.dataset import Strings
from strop.records.scores import Difference, FoldScores, Scores, SystemScores, Treated

Floats = NDArray[np.float64]

# Share of answers that may fail before a reader is told.
MOST_FAILING = 0.05


def score_answers(
    model: Answers,
    accepted: Accepted,
    *,
    baselines: Mapping[str, Answers],
    evaluation: Evaluation,
    part: str,
    seed: int,
    groups: Strings | None = None,
    caveats: Sequence[str] = (),
    treated: Mapping[str, Answers] | None = None,
    no_answer: str | None = None,
) -> Scores:
    """Score a model and its baselines on the same rows, each by the answers that stand: together and by fold.

    Beside exact match, F1 and ROUGE-L stand the shares of answers that the model itself ended, that are empty, and that
    repeat themselves; p-values are of a paired permutation test (`intervals.swap_p_value`). Answers are to be cleaned
    before; what that gained is seen where `treated` holds them as they were written.

    Args:
        model: The model's answers.
        accepted: The accepted answers of every row, in the order of the model's answers; a row without any is right
            where nothing is answered.
        baselines: Answers to the same rows by baselines, or by other decodings.
        evaluation: The recipe's section.
        part: What the rows are: validation, test, or out of fold.
        seed: Draws resamples and swaps.
        groups: Group of every row; whole groups are then resampled and swapped.
        caveats: What a reader must know; what these rows cannot show is added.
        treated: The model's answers after, or without, a treatment, by name ("voted", "uncleaned").
        no_answer: Words by which a question is said to have no answer.

    Raises:
        RunError: There are no rows, no row has an accepted answer, a row was answered by a system that was trained on
            it, or baselines or treatments answered other rows.
        ValueError: There are not as many rows of accepted answers as answers.
    """
    refuse_unfair_rows(model, baselines, part, treated)
    refuse_without_answers(accepted, part)
    group_R = numbers_of_groups(groups)
    rows = _Rows(group_R, known_folds(model.fold_R), evaluation, seed)
    systems = [("model", model), *baselines.items(), *(treated or {}).items()]
    rules = evaluation.answer_rules
    ours, *rest = [rows.measure(name, measured_by_row(one, accepted, rules, no_answer)) for name, one in systems]
    others, changed = rest[: len(baselines)], rest[len(baselines) :]
    return Scores(
        part=part,
        primary=evaluation.primary_metric,
        confidence=evaluation.confidence,
        labels=(),
        ids=tuple(model.ids.tolist()),
        model=rows.system_scores(ours),
        baselines=tuple(rows.system_scores(other) for other in others),
        differences=tuple(rows.difference(ours, other, other.system) for other in others),
        caveats=(*caveats, *_caveats_of(ours.by_row, group_R, model.n_rows)),
        treated=tuple(
            Treated(one.system, rows.system_scores(one), rows.difference(one, ours, "model")) for one in changed
        ),
    )


def refuse_without_answers(accepted: Accepted, where: str) -> None:
    """Check that some row has an accepted answer.

    Args:
        accepted: The accepted answers of every row.
        where: Which rows these are, for the error.

    Raises:
        RunError: No row has any.
    """
    if not any(text.strip() for texts in accepted for text in texts):
        raise RunError(
            Problem(
                where=f"accepted answers of the part '{where}'",
                must="some row must have an accepted answer to be judged by",
                came=f"{len(accepted)} rows without any",
                do="give the rows of this part answers in the column data.answers",
            )
        )


def _caveats_of(by_row: Mapping[str, Floats], group_R: NDArray[np.int64] | None, n_rows: int) -> tuple[str, ...]:
    return (*_caveats_of_failures(by_row), *caveats_of_groups(group_R), *caveats_of_few_rows(n_rows))


def _caveats_of_failures(by_row: Mapping[str, Floats]) -> tuple[str, ...]:
    """A sentence where more than one answer in twenty failed, whatever was asked."""
    n_rows = len(by_row["ended"])
    failed = {
        "were stopped at the longest length": n_rows - int(by_row["ended"].sum()),
        "are empty": int(by_row["empty"].sum()),
        "repeat themselves": int(by_row["repeated"].sum()),
    }
    return tuple(
        f"{n_failed} of {n_rows} answers {what}"
        for what, n_failed in failed.items()
        if n_failed > MOST_FAILING * n_rows
    )


@dataclass(frozen=True)
class _Measured:
    """A system's measures of every row and their means on every resample, by name."""

    system: str
    by_row: Mapping[str, Floats]
    means: Mapping[str, Floats]


@dataclass(frozen=True)
class _Rows:
    """The settings that all systems share."""

    group_R: NDArray[np.int64] | None
    fold_R: NDArray[np.int64] | None
    evaluation: Evaluation
    seed: int

    def measure(self, system: str, by_row: Mapping[str, Floats]) -> _Measured:
        n_resamples = self.evaluation.n_bootstrap
        means = resampled_means(by_row, n_resamples=n_resamples, seed=self.seed, group_R=self.group_R)
        return _Measured(system, by_row, means)

    def system_scores(self, system: _Measured) -> SystemScores:
        return SystemScores(
            system=system.system,
            metrics={
                name: score_of(name, values_R, system.means[name], self.evaluation.confidence)
                for name, values_R in system.by_row.items()
            },
            classes=(),
            confusion=(),
            per_row={name: tuple(values_R.tolist()) for name, values_R in system.by_row.items()},
            folds=self._by_fold(system.by_row[self.evaluation.primary_metric]),
        )

    def _by_fold(self, values_R: Floats) -> FoldScores | None:
        """The primary metric of every fold."""
        if self.fold_R is None:
            return None
        name = self.evaluation.primary_metric
        return fold_scores(
            replace(ROW_MEAN, name=name, higher_is_better=HIGHER_IS_BETTER[name]),
            lambda rows, weight_BN: weighted_mean(values_R[rows], weight_BN)[:, None],
            self.fold_R,
            evaluation=self.evaluation,
            seed=self.seed,
            group_R=self.group_R,
        )

    def difference(self, one: _Measured, other: _Measured, name: str) -> Difference:
        """Paired difference on the primary metric; positive favours the first."""
        primary = self.evaluation.primary_metric
        return difference_of(
            name,
            primary,
            (one.by_row[primary], other.by_row[primary]),
            (one.means[primary], other.means[primary]),
            confidence=self.evaluation.confidence,
            seed=self.seed,
            group_R=self.group_R,
        )
