"""Counts of rows laid out as tables: classes by part, the confusion matrix, what the run took."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from strop.records.scores import Scores, SystemScores
from strop.reporting.material import Material

MOST_LABELS_WITH_SHARES = 12


@dataclass(frozen=True)
class LabelCount:
    """How many open rows have a label.

    Attributes:
        label: The label.
        n_rows: Rows that have it.
        fraction: Their share of the open rows.
        width: Bar width, in percent of the most frequent label's.
    """

    label: str
    n_rows: int
    fraction: float
    width: float


@dataclass(frozen=True)
class SplitTable:
    """Rows by class and part.

    Attributes:
        parts: Column headings.
        classes: By label, one count a part; None where the part is sealed. Empty where numbers are predicted.
        totals: Rows a part.
        is_sealed: Whether a column stands for a sealed part, whose classes nobody has counted.
    """

    parts: tuple[str, ...]
    classes: Mapping[str, tuple[int | None, ...]]
    totals: tuple[int, ...]
    is_sealed: bool


@dataclass(frozen=True)
class Cell:
    """One cell of the confusion matrix.

    Attributes:
        n_rows: Rows with this true and predicted label.
        fraction: Their share of the rows with this true label.
    """

    n_rows: int
    fraction: float


def label_counts(material: Material) -> list[LabelCount]:
    """Rows by label, most frequent first; sealed rows are not counted."""
    if material.dataset is None or material.dataset.target is None:
        return []
    counts = Counter(material.dataset.target.tolist())
    most, total = max(counts.values(), default=1), max(1, counts.total())
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [LabelCount(label, n, n / total, round(100 * n / most, 2)) for label, n in ordered]


def split_table(material: Material) -> SplitTable | None:
    """Count rows by part and, where there are labels, by class; the test part by class only where it was opened."""
    split, dataset = material.split, material.dataset
    if split is None or dataset is None:
        return None
    labels = [] if dataset.target is None else dataset.target.tolist()
    label_of = dict(zip(dataset.ids.tolist(), labels, strict=dataset.target is not None))
    if split.held_out:
        parts = {f"fold {number}": fold.tolist() for number, fold in enumerate(split.held_out)}
    else:
        parts = {"train": split.train.tolist(), "validation": split.validation.tolist()}
    counted = [Counter(label_of[row_id] for row_id in ids if row_id in label_of) for ids in parts.values()]
    names, totals, test = [*parts], [len(ids) for ids in parts.values()], _test_counts(material.scores)
    if material.n_sealed:
        names, totals = [*names, "test"], [*totals, material.n_sealed]
    by_class: dict[str, tuple[int | None, ...]] = {}
    for label in sorted({label for counts in counted for label in counts} | set(test or {})):
        counts = [one[label] for one in counted]
        sealed = [None if test is None else test.get(label, 0)] if material.n_sealed else []
        by_class[label] = (*counts, *sealed)
    return SplitTable(tuple(names), by_class, tuple(totals), is_sealed=bool(material.n_sealed) and test is None)


def _test_counts(scores: Sequence[Scores]) -> dict[str, int] | None:
    opened = next((one for one in scores if one.part == "test"), None)
    return None if opened is None else {one.label: one.n_rows for one in opened.model.classes}


def confusion_cells(system: SystemScores) -> list[list[Cell]]:
    """The confusion matrix with shares of each true label's rows."""
    return [[Cell(n, n / sum(row) if sum(row) else 0.0) for n in row] for row in system.confusion]


def duration(seconds: float) -> str:
    """A length of time in the two largest units that matter."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def stations(about: Mapping[str, Any]) -> list[tuple[str, str, float]]:
    """Time by station: name, words, and bar width in percent of the longest."""
    seconds = {str(name): float(value) for name, value in dict(about.get("seconds") or {}).items()}
    longest = max(seconds.values(), default=0.0) or 1.0
    return [(name, duration(value), round(100 * value / longest, 2)) for name, value in seconds.items()]
