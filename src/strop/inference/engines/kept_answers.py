"""Answers of a server, written to a file one by one as they come, so that a command that was killed goes on."""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from strop.inference.engines.replies import Question, Written


def key_of(asked: Question, seed: int, *, url: str, model_digest: str) -> str:
    """What an answer is kept by: the prompt, the decoding, the model's name and weights, the server and the seed."""
    entries = [asked.prompt, asked.n_candidates, asked.settings, seed, url.rstrip("/"), model_digest]
    return hashlib.sha256(json.dumps(entries, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class KeptAnswers:
    """A file of JSON lines, one a prompt.

    A line that was cut when a command was killed is left out, and its prompt is asked for again.

    Args:
        path: The file; it may not exist yet, but its folder must.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, list[Written]] = {}
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        for line in lines:
            self._known |= _read(line)
        self._needs_break = bool(lines) and lines[-1] != b""

    def __enter__(self) -> Self:
        self._file = self.path.open("ab")
        if self._needs_break:
            self._file.write(b"\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def get(self, key: str) -> list[Written] | None:
        """The candidates that are kept."""
        return self._known.get(key)

    def keep(self, key: str, row_id: str, candidates: Sequence[Written]) -> None:
        """Write candidates down at once; the row's id is for people who read the file."""
        self._known[key] = list(candidates)
        entries = [
            {**one._asdict(), "log_likelihood": None if math.isnan(one.log_likelihood) else one.log_likelihood}
            for one in candidates
        ]
        line = json.dumps({"row": row_id, "key": key, "candidates": entries}, ensure_ascii=False)
        self._file.write(line.encode() + b"\n")
        self._file.flush()


def _read(line: bytes) -> dict[str, list[Written]]:
    try:
        entry: dict[str, Any] = json.loads(line)
        return {entry["key"]: [_written(one) for one in entry["candidates"]]}
    except (ValueError, KeyError, TypeError):
        return {}


def _written(one: dict[str, Any]) -> Written:
    total = one["log_likelihood"]
    return Written(
        str(one["text"]), math.nan if total is None else float(total), int(one["n_tokens"]), bool(one["ended"])
    )
