"""What a causal model reads of every row, and what it shall write: prompts and answers as token ids.

Dimensions: R rows, P prompts, T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from strop.records.dataset import Strings, strings
from strop.records.files import read_arrow, write_arrow

TokenIds = NDArray[np.int32]


@dataclass(frozen=True)
class Completions:
    """R rows with one prompt each, or several where a long context is read in windows: P prompts.

    Attributes:
        ids: Row ids, shape (R,).
        row_P: For every prompt the position of its row, ascending, shape (P,).
        prompts: Token ids of every prompt, begin token included, P arrays of at least one token.
        answers: Token ids of every prompt's answer, end token included, P arrays; an empty array where the row has no
            answer, or where this window does not hold it: such a prompt is not trained on.
        context_P: Number of the context that a prompt is about: prompts with equal numbers may begin with the same
            tokens. Shape (P,).
        shared_P: How many first tokens a prompt has in common with all prompts of its context; always less than the
            prompt has, and 0 where nothing is shared. Shape (P,).
        n_tokens_R: Tokens of each row's prompt and answer before anything was cut, shape (R,).
        n_cut_R: How many tokens of the row's context no prompt holds, shape (R,).
    """

    ids: Strings
    row_P: NDArray[np.int64]
    prompts: Sequence[TokenIds]
    answers: Sequence[TokenIds]
    context_P: NDArray[np.int64]
    shared_P: NDArray[np.int64]
    n_tokens_R: NDArray[np.int64]
    n_cut_R: NDArray[np.int64]

    def __post_init__(self) -> None:
        columns = (self.row_P, self.prompts, self.answers, self.context_P, self.shared_P)
        if len({len(column) for column in columns}) != 1:
            raise ValueError("every column of prompts must have one value a prompt")
        if not len(self.ids) == len(self.n_tokens_R) == len(self.n_cut_R):
            raise ValueError("every column of rows must have one value a row")
        if any(shared >= len(prompt) for shared, prompt in zip(self.shared_P, self.prompts, strict=True)):
            raise ValueError("prompts of a context must differ in at least their last token")

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.ids)

    @property
    def n_prompts(self) -> int:
        """How many prompts there are, at least one a row."""
        return len(self.row_P)

    @property
    def prompt_tokens_P(self) -> NDArray[np.int64]:
        """Tokens of every prompt, shape (P,)."""
        return np.asarray([len(prompt) for prompt in self.prompts], dtype=np.int64)

    @property
    def answer_tokens_P(self) -> NDArray[np.int64]:
        """Tokens of every answer, 0 where there is none, shape (P,)."""
        return np.asarray([len(answer) for answer in self.answers], dtype=np.int64)

    def take(self, rows: NDArray[np.intp]) -> Self:
        """Keep these rows with all their prompts, in the order of `rows`; shared beginnings stay as they were."""
        first, after = np.searchsorted(self.row_P, rows, "left"), np.searchsorted(self.row_P, rows, "right")
        kept = np.concatenate([np.arange(0), *map(np.arange, first, after)])
        return replace(
            self,
            ids=self.ids[rows],
            row_P=np.repeat(np.arange(len(rows), dtype=np.int64), after - first),
            prompts=[self.prompts[at] for at in kept],
            answers=[self.answers[at] for at in kept],
            context_P=self.context_P[kept],
            shared_P=self.shared_P[kept],
            n_tokens_R=self.n_tokens_R[rows],
            n_cut_R=self.n_cut_R[rows],
        )

    def save(self, path: Path) -> None:
        """Write to an Arrow file, one line a prompt."""
        lists = pa.list_(pa.int32())
        table = pa.table(
            {
                "row": pa.array(self.row_P, pa.int64()),
                "prompt": pa.array(list(self.prompts), lists),
                "answer": pa.array(list(self.answers), lists),
                "context": pa.array(self.context_P, pa.int64()),
                "shared": pa.array(self.shared_P, pa.int64()),
            }
        )
        notes = {
            "record": "Completions",
            "ids": self.ids.tolist(),
            "n_tokens": self.n_tokens_R.tolist(),
            "n_cut": self.n_cut_R.tolist(),
        }
        write_arrow(path, table, notes)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            RunError: The file is missing or damaged.
        """
        table, notes = read_arrow(path)

        def tokens(name: str) -> list[TokenIds]:
            return [np.asarray(one, dtype=np.int32) for one in table.column(name).to_pylist()]

        return cls(
            ids=strings(notes["ids"]),
            row_P=table.column("row").to_numpy().astype(np.int64),
            prompts=tokens("prompt"),
            answers=tokens("answer"),
            context_P=table.column("context").to_numpy().astype(np.int64),
            shared_P=table.column("shared").to_numpy().astype(np.int64),
            n_tokens_R=np.asarray(notes["n_tokens"], dtype=np.int64),
            n_cut_R=np.asarray(notes["n_cut"], dtype=np.int64),
        )
