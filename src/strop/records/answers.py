"""What a model answered, in words: the turning point of the task `answer`, after which no language model is loaded.

Dimensions: R rows, C candidates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from strop.records.dataset import Strings, strings
from strop.records.files import read_arrow, write_arrow

Texts = NDArray[np.object_]


@dataclass(frozen=True)
class Answers:
    """C candidate answers for each of R rows, the one that stands first.

    Attributes:
        ids: Row ids, shape (R,).
        text_RC: The answers as the model wrote them, without special tokens, shape (R, C).
        log_likelihood_RC: Log-probability of each answer's tokens together, NaN where it is not known, shape (R, C).
        n_tokens_RC: Tokens of each answer, its end token included, shape (R, C).
        ended_RC: Whether the model itself ended the answer, rather than being stopped at the longest length, shape
            (R, C).
        part: The part each row belongs to: train, validation, test, or new, shape (R,).
        seen_R: Whether the model that answered was trained on the row, shape (R,).
        fold_R: The fold whose model answered, -1 where there are no folds, shape (R,).
        made_by: What made them: system, stage, step, decoding and the like.
    """

    ids: Strings
    text_RC: Texts
    log_likelihood_RC: NDArray[np.float32]
    n_tokens_RC: NDArray[np.int64]
    ended_RC: NDArray[np.bool_]
    part: Strings
    seen_R: NDArray[np.bool_]
    fold_R: NDArray[np.int64]
    made_by: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        matrices = (self.text_RC, self.log_likelihood_RC, self.n_tokens_RC, self.ended_RC)
        if len({matrix.shape for matrix in matrices}) != 1 or self.text_RC.ndim != 2 or self.text_RC.shape[1] == 0:
            raise ValueError(f"candidates must have one shape (rows, candidates), came {[m.shape for m in matrices]}")
        if not len(self.part) == len(self.seen_R) == len(self.fold_R) == len(self.ids) == len(self.text_RC):
            raise ValueError("every column must have one value a row")

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.ids)

    @property
    def n_candidates(self) -> int:
        """How many answers a row has, C."""
        return int(self.text_RC.shape[1])

    @property
    def text_R(self) -> Strings:
        """The answer of every row that stands, shape (R,)."""
        return self.text_RC[:, 0]

    def take(self, rows: NDArray[np.intp] | Sequence[int]) -> Self:
        """Keep the rows at these positions, in this order."""
        at = np.asarray(rows, dtype=np.intp)
        names = ("ids", "text_RC", "log_likelihood_RC", "n_tokens_RC", "ended_RC", "part", "seen_R", "fold_R")
        return replace(self, **{name: getattr(self, name)[at] for name in names})

    def select(self, ids: Sequence[str] | Strings) -> Self:
        """Keep the rows with these ids, in this order.

        Raises:
            KeyError: An id was not answered.
        """
        position = {row_id: at for at, row_id in enumerate(self.ids.tolist())}
        return self.take([position[row_id] for row_id in ids])

    def save(self, path: Path) -> None:
        """Write to an Arrow file, one line a row; equal answers give equal bytes."""
        n_candidates = self.n_candidates

        def lists(matrix_RC: NDArray[np.generic] | Texts, kind: pa.DataType) -> pa.Array:
            flat = pa.array(matrix_RC.reshape(-1).tolist(), kind)
            return pa.FixedSizeListArray.from_arrays(flat, n_candidates)

        table = pa.table(
            {
                "id": pa.array(self.ids.tolist(), pa.string()),
                "part": pa.array(self.part.tolist(), pa.string()),
                "seen": pa.array(self.seen_R, pa.bool_()),
                "fold": pa.array(self.fold_R, pa.int64()),
                "text": lists(self.text_RC, pa.string()),
                "log_likelihood": lists(self.log_likelihood_RC, pa.float32()),
                "n_tokens": lists(self.n_tokens_RC, pa.int64()),
                "ended": lists(self.ended_RC, pa.bool_()),
            }
        )
        notes = {"record": "Answers", "n_candidates": n_candidates, "made_by": dict(self.made_by)}
        write_arrow(path, table, notes)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            RunError: The file is missing or damaged.
        """
        table, notes = read_arrow(path)
        shape = (table.num_rows, int(notes["n_candidates"]))

        def matrix(name: str) -> list[object]:
            return list(table.column(name).combine_chunks().flatten().to_pylist())

        return cls(
            ids=strings(table.column("id").to_pylist()),
            text_RC=strings([str(text) for text in matrix("text")]).reshape(shape),
            log_likelihood_RC=np.asarray(matrix("log_likelihood"), dtype=np.float32).reshape(shape),
            n_tokens_RC=np.asarray(matrix("n_tokens"), dtype=np.int64).reshape(shape),
            ended_RC=np.asarray(matrix("ended"), dtype=np.bool_).reshape(shape),
            part=strings(table.column("part").to_pylist()),
            seen_R=np.asarray(table.column("seen").to_pylist(), dtype=np.bool_),
            fold_R=np.asarray(table.column("fold").to_pylist(), dtype=np.int64),
            made_by=notes["made_by"],
        )
