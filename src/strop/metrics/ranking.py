"""Metrics of rankings: how much of what matters for a question stands how far up.

Dimensions: Q questions, K ranks, G things that matter for a question (of the question that has most).

A gain says how much a thing matters: 0 not at all, 1 where it either does or does not, more where there are grades. A
question for which nothing matters has no value of any metric here; it is refused and must be left out before.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Gains:
    """What was found, and what there was to be found.

    Attributes:
        found_QK: Gain at every rank, shape (Q, K); 0 where a question has fewer ranks.
        gold_QG: Gains of all that matters for a question, highest first, shape (Q, G); 0 beyond.
    """

    found_QK: Floats
    gold_QG: Floats


def gains(found: Sequence[Sequence[Hashable]], gold: Sequence[Mapping[Hashable, float]]) -> Gains:
    """Look up the gain of what stands at every rank; what stands there a second time gains nothing.

    Args:
        found: For every question what was found, best first.
        gold: For every question what matters, with its gain.

    Raises:
        ValueError: There are no questions, lengths differ, for a question nothing matters, or a gain is negative or no
            finite number.
    """
    if not found or len(found) != len(gold):
        raise ValueError(f"found and gold must be of the same questions, at least one, came {len(found)}, {len(gold)}")
    without = [at for at, matters in enumerate(gold) if not any(gain > 0 for gain in matters.values())]
    if without:
        raise ValueError(f"something must matter for every question, nothing does for number {without[0]}")
    if not all(np.isfinite(gain) and gain >= 0 for matters in gold for gain in matters.values()):
        raise ValueError("gains must be finite and not negative")
    found_QK = np.zeros((len(found), max(1, *(len(one) for one in found))))
    gold_QG = np.zeros((len(gold), max(len(matters) for matters in gold)))
    for at, (ranked, matters) in enumerate(zip(found, gold, strict=True)):
        # From the last rank to the first, so that of equal things the first rank stays.
        for thing, rank in {thing: rank for rank, thing in reversed(list(enumerate(ranked)))}.items():
            found_QK[at, rank] = matters.get(thing, 0.0)
        gold_QG[at, : len(matters)] = sorted(matters.values(), reverse=True)
    return Gains(found_QK, gold_QG)


def recall_at(gained: Gains, k: int) -> Floats:
    """Share of all that matters that stands among the first k, shape (Q,); 0 to 1, higher is better.

    Where more than k things matter it cannot reach 1.
    """
    _check_k(k)
    n_gold_Q = (gained.gold_QG > 0).sum(axis=1)
    return np.asarray((gained.found_QK[:, :k] > 0).sum(axis=1) / n_gold_Q)


def ndcg_at(gained: Gains, k: int) -> Floats:
    """Normalised discounted cumulative gain of the first k, shape (Q,); 0 to 1, higher is better.

    Gains count as they are, divided by log2(rank + 1), over the same sum of the best order there could be (Jarvelin and
    Kekalainen 2002, in the form of scikit-learn).
    """
    _check_k(k)
    return np.asarray(_discounted(gained.found_QK, k) / _discounted(gained.gold_QG, k))


def reciprocal_rank(gained: Gains) -> Floats:
    """1 / rank of the first thing that matters, 0 where none was found, shape (Q,); its mean is the MRR."""
    matters_QK = gained.found_QK > 0
    return np.where(matters_QK.any(axis=1), 1.0 / (matters_QK.argmax(axis=1) + 1.0), 0.0)


def _discounted(gain_QK: Floats, k: int) -> Floats:
    gain_QK = gain_QK[:, :k]
    return np.asarray(gain_QK @ (1.0 / np.log2(np.arange(2, gain_QK.shape[1] + 2))))


def _check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"k must be at least 1, came {k}")
