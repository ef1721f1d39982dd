"""Places in a run folder, its state, and its lock."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from strop.errors import RunError
from strop.records.run_folder import RunFolder

HOLD_THE_LOCK = """
import sys, time
from pathlib import Path
from strop.records.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print("ready", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "runs" / "mine")


@pytest.fixture
def holder(folder):
    command = [sys.executable, "-c", HOLD_THE_LOCK, str(folder.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def take(folder):
    with folder.locked():
        return (folder.path / ".lock.json").exists()


def test_a_second_process_is_refused_and_told_who_has_the_run(folder, holder):
    with pytest.raises(RunError) as caught:
        take(folder)
    (problem,) = caught.value.problems
    assert problem.where == str(folder.path)
    assert problem.must == "one process at a time may write a run"
    assert problem.came == f"process {holder.pid} on {socket.gethostname()} has it"
    assert problem.do == "wait for it to end, or give this run another name with name=..."
    assert caught.value.exit_code == 5


def test_the_refused_process_leaves_the_lock_with_its_holder(folder, holder):
    for _ in range(2):
        with pytest.raises(RunError, match=f"process {holder.pid} "):
            take(folder)


def test_a_killed_holder_gives_the_run_back(folder, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert take(folder)


def test_a_holder_that_ends_gives_the_run_back_and_leaves_no_name(folder, holder):
    holder.communicate(b"\n")
    assert holder.returncode == 0
    assert not (folder.path / ".lock.json").exists()
    assert take(folder)


def test_an_error_inside_gives_the_run_back(folder):
    with pytest.raises(ZeroDivisionError), folder.locked():
        1 / 0  # noqa: B018 (any error will do)
    assert take(folder)


def test_taking_the_run_clears_what_a_killed_process_left(folder):
    left = folder.model("0") / "deep"
    left.mkdir(parents=True)
    (left / ".weights.0a1b2c3d.part").write_text("half")
    moved = folder.path / ".model.old.part"
    moved.mkdir()
    with folder.locked():
        assert list(left.iterdir()) == []
        assert folder.model().is_dir()
        assert not moved.exists()


def test_every_place_lies_in_the_run_folder(folder):
    assert folder.fold("whole") == folder.path
    assert folder.fold("3") == folder.path / "folds" / "3"
    assert folder.stage("3", 0, "cross_entropy") == folder.path / "folds" / "3" / "stages" / "0-cross_entropy"
    assert folder.model() == folder.path / "model"
    assert folder.model("1") == folder.path / "folds" / "1" / "model"
    places = ("recipe", "about", "open_data", "sealed_data", "audit", "split", "examples", "predictions", "scores")
    found = [getattr(folder, name).relative_to(folder.path) for name in (*places, "report", "card")]
    assert len(set(found)) == len(found)
    assert folder.ledger.path.parent == folder.path
    assert not folder.path.exists()


def test_what_is_said_about_a_run_is_changed_entry_by_entry(folder):
    assert folder.read_about() == {}
    folder.update_about(state="started", seed=3)
    folder.update_about(state="finished", process=os.getpid())
    assert folder.read_about() == {"state": "finished", "seed": 3, "process": os.getpid()}


def test_a_folder_that_holds_no_run_is_refused(folder):
    with pytest.raises(
        RunError, match=r"the folder must hold a run\n  came: no such folder\n  do: .*`strop fit` named"
    ):
        folder.must_be_a_run()
    folder.path.mkdir(parents=True)
    with pytest.raises(RunError, match=r"came: a folder without recipe\.yaml"):
        folder.must_be_a_run()
    folder.recipe.write_text("name: mine\n")
    folder.must_be_a_run()
