"""Look over the data before anything is trained."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from strop.data.cleaning import blank_rows, conflicting_rows
from strop.data.encodings import looks_misread
from strop.data.split_notes import noteworthy_clusters, places, straddling
from strop.records.audit import Audit, Duplicates, Groups, LabelCount, TargetRange
from strop.records.dataset import Dataset, Strings
from strop.records.split import Split

_QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_MAX_EXAMPLES = 20


def audit_dataset(
    dataset: Dataset,
    clusters: NDArray[np.int64],
    split: Split | None,
    coverage: Mapping[str, float] | None = None,
    tokens_quantiles: Mapping[str, float] | None = None,
) -> Audit:
    """Count what there is to know about the data.

    Labels and their conflicts are those of rows that are not sealed; texts, groups and parts those of all rows.

    Args:
        dataset: The rows.
        clusters: The near-duplicate cluster of every row, shape (n_rows,).
        split: Their division; None before there is one, then no row is sealed. Ids of sealed rows are not named.
        coverage: Share of the rows that fit a number of tokens, by that number ("128", "256", ...).
        tokens_quantiles: Length of the rows in tokens, by quantile (see `quantiles`).

    Returns:
        The audit. Where rows have no target, it has no labels and no conflicts.
    """
    texts = dataset.joined_texts()
    where = None if split is None else places(split, dataset.ids)
    is_open = np.array([place != "test" for place in where or [""] * dataset.n_rows], dtype=np.bool_)
    open_rows = np.flatnonzero(is_open).tolist()
    labels = _balance(None if dataset.target is None else dataset.target[open_rows])
    conflicts = [] if dataset.target is None else conflicting_rows(dataset.texts, dataset.target, open_rows)
    misread = [row for row, text in enumerate(texts) if looks_misread(text)]
    return Audit(
        n_rows=dataset.n_rows,
        labels=labels,
        majority_accuracy=labels[0].fraction if labels else None,
        labels_once=tuple(label.label for label in labels if label.n_rows == 1),
        duplicates=_duplicates(dataset, noteworthy_clusters(dataset, clusters), where),
        n_conflicting_texts=len(conflicts),
        n_conflicting_rows=sum(len(rows) for rows in conflicts),
        conflicting_ids=tuple(tuple(dataset.ids[rows]) for rows in conflicts)[:_MAX_EXAMPLES],
        characters_quantiles=quantiles([len(text) for text in texts]),
        n_misread_rows=len(misread),
        misread_ids=tuple(dataset.ids[row] for row in misread if is_open[row])[:_MAX_EXAMPLES],
        n_blank_rows=int(blank_rows(dataset.texts).sum()),
        groups=_groups(dataset.groups),
        n_rows_by_part={} if where is None else dict(sorted(Counter(where).items())),
        tokens_quantiles=tokens_quantiles or {},
        fraction_fitting=coverage or {},
        targets=tuple(_target_ranges(dataset.take(open_rows))),
    )


def quantiles(lengths: Sequence[int] | NDArray[np.int64]) -> dict[str, float]:
    """Quantiles of lengths, by name: "0" is the shortest, "0.5" the median, "1" the longest; empty for no lengths."""
    if not len(lengths):
        return {}
    return {f"{at:g}": float(value) for at, value in zip(_QUANTILES, np.quantile(lengths, _QUANTILES), strict=True)}


def _target_ranges(rows: Dataset) -> Iterator[TargetRange]:
    for name, values in rows.targets.items():
        held = values[~np.isnan(values)]
        if len(held):
            distinct, n_rows = np.unique(held, return_counts=True)
            yield TargetRange(
                target=name,
                n_rows=len(held),
                low=float(distinct[0]),
                mean=float(held.mean()),
                high=float(distinct[-1]),
                n_values=len(distinct),
                top_fraction=float(n_rows.max() / len(held)),
            )


def _balance(target: Strings | None) -> tuple[LabelCount, ...]:
    counts = Counter([] if target is None else target.tolist())
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return tuple(LabelCount(label, n_rows, n_rows / counts.total()) for label, n_rows in ordered)


def _duplicates(dataset: Dataset, clusters: NDArray[np.int64], where: Sequence[str] | None) -> Duplicates:
    distinct = set(zip(*dataset.texts.values(), strict=True))
    sizes = [size for size in Counter(clusters.tolist()).values() if size > 1]
    torn = straddling(clusters, where or [""] * dataset.n_rows)
    return Duplicates(
        n_exact_rows=dataset.n_rows - len(distinct),
        n_clusters=len(sizes),
        n_cluster_rows=sum(sizes),
        n_straddling_clusters=torn.n_sets,
        n_straddling_rows=torn.n_rows,
        n_straddling_pairs=torn.n_pairs,
    )


def _groups(groups: Strings | None) -> Groups | None:
    if groups is None or not len(groups):
        return None
    sizes = Counter(groups.tolist())
    return Groups(len(sizes), max(sizes.values()))
