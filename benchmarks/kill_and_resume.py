"""Does a run that was killed at a random moment end with the same bytes as one that was not?

A small run (two stages, a checkpoint after every step) is killed with SIGKILL at a random moment, drawn uniformly over
the length of an unbroken run, and continued by the same command to its end; about every third continuation is killed
too. All files of predictions are then compared with the unbroken run's, byte for byte. A run that was done before its
moment came is not counted but begun anew with another moment. Every third run has folds.

    python benchmarks/kill_and_resume.py            # 20 runs, about 15 minutes on 2 cores
    python benchmarks/kill_and_resume.py --quick    # 4 runs, about 2 minutes
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from common_ground import QUIET, say_machine, say_result

N_RUNS, N_QUICK = 20, 4
SEED = 20
KILLED_AGAIN = 1 / 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=SEED, help="draws the moments")
    asked = parser.parse_args()
    say_machine(__doc__.splitlines()[0])
    n_runs = N_QUICK if asked.quick else N_RUNS
    generator = random.Random(asked.seed)
    print(f"seed of the moments: {asked.seed}")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        unbroken = {kind: unbroken_run(work, kind) for kind in ("plain", "folds")}
        n_equal = sum(
            is_equal_after_kill(work, number, "folds" if number % 3 == 2 else "plain", unbroken, generator)
            for number in range(n_runs)
        )
    is_met = n_equal == n_runs
    say_result("kill_and_resume", ours=n_equal, peer=n_runs, ratio=n_equal / n_runs, goal=1.0, met=is_met)


def unbroken_run(work: Path, kind: str) -> tuple[dict[str, bytes], float]:
    """Predictions of a run that nothing disturbed, and how long it took."""
    recipe = written_recipe(work, kind)
    began = time.monotonic()
    subprocess.run(command(recipe, work / "unbroken"), check=True, stdout=subprocess.DEVNULL, env=environment())
    seconds = time.monotonic() - began
    found = predictions(work / "unbroken" / kind)
    assert found, "a finished run must have predictions"
    print(f"  {kind}: unbroken in {seconds:.1f} s, {len(found)} files of predictions", flush=True)
    return found, seconds


def is_equal_after_kill(
    work: Path, number: int, kind: str, unbroken: dict[str, tuple[dict[str, bytes], float]], generator: random.Random
) -> bool:
    """Kill one run at a random moment, continue it to the end, and compare."""
    expected, seconds = unbroken[kind]
    recipe, runs = written_recipe(work, kind), work / f"killed-{number}"
    moment = generator.uniform(0.0, seconds)
    while not is_killed(recipe, runs, moment):
        shutil.rmtree(runs)
        moment = generator.uniform(0.0, seconds)
    kills = [f"at {moment:.1f} s, {reached(runs / kind)}"]
    while generator.random() < KILLED_AGAIN:
        moment = generator.uniform(0.0, seconds)
        if not is_killed(recipe, runs, moment):
            break
        kills.append(f"after {moment:.1f} s more, {reached(runs / kind)}")
    subprocess.run(command(recipe, runs), check=True, stdout=subprocess.DEVNULL, env=environment())
    is_equal = predictions(runs / kind) == expected
    print(
        f"  run {number + 1} ({kind}) killed {'; '.join(kills)}: {'equal' if is_equal else 'DIFFERENT'}",
        flush=True,
    )
    return is_equal


def is_killed(recipe: Path, runs: Path, moment: float) -> bool:
    """Begin or continue a run and kill it; False where it came to its end before that."""
    process = subprocess.Popen(command(recipe, runs), stdout=subprocess.DEVNULL, env=environment())
    try:
        status = process.wait(moment)
    except subprocess.TimeoutExpired:
        process.kill()
        status = process.wait()
    if status not in (0, -signal.SIGKILL):
        raise SystemExit(f"{recipe.name} failed with status {status}")
    return status != 0


def written_recipe(work: Path, kind: str) -> Path:
    """The recipe, its data and its model; made once."""
    from strop.testing.tiny_models import make_tiny_encoder, make_tiny_rows

    model, rows, recipe = work / "encoder", work / "rows.csv", work / f"{kind}.yaml"
    if not model.exists():
        make_tiny_encoder(model)
        make_tiny_rows(rows, n_rows=400)
    stage = {"learning_rate": 2e-3, "batch_size": 8, "evaluations_per_epoch": 2, "checkpoint_seconds": 0}
    content: dict[str, Any] = {
        "name": kind,
        "data": {"path": str(rows), "text": "text", "target": "label", "id": "id"},
        "model": {"name": str(model)},
        "text": {"max_length_tokens": 24, "windows": {"stride_tokens": 4, "max_windows": 2}},
        "stages": [{**stage, "trainable": "head", "epochs": 1}, {**stage, "epochs": 3, "weight_average": 0.9}],
        "evaluation": {"n_bootstrap": 200},
    }
    if kind == "folds":
        content["split"] = {"folds": 2}
    recipe.write_text(yaml.safe_dump(content), encoding="utf-8")
    return recipe


def command(recipe: Path, runs: Path) -> list[str]:
    """What a user types."""
    return [sys.executable, "-m", "strop.cli", "fit", str(recipe), "--runs", str(runs)]


def environment() -> dict[str, str]:
    """One thread, so that sums are made in the same order."""
    return {**os.environ, **QUIET, "OMP_NUM_THREADS": "1"}


def predictions(run: Path) -> dict[str, bytes]:
    """Content of every file of predictions, by its place in the run."""
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("predictions/**/*.arrow"))}


def reached(run: Path) -> str:
    """How far a killed run had come, in words."""
    if not (run / "run.json").exists():
        return "before the first station"
    about = json.loads((run / "run.json").read_text(encoding="utf-8"))
    ended = ", ".join(about.get("seconds", {})) or "none"
    steps = [f" in {path.parents[1].relative_to(run)} after {path.name}" for path in run.rglob("checkpoints/step-*")]
    return f"{about.get('state', '?')}{''.join(steps[:1])}, stations ended: {ended}"


if __name__ == "__main__":
    main()
