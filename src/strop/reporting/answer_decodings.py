"""Decodings that were compared, best first, and which of them is clearly better than the recipe's own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from strop.records.scores import Difference, Scores, SystemScores
from strop.reporting.judged import Judged, judged_baselines

# Under which `strop decode` writes to the ledger what it chose, and why.
STATION = "decoding"


@dataclass(frozen=True)
class ShownDecoding:
    """One decoding.

    Attributes:
        name: As `Decoding.name` has it.
        scores: Its scores.
        lead: How much better it is than the recipe's decoding, judged among all that were compared with it; None for
            the recipe's own.
    """

    name: str
    scores: SystemScores
    lead: Judged | None


def ranked_decodings(scores: Scores, own: str) -> list[ShownDecoding]:
    """The compared decodings by the primary metric, best first; of equal ones the recipe's first, then in their order.

    Args:
        scores: Of the recipe's decoding as the model, of the others as baselines by name.
        own: Name of the recipe's decoding.
    """
    leads = {one.difference.other: _turned(one) for one in judged_baselines(scores)}
    shown = [ShownDecoding(own, scores.model, None)]
    shown += [ShownDecoding(one.system, one, leads.get(one.system)) for one in scores.baselines]
    sign = -1.0 if scores.primary_score.higher_is_better else 1.0
    return sorted(shown, key=lambda one: sign * one.scores.metrics[scores.primary].value)


def clearly_best(ranked: Sequence[ShownDecoding]) -> ShownDecoding:
    """The best decoding that is clearly better than the recipe's own; the recipe's own where none is.

    Args:
        ranked: As `ranked_decodings` gives them, so that those before the recipe's own are better, clearly or not.
    """
    return next(one for one in ranked if one.lead is None or one.lead.is_clear)


def _turned(judged: Judged) -> Judged:
    """The difference seen from the other side: positive favours the other."""
    one = judged.difference
    # Taken from 0, so that no difference is written as minus nothing.
    turned: Difference = replace(one, value=0.0 - one.value, low=0.0 - one.high, high=0.0 - one.low)
    return replace(judged, difference=turned)
