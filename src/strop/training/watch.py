"""What training tells whoever watches: a progress bar, experiment trackers, or nobody."""

from collections.abc import Mapping
from typing import Protocol


class Watcher(Protocol):
    """Receives news of a run; must not change it."""

    def station_began(self, name: str) -> None:
        """A station of the run begins: a short phrase."""

    def stage_began(self, name: str, n_steps: int, step: int) -> None:
        """A stage begins, or goes on after `step` of `n_steps` optimiser steps."""

    def step_done(self, step: int, loss: float, learning_rate: float) -> None:
        """One optimiser step is done."""

    def evaluated(self, step: int, metrics: Mapping[str, float], *, is_best: bool) -> None:
        """The validation part was predicted and scored."""

    def rows_done(self, n_done: int, n_rows: int) -> None:
        """Some of the rows of a long prediction are done."""

    def stage_ended(self) -> None:
        """The stage is over."""


class Watchers:
    """Passes everything on to several watchers; with none of them nobody looks."""

    def __init__(self, *watchers: Watcher) -> None:
        self.watchers = watchers

    def station_began(self, name: str) -> None:
        """Pass on."""
        for watcher in self.watchers:
            watcher.station_began(name)

    def stage_began(self, name: str, n_steps: int, step: int) -> None:
        """Pass on."""
        for watcher in self.watchers:
            watcher.stage_began(name, n_steps, step)

    def step_done(self, step: int, loss: float, learning_rate: float) -> None:
        """Pass on."""
        for watcher in self.watchers:
            watcher.step_done(step, loss, learning_rate)

    def evaluated(self, step: int, metrics: Mapping[str, float], *, is_best: bool) -> None:
        """Pass on."""
        for watcher in self.watchers:
            watcher.evaluated(step, metrics, is_best=is_best)

    def rows_done(self, n_done: int, n_rows: int) -> None:
        """Pass on."""
        for watcher in self.watchers:
            watcher.rows_done(n_done, n_rows)

    def stage_ended(self) -> None:
        """Pass on."""
        for watcher in self.watchers:
            watcher.stage_ended()
