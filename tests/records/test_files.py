"""Files and folders are old or new, never half; a full disk is said."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

from strop.errors import MachineError, RunError
from strop.records.files import (
    clear_leftovers,
    folder_written_whole,
    no_space_is_said,
    read_arrow,
    read_json,
    write_arrow,
    write_bytes,
    write_json,
    write_text,
)
from strop.records.run_folder import RunFolder

N_KILLS = 12
N_BYTES = 2_000_000

WRITE_FILES_FOR_EVER = f"""
import itertools, sys
from pathlib import Path
from strop.records.files import write_bytes
print("ready", flush=True)
for letter in itertools.cycle([b"B", b"A"]):
    write_bytes(Path(sys.argv[1]), letter * {N_BYTES})
"""

WRITE_FOLDERS_FOR_EVER = """
import itertools, sys
from pathlib import Path
from strop.records.files import folder_written_whole
print("ready", flush=True)
for letter in itertools.cycle("BA"):
    with folder_written_whole(Path(sys.argv[1])) as work:
        for number in range(4):
            (work / f"{number}.txt").write_text(letter * 10_000)
"""


def kill_while_it_writes(program: str, path: object, wait_seconds: float) -> None:
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(wait_seconds)
        writer.send_signal(signal.SIGKILL)
    assert writer.returncode == -signal.SIGKILL


def test_a_file_is_old_or_new_whenever_its_writer_is_killed(tmp_path):
    path = tmp_path / "content"
    write_bytes(path, b"A" * N_BYTES)
    moments = random.Random(0)
    found = set()
    for _ in range(N_KILLS):
        kill_while_it_writes(WRITE_FILES_FOR_EVER, path, moments.uniform(0.0, 0.05))
        content = path.read_bytes()
        assert len(content) == N_BYTES
        assert len(set(content)) == 1
        found.add(content[:1])
    assert found <= {b"A", b"B"}
    clear_leftovers(tmp_path)
    assert [left.name for left in tmp_path.iterdir()] == ["content"]


def test_a_folder_is_old_or_new_whenever_its_writer_is_killed(tmp_path):
    path = tmp_path / "model"
    with folder_written_whole(path) as work:
        for number in range(4):
            (work / f"{number}.txt").write_text("A" * 10_000)
    moments = random.Random(1)
    for _ in range(N_KILLS):
        kill_while_it_writes(WRITE_FOLDERS_FOR_EVER, path, moments.uniform(0.0, 0.05))
        clear_leftovers(tmp_path)
        contents = {file.read_text() for file in path.iterdir()}
        assert sorted(file.name for file in path.iterdir()) == ["0.txt", "1.txt", "2.txt", "3.txt"]
        assert contents in ({"A" * 10_000}, {"B" * 10_000})
        assert [left.name for left in tmp_path.iterdir()] == ["model"]


def test_a_folder_moved_aside_by_a_killed_writer_comes_back(tmp_path):
    (tmp_path / ".model.old.part").mkdir()
    (tmp_path / ".model.old.part" / "weights").write_text("old")
    (tmp_path / ".model.0a1b2c3d.part").mkdir()
    (tmp_path / ".report.html.0a1b2c3d.part").write_text("half")
    clear_leftovers(tmp_path)
    assert [left.name for left in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "weights").read_text() == "old"


def test_a_folder_that_was_moved_aside_and_replaced_is_removed(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / ".model.old.part").mkdir()
    clear_leftovers(tmp_path)
    assert [left.name for left in tmp_path.iterdir()] == ["model"]


def test_a_folder_replaces_a_whole_one(tmp_path):
    for content in ("one", "two"):
        with folder_written_whole(tmp_path / "deep" / "model") as work:
            (work / content).write_text(content)
    assert [file.name for file in (tmp_path / "deep" / "model").iterdir()] == ["two"]
    assert [left.name for left in (tmp_path / "deep").iterdir()] == ["model"]


def test_an_error_on_the_way_leaves_the_old_folder_and_nothing_else(tmp_path):
    with folder_written_whole(tmp_path / "model") as work:
        (work / "weights").write_text("old")

    def write_half() -> None:
        with folder_written_whole(tmp_path / "model") as work:
            (work / "weights").write_text("new")
            raise InterruptedError("any error will do")

    with pytest.raises(InterruptedError):
        write_half()
    assert (tmp_path / "model" / "weights").read_text() == "old"
    assert [left.name for left in tmp_path.iterdir()] == ["model"]


def test_files_and_folders_get_the_permissions_that_the_umask_gives(tmp_path):
    before = os.umask(0o022)
    try:
        write_text(tmp_path / "report.html", "x")
        with folder_written_whole(tmp_path / "model"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "report.html").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o755


def test_json_keeps_the_order_of_keys_and_the_text_as_it_is(tmp_path):
    write_json(tmp_path / "deep" / "a.json", {"b": "한국어", "a": [1, 2.5, None]})
    expected = '{\n  "b": "한국어",\n  "a": [\n    1,\n    2.5,\n    null\n  ]\n}\n'
    assert (tmp_path / "deep" / "a.json").read_text(encoding="utf-8") == expected
    assert read_json(tmp_path / "deep" / "a.json") == {"b": "한국어", "a": [1, 2.5, None]}


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff\xfe"], ids=["empty", "half", "not UTF-8"])
def test_json_changed_from_outside_is_said(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(RunError, match=r"(?s)run\.json: the file must hold the JSON that Strop wrote.*remove it"):
        read_json(tmp_path / "run.json")


def test_a_table_and_its_notes_are_read_again(tmp_path):
    table = pa.table({"a": pa.chunked_array([[1, 2], [3]])})
    write_arrow(tmp_path / "one.arrow", table, {"z": "가", "a": [1]})
    read, notes = read_arrow(tmp_path / "one.arrow")
    assert read.to_pydict() == {"a": [1, 2, 3]}
    assert notes == {"z": "가", "a": [1]}
    write_arrow(tmp_path / "two.arrow", read, {"a": [1], "z": "가"})
    assert (tmp_path / "one.arrow").read_bytes() == (tmp_path / "two.arrow").read_bytes()


def test_a_table_cut_short_anywhere_is_said(tmp_path):
    path = tmp_path / "rows.arrow"
    write_arrow(path, pa.table({"a": ["one", "two"]}), {})
    whole = path.read_bytes()
    for n_kept in range(0, len(whole), 7):
        path.write_bytes(whole[:n_kept])
        with pytest.raises(RunError, match="the file must hold an Arrow table that Strop wrote"):
            read_arrow(path)


def test_a_table_that_others_wrote_is_said(tmp_path):
    with pa.OSFile(str(tmp_path / "rows.arrow"), "wb") as sink, pa.ipc.new_file(sink, pa.schema([("a", pa.int64())])):
        pass
    with pytest.raises(RunError, match="an Arrow table that Strop wrote"):
        read_arrow(tmp_path / "rows.arrow")


def test_no_space_left_names_the_file_and_what_to_do(tmp_path):
    with pytest.raises(MachineError) as caught, no_space_is_said(tmp_path / "weights"):
        Path("/dev/full").write_bytes(b"x")
    (problem,) = caught.value.problems
    assert problem.where == str(tmp_path / "weights")
    assert problem.came == "no space left (No space left on device)"
    assert problem.do == "free some space and give the same command again; what was finished is kept"


def test_a_disk_that_fills_up_leaves_the_old_file_and_no_rest(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk can be mounted by root only")
    try:
        write_text(tmp_path / "report.html", "old")
        with pytest.raises(MachineError, match=r"report\.html: the disk must have room"):
            write_bytes(tmp_path / "report.html", b"x" * 1_000_000)
        with pytest.raises(MachineError, match="no space left"), folder_written_whole(tmp_path / "model") as work:
            (work / "weights").write_bytes(b"x" * 1_000_000)
        assert (tmp_path / "report.html").read_text() == "old"
        assert [left.name for left in tmp_path.iterdir()] == ["report.html"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


WRITE_MORE_THAN_IS_ALLOWED = """
import sys
from pathlib import Path
from strop.errors import MachineError
from strop.records.files import write_bytes
try:
    write_bytes(Path(sys.argv[1]), b"x" * 1_000_000)
