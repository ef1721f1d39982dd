"""Keep what the ledger says of labels from telling the labels of sealed rows.

Rows are read, and what is said of them written down, before any of them is sealed. Entries that speak of labels are
marked then, and lose the ids of sealed rows once there is a split.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from strop.records.ledger import Entry
from strop.records.split import Split

ABOUT_LABELS: Mapping[str, Any] = {"about": "labels"}
"""Details of an entry that says something of its rows' labels."""


def speaks_of_labels(entry: Entry) -> bool:
    """Whether an entry is marked by `ABOUT_LABELS`."""
    return all(entry.details.get(key) == value for key, value in ABOUT_LABELS.items())


def without_sealed_ids(entries: Sequence[Entry], split: Split) -> tuple[Entry, ...]:
    """Take the ids of sealed rows out of entries that speak of labels.

    Their counts still include these rows. Other entries stay as they are.

    Args:
        entries: What reading and splitting wrote.
        split: Which rows are sealed.
    """
    sealed = set(split.test.tolist())

    def spoken(entry: Entry) -> Entry:
        if not speaks_of_labels(entry) or not sealed:
            return entry
        ids = tuple(row_id for row_id in entry.ids if row_id not in sealed)
        # The same words whether or not a sealed row is concerned: they must not tell that either.
        return replace(entry, ids=ids, details={**entry.details, "ids": "of rows that are not sealed"})

    return tuple(spoken(entry) for entry in entries)
