"""Read what training wrote down while it ran."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strop.errors import Problem, RunError
from strop.recipe.sections import Recipe
from strop.records.run_folder import RunFolder


@dataclass(frozen=True)
class Step:
    """Training averaged over the steps since the line before.

    Attributes:
        epoch: Passes over the training part so far, fractions included.
        loss: Mean training loss.
        learning_rate: Rate of the body, or of the adapters.
    """

    epoch: float
    loss: float
    learning_rate: float | None


@dataclass(frozen=True)
class Check:
    """One evaluation during training.

    Attributes:
        step: Steps of the optimiser so far.
        epoch: Passes over the training part so far.
        metrics: By metric name.
        is_best: Whether no earlier evaluation of the stage was better.
    """

    step: int
    epoch: float
    metrics: Mapping[str, float]
    is_best: bool


@dataclass(frozen=True)
class StageHistory:
    """How one stage of one fold went.

    Attributes:
        fold: The fold's name, "whole" where there are no folds.
        number: The stage, counted from 0.
        objective: What was minimised.
        trainable: What was trained, in words.
        steps: Training, in the order of time.
        checks: Evaluations, in the order of time.
        chosen: The evaluation whose checkpoint became the fold's model, None where it lies in another stage.
    """

    fold: str
    number: int
    objective: str
    trainable: str
    steps: tuple[Step, ...]
    checks: tuple[Check, ...]
    chosen: Check | None = None


def read_histories(folder: RunFolder, recipe: Recipe, about: Mapping[str, Any]) -> tuple[StageHistory, ...]:
    """Read the history of every stage of every fold that was begun.

    Args:
        folder: The run.
        recipe: Its recipe, which names the folds and stages.
        about: Content of `run.json`; `chosen` in it says which checkpoint became the model.
    """
    folds = ["whole"] if recipe.split.folds is None else [str(number) for number in range(recipe.split.folds)]
    histories = []
    for fold in folds:
        chosen = dict(about.get("chosen") or {}).get(fold)
        for number, stage in enumerate(recipe.stages):
            path = folder.stage(fold, number, stage.objective) / "history.jsonl"
            lines = read_lines(path)
            if not lines:
                continue
            checks = tuple(_check(line) for line in _last_by_step(lines, "evaluation"))
            history = StageHistory(
                fold=fold,
                number=number,
                objective=stage.objective,
                trainable=trained_words(stage.trainable),
                steps=tuple(_step(line) for line in _last_by_step(lines, "loss")),
                checks=checks,
                chosen=_chosen_among(checks, chosen, number, stage.objective),
            )
            histories.append(history)
    return tuple(histories)


def trained_words(trainable: str | Sequence[str]) -> str:
    """What a stage trains, in words: "all", "head", "adapter", or the head and the named parameters."""
    return trainable if isinstance(trainable, str) else f"head and {', '.join(trainable)}"


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read one JSON object a line; a last line without a line break was left unfinished by a crash and is left out.

    Raises:
        RunError: Another line is not a JSON object.
    """
    if not path.exists():
        return []
    *whole, _ = path.read_bytes().split(b"\n")
    lines = []
    for number, line in enumerate(whole, 1):
        try:
            lines.append(dict(json.loads(line)))
        except ValueError as error:
            problem = Problem(
                where=f"{path}, line {number}",
                must="every line of the history must be the JSON object that Strop wrote",
                came=str(error),
                do="the file was changed from outside: remove it, the report then shows the run without this curve",
            )
            raise RunError(problem) from error
    return lines


def _last_by_step(lines: Sequence[Mapping[str, Any]], key: str) -> list[Mapping[str, Any]]:
    """Lines with this key in the order of steps; of a step that a continued run took again, the last line."""
    by_step = {int(line["step"]): line for line in lines if key in line}
    return [by_step[step] for step in sorted(by_step)]


def _step(line: Mapping[str, Any]) -> Step:
    rate = line.get("learning_rate")
    return Step(
        epoch=float(line["epoch"]), loss=float(line["loss"]), learning_rate=None if rate is None else float(rate)
    )


def _check(line: Mapping[str, Any]) -> Check:
    metrics = {name: float(value) for name, value in line["evaluation"].items() if isinstance(value, int | float)}
    return Check(
        step=int(line["step"]), epoch=float(line["epoch"]), metrics=metrics, is_best=bool(line.get("is_best", False))
    )


def _chosen_among(
    checks: tuple[Check, ...], chosen: Mapping[str, Any] | None, number: int, objective: str
) -> Check | None:
    """The evaluation at the chosen step; `stage` may be written as a number or as the name of the stage's folder."""
    if chosen is None or str(chosen.get("stage")) not in (str(number), f"{number}-{objective}"):
        return None
    found = [check for check in checks if check.step == chosen.get("step")]
    return found[-1] if found else None
