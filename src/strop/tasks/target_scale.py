"""Between values of targets and the interval from 0 to 1 in which a network predicts them.

Dimensions: T targets, R rows, K knots of one target.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from strop.tasks.task import Floats

# A target with more distinct values than this is described by so many of them, evenly spread over its ranks.
MOST_KNOTS = 1000


@dataclass(frozen=True)
class TargetScale:
    """A rising line of straight pieces for every target.

    Attributes:
        values: For every target the values at its knots, ascending, shape (K,) each; at least two.
        shares: For every target what stands for these values, from 0 to 1, ascending, shape (K,) each.
    """

    values: tuple[NDArray[np.float64], ...]
    shares: tuple[NDArray[np.float64], ...]

    @classmethod
    def of_ranges(cls, low_T: Sequence[float] | Floats, high_T: Sequence[float] | Floats) -> Self:
        """One straight line from the lowest to the highest value; a flat range is taken to be 1 wide."""
        ends = [(low, high if high > low else low + 1.0) for low, high in zip(low_T, high_T, strict=True)]
        return cls(tuple(np.asarray(two, dtype=np.float64) for two in ends), (np.array([0.0, 1.0]),) * len(ends))

    @classmethod
    def of_known_ranges(
        cls, target_RT: NDArray[np.float64], declared: Sequence[tuple[float, float] | None] = ()
    ) -> Self:
        """Ranges as declared for each target, else as these rows have them; without any value from 0 to 1."""
        is_known_RT = ~np.isnan(target_RT)
        low_T = np.min(target_RT, axis=0, initial=np.inf, where=is_known_RT)
        high_T = np.max(target_RT, axis=0, initial=-np.inf, where=is_known_RT)
        low_T = np.where(np.isfinite(low_T), low_T, 0.0)
        for target, of_target in enumerate(declared):
            if of_target is not None:
                low_T[target], high_T[target] = of_target
        return cls.of_ranges(low_T, high_T)

    @classmethod
    def of_ranks(cls, target_RT: NDArray[np.float64]) -> Self:
        """Every value stands at its mean rank among these rows, the lowest at 0 and the highest at 1.

        The expected rank orders rows best under Spearman's correlation, which is a correlation of ranks.
        """
        knots = [_rank_knots(target_R[~np.isnan(target_R)]) for target_R in target_RT.T]
        return cls(tuple(values for values, _ in knots), tuple(shares for _, shares in knots))

    def encode(self, target_RT: NDArray[np.float64]) -> NDArray[np.float32]:
        """Values as shares, shape (R, T); what lies beyond the ends is at the end, NaN stays."""
        columns = zip(target_RT.T, self.values, self.shares, strict=True)
        encoded = [np.interp(target_R, value_K, share_K) for target_R, value_K, share_K in columns]
        return np.stack(encoded, axis=1).astype(np.float32)

    def decode(self, outputs_RT: Floats) -> Floats:
        """A network's outputs as values, shape (R, T): the value at the sigmoid of the output."""
        from scipy.special import expit

        columns = zip(expit(outputs_RT.astype(np.float64)).T, self.values, self.shares, strict=True)
        decoded = [np.interp(share_R, share_K, value_K) for share_R, value_K, share_K in columns]
        return np.stack(decoded, axis=1).astype(np.float32)

    def saved(self) -> dict[str, Any]:
        """Plain lists, for JSON."""
        return {
            "values": [value_K.tolist() for value_K in self.values],
            "shares": [share_K.tolist() for share_K in self.shares],
        }

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> Self:
        """What `saved` gave."""
        values, shares = ([np.asarray(knots) for knots in saved[name]] for name in ("values", "shares"))
        return cls(tuple(values), tuple(shares))


def _rank_knots(known_R: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    value_K, count_K = np.unique(known_R, return_counts=True)
    if len(value_K) < 2:
        low = value_K[0] if len(value_K) else 0.0
        return np.array([low, low + 1.0]), np.array([0.0, 1.0])
    rank_K = np.cumsum(count_K) - (count_K - 1) / 2
    share_K = (rank_K - rank_K[0]) / (rank_K[-1] - rank_K[0])
    kept = np.unique(np.searchsorted(share_K, np.linspace(0.0, 1.0, MOST_KNOTS)))
    if len(value_K) > MOST_KNOTS:
        value_K, share_K = value_K[kept], share_K[kept]
    return value_K, share_K
