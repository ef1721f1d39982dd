"""Units are dealt by the shares of every class."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.data.allocation import allocated, counted_by_class, quotas
from strop.records.dataset import strings


def test_quotas_carry_remainders_from_class_to_class():
    # every class alone would give its odd row to the first bin
    none = np.zeros((2, 4), dtype=np.int64)
    assert quotas(np.array([3, 3, 3, 3]), (0.5, 0.5), none).tolist() == [[2, 1, 2, 1], [1, 2, 1, 2]]


def test_quotas_keep_the_least():
    least = np.array([[1, 1], [1, 1], [0, 1]])
    wanted = quotas(np.array([2, 100]), (0.65, 0.2, 0.15), least)
    assert wanted.tolist() == [[1, 65], [1, 20], [0, 15]]


def test_single_rows_fill_their_quotas():
    n_rows_UC = np.repeat(np.eye(2, dtype=np.int64), [80, 20], axis=0)
    bins = allocated(n_rows_UC, (0.75, 0.25), (1, 1), [str(n) for n in range(100)], 0)
    assert np.bincount(bins[:80]).tolist() == [60, 20]
    assert np.bincount(bins[80:]).tolist() == [15, 5]


def test_large_units_come_to_every_bin_by_its_share():
    sizes = [10] * 30 + [1] * 300
    n_rows_UC = np.array(sizes)[:, None]
    bins = allocated(n_rows_UC, (0.7, 0.3), (1, 1), [str(n) for n in range(330)], 0)
    assert np.bincount(bins[:30]).tolist() == [21, 9]
    assert np.bincount(bins[30:]).tolist() == [210, 90]


def test_a_rare_class_goes_to_the_first_bins():
    n_rows_UC = np.array([[10, 0]] * 10 + [[0, 1]])
    for seed in range(5):
        assert allocated(n_rows_UC, (0.5, 0.5), (1, 1), [str(n) for n in range(11)], seed)[10] == 0


def test_every_class_is_everywhere_though_units_hold_several():
    n_rows_UC = np.array([[50, 1], [40, 1], [3, 0], [2, 0], [1, 0]])
    bins = allocated(n_rows_UC, (0.9, 0.1), (1, 1), list("abcde"), 0)
    assert {bins[0], bins[1]} == {0, 1}


def test_counted_by_class():
    counts, names = counted_by_class(np.array([0, 1, 0]), strings(["x", "y", "y"]), strings(["c", "b", "a"]))
    assert counts.tolist() == [[1, 1], [0, 1]]
    assert names == ["a", "b"]


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3).filter(any), min_size=4, max_size=40),
    st.sampled_from([(0.8, 0.2), (0.5, 0.5), (1.0, 1.0, 1.0), (0.9, 0.1)]),
    st.integers(0, 3),
    st.randoms(),
)
def test_allocation_properties(units, fractions, seed, shuffler):
    names = [f"unit {number}" for number in range(len(units))]
    least = (1,) * len(fractions)
    bins = allocated(np.array(units), fractions, least, names, seed)
    assert set(bins) == set(range(len(fractions)))  # none is empty
    order = list(range(len(units)))
    shuffler.shuffle(order)
    again = allocated(np.array([units[at] for at in order]), fractions, least, [names[at] for at in order], seed)
    assert [again[order.index(at)] for at in range(len(units))] == bins.tolist()


@pytest.mark.parametrize("n_rows", [10, 37, 100, 1003])
def test_shares_of_single_rows_are_honoured(n_rows):
    rng = np.random.default_rng(n_rows)
    labels = rng.choice(7, n_rows, p=[0.3, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02])
    n_rows_UC = np.eye(7, dtype=np.int64)[labels]
    n_rows_UC = n_rows_UC[:, n_rows_UC.any(axis=0)]
    bins = allocated(n_rows_UC, (0.8, 0.2), (1, 1), [str(n) for n in range(n_rows)], 0)
    assert abs((bins == 1).sum() - 0.2 * n_rows) <= 3
