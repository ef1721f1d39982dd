from itertools import combinations

import numpy as np
import pytest
from scipy.stats import spearmanr

from strop.ensembling.cuts import (
    best_cuts,
    centred_midranks,
    copula_sums,
    corrected_sums,
    places_for_cuts,
    worthwhile_cuts,
)


def ordered(seed: int, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """A skewed target of three values, its rows in the order of predictions; and its sums of ranks below each place."""
    generator = np.random.default_rng(seed)
    signal_R = np.sort(generator.normal(size=n_rows))
    target_R = np.digitize(signal_R + generator.normal(size=n_rows), [1.0, 2.0]).astype(float)
    return target_R, np.concatenate([[0.0], np.cumsum(centred_midranks(target_R))])


@pytest.mark.parametrize("seed", range(4))
def test_no_cutting_is_better(seed):
    n_rows = 13
    target_R, sums_G = ordered(seed, n_rows)
    found = best_cuts(np.arange(n_rows + 1), sums_G, (2, 3, 4))
    for n_levels, cuts in found.items():
        best = max(
            spearmanr(target_R, np.searchsorted(other, np.arange(n_rows), side="right")).statistic
            for fewer in range(1, n_levels)
            for other in combinations(range(1, n_rows), fewer)
        )
        level_R = np.searchsorted(cuts, np.arange(n_rows), side="right")
        assert len(cuts) < n_levels
        assert spearmanr(target_R, level_R).statistic == pytest.approx(best)
    assert list(found) == [2, 3, 4]


def test_levels_that_hardly_serve_are_left_out():
    # 20 rows of rank 0, then 80 of rank 1; of cuts at 5, 20 and 97 the one between the two is all there is to say.
    target_R = np.repeat([0.0, 1.0], [20, 80])
    sums_G = np.concatenate([[0.0], np.cumsum(centred_midranks(target_R))])
    assert worthwhile_cuts(np.arange(101), sums_G, np.array([5, 20, 97])).tolist() == [20]
    assert worthwhile_cuts(np.arange(101), sums_G, np.array([5])).tolist() == [5]


@pytest.mark.parametrize("seed", range(4))
def test_what_is_left_out_costs_little(seed):
    target_R, sums_G = ordered(seed, 400)
    row_R = np.arange(400)
    cuts = best_cuts(np.arange(401), sums_G, (20,))[20]
    kept = worthwhile_cuts(np.arange(401), sums_G, cuts)
    before, after = (spearmanr(target_R, np.searchsorted(some, row_R, side="right")).statistic for some in (cuts, kept))
    assert 0.997 * before <= after <= before
    assert 0 < len(kept) < len(cuts)
    assert set(kept) <= set(cuts)
    # One fewer would cost more than that.
    for number in range(len(kept)):
        fewer = np.delete(kept, number)
        assert spearmanr(target_R, np.searchsorted(fewer, row_R, side="right")).statistic < 0.997 * before


def test_there_are_no_cuts_for_what_ranks_backwards():
    _, sums_G = ordered(0, 30)
    assert best_cuts(np.arange(31), -sums_G, (3,)) == {}
    assert best_cuts(np.array([0, 30]), np.zeros(2), (3,)) == {}


def test_places_lie_between_different_predictions():
    sorted_R = np.sort(np.random.default_rng(0).integers(20, size=500)).astype(float)
    place_G = places_for_cuts(sorted_R)
    assert place_G[[0, -1]].tolist() == [0, 500]
    assert (np.diff(place_G) > 0).all()
    inner = place_G[1:-1]
    assert (sorted_R[inner - 1] < sorted_R[inner]).all()
    assert places_for_cuts(np.zeros(10)).tolist() == [0, 10]


def test_places_are_close_together_at_both_ends():
    place_G = places_for_cuts(np.arange(6000.0))
    assert place_G[1] == 3
    assert place_G[-2] == 5997
    assert np.diff(place_G).max() <= 6000 / 48 + 1


def test_the_copula_says_what_many_rows_say():
    generator = np.random.default_rng(0)
    value_R = np.sort(generator.normal(size=200_000))
    target_R = np.digitize(0.5 * value_R + np.sqrt(0.75) * generator.normal(size=200_000), [0.5, 1.5]).astype(float)
    place_G = places_for_cuts(value_R)
    row_sums_G = np.concatenate([[0.0], np.cumsum(centred_midranks(target_R))])[place_G]
    curve_G = copula_sums(target_R, value_R, place_G)
    assert curve_G[[0, -1]] == pytest.approx([0, 0], abs=1e-3 * np.abs(row_sums_G).max())
    assert np.abs(curve_G - row_sums_G).max() < 0.02 * np.abs(row_sums_G).max()


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_copula_has_an_answer_where_the_order_is_perfect(sign):
    target_R, place_G = np.repeat([0.0, 1.0], [98, 2]), np.array([0, 50, 98, 100])
    curve_G = copula_sums(target_R, sign * np.arange(100.0), place_G)
    assert np.sign(curve_G[2]) == -sign


def test_a_narrow_kernel_comes_near_to_the_rows():
    _, row_sums_R = ordered(1, 4000)
    place_G = np.arange(0, 4001, 200)
    row_sums_G, flat_G = row_sums_R[place_G], np.zeros(len(place_G))
    narrow, wide = (corrected_sums(flat_G, row_sums_G, place_G, width) for width in (0.01, 10.0))
    largest = np.abs(row_sums_G).max()
    assert np.abs(narrow - row_sums_G).max() < 0.1 * largest
    assert np.abs(wide).max() < 0.1 * largest
    assert narrow[[0, -1]] == pytest.approx([0, 0])
