"""What every benchmark says and does alike: machine and versions, sides in processes of their own, the last line."""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
REAL_DATA = Path(os.environ.get("STROP_REAL_DATA") or REPOSITORY.parent / "shared" / "data")
MODELS = Path(os.environ.get("STROP_MODELS") or Path.home() / ".cache" / "strop-models")
# Both sides of a benchmark compute with the same number of threads.
THREADS = os.environ.get("STROP_BENCHMARK_THREADS", "2")
QUIET = {
    "GOMP_SPINCOUNT": "0",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": THREADS,
    "PYTHONUNBUFFERED": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def real_data(name: str) -> Path:
    """A file of the public data sets, which are not part of the repository."""
    path = REAL_DATA / name
    if not path.exists():
        raise SystemExit(f"this benchmark needs {name}: set STROP_REAL_DATA to the folder that holds it")
    return path


def model_folder(name: str) -> Path:
    """A folder of pretrained weights."""
    path = MODELS / name
    if not path.exists():
        raise SystemExit(f"this benchmark needs the model {name}: set STROP_MODELS to the folder that holds it")
    return path


def say_machine(question: str) -> None:
    """Print the question, the machine and the versions."""
    described = Path("/proc/cpuinfo")
    cpu = platform.processor() or platform.machine()
    if described.exists():
        lines = described.read_text().splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
    names = ("torch", "transformers", "accelerate", "peft", "scikit-learn")
    print(question)
    print(f"machine: {cpu}, {os.cpu_count()} cores, {THREADS} threads a side, Python {platform.python_version()}")
    print("versions: " + ", ".join(f"{name} {version(name)}" for name in names))


def run_side(script: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Run one side of a benchmark in a process of its own, so that neither warms anything up for the other.

    The side prints its result as the last line of its output, in JSON; its peak memory is added as `peak_gib`.
    """
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(
            [sys.executable, script, *arguments], stdout=printed, env={**os.environ, **QUIET}, cwd=REPOSITORY
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        printed.seek(0)
        lines = printed.read().strip().splitlines()
    if status != 0 or not lines:
        raise SystemExit(f"{script} {' '.join(arguments)} failed with status {status}")
    return {**json.loads(lines[-1]), "peak_gib": round(usage.ru_maxrss / 2**20, 2)}


def say_result(name: str, *, ours: float, peer: float, ratio: float, goal: float, met: bool, **more: Any) -> None:
    """Print the JSON line that ends a benchmark."""
    print(json.dumps({"name": name, "ours": ours, "peer": peer, "ratio": ratio, "goal": goal, "met": met, **more}))
