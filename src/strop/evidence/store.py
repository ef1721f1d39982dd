"""Documents on the disk: one SQLite file that several runs may share, each document once with what became of it."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from strop.errors import DataError, MachineError, Problem
from strop.records.evidence import Document, Status
from strop.records.files import no_space_is_said

# "Strp" as a number: how a file says that it is a store of ours and no other program's.
_APPLICATION = 0x53747270
_VERSION = 1
_TABLE = """CREATE TABLE IF NOT EXISTS documents (
    address TEXT PRIMARY KEY,
    status TEXT NOT NULL CHECK (status IN ('found', 'no_text', 'missing', 'failed', 'refused')),
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    reason TEXT NOT NULL,
    retracted INTEGER NOT NULL,
    stored_at TEXT NOT NULL
)"""
# What was had is not lost because it could not be had another time.
_PUT = """INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (address) DO UPDATE SET status = excluded.status, title = excluded.title, text = excluded.text,
    reason = excluded.reason, retracted = excluded.retracted, stored_at = excluded.stored_at
WHERE documents.status IN ('failed', 'refused') OR excluded.status NOT IN ('failed', 'refused')"""
_ADDRESSES_PER_QUERY = 500
_BUSY_SECONDS = 30.0
_NO_FILE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


class DocumentStore:
    """Fetched documents.

    Every `put_many` is one transaction: a process killed at any moment leaves all of its documents or none. Several
    processes may read and write at once.

    Args:
        path: The file; it is made, with its folder, if it does not exist.
        busy_seconds: How long to wait while another process writes.

    Raises:
        DataError: The file is no store, or damaged.
        MachineError: It cannot be opened, another process holds it, or the disk is full.
    """

    def __init__(self, path: Path, *, busy_seconds: float = _BUSY_SECONDS) -> None:
        self.path = path
        with no_space_is_said(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with self._said():
            # Fetching may work in a thread of its own where the caller's already runs a loop; one at a time uses it.
            self._connection = sqlite3.connect(
                path, timeout=busy_seconds, isolation_level=None, check_same_thread=False
            )
        try:
            with self._said():
                self._set_up()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def get_many(self, addresses: Sequence[str]) -> dict[str, Document]:
        """Stored documents by canonical address, in that order; what was never asked for is not among them."""
        columns = "address, status, title, text, reason, retracted"
        found = {
            row[0]: Document(row[0], row[1], row[2], row[3], row[4], retracted=bool(row[5]))
            for row in self._rows(columns, addresses)
        }
        return {address: found[address] for address in addresses if address in found}

    def statuses(self, addresses: Sequence[str]) -> dict[str, Status]:
        """What became of documents, by canonical address; what was never asked for is not among them."""
        return dict(self._rows("address, status", addresses))

    def put_many(self, documents: Sequence[Document]) -> None:
        """Keep documents, all or none; what was had before is never replaced by a failure.

        Raises:
            MachineError: The disk is full, or another process holds the store for too long.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rows = [
            (
                one.address,
                one.status,
                _storable(one.title),
                _storable(one.text),
                _storable(one.reason),
                one.retracted,
                now,
            )
            for one in documents
        ]
        with self._said(), self._transaction():
            self._connection.executemany(_PUT, rows)

    def counts(self) -> Mapping[Status, int]:
        """How many documents there are of every status."""
        with self._said():
            return dict(self._connection.execute("SELECT status, count(*) FROM documents GROUP BY status").fetchall())

    def _rows(self, columns: str, addresses: Sequence[str]) -> list[Any]:
        unique = list(dict.fromkeys(addresses))
        rows: list[Any] = []
        with self._said():
            for start in range(0, len(unique), _ADDRESSES_PER_QUERY):
                part = unique[start : start + _ADDRESSES_PER_QUERY]
                marks = ",".join("?" * len(part))
                query = f"SELECT {columns} FROM documents WHERE address IN ({marks})"  # noqa: S608 (names of columns)
                rows += self._connection.execute(query, part).fetchall()
        return rows

    def _set_up(self) -> None:
        (application,) = self._connection.execute("PRAGMA application_id").fetchone()
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        (n_tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if (application, version) == (_APPLICATION, _VERSION) and n_tables:
            return
        if application != _APPLICATION and n_tables:
            raise DataError(self._problem("a SQLite file of another program", "name another file"))
        if version > _VERSION:
            came = f"version {version}; this Strop knows version {_VERSION}"
            raise DataError(self._problem(came, "use a newer Strop, or name another file"))
        # With a write-ahead log readers and a writer do not wait for each other, and a commit is one write.
        self._connection.execute("PRAGMA journal_mode = WAL")
        with self._transaction():
            self._connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            self._connection.execute(f"PRAGMA user_version = {_VERSION}")
            self._connection.execute(_TABLE)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:  # after some errors SQLite has rolled back itself
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Turn SQLite's errors into words."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            again = "give the same command again: what was fetched is kept"
            if code in _DAMAGED:
                do = "move the file away, documents are then fetched anew; or name another file"
                raise DataError(self._problem(f"no SQLite file, or a damaged one ({error})", do)) from error
            if code in _LOCKED:
                came = f"another process holds it ({error})"
                raise MachineError(self._problem(came, f"wait until that process is done, then {again}")) from error
            if code == sqlite3.SQLITE_FULL:
                raise MachineError(self._problem(f"no space left ({error})", f"free some space and {again}")) from error
            if code in _NO_FILE or code == sqlite3.SQLITE_IOERR:
                do = f"check the disk and the permissions of the folder, then {again}"
                raise MachineError(self._problem(f"it cannot be read or written ({error})", do)) from error
            raise

    def _problem(self, came: str, do: str) -> Problem:
        return Problem(str(self.path), "the store of documents (evidence.store) must be a file of Strop's", came, do)


def _storable(text: str) -> str:
    """Text without halves of surrogate pairs, which UTF-8 has no room for."""
    return text.encode("utf-8", "replace").decode("utf-8")
