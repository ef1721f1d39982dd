"""How long does it take until Strop's commands start, and do they start without torch?

Every command runs in fresh processes; the median of 7 counts, after one that fills the file cache. "Start" is the time
until the verb's own work begins, all that it imports included (which its --help would leave out): `check` is given a
recipe that does not exist, which is the first thing it looks at, and `report` a run folder with nothing but a recipe.
The time of the whole command on real input stands beside it. That torch stays out is asked of the interpreter that ran
the verb.

    python benchmarks/startup.py            # about 2 minutes on 2 cores
    python benchmarks/startup.py --quick    # the median of 3
"""

import argparse
import os
import shutil
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
    "from strop.cli.main import main\n"
    "try:\n"
    "    main()\n"
    "except SystemExit as ended:\n"
    "    sys.exit('torch was loaded' if 'torch' in sys.modules else ended.code)"
)
NO_SUCH_RECIPE = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    say_machine(__doc__.splitlines()[0])
    n_times = 3 if asked.quick else 7
    with tempfile.TemporaryDirectory() as work:
        run, begun = small_run(Path(work)), Path(work) / "begun"
        begun.mkdir()
        shutil.copy(run / "recipe.yaml", begun)
        recipe = str(REPOSITORY / "recipes" / "question-routing.yaml")
        starts = {
            "import strop": ["-c", "import strop, sys; sys.exit('torch' in sys.modules)"],
            "strop --help": ["-c", ASKING, "--help"],
            "strop schema": ["-c", ASKING, "schema"],
            "strop check": ["-c", ASKING, "check", f"{work}/none.yaml"],
            "strop report": ["-c", ASKING, "report", str(begun)],
        }
        wholes = {
            "strop check recipes/question-routing.yaml": ["-c", ASKING, "check", recipe],
            "strop report on a small run": ["-c", ASKING, "report", str(run)],
        }
        found = {
            name: median_seconds(arguments, n_times, exit_code=NO_SUCH_RECIPE if name == "strop check" else 0)
            for name, arguments in (starts | wholes).items()
        }
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


def median_seconds(arguments: Sequence[str], n_times: int, *, exit_code: int) -> float:
    """Median wall time of a command in fresh processes; the command must end with the exit code."""
    times = []
    for _ in range(n_times + 1):
        began = time.monotonic()
        ended = subprocess.run(
            [sys.executable, *arguments],
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **QUIET},
            cwd=REPOSITORY,
        )
        times.append(time.monotonic() - began)
        if ended.returncode != exit_code:
            raise SystemExit(f"{' '.join(arguments[2:])} ended with {ended.returncode}: {ended.stderr}")
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
