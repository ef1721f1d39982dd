"""Scores and intervals laid out along a common scale, in percent of its width."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite, isnan

from strop.records.scores import Difference, Score, Scores, SystemScores, TargetScores
from strop.reporting.sentences import difference_text, score_text


@dataclass(frozen=True)
class Scale:
    """A stretch of numbers with round ends.

    Attributes:
        low: The number at the left end.
        high: The number at the right end.
        ticks: Round numbers from end to end.
    """

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Where a number lies, in percent of the width; numbers beyond an end lie on it."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 2)


@dataclass(frozen=True)
class Strip:
    """One number and its interval on a scale.

    Attributes:
        name: What the number belongs to.
        words: The number and its interval, written out.
        dot: Where the number lies, in percent; None where it is not defined.
        left: Where the interval begins, in percent; None where there is no interval.
        width: How wide the interval is, in percent.
        marks: Further numbers to compare with, in percent.
    """

    name: str
    words: str
    dot: float | None
    left: float | None = None
    width: float | None = None
    marks: tuple[float, ...] = ()


def scale_over(values: Iterable[float | None]) -> Scale:
    """Choose round ends around numbers; None, NaN and infinities are passed over."""
    from matplotlib.ticker import MaxNLocator

    known = [value for value in values if value is not None and isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if high - low < 1e-9:
        low, high = low - 0.05, high + 0.05
    ticks = [round(float(tick), 10) for tick in MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)]
    return Scale(ticks[0], ticks[-1], tuple(ticks))


def strip(name: str, score: Score | Difference, scale: Scale, marks: Sequence[float] = ()) -> Strip:
    """Lay one score or difference on a scale."""
    placed = tuple(scale.at(mark) for mark in marks if not isnan(mark))
    dot = None if isnan(score.value) else scale.at(score.value)
    words = difference_text(score) if isinstance(score, Difference) else score_text(score)
    if score.low is None or score.high is None or isnan(score.low) or isnan(score.high):
        return Strip(name, words, dot, marks=placed)
    left = scale.at(score.low)
    return Strip(name, words, dot, left, round(scale.at(score.high) - left, 2), placed)


@dataclass(frozen=True)
class Board:
    """Several strips under each other on one scale."""

    scale: Scale
    strips: tuple[Strip, ...]


def primary_board(scores: Scores) -> Board:
    """The primary metric of the model and of every baseline that has it."""
    systems = [one for one in (scores.model, *scores.baselines) if scores.primary in one.metrics]
    judged = [one.metrics[scores.primary] for one in systems]
    scale = scale_over(end for score in judged for end in (score.low, score.value, score.high))
    return Board(scale, tuple(strip(one.system, score, scale) for one, score in zip(systems, judged, strict=True)))


def differences_board(scores: Scores) -> Board:
    """The paired differences; zero is always on the scale."""
    ends = [end for one in scores.differences for end in (one.low, one.value, one.high)]
    scale = scale_over([0.0, *ends])
    return Board(scale, tuple(strip(one.other, one, scale) for one in scores.differences))


def classes_board(scores: Scores, beside: SystemScores | None) -> Board:
    """F1 of every class, with the value of another system as a mark; the scale is 0 to 1, so that classes compare."""
    scale = Scale(0.0, 1.0, (0.0, 0.5, 1.0))
    theirs = {} if beside is None else {one.label: one.f1.value for one in beside.classes}
    strips = [
        strip(one.label, one.f1, scale, [theirs[one.label]] if one.label in theirs else [])
        for one in scores.model.classes
    ]
    return Board(scale, tuple(strips))


def gains_board(scores: Scores) -> Board:
    """What the treatments gained; zero is always on the scale."""
    gains = [one.gain for one in scores.treated]
    scale = scale_over([0.0, *(end for one in gains for end in (one.low, one.value, one.high))])
    return Board(scale, tuple(strip(one.treatment, one.gain, scale) for one in scores.treated))


@dataclass(frozen=True)
class TargetRow:
    """One target: the primary metric as a strip, and all metrics of all systems.

    Attributes:
        scores: The model's scores.
        strip: Its primary metric, with the best baseline's value as a mark; None where it is not defined.
        beside: The primary metric of every baseline, in their order; None where it is not defined.
    """

    scores: TargetScores
    strip: Strip | None
    beside: tuple[Score | None, ...]


@dataclass(frozen=True)
class TargetsBoard:
    """Targets under each other on one scale, the best first, those without the primary metric last."""

    scale: Scale
    rows: tuple[TargetRow, ...]


def targets_board(scores: Scores, beside: SystemScores | None) -> TargetsBoard:
    """The primary metric of every target, with that of another system as a mark."""
    marked = [_by_target(one, scores.primary) for one in (beside,) if one is not None]
    systems = [_by_target(one, scores.primary) for one in scores.baselines]
    own = {one.target: one.metrics.get(scores.primary) for one in scores.model.targets}
    shown = [score for score in (*own.values(), *(score for one in marked for score in one.values())) if score]
    scale = scale_over([0.0, *(end for score in shown for end in (score.low, score.value, score.high))])

    def row(one: TargetScores) -> TargetRow:
        score, marks = own[one.target], [other[one.target] for other in marked]
        placed = [mark.value for mark in marks if mark is not None]
        line = None if score is None else strip(one.target, score, scale, placed)
        return TargetRow(one, line, tuple(other[one.target] for other in systems))

    sign = -1.0 if scores.primary_score.higher_is_better else 1.0

    def rank(one: TargetScores) -> tuple[bool, float]:
        score = own[one.target]
        return (True, 0.0) if score is None else (False, sign * score.value)

    return TargetsBoard(scale, tuple(row(one) for one in sorted(scores.model.targets, key=rank)))


def _by_target(system: SystemScores, metric: str) -> dict[str, Score | None]:
    return {one.target: one.metrics.get(metric) for one in system.targets}
