"""Divide units (rows that must stay together) over bins, so that every bin gets its share of every class."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from strop.records.dataset import Strings

# Legend of dimensions: U units, B bins, C classes. A last column "any class" keeps bins from being empty by the same
# rules.
Counts = NDArray[np.int64]


def allocated(
    n_rows_UC: Counts, fractions: Sequence[float], least_units: Sequence[int], names: Sequence[str], seed: int
) -> Counts:
    """Give every unit to a bin.

    Greedy: every bin has a quota of rows of each class (see `quotas`); units are dealt from the largest to the
    smallest, each to the bin that it brings closest to its quota in the chi-squared sense, so that large and small
    units come to every bin by its share. Then the smallest units that serve are moved until every bin has `least_units`
    of every class, as far as there are enough.

    Args:
        n_rows_UC: Rows of every unit by class, shape (U, C).
        fractions: Share of the rows wanted in every bin, all above 0. A class too rare for all bins goes to the first.
        least_units: How many units of every class each bin needs; at least as many units must there be.
        names: A name for every unit, such as its first id; with the seed it decides among units of the same size.
        seed: Another seed deals otherwise.

    Returns:
        The bin of every unit, shape (U,). It does not depend on the order of the units.
    """
    n_rows_C = n_rows_UC.sum(axis=0)
    has_UC = np.concatenate([n_rows_UC > 0, np.ones((len(names), 1), dtype=np.bool_)], axis=1)
    least_BC = _least(has_UC.sum(axis=0), least_units)
    wanted_BC = quotas(n_rows_C, fractions, least_BC[:, :-1])
    size_U = n_rows_UC.sum(axis=1)
    order = sorted(range(len(names)), key=lambda unit: (-size_U[unit], _drawn(names[unit], seed)))
    bin_U = np.zeros(len(names), dtype=np.int64)
    lacking_BC = wanted_BC.astype(np.float64)
    scale_BC = 1.0 / np.maximum(wanted_BC, 0.5)
    for unit in order:
        held_C = n_rows_UC[unit]
        growth_B = (held_C * (held_C - 2.0 * lacking_BC) * scale_BC).sum(axis=1)
        chosen = int(np.argmin(np.round(growth_B, 12)))
        bin_U[unit] = chosen
        lacking_BC[chosen] -= held_C
    _complete(bin_U, has_UC, least_BC, order[::-1])
    return bin_U


def quotas(n_rows_C: Counts, fractions: Sequence[float], least_BC: Counts) -> Counts:
    """Whole numbers of rows wanted of every class in every bin, shape (B, C), not below `least_BC`.

    Largest remainders, carried from class to class so that the bins' sums come out right as well.
    """
    share_B = np.asarray(fractions, dtype=np.float64) / np.sum(fractions)
    wanted_BC: Counts = np.zeros_like(least_BC)
    owed_B = np.zeros(len(share_B))
    for label in np.argsort(n_rows_C, kind="stable"):
        exact_B, least_B = share_B * n_rows_C[label], least_BC[:, label]
        wanted_B = np.maximum(np.floor(exact_B + 1e-9).astype(np.int64), least_B)
        while (n_left := n_rows_C[label] - wanted_B.sum()) != 0:
            need_B = np.round(exact_B + owed_B - wanted_B, 9)
            if n_left > 0:
                wanted_B[np.argmax(need_B)] += 1
            else:
                wanted_B[np.argmin(np.where(wanted_B > least_B, need_B, np.inf))] -= 1
        owed_B += exact_B - wanted_B
        wanted_BC[:, label] = wanted_B
    return wanted_BC


def counted_by_class(unit_R: Counts, target: Strings, ids: Strings) -> tuple[Counts, list[str]]:
    """Count the rows of every unit by class.

    Args:
        unit_R: The unit of every row, counted from 0, shape (n_rows,).
        target: The label of every row, shape (n_rows,).
        ids: The rows' ids, shape (n_rows,).

    Returns:
        Rows by unit and class (classes sorted), shape (U, C), and the smallest id of every unit.
    """
    number = {label: at for at, label in enumerate(sorted(set(target)))}
    n_rows_UC = np.zeros((int(unit_R.max()) + 1, len(number)), dtype=np.int64)
    np.add.at(n_rows_UC, (unit_R, np.array([number[label] for label in target], dtype=np.int64)), 1)
    names: dict[int, str] = {}
    for unit, row_id in zip(unit_R.tolist(), ids, strict=True):
        names[unit] = min(names.get(unit, row_id), row_id)
    return n_rows_UC, [names[unit] for unit in range(len(names))]


def _least(n_units_C: Counts, least_units: Sequence[int]) -> Counts:
    """Units of every class that each bin needs, shape (B, C): dealt in turn, the first bin first, as far as they go."""
    least_BC = np.zeros((len(least_units), len(n_units_C)), dtype=np.int64)
    for turn in range(max(least_units)):
        for at, least in enumerate(least_units):
            if turn < least:
                least_BC[at] += least_BC.sum(axis=0) < n_units_C
    return least_BC


def _drawn(name: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}\0{name}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _complete(bin_U: Counts, has_UC: NDArray[np.bool_], least_BC: Counts, order: Sequence[int]) -> None:
    """Move units, the first that serves in `order`, into bins that have too few of a class; changes `bin_U`.

    A bin gives a unit only if enough of every class are left to it; but no bin stays empty for that.
    """
    n_units_BC = np.zeros_like(least_BC)
    np.add.at(n_units_BC, bin_U, has_UC)
    rank_U = np.argsort(np.asarray(order))
    n_classes = has_UC.shape[1] - 1
    every = np.arange(n_classes + 1)
    rarest_first = np.argsort(has_UC.sum(axis=0), kind="stable")
    for label, guarded in [*((label, every) for label in rarest_first), (n_classes, every[-1:])]:
        holders = np.flatnonzero(has_UC[:, label])
        holders = holders[np.argsort(rank_U[holders])]
        for poor in np.flatnonzero(n_units_BC[:, label] < least_BC[:, label]):
            for unit in holders[bin_U[holders] != poor]:
                if n_units_BC[poor, label] >= least_BC[poor, label]:
                    break
                rich = bin_U[unit]
                if np.all((n_units_BC[rich] > least_BC[rich])[guarded] | ~has_UC[unit, guarded]):
                    n_units_BC[rich] -= has_UC[unit]
                    n_units_BC[poor] += has_UC[unit]
                    bin_U[unit] = poor
