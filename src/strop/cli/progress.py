"""Training as a person sees it: a line a station, a bar a stage with loss, metric and remaining time."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from strop.cli.terminal import out

PRINTED_WITHOUT_TERMINAL_SECONDS = 30.0


class ProgressBars:
    """A watcher that draws on the terminal; where the output is no terminal it prints lines now and then."""

    def __init__(self) -> None:
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[news]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=out,
            transient=True,
        )
        self.bar: TaskID | None = None
        self.n_steps = 0
        self.best: str = ""
        self.printed_at = 0.0

    def __enter__(self) -> Self:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def station_began(self, name: str) -> None:
        """Print a line."""
        self._drop_bar()
        out.print(f"- {name}")

    def stage_began(self, name: str, n_steps: int, step: int) -> None:
        """Show a bar."""
        self._drop_bar()
        self.n_steps, self.best = n_steps, ""
        out.print(f"- {name}" + (f", going on after step {step} of {n_steps}" if step else ""))
        self.bar = self.bars.add_task("  steps", total=n_steps, completed=step, news="")

    def step_done(self, step: int, loss: float, learning_rate: float) -> None:
        """Move the bar."""
        if self.bar is not None:
            self.bars.update(self.bar, completed=step, news=f"loss {loss:.3f} {self.best}")
        if not out.is_terminal and time.monotonic() - self.printed_at > PRINTED_WITHOUT_TERMINAL_SECONDS:
            self.printed_at = time.monotonic()
            out.print(f"  step {step} of {self.n_steps}, loss {loss:.3f}, rate {learning_rate:.1e}")

    def evaluated(self, step: int, metrics: Mapping[str, float], *, is_best: bool) -> None:
        """Print the metrics of an evaluation."""
        primary, value = next(iter(metrics.items()))
        if is_best:
            self.best = f"best {primary} {value:.3f}"
        shown = ", ".join(f"{name} {number:.4f}" for name, number in metrics.items())
        out.print(f"  step {step}: {shown}" + ("  best" if is_best else ""))

    def rows_done(self, n_done: int, n_rows: int) -> None:
        """Move the bar of a prediction."""
        if self.bar is None:
            self.bar = self.bars.add_task("  rows", total=n_rows, news="")
        self.bars.update(self.bar, completed=n_done)
        if n_done >= n_rows:
            self._drop_bar()

    def stage_ended(self) -> None:
        """Remove the bar."""
        self._drop_bar()

    def _drop_bar(self) -> None:
        if self.bar is not None:
            self.bars.remove_task(self.bar)
            self.bar = None
