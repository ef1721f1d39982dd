"""What a model said about rows: the turning point, after which no language model is loaded again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from strop.records.dataset import Strings, strings
from strop.records.files import read_arrow, write_arrow


@dataclass(frozen=True)
class Predictions:
    """Logits for R rows and L labels, and where they come from.

    Attributes:
        ids: Row ids, shape (R,).
        labels: Names of the L labels, in the order of the columns of `logits_RL`.
        logits_RL: Unnormalised log-probabilities, shape (R, L); higher is likelier.
        part: The part each row belongs to: train, validation, test, or new for rows outside the run, shape (R,).
        seen_R: Whether the model that predicted the row was trained on it, shape (R,).
        fold_R: The fold whose model predicted the row, -1 where there are no folds or several were averaged.
        made_by: What made them: stage, checkpoint, model, baseline and the like.
    """

    ids: Strings
    labels: tuple[str, ...]
    logits_RL: NDArray[np.float32]
    part: Strings
    seen_R: NDArray[np.bool_]
    fold_R: NDArray[np.int64]
    made_by: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = (len(self.ids), len(self.labels))
        if self.logits_RL.shape != shape:
            raise ValueError(f"logits must have shape (rows, labels) = {shape}, came {self.logits_RL.shape}")
        if not len(self.part) == len(self.seen_R) == len(self.fold_R) == len(self.ids):
            raise ValueError("every column must have one value a row")

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.ids)

    def probabilities_RL(self, temperature: float = 1.0) -> NDArray[np.float64]:
        """Softmax of the logits divided by a temperature, shape (R, L); rows sum to 1."""
        scaled = self.logits_RL.astype(np.float64) / temperature
        scaled -= scaled.max(axis=1, keepdims=True)
        raised = np.exp(scaled)
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))

    def best_R(self) -> Strings:
        """The likeliest label of every row, shape (R,); the first in a tie."""
        return strings([self.labels[at] for at in self.logits_RL.argmax(axis=1)])

    def take(self, rows: NDArray[np.intp] | Sequence[int]) -> Self:
        """Keep the rows at these positions, in this order."""
        at = np.asarray(rows, dtype=np.intp)
        return replace(
            self,
            ids=self.ids[at],
            logits_RL=self.logits_RL[at],
            part=self.part[at],
            seen_R=self.seen_R[at],
            fold_R=self.fold_R[at],
        )

    def of_part(self, part: str) -> Self:
        """Keep the rows of one part."""
        return self.take(np.flatnonzero(self.part == part))

    def select(self, ids: Sequence[str] | Strings) -> Self:
        """Keep the rows with these ids, in this order.

        Raises:
            KeyError: An id was not predicted.
        """
        position = {row_id: at for at, row_id in enumerate(self.ids.tolist())}
        return self.take([position[row_id] for row_id in ids])

    def save(self, path: Path) -> None:
        """Write to an Arrow file; equal predictions give equal bytes."""
        flat = pa.array(np.ascontiguousarray(self.logits_RL, dtype=np.float32).reshape(-1), pa.float32())
        table = pa.table(
            {
                "id": pa.array(self.ids.tolist(), pa.string()),
                "part": pa.array(self.part.tolist(), pa.string()),
                "seen": pa.array(self.seen_R, pa.bool_()),
                "fold": pa.array(self.fold_R, pa.int64()),
                "logits": pa.FixedSizeListArray.from_arrays(flat, len(self.labels)),
            }
        )
        write_arrow(path, table, {"record": "Predictions", "labels": self.labels, "made_by": dict(self.made_by)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            RunError: The file is missing or damaged.
        """
        table, notes = read_arrow(path)
        labels = tuple(notes["labels"])
        flat = table.column("logits").combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return cls(
            ids=strings(table.column("id").to_pylist()),
            labels=labels,
            logits_RL=flat.reshape(-1, len(labels)).astype(np.float32),
            part=strings(table.column("part").to_pylist()),
            seen_R=np.asarray(table.column("seen").to_pylist(), dtype=np.bool_),
            fold_R=np.asarray(table.column("fold").to_pylist(), dtype=np.int64),
            made_by=notes["made_by"],
        )


def concatenate(parts: Sequence[Predictions], made_by: Mapping[str, str]) -> Predictions:
    """Put predictions of different rows under each other.

    Args:
        parts: At least one; all with the same labels, no row twice.
        made_by: What made the whole.

    Raises:
        ValueError: The labels differ.
    """
    if len({part.labels for part in parts}) != 1:
        raise ValueError("predictions to put together must have the same labels in the same order")
    return Predictions(
        ids=strings([row_id for part in parts for row_id in part.ids]),
        labels=parts[0].labels,
        logits_RL=np.concatenate([part.logits_RL for part in parts]),
        part=strings([name for part in parts for name in part.part]),
        seen_R=np.concatenate([part.seen_R for part in parts]),
        fold_R=np.concatenate([part.fold_R for part in parts]),
        made_by=made_by,
    )
