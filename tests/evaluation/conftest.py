"""Predictions with known strengths."""

from collections.abc import Callable

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
