"""Pass losses and metrics on to experiment trackers through Accelerate: TensorBoard, MLflow, Weights and Biases."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Self

from strop.errors import MachineError, Problem
from strop.recipe.sections import Recipe

if TYPE_CHECKING:
    from accelerate import Accelerator


def trackers_must_be_installed(recipe: Recipe) -> None:
    """Check that the libraries of the recipe's trackers are there.

    Raises:
        MachineError: One is not.
    """
    missing = [name for name in recipe.report_to if find_spec(name) is None]
    if missing:
        problems = [
            Problem(
                where="report_to",
                must="the library of every tracker must be installed",
                came=f"{name} is not",
                do=f"install it with `pip install 'strop[{name}]'`, or take it out of report_to",
            )
            for name in missing
        ]
        raise MachineError(*problems)


class Trackers:
    """A watcher that logs; every stage has names of its own."""

    def __init__(self, accelerator: "Accelerator") -> None:
        self.accelerator = accelerator
        self.stage = ""

    @classmethod
    @contextmanager
    def of(cls, recipe: Recipe, accelerator: "Accelerator") -> Iterator[Self]:
        """Start the recipe's trackers, and end them with the block."""
        if recipe.report_to:
            accelerator.init_trackers(recipe.name)
        try:
            yield cls(accelerator)
        finally:
            if recipe.report_to:
                accelerator.end_training()

    def station_began(self, name: str) -> None:
        """Trackers hear of steps only."""

    def stage_began(self, name: str, n_steps: int, step: int) -> None:
        """Remember which stage the coming steps belong to."""
        self.stage = name.replace(": ", "/").replace(" ", "_")

    def step_done(self, step: int, loss: float, learning_rate: float) -> None:
        """Log loss and rate."""
        self._log({"loss": loss, "learning_rate": learning_rate}, step)

    def evaluated(self, step: int, metrics: Mapping[str, float], *, is_best: bool) -> None:
        """Log validation metrics."""
        self._log({f"validation_{name}": value for name, value in metrics.items()}, step)

    def rows_done(self, n_done: int, n_rows: int) -> None:
        """Trackers hear of steps only."""

    def stage_ended(self) -> None:
        """Trackers hear of steps only."""

    def _log(self, values: Mapping[str, float], step: int) -> None:
        if self.accelerator.trackers:
            self.accelerator.log({f"{self.stage}/{name}": value for name, value in values.items()}, step=step)
