"""What a comparison of runs found, as data and in words."""

from collections.abc import Mapping
from dataclasses import dataclass

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
        p_value: Two-sided, of a paired permutation test (labels) or of the paired bootstrap (values), corrected after
            Holm (1979) where there are several pairs.
        is_clear: Whether the interval leaves out zero and the corrected p-value is at most 1 - confidence.
        intervals_overlap: Whether the intervals of the two scores share a value; a paired difference may be clear
            although they do.
    """

    one: str
    other: str
    value: float
    low: float
    high: float
    p_value: float
    is_clear: bool
    intervals_overlap: bool


@dataclass(frozen=True)
class Comparison:
    """Several systems on the rows they share.

    Attributes:
        metric: What is compared.
        confidence: Level of the intervals.
        n_rows: Rows compared.
        n_seen: By system, rows left out because its model was trained on them.
        n_not_shared: By system, further rows left out because another system has not predicted them, or was trained on
            them.
        scores: By system, best first.
        pairs: All pairs of systems.
    """

    metric: str
    confidence: float
    n_rows: int
    n_seen: Mapping[str, int]
    n_not_shared: Mapping[str, int]
    scores: Mapping[str, Score]
    pairs: tuple[Pair, ...]

    def lines(self) -> list[str]:
        """The comparison in words, a sentence a line."""
        level = f"{100 * self.confidence:g}%"
        lines = [f"{self.metric} on {self.n_rows} rows that no compared model was trained on, {level} intervals:"]
        for name, score in self.scores.items():
            lines.append(f"  {name}: {score.value:.4f}{_interval(score)}")
        for name, n_rows in self.n_seen.items():
            if n_rows:
                lines.append(f"  ({n_rows} rows that {name} was trained on are left out)")
        for name, n_rows in self.n_not_shared.items():
            if n_rows:
                lines.append(f"  ({n_rows} rows predicted by {name} are not among the shared ones)")
        lines += [_sentence(pair) for pair in self.pairs]
        if len(self.pairs) > 1:
            lines.append(f"(p-values are corrected for {len(self.pairs)} pairs after Holm)")
        return lines


def _interval(score: Score) -> str:
    return "" if score.low is None or score.high is None else f" [{score.low:.4f}, {score.high:.4f}]"


def _sentence(pair: Pair) -> str:
    numbers = f"{pair.value:+.4f} [{pair.low:+.4f}, {pair.high:+.4f}], p = {pair.p_value:.4f}"
    if pair.is_clear:
        overlap = "; the intervals overlap, the paired difference is clear" if pair.intervals_overlap else ""
        return f"{pair.one} is clearly better than {pair.other}: {numbers}{overlap}"
    overlap = "the intervals overlap and " if pair.intervals_overlap else ""
    verdict = f"{pair.one} and {pair.other} cannot be told apart on these rows"
    return f"{verdict}: {numbers}; {overlap}the difference is not clear"
