from collections.abc import Sequence

import pytest

from strop.reporting.history import Check, StageHistory
from strop.reporting.stage_gains import stage_gains


def history(fold: str, number: int, scores: Sequence[float], metric: str = "spearman") -> StageHistory:
    checks = tuple(Check(step, step / 10, {metric: score}, is_best=True) for step, score in enumerate(scores, 1))
    return StageHistory(fold, number, "bce", "all" if number == 0 else "head", (), checks)


def test_the_best_is_carried_from_stage_to_stage() -> None:
    first, second, third = stage_gains(
        [history("whole", 0, [0.2, 0.35, 0.3]), history("whole", 1, [0.1, 0.34]), history("whole", 2, [0.4])],
        "spearman",
    )
    assert (first.best, first.gain, first.trainable, first.n_folds) == (0.35, None, "all", 1)
    assert (second.best, second.gain, second.trainable) == (0.35, 0.0, "head")
    assert (third.best, third.gain) == (0.4, pytest.approx(0.05))


def test_folds_are_averaged_and_an_unfinished_one_is_left_out_of_the_gain() -> None:
    first, second = stage_gains(
        [
            history("0", 0, [0.2]),
            history("0", 1, [0.3]),
            history("1", 0, [0.3]),
            history("1", 1, [0.32]),
            history("2", 0, [0.9]),
        ],
        "spearman",
    )
    assert (first.best, first.n_folds) == (pytest.approx(1.4 / 3), 3)
    assert (second.best, second.gain, second.n_folds) == (pytest.approx(0.31), pytest.approx(0.06), 2)


def test_where_lower_is_better_a_smaller_value_gains() -> None:
    first, second = stage_gains([history("whole", 0, [0.3, 0.2], "mae"), history("whole", 1, [0.15], "mae")], "mae")
    assert (first.best, second.best, second.gain) == (0.2, 0.15, pytest.approx(0.05))


def test_stages_without_evaluations_say_nothing() -> None:
    assert stage_gains([], "spearman") == []
    assert stage_gains([history("whole", 0, [])], "spearman") == []
