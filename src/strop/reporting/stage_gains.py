"""What every stage of training added to the score that chooses the checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from strop.metrics.answers import ANSWER_METRICS
from strop.metrics.registry import METRICS
from strop.metrics.regression import REGRESSION_METRICS
from strop.reporting.history import StageHistory


@dataclass(frozen=True)
class StageGain:
    """A stage, averaged over the folds that have finished evaluations of it.

    Attributes:
        number: The stage, counted from 0.
        objective: What was minimised.
        trainable: What was trained, in words.
        best: The best score up to the end of this stage.
        gain: How much better than the best before it, never negative since the best checkpoint is carried on; None for
            the first stage.
        n_folds: How many folds the averages are over.
    """

    number: int
    objective: str
    trainable: str
    best: float
    gain: float | None
    n_folds: int


def stage_gains(histories: Sequence[StageHistory], primary: str) -> list[StageGain]:
    """The best score after every stage, and what the stage added.

    Only folds that reached a stage count for it and for the comparison with the stage before. The rows are those that
    chose the checkpoint, and there is no interval: this tells stages apart, it does not judge the model.

    Args:
        histories: Of all folds.
        primary: The primary metric's name.
    """
    metric = METRICS.get(primary) or REGRESSION_METRICS.get(primary) or ANSWER_METRICS[primary]
    sign = 1.0 if metric.higher_is_better else -1.0
    best: dict[str, dict[int, float]] = {}
    for history in histories:
        reached = best.setdefault(history.fold, {})
        scores = [sign * check.metrics[primary] for check in history.checks if primary in check.metrics]
        before = [reached[number] for number in reached if number < history.number]
        if scores:
            reached[history.number] = max([*scores, *before])
    described = {history.number: history for history in histories}
    gains = []
    for number in sorted({number for reached in best.values() for number in reached}):
        folds = [reached for reached in best.values() if number in reached]
        added = [reached[number] - reached[number - 1] for reached in folds if number - 1 in reached]
        history = described[number]
        gains.append(
            StageGain(
                number=number,
                objective=history.objective,
                trainable=history.trainable,
                best=sign * fmean(reached[number] for reached in folds),
                gain=fmean(added) if added else None,
                n_folds=len(folds),
            )
        )
    return gains
