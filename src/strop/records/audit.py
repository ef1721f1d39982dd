"""What the audit of the data found: balance, duplicates, conflicts, lengths, texts in a wrong encoding."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from strop.records.files import read_json, write_json


@dataclass(frozen=True)
class LabelCount:
    """How many rows that are not sealed have a label, and their share of all rows that are not sealed."""

    label: str
    n_rows: int
    fraction: float


@dataclass(frozen=True)
class TargetRange:
    """The values of one target in rows that are not sealed.

    Attributes:
        target: Its name.
        n_rows: Rows that have a value.
        low: The lowest value.
        mean: Their mean.
        high: The highest value.
        n_values: How many different values there are.
        top_fraction: Share of the most frequent value.
    """

    target: str
    n_rows: int
    low: float
    mean: float
    high: float
    n_values: int
    top_fraction: float


@dataclass(frozen=True)
class Duplicates:
    """Rows that repeat others.

    Attributes:
        n_exact_rows: Rows whose text stood in an earlier row, letter by letter.
        n_clusters: Clusters of two or more rows that are equal or near duplicates.
        n_cluster_rows: Rows of these clusters.
        n_straddling_clusters: Clusters with rows in more than one part or fold; 0 where there is no split.
        n_straddling_rows: Rows of these.
        n_straddling_pairs: Pairs of near duplicates that lie in different parts or folds.
    """

    n_exact_rows: int
    n_clusters: int
    n_cluster_rows: int
    n_straddling_clusters: int = 0
    n_straddling_rows: int = 0
    n_straddling_pairs: int = 0


@dataclass(frozen=True)
class Groups:
    """How many groups there are, and how many rows the largest has."""

    n_groups: int
    n_rows_largest: int


@dataclass(frozen=True)
class Audit:
    """What there is to know about the data before anything is trained.

    What concerns labels, and every id, is of rows that are not sealed; other counts are of all rows.

    Attributes:
        n_rows: Rows after cleaning, sealed ones included.
        labels: Every label, the most frequent first; empty for rows without a target.
        majority_accuracy: Accuracy of always answering the most frequent label; None for rows without a target.
        labels_once: Labels that appear once.
        duplicates: Exact and near duplicates.
        n_conflicting_texts: Texts that have more than one label, sealed rows left aside.
        n_conflicting_rows: Rows of these.
        conflicting_ids: Some of them, the ids of one text together.
        characters_quantiles: Length of the joined texts in characters, by quantile ("0", "0.5", ..., "1").
        n_misread_rows: Rows whose text seems to have been read in a wrong encoding.
        misread_ids: Some of them.
        n_blank_rows: Rows without text.
        groups: None where the recipe names no group column.
        n_rows_by_part: Rows of every part, or fold; empty where there is no split.
        tokens_quantiles: Length of the rows in tokens, by quantile; empty where no tokenizer was at hand.
        fraction_fitting: Share of the rows that fit a number of tokens, by that number ("128", "256", ...).
        targets: Every target that has a value; empty for a task with labels.
    """

    n_rows: int
    labels: tuple[LabelCount, ...]
    majority_accuracy: float | None
    labels_once: tuple[str, ...]
    duplicates: Duplicates
    n_conflicting_texts: int
    n_conflicting_rows: int
    conflicting_ids: tuple[tuple[str, ...], ...]
    characters_quantiles: Mapping[str, float]
    n_misread_rows: int
    misread_ids: tuple[str, ...]
    n_blank_rows: int
    groups: Groups | None = None
    n_rows_by_part: Mapping[str, int] = field(default_factory=dict)
    tokens_quantiles: Mapping[str, float] = field(default_factory=dict)
    fraction_fitting: Mapping[str, float] = field(default_factory=dict)
    targets: tuple[TargetRange, ...] = ()

    @property
    def n_labelled_rows(self) -> int:
        """Rows that the labels were counted over: those that are not sealed."""
        return sum(label.n_rows for label in self.labels)

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            RunError: The file is missing or damaged.
        """
        content = read_json(path)
        read = {
            "labels": tuple(LabelCount(**one) for one in content["labels"]),
            "labels_once": tuple(content["labels_once"]),
            "duplicates": Duplicates(**content["duplicates"]),
            "conflicting_ids": tuple(tuple(ids) for ids in content["conflicting_ids"]),
            "misread_ids": tuple(content["misread_ids"]),
            "targets": tuple(TargetRange(**one) for one in content["targets"]),
            "groups": None if content["groups"] is None else Groups(**content["groups"]),
        }
        return cls(**{**content, **read})
