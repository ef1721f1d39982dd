"""Token ids of every row, possibly in several windows, and a count of what was cut."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from strop.records.dataset import Strings, strings
from strop.records.files import read_arrow, write_arrow


@dataclass(frozen=True)
class Examples:
    """What a model reads: R rows, W windows (one or more a row), T tokens in all.

    Attributes:
        ids: Row ids, shape (R,).
        row_W: For every window the position of its row, shape (W,), ascending.
        tokens_T: Token ids of all windows end to end, shape (T,).
        start_W1: Where each window starts in `tokens_T`, and the end, shape (W + 1,).
        n_tokens_R: Length of each row before anything was cut, special tokens included, shape (R,).
        n_cut_R: How many of a row's tokens no window holds, shape (R,).
        part_T: For every token the number of its text part, from 1, a part's separator included; 0 for the special
            tokens before the first part. Shape (T,), or None where the texts of a row are read as one.
    """

    ids: Strings
    row_W: NDArray[np.int64]
    tokens_T: NDArray[np.int32]
    start_W1: NDArray[np.int64]
    n_tokens_R: NDArray[np.int64]
    n_cut_R: NDArray[np.int64]
    part_T: NDArray[np.int8] | None = None

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.ids)

    @property
    def n_windows(self) -> int:
        """How many windows there are, at least one a row."""
        return len(self.row_W)

    @property
    def length_W(self) -> NDArray[np.int64]:
        """Tokens in every window, shape (W,)."""
        return np.diff(self.start_W1)

    def window(self, number: int) -> NDArray[np.int32]:
        """Token ids of one window, shape (its length,)."""
        return self.tokens_T[self.start_W1[number] : self.start_W1[number + 1]]

    def window_parts(self, number: int) -> NDArray[np.int8]:
        """Part numbers of one window's tokens, shape (its length,).

        Raises:
            ValueError: The texts were read as one.
        """
        if self.part_T is None:
            raise ValueError("the examples have no parts: their texts were read as one")
        return self.part_T[self.start_W1[number] : self.start_W1[number + 1]]

    def windows_of_rows(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Numbers of all windows that belong to these rows, ascending."""
        return np.flatnonzero(np.isin(self.row_W, rows))

    def windows_in_order(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Numbers of all windows of these rows, row by row in the order of `rows`."""
        first, after = np.searchsorted(self.row_W, rows, "left"), np.searchsorted(self.row_W, rows, "right")
        return np.concatenate([np.arange(0), *map(np.arange, first, after)])

    def take(self, rows: NDArray[np.intp]) -> Self:
        """Keep these rows with all their windows, in the order of `rows`."""
        windows = self.windows_in_order(rows)
        n_windows_R = np.searchsorted(self.row_W, rows, "right") - np.searchsorted(self.row_W, rows, "left")
        tokens = np.concatenate([np.arange(0), *map(np.arange, self.start_W1[windows], self.start_W1[windows + 1])])
        return replace(
            self,
            ids=self.ids[rows],
            row_W=np.repeat(np.arange(len(rows), dtype=np.int64), n_windows_R),
            tokens_T=self.tokens_T[tokens],
            start_W1=np.concatenate([[0], np.cumsum(self.length_W[windows])]).astype(np.int64),
            n_tokens_R=self.n_tokens_R[rows],
            n_cut_R=self.n_cut_R[rows],
            part_T=None if self.part_T is None else self.part_T[tokens],
        )

    def regrouped(self, row_of_R: NDArray[np.intp], ids: Strings) -> Self:
        """The same windows as windows of other rows: several texts of one row become its windows.

        Args:
            row_of_R: For every present row the new one, ascending, each new row at least once, shape (R,).
            ids: Ids of the new rows.
        """
        return replace(
            self,
            ids=ids,
            row_W=row_of_R[self.row_W].astype(np.int64),
            n_tokens_R=np.bincount(row_of_R, self.n_tokens_R, len(ids)).astype(np.int64),
            n_cut_R=np.bincount(row_of_R, self.n_cut_R, len(ids)).astype(np.int64),
        )

    def followed_by(self, other: Self) -> Self:
        """The rows of both, the other's after these.

        Raises:
            ValueError: Only one of the two was read in parts.
        """
        if (self.part_T is None) != (other.part_T is None):
            raise ValueError("either both have parts or neither has")
        parts = None
        if self.part_T is not None and other.part_T is not None:
            parts = np.concatenate([self.part_T, other.part_T])
        return replace(
            self,
            ids=np.concatenate([self.ids, other.ids]),
            row_W=np.concatenate([self.row_W, other.row_W + self.n_rows]),
            tokens_T=np.concatenate([self.tokens_T, other.tokens_T]),
            start_W1=np.concatenate([self.start_W1, other.start_W1[1:] + self.start_W1[-1]]),
            n_tokens_R=np.concatenate([self.n_tokens_R, other.n_tokens_R]),
            n_cut_R=np.concatenate([self.n_cut_R, other.n_cut_R]),
            part_T=parts,
        )

    def save(self, path: Path) -> None:
        """Write the token ids to an Arrow file, one line a window."""
        starts = pa.array(self.start_W1, pa.int32())
        columns = {
            "row": pa.array(self.row_W, pa.int64()),
            "tokens": pa.ListArray.from_arrays(starts, pa.array(self.tokens_T, pa.int32())),
        }
        if self.part_T is not None:
            columns["parts"] = pa.ListArray.from_arrays(starts, pa.array(self.part_T, pa.int8()))
        notes = {
            "record": "Examples",
            "ids": self.ids.tolist(),
            "n_tokens": self.n_tokens_R.tolist(),
            "n_cut": self.n_cut_R.tolist(),
        }
        write_arrow(path, pa.table(columns), notes)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            RunError: The file is missing or damaged.
        """
        table, notes = read_arrow(path)
        windows = table.column("tokens").combine_chunks()
        parts = table.column("parts").combine_chunks() if "parts" in table.column_names else None
        return cls(
            ids=strings(notes["ids"]),
            row_W=table.column("row").to_numpy().astype(np.int64),
            tokens_T=windows.values.to_numpy(zero_copy_only=False).astype(np.int32),
            start_W1=windows.offsets.to_numpy().astype(np.int64),
            n_tokens_R=np.asarray(notes["n_tokens"], dtype=np.int64),
            n_cut_R=np.asarray(notes["n_cut"], dtype=np.int64),
            part_T=None if parts is None else parts.values.to_numpy(zero_copy_only=False).astype(np.int8),
        )
