"""The ledger is append-only: nothing twice, nothing half, every opening counted."""

import json
import signal
import subprocess
import sys
import time

import pytest

from strop.errors import RunError
from strop.records.ledger import Entry, Ledger

DROPPED = Entry(
    "dropped", "read", "2 rows have no label", 2, ("r1", "행2"), {"column": "label", "counts": {"a": 1, "b": 1.5}}
)
OPENED = Entry("opened", "evaluation", "the sealed test part was opened")


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "run" / "ledger.jsonl")


def test_a_ledger_that_was_never_written_is_empty(ledger):
    assert ledger.entries() == []
    assert ledger.openings() == []


def test_entries_are_read_as_they_were_written_with_the_time(ledger):
    ledger.write_all([DROPPED, OPENED])
    first, second = ledger
    assert [first.key, second.key] == [DROPPED.key, OPENED.key]
    assert first.ids == ("r1", "행2")
    assert first.at.endswith("+00:00")


def test_a_station_that_runs_again_adds_nothing(ledger):
    ledger.write_all([DROPPED, OPENED])
    before = ledger.path.read_bytes()
    ledger.write_all([DROPPED, OPENED])
    assert ledger.path.read_bytes() == before


@pytest.mark.parametrize(
    "other",
    [
        Entry("dropped", "read", "2 rows have no label", 2, ("r1", "r3"), DROPPED.details),
        Entry("dropped", "read", "2 rows have no label", 2, DROPPED.ids, {}),
        Entry("dropped", "split", "2 rows have no label", 2, DROPPED.ids, DROPPED.details),
    ],
)
def test_an_entry_that_differs_in_anything_is_another_entry(ledger, other):
    ledger.write_all([DROPPED, other])
    assert len(ledger.entries()) == 2


def test_every_opening_of_the_test_counts(ledger):
    for _ in range(3):
        ledger.write(OPENED, every_time=True)
    ledger.write(DROPPED)
    assert len(ledger.openings()) == 3


def test_a_line_that_a_crash_left_unfinished_is_not_read_and_goes_at_the_next_write(ledger):
    ledger.write(DROPPED)
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole + '{"kind": "cut", "what": "반'.encode()[:-1])
    assert [entry.key for entry in ledger] == [DROPPED.key]
    ledger.write(OPENED)
    assert ledger.path.read_bytes().startswith(whole)
    assert [entry.key for entry in ledger] == [DROPPED.key, OPENED.key]


def test_a_first_line_left_unfinished_goes_too(ledger):
    ledger.path.parent.mkdir()
    ledger.path.write_bytes(b'{"kind": "cu')
    ledger.write(OPENED)
    assert [entry.key for entry in ledger] == [OPENED.key]


@pytest.mark.parametrize("line", [b"hello", b"{}", b"5", b'{"ids": [], "colour": 1}', b"\xff"])
def test_a_line_that_is_no_entry_is_refused_by_its_number(ledger, line):
    ledger.write(DROPPED)
    ledger.path.write_bytes(ledger.path.read_bytes() + line + b"\n")
    with pytest.raises(RunError, match=r"(?s)ledger\.jsonl, line 2: every line .* must be an entry.*append-only"):
        ledger.entries()


WRITE_ENTRIES_FOR_EVER = """
import itertools, sys
from pathlib import Path
from strop.records.ledger import Entry, Ledger
ledger = Ledger(Path(sys.argv[1]))
print("ready", flush=True)
for number in itertools.count():
    ledger.write(Entry("note", "training", "x" * 5_000, number), every_time=True)
"""


def test_a_killed_writer_loses_no_finished_entry(ledger):
    n_before = 0
    for wait_seconds in (0.01, 0.03, 0.05):
        command = [sys.executable, "-c", WRITE_ENTRIES_FOR_EVER, str(ledger.path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(wait_seconds)
            writer.send_signal(signal.SIGKILL)
        numbers = [entry.n_rows for entry in ledger.entries()]
        assert numbers[n_before:] == list(range(len(numbers) - n_before))
        n_before = len(numbers)
    ledger.write(OPENED)
    lines = ledger.path.read_text().splitlines()
    assert len(lines) == n_before + 1
    assert json.loads(lines[-1])["kind"] == "opened"
