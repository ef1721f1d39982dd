import json

import numpy as np
import pytest

from strop.ensembling.snap import Grid, cross_fitted_snap, fit_grids, snap
from strop.metrics.regression import REGRESSION_METRICS

SPEARMAN = REGRESSION_METRICS["spearman"]
NAMES = ("rare", "even", "noise", "continuous")


def drawn(seed: int, n_rows: int = 1500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A rare target, one evenly spread, one that predictions know nothing of, and a continuous one."""
    generator = np.random.default_rng(seed)
    signal_RT, noise_RT = generator.normal(size=(2, n_rows, 4))
    # What is predicted of rows alike differs a little, as out-of-fold predictions do.
    truth_RT = signal_RT + 0.6 * noise_RT
    truth_RT[:, 2] = generator.normal(size=n_rows)
    target_RT = np.column_stack(
        [
            np.digitize(truth_RT[:, 0], [2.0, 2.6]) / 3,
            np.digitize(truth_RT[:, 1], [-1, -0.3, 0.3, 1]) / 4,
            np.digitize(truth_RT[:, 2], [0.0]).astype(float),
            truth_RT[:, 3],
        ]
    )
    return target_RT, 0.2 + 0.1 * signal_RT, np.arange(n_rows) // 2


def test_rare_values_gain_and_nothing_loses():
    target_RT, values_RT, group_R = drawn(0)
    snapped_RT = cross_fitted_snap(target_RT, values_RT, group_R=group_R, n_folds=3)
    gain_T = SPEARMAN.by_target_values(target_RT, snapped_RT) - SPEARMAN.by_target_values(target_RT, values_RT)
    assert gain_T[0] > 0.15
    assert (gain_T[1:3] > -0.02).all()
    assert (snapped_RT[:, 3] == values_RT[:, 3]).all()


def test_grids_say_how_they_were_found():
    target_RT, values_RT, group_R = drawn(1)
    target_RT[:100, 0] = np.nan
    grids = fit_grids(target_RT, values_RT, NAMES, group_R=group_R)
    assert [grid.target for grid in grids] == list(NAMES)
    assert [grid.n_rows for grid in grids] == [1400, 1500, 1500, 1500]
    assert grids[0].method in {"nearest", "distribution", "optimised"}
    assert grids[3].method == "raw"
    for grid in grids:
        assert list(grid.values) == sorted(set(grid.values))
        assert list(grid.thresholds) == sorted(set(grid.thresholds))
        assert len(grid.thresholds) == max(len(grid.values) - 1, 0)


def test_snapping_twice_changes_nothing():
    target_RT, values_RT, group_R = drawn(2)
    grids = fit_grids(target_RT, values_RT, NAMES, group_R=group_R)
    once_RT = snap(grids, values_RT)
    assert (once_RT != values_RT).any()
    assert (snap(grids, once_RT) == once_RT).all()


def test_snap_by_hand():
    grids = [Grid("a", (0.0, 0.5, 1.0), (0.3, 0.8), "nearest", 9), Grid("b", (), (), "raw", 9)]
    found = snap(grids, np.array([[0.29, 0.29], [0.3, 0.3], [2.0, 2.0]]))
    assert found.tolist() == [[0.0, 0.29], [0.5, 0.3], [1.0, 2.0]]


def test_grids_survive_json():
    target_RT, values_RT, group_R = drawn(3)
    for grid in fit_grids(target_RT, values_RT, NAMES, group_R=group_R):
        assert Grid.from_json(json.loads(json.dumps(grid.to_json()))) == grid


def test_a_row_does_not_see_its_own_target():
    target_RT, values_RT, group_R = drawn(4, n_rows=600)
    held_R = group_R == 17
    changed_RT = target_RT.copy()
    changed_RT[held_R] = target_RT.max(axis=0)
    before, after = (cross_fitted_snap(of, values_RT, group_R=group_R, n_folds=3) for of in (target_RT, changed_RT))
    assert (before[held_R] == after[held_R]).all()


@pytest.mark.parametrize(
    "target_R",
    [
        np.full(40, 0.5),
        np.full(40, np.nan),
        np.where(np.arange(40) < 39, 0.0, 1.0),
        np.where(np.arange(40) < 20, np.nan, np.arange(40) % 2),
    ],
)
def test_too_little_to_fit_stays_as_it_is(target_R):
    values_RT = np.random.default_rng(0).normal(size=(40, 1))
    assert fit_grids(target_R[:, None], values_RT, ["a"])[0].method == "raw"
    assert (cross_fitted_snap(target_R[:, None], values_RT) == values_RT).all()


def test_constant_predictions_and_one_group_stay_as_they_are():
    target_RT = (np.arange(60) % 2 * 1.0)[:, None]
    assert fit_grids(target_RT, np.zeros((60, 1)), ["a"])[0].method == "raw"
    assert fit_grids(target_RT, target_RT, ["a"], group_R=np.zeros(60, dtype=int))[0].method == "raw"


def test_targets_and_grids_must_match():
    with pytest.raises(ValueError, match="there must be 2 names as there are targets, came 1"):
        fit_grids(np.zeros((3, 2)), np.zeros((3, 2)), ["a"])
    with pytest.raises(ValueError, match=r"shape \(rows, 1\) as there are grids, came \(3, 2\)"):
        snap([Grid("a", (), (), "raw", 3)], np.zeros((3, 2)))
    with pytest.raises(ValueError, match="at least 2 groups, came 1"):
        cross_fitted_snap(np.zeros((3, 2)), np.zeros((3, 2)), group_R=np.zeros(3, dtype=int))
    with pytest.raises(ValueError, match="values must be finite"):
        cross_fitted_snap(np.zeros((3, 2)), np.full((3, 2), np.nan))
