"""What a model said about rows: the turning point, after which no language model is loaded again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from strop.records.dataset import Strings, strings
from strop.records.files import read_arrow, write_arrow


@dataclass(frozen=True)
class Predictions:
    """What was predicted for R rows, L numbers each, and where they come from.

    Attributes:
        ids: Row ids, shape (R,).
        labels: Names of the L labels, or of the L targets, in the order of the columns of `outputs_RL`.
        outputs_RL: Shape (R, L): unnormalised log-probabilities of labels, or values of targets on their own scale.
        part: The part each row belongs to: train, validation, test, or new for rows outside the run, shape (R,).
        seen_R: Whether the model that predicted the row was trained on it, shape (R,).
        fold_R: The fold whose model predicted the row, -1 where there are no folds or several were averaged.
        made_by: What made them: stage, checkpoint, model, baseline and the like.
        kind: What the outputs are: "logits" of labels, or "values" of targets.
    """

    ids: Strings
    labels: tuple[str, ...]
    outputs_RL: NDArray[np.float32]
    part: Strings
    seen_R: NDArray[np.bool_]
    fold_R: NDArray[np.int64]
    made_by: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["logits", "values"] = "logits"

    def __post_init__(self) -> None:
        shape = (len(self.ids), len(self.labels))
        if self.outputs_RL.shape != shape:
            raise ValueError(f"outputs must have shape (rows, labels) = {shape}, came {self.outputs_RL.shape}")
        if not len(self.part) == len(self.seen_R) == len(self.fold_R) == len(self.ids):
            raise ValueError("every column must have one value a row")

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.ids)

    def probabilities_RL(self, temperature: float = 1.0) -> NDArray[np.float64]:
        """Softmax of the logits divided by a temperature, shape (R, L); rows sum to 1.

        Raises:
            ValueError: The outputs are values of targets.
        """
        if self.kind != "logits":
            raise ValueError("only logits of labels make probabilities, came values of targets")
        scaled = self.outputs_RL.astype(np.float64) / temperature
        scaled -= scaled.max(axis=1, keepdims=True)
        raised = np.exp(scaled)
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))

    def best_R(self) -> Strings:
        """The likeliest label of every row, shape (R,); the first in a tie."""
        return strings([self.labels[at] for at in self.outputs_RL.argmax(axis=1)])

    def take(self, rows: NDArray[np.intp] | Sequence[int]) -> Self:
        """Keep the rows at these positions, in this order."""
        at = np.asarray(rows, dtype=np.intp)
        return replace(
            self,
            ids=self.ids[at],
            outputs_RL=self.outputs_RL[at],
            part=self.part[at],
            seen_R=self.seen_R[at],
            fold_R=self.fold_R[at],
        )

    def select(self, ids: Sequence[str] | Strings) -> Self:
        """Keep the rows with these ids, in this order.

        Raises:
            KeyError: An id was not predicted.
        """
        position = {row_id: at for at, row_id in enumerate(self.ids.tolist())}
        return self.take([position[row_id] for row_id in ids])

    def save(self, path: Path) -> None:
        """Write to an Arrow file; equal predictions give equal bytes."""
        flat = pa.array(np.ascontiguousarray(self.outputs_RL, dtype=np.float32).reshape(-1), pa.float32())
        table = pa.table(
            {
                "id": pa.array(self.ids.tolist(), pa.string()),
                "part": pa.array(self.part.tolist(), pa.string()),
                "seen": pa.array(self.seen_R, pa.bool_()),
                "fold": pa.array(self.fold_R, pa.int64()),
                "outputs": pa.FixedSizeListArray.from_arrays(flat, len(self.labels)),
            }
        )
        notes = {"record": "Predictions", "kind": self.kind, "labels": self.labels, "made_by": dict(self.made_by)}
        write_arrow(path, table, notes)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            RunError: The file is missing or damaged.
        """
        table, notes = read_arrow(path)
        labels = tuple(notes["labels"])
        flat = table.column("outputs").combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return cls(
            ids=strings(table.column("id").to_pylist()),
            labels=labels,
            outputs_RL=flat.reshape(-1, len(labels)).astype(np.float32),
            part=strings(table.column("part").to_pylist()),
            seen_R=np.asarray(table.column("seen").to_pylist(), dtype=np.bool_),
            fold_R=np.asarray(table.column("fold").to_pylist(), dtype=np.int64),
            made_by=notes["made_by"],
            kind=notes["kind"],
        )


def concatenate(parts: Sequence[Predictions], made_by: Mapping[str, str]) -> Predictions:
    """Put predictions of different rows under each other.

    Args:
        parts: At least one; all with the same labels, no row twice.
        made_by: What made the whole.

    Raises:
        ValueError: The labels differ.
    """
    if len({(part.kind, part.labels) for part in parts}) != 1:
        raise ValueError("predictions to put together must have the same labels in the same order")
    return Predictions(
        ids=strings([row_id for part in parts for row_id in part.ids]),
        labels=parts[0].labels,
        outputs_RL=np.concatenate([part.outputs_RL for part in parts]),
        part=strings([name for part in parts for name in part.part]),
        seen_R=np.concatenate([part.seen_R for part in parts]),
        fold_R=np.concatenate([part.fold_R for part in parts]),
        made_by=made_by,
        kind=parts[0].kind,
    )
