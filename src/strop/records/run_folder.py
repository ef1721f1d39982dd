"""Where a run keeps what, its state, and the lock that says which process has it."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from strop.errors import Problem, RunError
from strop.records.files import clear_leftovers, no_space_is_said, read_json, write_json
from strop.records.ledger import Ledger

# In a folder of `examples`: what the model reads of every row, in words.
TEXTS_READ = "texts.json"


@dataclass(frozen=True)
class RunFolder:
    """The places in a run folder; nothing is created until something is written.

    Attributes:
        path: The folder itself, `runs/<name>`.
    """

    path: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.yaml"

    @property
    def about(self) -> Path:
        """Versions, seeds, hardware and state."""
        return self.path / "run.json"

    @property
    def ledger(self) -> Ledger:
        """The run's ledger."""
        return Ledger(self.path / "ledger.jsonl")

    @property
    def open_data(self) -> Path:
        """Rows that are not sealed."""
        return self.path / "data" / "open.arrow"

    @property
    def sealed_data(self) -> Path:
        """Rows of the sealed test part, labels included."""
        return self.path / "data" / "test.sealed.arrow"

    @property
    def audit(self) -> Path:
        """What the audit of the data found."""
        return self.path / "data" / "audit.json"

    @property
    def split(self) -> Path:
        """Folder of the split."""
        return self.path / "split"

    @property
    def examples(self) -> Path:
        """Folder of the token cache."""
        return self.path / "examples"

    @property
    def evidence(self) -> Path:
        """Folder of the passages that were looked up, keyed by content."""
        return self.path / "evidence"

    @property
    def against(self) -> Path:
        """How the run compares with others that its report was asked to show."""
        return self.path / "against.json"

    @property
    def features(self) -> Path:
        """What head-only stages and baselines read of the body, keyed by content."""
        return self.path / "features"

    def fold(self, name: str) -> Path:
        """Folder of one fold's training; the run folder itself where there are no folds."""
        return self.path if name == "whole" else self.path / "folds" / name

    def stage(self, fold: str, number: int, objective: str) -> Path:
        """Folder of one stage (counted from 0) of one fold."""
        return self.fold(fold) / "stages" / f"{number}-{objective}"

    def model(self, fold: str = "whole") -> Path:
        """Folder of the chosen checkpoint."""
        return self.fold(fold) / "model"

    @property
    def predictions(self) -> Path:
        """Folder of the final predictions, the model's and the baselines'."""
        return self.path / "predictions"

    @property
    def scores(self) -> Path:
        """Folder of the scores, one JSON file a part."""
        return self.path / "scores"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    @property
    def card(self) -> Path:
        """The model card."""
        return self.path / "README.md"

    def read_about(self) -> dict[str, Any]:
        """What `run.json` says; empty before the first write."""
        return dict(read_json(self.about)) if self.about.exists() else {}

    def update_about(self, **changes: Any) -> None:
        """Change some entries of `run.json`."""
        write_json(self.about, {**self.read_about(), **changes})

    def must_be_a_run(self) -> None:
        """Check that a recipe stands in the folder.

        Raises:
            RunError: The folder is missing or holds no run.
        """
        if not self.recipe.exists():
            came = "a folder without recipe.yaml" if self.path.is_dir() else "no such folder"
            problem = Problem(
                where=str(self.path),
                must="the folder must hold a run",
                came=came,
                do="give the folder that `strop fit` named, for example runs/<name>",
            )
            raise RunError(problem)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process; the system releases the lock when the process ends, however it ends.

        What a killed holder left half written is cleared first.

        Raises:
            RunError: Another process has the run.
        """
        holder = self.path / ".lock.json"
        lock = FileLock(self.path / ".lock")
        try:
            with no_space_is_said(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
                lock.acquire(timeout=0)
        except Timeout as error:
            who = read_json(holder) if holder.exists() else {}
            problem = Problem(
                where=str(self.path),
                must="one process at a time may write a run",
                came=f"process {who.get('process', '?')} on {who.get('host', '?')} has it",
                do="wait for it to end, or give this run another name with name=...",
            )
            raise RunError(problem) from error
        try:
            clear_leftovers(self.path)
            write_json(holder, {"process": os.getpid(), "host": socket.gethostname()})
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()
