"""`strop fit`: all stations of a run in order; what is done is kept, so the same command goes on after a crash."""

import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from strop.models.locate import locate_model
from strop.recipe.load import read_recipe, resolve
from strop.recipe.sections import Recipe
from strop.records.run_folder import RunFolder
from strop.records.split import Split
from strop.runs.judge import judge_open_rows
from strop.runs.prepare import Prepared, claim_folder, prepare
from strop.runs.run import Run
from strop.runs.trackers import Trackers
from strop.runs.trainable import must_be_trainable
from strop.runs.treat import treat_predictions
from strop.runs.writing.prepare import PreparedAnswers, prepare_answers
from strop.training.watch import Watcher, Watchers

LIBRARIES = ("strop", "torch", "transformers", "accelerate", "peft", "bitsandbytes", "scikit-learn", "numpy", "pyarrow")


def fit(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    *,
    runs: str | Path = "runs",
    watcher: Watcher | None = None,
    **overrides: Any,
) -> Run:
    """Train, choose the checkpoint, predict, score and report, as the recipe says; go on where a killed run was.

    Args:
        recipe: A YAML file, a mapping of the same shape, or a recipe.
        runs: Folder in which the run's folder is made.
        watcher: Receives news of the progress.
        **overrides: Recipe entries to change; two underscores stand for the dot: `model__name="..."`,
            `stages__0__epochs=2`.

    Returns:
        The finished run.

    Raises:
        StropError: With all that is wrong; nothing that was finished is lost.
    """
    resolved = resolve_recipe(recipe, overrides)
    folder = RunFolder(Path(runs) / resolved.name)
    with folder.locked():
        claim_folder(resolved, folder)
        if folder.read_about().get("state") != "finished" or _lacks_something(resolved, folder):
            _run_stations(resolved, folder, watcher or Watchers())
    return Run(folder.path)


def _lacks_something(recipe: Recipe, folder: RunFolder) -> bool:
    """Whether files of a finished run were removed since: what is missing is made again, from what is there."""
    systems = ["model", *(f"baseline-{name}" for name in recipe.evaluation.baselines)]
    needed = [*(folder.predictions / f"{system}.arrow" for system in systems), folder.report, folder.card]
    needed += [folder.model(fold.name) / "strop.json" for fold in Split.load(folder.split).folds()]
    return not all(path.exists() for path in needed)


def resolve_recipe(recipe: str | Path | Mapping[str, Any] | Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """Read a recipe in any of the forms that `fit` takes.

    Raises:
        RecipeError: With every problem of the recipe.
    """
    import json

    texts = [f"{key.replace('__', '.')}={json.dumps(value, ensure_ascii=False)}" for key, value in overrides.items()]
    if isinstance(recipe, str | Path):
        return read_recipe(Path(recipe), texts)
    content = recipe.model_dump(mode="json") if isinstance(recipe, Recipe) else recipe
    return resolve(content, texts)


def _run_stations(recipe: Recipe, folder: RunFolder, watcher: Watcher) -> None:
    must_be_trainable(recipe, locate_model(recipe.model))
    about = folder.read_about()
    folder.update_about(
        name=recipe.name,
        state="running",
        ended=None,
        started=about.get("started") or datetime.now(UTC).isoformat(timespec="seconds"),
        seed=recipe.seed,
    )
    prepared: Prepared | PreparedAnswers
    with _timed(folder, "prepare"):
        prepared = (prepare_answers if recipe.writes else prepare)(recipe, folder, watcher)
    _train_and_predict(recipe, prepared, folder, watcher)
    with _timed(folder, "score"):
        watcher.station_began("scoring")
        treat_predictions(recipe, prepared.dataset, folder)
        judge_open_rows(recipe, prepared.dataset, prepared.split, folder)
    watcher.station_began("writing the report")
    from strop.reporting.card import write_card
    from strop.reporting.report import write_report

    # Finished comes last: a run that is killed while the report is written writes it again.
    folder.update_about(ended=datetime.now(UTC).isoformat(timespec="seconds"))
    write_report(folder)
    write_card(folder)
    folder.update_about(state="finished")


def _train_and_predict(
    recipe: Recipe, prepared: Prepared | PreparedAnswers, folder: RunFolder, watcher: Watcher
) -> None:
    """The stations that need torch, which is imported here: wrong data are reported before the seconds that takes."""
    from strop.models.precision import make_accelerator
    from strop.runs.train import checkpoint_note

    # Both have the same stations, by the same names.
    stations: Any = import_module("strop.runs.writing.train" if recipe.writes else "strop.runs.train")
    accelerator = make_accelerator(recipe.model.precision, trackers=recipe.report_to, folder=folder.path / "trackers")
    folder.update_about(versions=_versions(), hardware=_hardware(accelerator.device.type))
    with Trackers.of(recipe, accelerator) as trackers:
        watchers = Watchers(watcher, trackers)
        for fold in prepared.split.folds():
            with _timed(folder, "train"):
                stations.train_fold(recipe, prepared, fold, folder, accelerator, watchers)
            with _timed(folder, "predict"):
                stations.predict_fold(recipe, prepared, fold, folder, accelerator, watchers)
    folder.ledger.write(checkpoint_note(folder, recipe))
    with _timed(folder, "baselines"):
        stations.predict_baselines(recipe, prepared, folder, accelerator, watcher)
    stations.gather_predictions(recipe, prepared, folder, accelerator)
    folder.update_about(peak_memory_gib=_peak_memory_gib(accelerator.device.type))


@contextmanager
def _timed(folder: RunFolder, station: str) -> Iterator[None]:
    """Add the time of a block to the station's seconds in run.json; what a killed attempt spent is not counted."""
    began = time.monotonic()
    yield
    seconds = dict(folder.read_about().get("seconds", {}))
    seconds[station] = round(seconds.get(station, 0.0) + time.monotonic() - began, 2)
    folder.update_about(seconds=seconds)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _hardware(device: str) -> dict[str, Any]:
    import psutil
    import torch

    return {
        "cpu": _cpu_name(),
        "n_cores": os.cpu_count(),
        "n_threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "device": device,
    }


def _cpu_name() -> str:
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _peak_memory_gib(device: str) -> float | None:
    """Peak memory of the process, or of the GPU where there is one."""
    if device == "cuda":
        import torch

        return round(torch.cuda.max_memory_allocated() / 2**30, 2)
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**30 if sys.platform == "darwin" else 2**20), 2)