except MachineError as error:
    print(error)
"""


def test_a_limit_on_the_size_of_files_is_said_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "report.html"
    write_text(path, "old")
    done = subprocess.run(
        [sys.executable, "-c", WRITE_MORE_THAN_IS_ALLOWED, str(path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "no space left (File too large)" in done.stdout
    assert path.read_text() == "old"
    assert [left.name for left in tmp_path.iterdir()] == ["report.html"]


def test_a_place_that_may_not_be_written_is_said(tmp_path):
    with pytest.raises(MachineError, match=r"(?s)must be writable.*--runs"), no_space_is_said(tmp_path):
        raise PermissionError(13, "Permission denied")


def test_another_failure_of_the_system_passes_through(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADirectoryError), no_space_is_said(tmp_path):
        json.loads((tmp_path / "file" / "inside").read_text())


def test_a_file_where_a_folder_must_be_is_said(tmp_path):
    (tmp_path / "file").write_text("x")
    for inside in ("a.json", "deep/er/a.json"):
        with pytest.raises(MachineError) as caught:
            write_json(tmp_path / "file" / inside, {})
        (problem,) = caught.value.problems
        assert problem.where == str(tmp_path / "file" / inside)
        assert problem.must == "everything above the file's name must be a folder"
        assert problem.came == f"'{tmp_path / 'file'}' is a file"
        assert problem.do == "choose another place (for runs with --runs), or move what stands there"
    with pytest.raises(MachineError, match="is a file"), folder_written_whole(tmp_path / "file" / "model"):
        pass
    with pytest.raises(MachineError, match="is a file"), RunFolder(tmp_path / "file" / "run").locked():
        pass
    with pytest.raises(MachineError, match="is a file"), RunFolder(tmp_path / "file").locked():
        pass


def test_a_folder_where_a_file_must_be_is_said(tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(MachineError, match=r"report\.html: a file must be written here\n  came: a folder stands there"):
        write_text(tmp_path / "report.html", "x")
    assert [left.name for left in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("read", [read_json, read_arrow])
def test_a_folder_or_a_path_through_a_file_cannot_be_read(tmp_path, read):
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match=r"the file must be readable\n  came: Is a directory\n  do:   check that it is"):
        read(tmp_path)
    with pytest.raises(RunError, match=r"the file must be readable\n  came: Not a directory"):
        read(tmp_path / "file" / "inside")
