"""Rows with roles: id, texts, target, group and, where the data say so themselves, the part."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from strop.records.evidence import Passage
from strop.records.files import read_arrow, write_arrow

Strings = NDArray[np.object_]
Numbers = NDArray[np.float64]
Tuples = NDArray[np.object_]
OPTIONAL_COLUMNS = ("target", "groups", "parts", "documents", "snippets", "answers")


def strings(values: Sequence[str] | Strings) -> Strings:
    """Hold strings in a one-dimensional object array, shape (n,)."""
    held = np.empty(len(values), dtype=object)
    held[:] = list(values)
    return held


def tuples(values: Sequence[tuple[Any, ...]]) -> Tuples:
    """Hold tuples in a one-dimensional object array, shape (n,), whatever their lengths."""
    return np.fromiter(values, dtype=np.object_, count=len(values))


@dataclass(frozen=True)
class Dataset:
    """Rows of one's own data, read, cleaned and given their roles.

    Attributes:
        ids: One unique id per row, shape (n_rows,).
        texts: For every text part (a column name) one string per row, shape (n_rows,); the order is the recipe's.
        target: The label of every row, shape (n_rows,), or None where rows are yet to be labelled.
        groups: The group of every row, shape (n_rows,), or None. Rows of a group stay in one part.
        parts: The part that the data themselves give every row (train, validation, test), or None.
        targets: For every target (a column name) one number per row, NaN where it is missing, shape (n_rows,); empty
            for a task with labels and where rows are yet to be answered.
        categories: For every metadata column of categories one string per row, "" where it is missing.
        numbers: For every metadata column of numbers one number per row, NaN where it is missing.
        documents: The documents that belong to a row, as the data name them (addresses, PubMed ids): one tuple of
            strings per row, shape (n_rows,), or None where the data name none.
        snippets: The passages that come with a row: one tuple of `Passage` per row, shape (n_rows,), or None.
        answers: The accepted answers of a row, of which the first is trained on: one tuple of strings per row, () where
            the question has none, shape (n_rows,); None for other tasks and where rows are yet to be answered.
    """

    ids: Strings
    texts: Mapping[str, Strings]
    target: Strings | None = None
    groups: Strings | None = None
    parts: Strings | None = None
    targets: Mapping[str, Numbers] = field(default_factory=dict)
    categories: Mapping[str, Strings] = field(default_factory=dict)
    numbers: Mapping[str, Numbers] = field(default_factory=dict)
    documents: Tuples | None = None
    snippets: Tuples | None = None
    answers: Tuples | None = None

    def __post_init__(self) -> None:
        n_rows = len(self.ids)
        named = self._named_columns() | self._named_numbers()
        for name, column in (named | self._named_tuples()).items():
            if len(column) != n_rows:
                raise ValueError(f"every column must have {n_rows} rows, '{name}' has {len(column)}")
        if len(set(self.ids.tolist())) != n_rows:
            raise ValueError("ids must be unique")

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.ids)

    @property
    def fingerprint(self) -> str:
        """A SHA-256 over the content of every column, in hexadecimal: equal content, equal fingerprint."""
        digest = hashlib.sha256()
        for name, column in (self._named_columns() | self._written_tuples()).items():
            digest.update(f"{name}\0{len(column)}\0".encode())
            for value in column:
                encoded = value.encode("utf-8", "surrogatepass")
                digest.update(len(encoded).to_bytes(8, "little"))
                digest.update(encoded)
        for name, numbers in self._named_numbers().items():
            digest.update(f"{name}\0{len(numbers)}\0".encode())
            digest.update(np.where(np.isnan(numbers), np.nan, numbers).astype("<f8").tobytes())
        return digest.hexdigest()

    def labels(self) -> tuple[str, ...]:
        """The distinct labels, sorted.

        Raises:
            ValueError: The rows have no target.
        """
        if self.target is None:
            raise ValueError("the rows have no target")
        return tuple(sorted(set(self.target.tolist())))

    def target_matrix(self) -> Numbers:
        """All targets as one matrix, NaN where one is missing, shape (n_rows, n_targets)."""
        return np.stack(list(self.targets.values()), axis=1) if self.targets else np.empty((self.n_rows, 0))

    def take(self, rows: NDArray[np.intp] | Sequence[int]) -> Self:
        """Keep the rows at these positions, in this order."""
        at = np.asarray(rows, dtype=np.intp)
        kept = {name: getattr(self, name) for name in OPTIONAL_COLUMNS}
        return replace(
            self,
            ids=self.ids[at],
            texts={name: column[at] for name, column in self.texts.items()},
            targets={name: column[at] for name, column in self.targets.items()},
            categories={name: column[at] for name, column in self.categories.items()},
            numbers={name: column[at] for name, column in self.numbers.items()},
            **{name: None if column is None else column[at] for name, column in kept.items()},
        )

    def rows_of(self, ids: Sequence[str] | Strings) -> NDArray[np.intp]:
        """Positions of these ids, shape (len(ids),).

        Raises:
            KeyError: An id is not among the rows.
        """
        position = {row_id: at for at, row_id in enumerate(self.ids.tolist())}
        return np.fromiter((position[row_id] for row_id in ids), dtype=np.intp, count=len(ids))

    def select(self, ids: Sequence[str] | Strings) -> Self:
        """Keep the rows with these ids, in this order."""
        return self.take(self.rows_of(ids))

    def joined_texts(self, separator: str = "\n") -> Strings:
        """Every row's text parts as one string, shape (n_rows,)."""
        columns = list(self.texts.values())
        return strings([separator.join(parts) for parts in zip(*columns, strict=True)])

    def save(self, path: Path) -> None:
        """Write the rows to an Arrow file."""
        texts = self._named_columns() | self._written_tuples()
        columns = {name: pa.array(column.tolist(), pa.string()) for name, column in texts.items()}
        columns |= {name: pa.array(column, pa.float64()) for name, column in self._named_numbers().items()}
        named = {kind: list(getattr(self, kind)) for kind in ("texts", "targets", "categories", "numbers")}
        write_arrow(path, pa.table(columns), {"record": "Dataset", **named})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read rows that `save` wrote.

        Raises:
            RunError: The file is missing or damaged.
        """
        table, notes = read_arrow(path)

        def column(name: str) -> Any:
            return strings(table.column(name).to_pylist()) if name in table.column_names else None

        def column_of_tuples(name: str, read: Callable[[Any], Any]) -> Any:
            written = column(name)
            return None if written is None else tuples([tuple(map(read, json.loads(value))) for value in written])

        return cls(
            ids=column("id"),
            texts={name: column(f"text:{name}") for name in notes["texts"]},
            targets={name: table.column(f"target:{name}").to_numpy() for name in notes["targets"]},
            categories={name: column(f"category:{name}") for name in notes["categories"]},
            numbers={name: table.column(f"number:{name}").to_numpy() for name in notes["numbers"]},
            target=column("target"),
            groups=column("groups"),
            parts=column("parts"),
            documents=column_of_tuples("documents", str),
            snippets=column_of_tuples("snippets", lambda passage: Passage(**passage)),
            answers=column_of_tuples("answers", str),
        )

    def _named_columns(self) -> dict[str, Strings]:
        columns = {"id": self.ids, **{f"text:{name}": column for name, column in self.texts.items()}}
        for name in ("target", "groups", "parts"):
            column = getattr(self, name)
            if column is not None:
                columns[name] = column
        return columns | {f"category:{name}": column for name, column in self.categories.items()}

    def _named_tuples(self) -> dict[str, Tuples]:
        named = {"documents": self.documents, "snippets": self.snippets, "answers": self.answers}
        return {name: column for name, column in named.items() if column is not None}

    def _written_tuples(self) -> dict[str, Strings]:
        """Documents, snippets and answers as JSON, a list a row."""

        def plain(one: str | Passage) -> Any:
            return asdict(one) if isinstance(one, Passage) else one

        return {
            name: strings([json.dumps([plain(one) for one in row], ensure_ascii=False) for row in column])
            for name, column in self._named_tuples().items()
        }

    def _named_numbers(self) -> dict[str, Numbers]:
        named = {f"target:{name}": column for name, column in self.targets.items()}
        return named | {f"number:{name}": column for name, column in self.numbers.items()}
