"""How long does it take until Strop's commands start, and do they start without torch?

Every command runs in fresh processes; the median of 7 counts, after one that fills the file cache. "Start" is the time
until the verb's own work begins, measured as the time of the same command with --help; the time of the whole command
stands beside it. That torch stays out is asked of the interpreter that ran the verb.

    python benchmarks/startup.py            # about 2 minutes on 2 cores
    python benchmarks/startup.py --quick    # the median of 3
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common_ground import QUIET, REPOSITORY, say_machine, say_result

GOAL_SECONDS = 1.0
ASKING = (
    "import sys; sys.argv = ['strop', *sys.argv[1:]]\n"
    "from strop.cli.main import app\n"
    "app(standalone_mode=False)\n"
    "sys.exit('torch was loaded' if 'torch' in sys.modules else 0)"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    say_machine(__doc__.splitlines()[0])
    n_times = 3 if asked.quick else 7
    with tempfile.TemporaryDirectory() as work:
        run = small_run(Path(work))
        recipe = str(REPOSITORY / "recipes" / "question-routing.yaml")
        starts = {
            "import strop": ["-c", "import strop, sys; sys.exit('torch' in sys.modules)"],
            "strop check": ["-c", ASKING, "check", "--help"],
            "strop report": ["-c", ASKING, "report", "--help"],
        }
        wholes = {
            "strop check recipes/question-routing.yaml": ["-c", ASKING, "check", recipe],
            "strop report on a small run": ["-c", ASKING, "report", str(run)],
        }
        found = {name: median_seconds(arguments, n_times) for name, arguments in (starts | wholes).items()}
    for name, seconds in found.items():
        print(f"  {name}: {seconds:.2f} s" + ("" if name in starts else " (the whole command)"))
    slowest = max(found[name] for name in starts)
    say_result(
        "startup",
        ours=round(slowest, 3),
        peer=GOAL_SECONDS,
        ratio=round(GOAL_SECONDS / slowest, 2),
        goal=1.0,
        met=slowest < GOAL_SECONDS,
        seconds={name: round(seconds, 3) for name, seconds in found.items()},
    )


def median_seconds(arguments: Sequence[str], n_times: int) -> float:
    """Median wall time of a command in fresh processes; the command must exit with 0."""
    times = []
    for _ in range(n_times + 1):
        began = time.monotonic()
        subprocess.run(
            [sys.executable, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, **QUIET},
            cwd=REPOSITORY,
        )
        times.append(time.monotonic() - began)
    return statistics.median(times[1:])


def small_run(work: Path) -> Path:
    """A finished run to report on."""
    from strop.runs.fit import fit
    from strop.testing.tiny_models import make_tiny_encoder, make_tiny_rows

    recipe = {
        "name": "small",
        "data": {"path": str(make_tiny_rows(work / "rows.csv", n_rows=200)), "text": ["text"], "target": "label"},
        "model": {"name": str(make_tiny_encoder(work / "encoder"))},
        "text": {"max_length_tokens": 32},
        "stages": [{"epochs": 1}],
        "evaluation": {"n_bootstrap": 200},
    }
    return fit(recipe, runs=work / "runs").folder.path


if __name__ == "__main__":
    main()
