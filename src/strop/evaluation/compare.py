"""Compare systems row by row on the rows that none of their models was trained on.

Dimensions: R rows, L labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from strop.errors import Problem, RunError
from strop.evaluation.intervals import interval, resampled_values, swap_p_value
from strop.evaluation.labels import label_numbers
from strop.metrics.registry import METRICS
from strop.recipe.sections import Evaluation
from strop.records.dataset import strings
from strop.records.predictions import Predictions
from strop.records.scores import Score


@dataclass(frozen=True)
class Pair:
    """Two systems on the same rows.

    Attributes:
        one: The system with the better score.
        other: The other.
        value: How much better; not negative.
        low: Lower end of the paired interval.
        high: Upper end.
        p_value: Of a paired permutation test, corrected after Holm (1979) where there are several pairs.
    """

    one: str
    other: str
    value: float
    low: float
    high: float
    p_value: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Comparison:
    """Several systems on the rows they share.

    Attributes:
        metric: What is compared.
        confidence: Level of the intervals.
        n_rows: Rows compared.
        n_left_out: By system, rows it predicted that are not compared.
        scores: By system, best first.
        pairs: All pairs of systems.
    """

    metric: str
    confidence: float
    n_rows: int
    n_left_out: Mapping[str, int]
    scores: Mapping[str, Score]
    pairs: tuple[Pair, ...]

    def lines(self) -> list[str]:
        """The comparison in words, a sentence a line."""
        level = f"{self.confidence:.0%}"
        lines = [f"{self.metric} on {self.n_rows} rows that no compared model was trained on, {level} intervals:"]
        lines += [
            f"  {name}: {score.value:.4f} [{score.low:.4f}, {score.high:.4f}]" for name, score in self.scores.items()
        ]
        for name, n_rows in self.n_left_out.items():
            if n_rows:
                lines.append(f"  ({n_rows} rows predicted by {name} are not among the shared ones)")
        for pair in self.pairs:
            interval_shown = f"{pair.value:+.4f} [{pair.low:+.4f}, {pair.high:+.4f}], p = {pair.p_value:.4f}"
            if pair.is_clear:
                lines.append(f"{pair.one} is clearly better than {pair.other}: {interval_shown}")
            else:
                lines.append(f"{pair.one} and {pair.other} cannot be told apart on these rows: {interval_shown}")
        return lines


def compare_runs(
    predictions: Mapping[str, Predictions],
    targets: Mapping[str, Mapping[str, str]],
    *,
    evaluation: Evaluation,
    seed: int,
) -> Comparison:
    """Compare systems on the primary metric.

    Args:
        predictions: By system.
        targets: By system, the true label of every row by id.
        evaluation: Primary metric, resamples, confidence.
        seed: Draws resamples and swappings.

    Raises:
        RunError: Systems have no unseen rows in common, disagree on a row's true label, or know other labels.
    """
    ids = _shared_unseen_ids(predictions)
    _must_agree(ids, predictions, targets)
    first = next(iter(predictions))
    target_R = label_numbers(strings([targets[first][row_id] for row_id in ids]), predictions[first].labels)
    probabilities = {name: one.select(ids).probabilities_RL() for name, one in predictions.items()}
    metric = METRICS[evaluation.primary_metric]
    resampled = {
        name: resampled_values(metric, target_R, one_RL, n_resamples=evaluation.n_bootstrap, seed=seed)
        for name, one_RL in probabilities.items()
    }
    scores = {
        name: Score(
            metric.name,
            metric.value(target_R, one_RL),
            *interval(resampled[name], evaluation.confidence),
            metric.higher_is_better,
        )
        for name, one_RL in probabilities.items()
    }
    ranked = sorted(scores, key=lambda name: scores[name].value, reverse=metric.higher_is_better)
    sign = 1.0 if metric.higher_is_better else -1.0
    pairs, p_values = [], []
    for one, other in combinations(ranked, 2):
        low, high = interval(sign * (resampled[one] - resampled[other]), evaluation.confidence)
        value = sign * (scores[one].value - scores[other].value)
        pairs.append((one, other, value, low, high))
        p_values.append(swap_p_value(metric, target_R, probabilities[one], probabilities[other], seed=seed))
    corrected = holm(np.array(p_values))
    return Comparison(
        metric=metric.name,
        confidence=evaluation.confidence,
        n_rows=len(ids),
        n_left_out={name: one.n_rows - len(ids) for name, one in predictions.items()},
        scores={name: scores[name] for name in ranked},
        pairs=tuple(Pair(*pair, float(p_value)) for pair, p_value in zip(pairs, corrected, strict=True)),
    )


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """P-values corrected for several tests by the step-down method of Holm (1979), in the order given."""
    order = np.argsort(p_values)
    n_tests = len(p_values)
    stepped = np.maximum.accumulate(p_values[order] * (n_tests - np.arange(n_tests)))
    corrected = np.empty(n_tests)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def _shared_unseen_ids(predictions: Mapping[str, Predictions]) -> list[str]:
    unseen = [set(one.ids[~one.seen_R].tolist()) for one in predictions.values()]
    shared = set.intersection(*unseen)
    if not shared:
        counts = ", ".join(f"{name}: {one.n_rows}" for name, one in predictions.items())
        problem = Problem(
            where="the compared runs",
            must="runs must have predicted some of the same rows, unseen in training",
            came=f"no row in common ({counts} rows)",
            do="compare runs with the same data, ids and split (same seed)",
        )
        raise RunError(problem)
    first = next(iter(predictions.values()))
    return [row_id for row_id in first.ids.tolist() if row_id in shared]


def _must_agree(
    ids: list[str], predictions: Mapping[str, Predictions], targets: Mapping[str, Mapping[str, str]]
) -> None:
    first, *others = predictions
    problems = []
    for other in others:
        differing = [row_id for row_id in ids if targets[first][row_id] != targets[other][row_id]]
        if differing:
            shown = ", ".join(differing[:5])
            problems.append(
                Problem(
                    where=f"{first} and {other}",
                    must="runs must agree on the true label of every shared row",
                    came=f"{len(differing)} rows differ, for example {shown}",
                    do="fit both on the same version of the data",
                )
            )
        if predictions[first].labels != predictions[other].labels:
            problems.append(
                Problem(
                    where=f"{first} and {other}",
                    must="runs must know the same labels",
                    came=f"{list(predictions[first].labels)} and {list(predictions[other].labels)}",
                    do="fit both on the same data",
                )
            )
    if problems:
        raise RunError(*problems)
