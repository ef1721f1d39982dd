import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from strop.errors import DataError, MachineError
from strop.evidence.store import DocumentStore
from strop.records.evidence import Document

FOUND = Document("pubmed:1", "found", title="A title", text="one\ntwo ß", retracted=True)


def test_what_is_put_is_read_back_by_this_store_and_the_next(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "evidence.sqlite"
    missing = Document("pubmed:2", "missing", reason="PubMed has no such record")
    with DocumentStore(path) as store:
        store.put_many([FOUND, missing])
        assert store.get_many(["pubmed:2", "pubmed:1", "pubmed:3", "pubmed:1"]) == {
            "pubmed:1": FOUND,
            "pubmed:2": missing,
        }
    with DocumentStore(path) as store:
        assert store.get_many(["pubmed:1"]) == {"pubmed:1": FOUND}
        assert store.statuses(["pubmed:1", "pubmed:2", "x"]) == {"pubmed:1": "found", "pubmed:2": "missing"}
        assert store.counts() == {"found": 1, "missing": 1}
        assert store.get_many([]) == {}


def test_thousands_are_asked_for_at_once(store: DocumentStore) -> None:
    documents = [Document(f"pubmed:{number}", "found", text=str(number)) for number in range(3000)]
    store.put_many(documents)
    assert list(store.get_many([one.address for one in documents]).values()) != []
    assert store.get_many([one.address for one in documents]) == {one.address: one for one in documents}


def test_a_failure_gives_way_and_what_was_had_stays(store: DocumentStore) -> None:
    failed = Document("pubmed:1", "failed", reason="HTTP 500")
    store.put_many([failed])
    store.put_many([FOUND])
    assert store.get_many(["pubmed:1"]) == {"pubmed:1": FOUND}
    store.put_many([failed])
    assert store.get_many(["pubmed:1"]) == {"pubmed:1": FOUND}
    mended = Document("pubmed:1", "found", text="mended")
    store.put_many([mended])
    assert store.get_many(["pubmed:1"]) == {"pubmed:1": mended}


def test_halves_of_surrogate_pairs_are_replaced(store: DocumentStore) -> None:
    store.put_many([Document("pubmed:1", "found", text="a\ud800b")])
    assert store.get_many(["pubmed:1"])["pubmed:1"].text == "a?b"


def test_a_batch_is_kept_whole_or_not_at_all(store: DocumentStore) -> None:
    wrong = Document("pubmed:2", "nonsense")  # type: ignore[arg-type]
    with pytest.raises(sqlite3.IntegrityError):
        store.put_many([FOUND, wrong])
    assert store.counts() == {}
    store.put_many([FOUND])
    assert store.counts() == {"found": 1}


KILLED_WHILE_WRITING = """
import sys
from pathlib import Path
from strop.evidence.store import DocumentStore
from strop.records.evidence import Document

store = DocumentStore(Path(sys.argv[1]))
for batch in range(10**6):
    store.put_many([Document(f"pubmed:{batch * 100 + number}", "found", text="x" * 500) for number in range(100)])
    print(batch, flush=True)
"""


def test_a_process_killed_while_it_writes_leaves_whole_batches(tmp_path: Path) -> None:
    path = tmp_path / "evidence.sqlite"
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(5)]
        writer.send_signal(signal.SIGKILL)
        said += writer.stdout.readlines()
    with DocumentStore(path) as store:
        n_found = store.counts()["found"]
        assert n_found % 100 == 0
        assert n_found >= 100 * len([line for line in said if line.endswith("\n")])
        store.put_many([FOUND])


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evidence.sqlite"
    path.write_text("address,text\n" * 500)
    with pytest.raises(DataError, match=r"must be a file of Strop's\n.*no SQLite file, or a damaged one"):
        DocumentStore(path)
    assert path.read_text().startswith("address,text")


def test_the_file_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    with pytest.raises(DataError, match="a SQLite file of another program"):
        DocumentStore(path)


def test_a_store_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evidence.sqlite"
    DocumentStore(path).close()
    later = sqlite3.connect(path)
    later.execute("PRAGMA user_version = 9")
    later.close()
    with pytest.raises(DataError, match="version 9; this Strop knows version 1"):
        DocumentStore(path)


def test_a_damaged_store_is_said(tmp_path: Path) -> None:
    path = tmp_path / "evidence.sqlite"
    with DocumentStore(path) as store:
        store.put_many([Document(f"pubmed:{number}", "found", text="x" * 500) for number in range(200)])
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"), DocumentStore(path) as store:
        store.get_many([f"pubmed:{number}" for number in range(200)])


def test_a_store_that_another_process_holds_is_said(tmp_path: Path) -> None:
    path = tmp_path / "evidence.sqlite"
    DocumentStore(path).close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        with DocumentStore(path, busy_seconds=0.05) as store:
            assert store.get_many(["pubmed:1"]) == {}
            with pytest.raises(MachineError, match="another process holds it"):
                store.put_many([FOUND])
    finally:
        holder.close()


def test_a_folder_or_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(MachineError, match=r"'.*file' is a file"):
        DocumentStore(tmp_path / "file" / "evidence.sqlite")
    with pytest.raises(MachineError, match="cannot be read or written"):
        DocumentStore(tmp_path)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from strop.errors import MachineError
from strop.evidence.store import DocumentStore
from strop.records.evidence import Document

store = DocumentStore(Path(sys.argv[1]))
store.put_many([Document("pubmed:1", "found", text="kept")])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    store.put_many([Document(f"pubmed:{n}", "found", text="x" * 5000) for n in range(2, 200)])
except MachineError as error:
    print(error)
"""


def test_no_room_is_said_and_what_was_kept_stays(tmp_path: Path) -> None:
    path = tmp_path / "evidence.sqlite"
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True)
    assert "what was fetched is kept" in done.stdout
    assert "no space left" in done.stdout or "cannot be read or written" in done.stdout
    with DocumentStore(path) as store:
        assert store.counts() == {"found": 1}


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    with DocumentStore(tmp_path / "evidence.sqlite") as store:
        store._connection.execute("PRAGMA max_page_count = 10")
        with pytest.raises(MachineError, match=r"no space left \(database or disk is full\)"):
            store.put_many([Document(f"pubmed:{n}", "found", text="x" * 5000) for n in range(50)])
        assert store.counts() == {}
