"""Divide rows into train, validation and a sealed test part: by class, by group, or both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strop.data.allocation import allocated, counted_by_class
from strop.data.duplicates import connected, near_duplicate_clusters, numbered_by_appearance
from strop.data.split_notes import notes_on
from strop.errors import DataError, Problem
from strop.recipe.sections import SplitPlan
from strop.records.dataset import Dataset, strings
from strop.records.ledger import Entry
from strop.records.split import Split

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class SplitResult:
    """A division of rows, and what there is to say about it.

    Attributes:
        split: Ids by part.
        clusters: The near-duplicate cluster of every row, shape (n_rows,).
        entries: Lines for the ledger.
    """

    split: Split
    clusters: NDArray[np.int64]
    entries: tuple[Entry, ...]


def make_split(dataset: Dataset, plan: SplitPlan, seed: int) -> SplitResult:
    """Divide rows: every part gets its share of every class; groups and near duplicates stay together.

    The test part of a run with folds is that of a run without as long as classes are not rare: both are drawn first
    and in the same way. Where the data give every row its part, rows stay where the data put them; without validation
    rows among them, these are taken from the training rows.

    Args:
        dataset: Rows with a target or with answers; those with answers alone have one class.
        plan: The recipe's section.
        seed: The same seed gives the same ids in every part, whatever the order of the rows.

    Raises:
        DataError: There are too few rows or groups to divide so, or nothing is left to train on or to choose by.
        ValueError: The rows have neither target nor answers.
    """
    if dataset.target is None and not dataset.targets and dataset.answers is None:
        raise ValueError("rows must have a target to be divided")
    clusters = near_duplicate_clusters(dataset.joined_texts(), plan.near_duplicate_similarity, seed)
    unit_R = _units(dataset, clusters, plan)
    if dataset.parts is None:
        train, validation, test, held_out = _drawn(dataset, plan, unit_R, seed)
    else:
        train, validation, test, held_out = _given(dataset, plan, unit_R, seed)
    ids = dataset.ids
    split = Split(ids[train], ids[validation], ids[test], tuple(ids[rows] for rows in held_out), seed)
    return SplitResult(split, clusters, notes_on(split, dataset, plan, clusters))


_Parts = tuple[Rows, Rows, Rows, tuple[Rows, ...]]


def _units(dataset: Dataset, clusters: NDArray[np.int64], plan: SplitPlan) -> NDArray[np.int64]:
    """Number the sets of rows that stay together: groups, joined where near duplicates link them; shape (n_rows,)."""
    keys = [] if dataset.groups is None else [numbered_by_appearance(dataset.groups)]
    if plan.near_duplicates == "together":
        keys.append(clusters)
    pairs: list[tuple[int, int]] = []
    for key in keys:
        first: dict[int, int] = {}
        pairs += [(row, first.setdefault(value, row)) for row, value in enumerate(key.tolist())]
    return connected(dataset.n_rows, pairs)


def _drawn(dataset: Dataset, plan: SplitPlan, unit_R: NDArray[np.int64], seed: int) -> _Parts:
    """Seal the test part first, then divide what is open."""
    rows, none = np.arange(dataset.n_rows), np.empty(0, dtype=np.intp)
    n_open_parts = plan.folds or (2 if plan.validation_fraction else 1)
    open_rows, test = rows, none
    if plan.test_fraction:
        needed = (n_open_parts, 1)
        fractions = (1.0 - plan.test_fraction, plan.test_fraction)
        open_rows, test = _divided(dataset, unit_R, rows, fractions, needed, seed)
    if plan.folds is None and not plan.validation_fraction:
        return open_rows, none, test, ()
    train, validation, held_out = _opened(dataset, plan, unit_R, open_rows, 1.0 - plan.test_fraction, seed)
    return train, validation, test, held_out


def _opened(
    dataset: Dataset, plan: SplitPlan, unit_R: NDArray[np.int64], rows: Rows, share: float, seed: int
) -> tuple[Rows, Rows, tuple[Rows, ...]]:
    """Divide open rows, which are this share of all, into folds, or into train and validation."""
    if plan.folds is not None:
        held_out = _divided(dataset, unit_R, rows, (1.0,) * plan.folds, (1,) * plan.folds, seed)
        return rows, np.empty(0, dtype=np.intp), tuple(held_out)
    fractions = (share - plan.validation_fraction, plan.validation_fraction)
    train, validation = _divided(dataset, unit_R, rows, fractions, (1, 1), seed)
    return train, validation, ()


def _given(dataset: Dataset, plan: SplitPlan, unit_R: NDArray[np.int64], seed: int) -> _Parts:
    """Take the parts that the data give; divide the training rows where there is nothing to choose by."""
    train, validation, test = (np.flatnonzero(dataset.parts == part) for part in ("train", "validation", "test"))
    if not len(train):
        must, do = "there must be rows to train on", "mark some rows as train, or leave data.part out"
        raise DataError(Problem("data.part", must, f"{len(validation)} validation and {len(test)} test rows", do))
    if plan.folds is not None:
        open_rows = np.sort(np.concatenate([train, validation]))
        train, validation, held_out = _opened(dataset, plan, unit_R, open_rows, 1.0, seed)
        return train, validation, test, held_out
    if len(validation):
        return train, validation, test, ()
    if not plan.validation_fraction:
        must = "there must be validation rows to choose the checkpoint by"
        do = "mark some rows as validation, or set split.validation_fraction above 0"
        raise DataError(Problem("data.part", must, "no row marked as validation, and split.validation_fraction=0", do))
    train, validation, _ = _opened(dataset, plan, unit_R, train, 1.0, seed)
    return train, validation, test, ()


def _divided(
    dataset: Dataset,
    unit_R: NDArray[np.int64],
    rows: Rows,
    fractions: Sequence[float],
    least_units: Sequence[int],
    seed: int,
) -> list[Rows]:
    """Divide rows into bins of these shares, whole units each; ascending positions of every bin's rows."""
    own_unit_R = numbered_by_appearance(unit_R[rows])
    _must_have_units(dataset, rows, int(own_unit_R.max()) + 1, sum(least_units))
    # Without labels there is one class: parts get their shares of the rows.
    class_R = strings([""] * len(rows)) if dataset.target is None else dataset.target[rows]
    n_rows_UC, names = counted_by_class(own_unit_R, class_R, dataset.ids[rows])
    bin_R = allocated(n_rows_UC, fractions, least_units, names, seed)[own_unit_R]
    return [rows[bin_R == number] for number in range(len(fractions))]


