"""What there is to say about a division of rows: lines for the ledger."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strop.data.duplicates import numbered_by_appearance
from strop.data.tables import named
from strop.recipe.sections import SplitPlan
from strop.records.dataset import Dataset, Strings
from strop.records.ledger import Entry
from strop.records.split import PARTS, Split

_NOTEWORTHY_DEVIATION = 0.02


@dataclass(frozen=True)
class Straddling:
    """Rows that belong together but lie in different parts or folds.

    Attributes:
        n_sets: Sets (clusters, groups) with rows in more than one part.
        n_rows: Rows of these sets.
        n_pairs: Pairs of rows of one set that lie in different parts.
    """

    n_sets: int
    n_rows: int
    n_pairs: int


def straddling(set_R: NDArray[np.int64], place_R: Sequence[str]) -> Straddling:
    """Count what is torn apart.

    Args:
        set_R: The set of every row, shape (n_rows,).
        place_R: The part or fold of every row, shape (n_rows,).
    """
    n_in: dict[int, Counter[str]] = {}
    for number, place in zip(set_R.tolist(), place_R, strict=True):
        n_in.setdefault(number, Counter())[place] += 1
    torn = [list(counts.values()) for counts in n_in.values() if len(counts) > 1]
    n_pairs = sum((sum(counts) ** 2 - sum(count**2 for count in counts)) // 2 for counts in torn)
    return Straddling(len(torn), sum(sum(counts) for counts in torn), n_pairs)


def noteworthy_clusters(dataset: Dataset, clusters: NDArray[np.int64]) -> NDArray[np.int64]:
    """The near-duplicate clusters that there is something to say about, shape (n_rows,).

    Rows that ask about one context are nearly the same text, and stay in one part anyway. Where rows have answers and
    groups, a cluster within one group is therefore taken apart, each row a cluster of its own.
    """
    if dataset.answers is None or dataset.groups is None or not dataset.n_rows:
        return clusters
    group_R = numbered_by_appearance(dataset.groups)
    low_C, high_C = np.full(clusters.max() + 1, dataset.n_rows), np.full(clusters.max() + 1, -1)
    np.minimum.at(low_C, clusters, group_R)
    np.maximum.at(high_C, clusters, group_R)
    within_R = (low_C == high_C)[clusters]
    return np.where(within_R, len(low_C) + np.arange(dataset.n_rows), clusters)


def places(split: Split, ids: Strings) -> list[str]:
    """The part of every row, or "fold <k>" for rows that a fold holds out."""
    place = split.part_of()
    for number, held in enumerate(split.held_out):
        place.update(dict.fromkeys(held, f"fold {number}"))
    return [place[row_id] for row_id in ids]


def notes_on(split: Split, dataset: Dataset, plan: SplitPlan, clusters: NDArray[np.int64]) -> tuple[Entry, ...]:
    """Lines for the ledger about a division.

    Args:
        split: The division.
        dataset: The rows.
        plan: What was asked for.
        clusters: The near-duplicate cluster of every row, shape (n_rows,).
    """
    where = places(split, dataset.ids)
    clusters = noteworthy_clusters(dataset, clusters)
    entries = [_sizes(split, where), *_kept_together(dataset, plan, clusters, where)]
    if dataset.parts is not None:
        entries += _given_parts(split, dataset)
    else:
        entries += _deviations(split, plan)
    return (*entries, *_rare_labels(split, dataset, where))


def _say(kind: str, what: str, n_rows: int = 0, ids: Sequence[str] = (), **details: Any) -> Entry:
    return Entry(kind, "split", what, n_rows=n_rows, ids=tuple(ids), details=details)


def _sizes(split: Split, where: Sequence[str]) -> Entry:
    counts = Counter(where)
    sizes = {place: counts[place] for place in sorted(counts, key=lambda p: (p not in PARTS, _order(p)))}
    shown = ", ".join(f"{place} {count:,}" for place, count in sizes.items())
    return _say("note", f"Rows were divided: {shown}", len(where), sizes=sizes, seed=split.seed)


def _order(place: str) -> int:
    return PARTS.index(place) if place in PARTS else int(place.removeprefix("fold "))


def _kept_together(dataset: Dataset, plan: SplitPlan, clusters: NDArray[np.int64], where: Sequence[str]) -> list[Entry]:
    """How many near duplicates and groups stay in one part, and how many do not."""
    entries = []
    if plan.near_duplicates == "together":
        sizes = Counter(clusters.tolist()).values()
        n_clusters, n_rows = sum(size > 1 for size in sizes), sum(size for size in sizes if size > 1)
        torn = straddling(clusters, where)
        if n_clusters > torn.n_sets:
            what = f"{n_clusters - torn.n_sets:,} clusters of near duplicates were kept in one part each"
            entries.append(_say("kept", what, n_rows - torn.n_rows, similarity=plan.near_duplicate_similarity))
    torn = straddling(clusters, where)
    if torn.n_sets:
        reason = "the data give the parts" if plan.near_duplicates == "together" else "split.near_duplicates=ignore"
        what = f"{torn.n_pairs:,} pairs of near duplicates lie in different parts ({reason})"
        entries.append(_say("note", what, torn.n_rows, n_clusters=torn.n_sets, n_pairs=torn.n_pairs))
    if dataset.groups is not None:
        torn = straddling(numbered_by_appearance(dataset.groups), where)
        if torn.n_sets:
            what = f"{torn.n_sets:,} groups have rows in several parts (the data give the parts)"
            entries.append(_say("note", what, torn.n_rows))
    return entries


def _given_parts(split: Split, dataset: Dataset) -> list[Entry]:
    given = Counter((dataset.parts if dataset.parts is not None else np.empty(0)).tolist())
    entries = []
    if split.held_out and given["validation"]:
        entries.append(_say("note", "Validation rows given by the data were put into the folds", given["validation"]))
    if not split.held_out and not given["validation"]:
        what = "The data give no validation rows: they were taken from the training rows"
        entries.append(_say("note", what, len(split.validation)))
    if not given["test"]:
        what = "The data give no test rows: nothing is sealed, so no rows are left to judge the finished run by"
        entries.append(_say("note", what))
    return entries


def _deviations(split: Split, plan: SplitPlan) -> list[Entry]:
    """Parts whose share is not the one asked for, because groups and clusters are not divided."""
    n_rows = len(split.train) + len(split.validation) + len(split.test)
    wanted: Mapping[str, float] = {"validation": plan.validation_fraction, "test": plan.test_fraction}
    entries = []
    for part, fraction in wanted.items():
        came = len(getattr(split, part)) / n_rows
        if not (part == "validation" and split.held_out) and abs(came - fraction) > _NOTEWORTHY_DEVIATION:
            what = f"The {part} part has {came:.1%} of the rows where {fraction:.1%} were asked for"
            reason = "rows that stay together, and classes that must be in every part, leave no closer division"
            entries.append(_say("note", f"{what}: {reason}", len(getattr(split, part))))
    return entries


def _rare_labels(split: Split, dataset: Dataset, where: Sequence[str]) -> list[Entry]:
    """Labels that some part or fold lacks."""
    places_of: dict[str, set[str]] = {}
    rows_of: dict[str, list[int]] = {}
    for row, label in enumerate([] if dataset.target is None else dataset.target.tolist()):
        places_of.setdefault(label, set()).add(where[row])
        rows_of.setdefault(label, []).append(row)
    entries = []
    for label, found in sorted(places_of.items()):
        absent = sorted(set(where) - found)
        if absent:
            entries.append(_rare(split, label, [dataset.ids[row] for row in rows_of[label]], found, absent))
    return entries


def _rare(split: Split, label: str, ids: Sequence[str], found: set[str], absent: Sequence[str]) -> Entry:
    once = f"The label '{label}' appears once" if len(ids) == 1 else f"The label '{label}' has {len(ids)} rows"
    if split.held_out:
        return _say("note", f"{once}: {named(absent)} cannot be judged on it", len(ids), label=label)
    if found == {"train"}:
        return _say("kept", f"{once}: kept in train, no other part can be judged on it", len(ids), ids, label=label)
    if "train" not in found:
        return _say("note", f"{once}, none of them in train: the model cannot learn it", len(ids), label=label)
    # Parts that the data give may leave a class out for reasons of their own.
    reason = "too few for every part, " if len(ids) < len(found) + len(absent) else ""
    return _say("note", f"{once}: {reason}none in {named(absent)}", len(ids), label=label)
