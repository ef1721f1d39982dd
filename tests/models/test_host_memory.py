"""Freed blocks go back to the system."""

import subprocess
import sys

import pytest

# Blocks below 32 MiB, freed behind a small one that stays: in glibc's own way they remain with the process.
SCRIPT = """
import sys
from pathlib import Path
import torch
from strop.models.host_memory import give_back_large_blocks

def held_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

if sys.argv[1] == "set":
    assert give_back_large_blocks()
torch.ones(5 * 2**20)
before = held_mib()
blocks = [torch.ones(4 * 2**20) for _ in range(20)]
stays = [torch.ones(2**10) for _ in range(500)]
del blocks
print(held_mib() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the setting is one of glibc")
def test_large_freed_blocks_leave_the_process() -> None:
    left = {}
    for asked in ("set", "unset"):
        result = subprocess.run([sys.executable, "-c", SCRIPT, asked], capture_output=True, text=True, check=True)
        left[asked] = float(result.stdout)
    assert left["set"] < 40
    assert left["unset"] > 200, "without the setting nothing would be gained, and the module could go"