def must_learn_two_classes(dataset: Dataset, split: Split) -> None:
    """Check that there is something to tell apart in every training part.

    Raises:
        DataError: The training rows, or those of a fold, all have one label.
    """
    if dataset.target is None:
        return
    for fold in split.folds():
        labels = set(dataset.target[dataset.rows_of(fold.train)].tolist())
        if len(labels) < 2:
            where = "split" if dataset.parts is None else "data.part"
            of_fold = "" if fold.number is None else f" of fold {fold.number}"
            problem = Problem(
                where=where,
                must=f"the training rows{of_fold} must have at least two classes",
                came=f"{len(fold.train)} rows, all '{next(iter(labels))}'",
                do="give more rows of the other classes, or other parts"
                if dataset.parts is None
                else "mark rows of other classes as train, or let Strop divide the rows",
            )
            raise DataError(problem)


def _must_have_units(dataset: Dataset, rows: Rows, n_units: int, n_needed: int) -> None:
    """Check that there is something for every part or fold.

    Raises:
        DataError: There are fewer rows, groups or distinct texts than parts.
    """
    if n_units >= n_needed:
        return
    if len(rows) < n_needed:
        must, came = f"there must be at least {n_needed} rows, one for each part or fold", f"{len(rows)} rows"
        do = "give more rows, or ask for fewer folds or parts"
    elif dataset.groups is not None and (n_groups := len(set(dataset.groups[rows]))) < n_needed:
        must = f"there must be at least {n_needed} groups, one for each part or fold, since a group stays in one part"
        came, do = f"{n_groups} in {len(rows)} rows", "ask for fewer folds or parts, or leave data.group out"
        if dataset.answers is not None:
            must += ", and rows of one context are a group"
            do = "ask for fewer folds or parts, or give rows of more contexts or groups"
    else:
        must = f"there must be at least {n_needed} sets of rows that share no group and are not near duplicates"
        came = f"{n_units} in {len(rows)} rows"
        do = "raise split.near_duplicate_similarity, or set split.near_duplicates=ignore"
    raise DataError(Problem("split", must, came, do))
