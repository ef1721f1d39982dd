"""The curve of a stage: one JSON object a line, cut back to the checkpoint when a stage goes on after a crash."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from strop.records.files import no_space_is_said, write_text


class History:
    """The file `history.jsonl` of a stage.

    A line holds `step`, `epoch`, and either `loss`, `learning_rate` and `seconds` (averages since the line before), or
    `evaluation` (metric name to value) and `is_best`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin_after(self, step: int) -> None:
        """Drop lines of steps after this one: they will be written again."""
        if not self.path.exists():
            return
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        # Only the last line can be unfinished, and only when the process was killed while writing it.
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        write_text(self.path, "".join(kept))

    def write(self, line: Mapping[str, Any]) -> None:
        """Append one line."""
        with no_space_is_said(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
