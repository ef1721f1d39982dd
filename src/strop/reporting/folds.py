"""How the scores of single folds are shown beside the score over all rows."""

from dataclasses import dataclass

from strop.records.scores import FoldScores, Score, Scores
from strop.reporting.sentences import counted, number, score_text, system_name, treatment_name
from strop.reporting.strips import Scale, Strip, scale_over, strip


def folds_words(folds: FoldScores) -> str:
    """The mean over folds and how far they lie apart: "mean of 5 folds 0.387 [0.380, 0.394], folds 0.382 to 0.396"."""
    values = [one.score.value for one in folds.folds if one.score is not None]
    left_out = "" if len(values) == len(folds.folds) else f"{len(values)} of "
    ends = f"{number(min(values))} to {number(max(values))}"
    return f"mean of {left_out}{counted(len(folds.folds), 'fold')} {score_text(folds.mean)}, folds {ends}"


@dataclass(frozen=True)
class FoldRow:
    """One fold.

    Attributes:
        fold: Its number.
        n_rows: Its rows.
        left_out: Targets that do not vary there, without those that vary in no fold.
        strip: The model's score; None where the metric is not defined.
        scores: The score of every system, in their order; None where the metric is not defined.
    """

    fold: int
    n_rows: int
    left_out: tuple[str, ...]
    strip: Strip | None
    scores: tuple[Score | None, ...]


@dataclass(frozen=True)
class FoldsTable:
    """The primary metric of every fold.

    Attributes:
        systems: Names of the model, its treatments and the baselines, as a reader sees them.
        scale: The scale of the strips.
        rows: One a fold.
        mean_strip: The model's mean over folds.
        means: The mean over folds of every system.
        of_all_rows: The score of every system over all rows together.
    """

    systems: tuple[str, ...]
    scale: Scale
    rows: tuple[FoldRow, ...]
    mean_strip: Strip
    means: tuple[Score, ...]
    of_all_rows: tuple[Score, ...]


def folds_table(scores: Scores) -> FoldsTable | None:
    """Lay out the scores of every fold; None where the model has none."""
    own = scores.model.folds
    if own is None:
        return None
    named = [(system_name("model"), scores.model)]
    named += [(treatment_name(one.treatment), one.scores) for one in scores.treated]
    named += [(system_name(one.system), one) for one in scores.baselines]
    shown = [(name, system, system.folds) for name, system in named if system.folds is not None]
    ends = [end for one in own.folds if one.score for end in (one.score.low, one.score.value, one.score.high)]
    scale = scale_over([own.mean.low, own.mean.value, own.mean.high, *ends])
    everywhere = set.intersection(*(set(one.left_out) for one in own.folds))
    rows = tuple(
        FoldRow(
            one.fold,
            one.n_rows,
            tuple(name for name in one.left_out if name not in everywhere),
            None if one.score is None else strip(str(one.fold), one.score, scale),
            tuple(folds.folds[at].score for _, _, folds in shown),
        )
        for at, one in enumerate(own.folds)
    )
    return FoldsTable(
        systems=tuple(name for name, _, _ in shown),
        scale=scale,
        rows=rows,
        mean_strip=strip("mean", own.mean, scale),
        means=tuple(folds.mean for _, _, folds in shown),
        of_all_rows=tuple(system.metrics[scores.primary] for _, system, _ in shown),
    )
