"""Which differences are clear, judged together with those that are looked at with them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from strop.evaluation.clarity import holm, is_clear
from strop.records.scores import Difference, Scores


@dataclass(frozen=True)
class Judged:
    """A difference, and whether it is clear among the others of its family.

    Attributes:
        difference: The difference.
        p_value: Its p-value, corrected after Holm (1979) for all differences of the family.
        n_tests: How many differences the family has.
        is_clear: Whether the interval leaves out zero and the corrected p-value is at most 1 - confidence.
    """

    difference: Difference
    p_value: float
    n_tests: int
    is_clear: bool


def judged(differences: Sequence[Difference], confidence: float) -> list[Judged]:
    """Judge differences that are looked at together, in the order given."""
    p_values = holm(np.array([one.p_value for one in differences])).tolist()
    return [
        Judged(one, p_value, len(differences), is_clear(one.low, one.high, p_value, confidence))
        for one, p_value in zip(differences, p_values, strict=True)
    ]


def judged_baselines(scores: Scores) -> list[Judged]:
    """The differences to the baselines, judged together."""
    return judged(scores.differences, scores.confidence)


def judged_treatments(scores: Scores) -> list[Judged]:
    """What the treatments gained, judged together."""
    return judged([one.gain for one in scores.treated], scores.confidence)


def difference_to(scores: Scores, system: str) -> Judged | None:
    """The paired difference on the primary metric between the model and a baseline, judged among all baselines."""
    wanted = (system, scores.primary)
    found = [one for one in judged_baselines(scores) if (one.difference.other, one.difference.metric) == wanted]
    return found[0] if found else None


def judgement(judged: Judged, *, higher_is_better: bool = True) -> str:
    """The words for a difference: "clearly above", "clearly below", or "not distinguishable from"."""
    if not judged.is_clear:
        return "not distinguishable from"
    if higher_is_better:
        return "clearly above" if judged.difference.low > 0 else "clearly below"
    return "clearly better than" if judged.difference.low > 0 else "clearly worse than"


def judgement_alone(judged: Judged, *, higher_is_better: bool = True) -> str:
    """The same words where nothing follows them."""
    return judgement(judged, higher_is_better=higher_is_better).removesuffix(" from").removesuffix(" than")
