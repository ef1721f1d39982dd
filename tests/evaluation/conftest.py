"""Predictions with known strengths."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from strop.records.dataset import Strings, strings
from strop.records.predictions import Predictions

LABELS = ("code", "other", "theory")
Make = Callable[..., Predictions]


def target_of(n_rows: int) -> Strings:
    """Labels in turn: code, other, theory, code, ..."""
    return strings([LABELS[at % 3] for at in range(n_rows)])


@pytest.fixture
def make_predictions() -> Make:
    """Make predictions of rows r0, r1, ... whose labels are those of `target_of`."""

    def make(n_rows: int = 90, strength: float = 1.0, seed: int = 0, part: str = "test") -> Predictions:
        logits_RL = np.random.default_rng(seed).normal(size=(n_rows, 3))
        logits_RL[np.arange(n_rows), np.arange(n_rows) % 3] += strength
        return Predictions(
            ids=strings([f"r{at}" for at in range(n_rows)]),
            labels=LABELS,
            outputs_RL=logits_RL.astype(np.float32),
            part=strings([part] * n_rows),
            seen_R=np.zeros(n_rows, dtype=np.bool_),
            fold_R=np.full(n_rows, -1),
        )

    return make


@pytest.fixture
def target() -> Callable[[int], Strings]:
    """The true labels of the first n rows."""
    return target_of


TARGETS = ("clear", "helpful", "short")


def _truth() -> np.ndarray:
    """Three targets of 80 rows between 0 and 1, on a grid of nine values."""
    return np.random.default_rng(42).integers(9, size=(80, 3)) / 8


@dataclass(frozen=True)
class MakeValues:
    """Make predictions of rows r0, r1, ... that follow the true values with a known strength."""

    truth_RT: np.ndarray = field(default_factory=_truth)

    def __call__(
        self, strength: float, *, seed: int = 0, constant: bool = False, steps: int | None = None
    ) -> Predictions:
        noise_RT = np.random.default_rng(seed).random(self.truth_RT.shape)
        values_RT = strength * self.truth_RT + (1 - strength) * noise_RT
        if constant:
            values_RT = np.full_like(values_RT, 0.5)
        if steps is not None:
            values_RT = np.round(values_RT * steps) / steps
        return Predictions(
            ids=strings([f"r{at}" for at in range(len(values_RT))]),
            labels=TARGETS,
            outputs_RL=values_RT.astype(np.float32),
            part=strings(["validation"] * len(values_RT)),
            seen_R=np.zeros(len(values_RT), dtype=np.bool_),
            fold_R=np.full(len(values_RT), -1),
            kind="values",
        )


@pytest.fixture
def make_values() -> MakeValues:
    return MakeValues()
