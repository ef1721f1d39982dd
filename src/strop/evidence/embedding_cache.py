"""Vectors on disk, by content: a file of the cache is written once, whole, and never changed.

Dimensions: N texts, D numbers of a vector.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from filelock import FileLock
from numpy.typing import NDArray

from strop.errors import Problem, RunError
from strop.records.files import clear_leftovers, no_space_is_said, read_arrow, write_arrow

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Vectors:
    """Some texts' vectors.

    Attributes:
        keys: What each text is known by.
        vectors_ND: One vector a text.
        is_cut_N: Whether the text was longer than the model reads.
    """

    keys: tuple[bytes, ...]
    vectors_ND: Floats
    is_cut_N: NDArray[np.bool_]

    def digest(self) -> str:
        """A SHA-256 of the content, in hexadecimal."""
        digest = hashlib.sha256(b"".join(self.keys))
        digest.update(str(self.vectors_ND.shape).encode())
        digest.update(np.ascontiguousarray(self.vectors_ND).tobytes())
        digest.update(self.is_cut_N.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class EmbeddingCache:
    """The vectors that one model gave.

    Attributes:
        folder: Holds the files; made when the first is written.
    """

    folder: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time fill the cache; another waits, and finds it filled.

        Raises:
            MachineError: The place may not be written.
        """
        lock = FileLock(self.folder / ".lock")
        with no_space_is_said(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            clear_leftovers(self.folder)
            yield
        finally:
            lock.release()

    def read(self) -> tuple[list[Vectors], tuple[str, ...]]:
        """All that is there, and the names of files that are damaged; those are removed, to be computed anew."""
        found, damaged = [], []
        for path in sorted(self.folder.glob("*.arrow")):
            try:
                found.append(_read(path))
            except RunError:
                # What is lost is computed again; the caller says so.
                damaged.append(path.name)
                path.unlink(missing_ok=True)
        return found, tuple(damaged)

    def write(self, vectors: Vectors) -> None:
        """Add some vectors.

        Raises:
            MachineError: The disk is full, or the place may not be written.
        """
        dimension = vectors.vectors_ND.shape[1]
        flat = pa.array(np.ascontiguousarray(vectors.vectors_ND, dtype=np.float32).ravel())
        table = pa.table(
            {
                "key": pa.array(list(vectors.keys), pa.binary(32)),
                "is_cut": pa.array(vectors.is_cut_N),
                "vector": pa.FixedSizeListArray.from_arrays(flat, dimension),
            }
        )
        digest = vectors.digest()
        write_arrow(self.folder / f"{digest[:24]}.arrow", table, {"record": "Vectors", "digest": digest})


def text_keys(texts: Sequence[str]) -> list[bytes]:
    """What texts are known by: a SHA-256 of each."""
    return [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]


def _read(path: Path) -> Vectors:
    """Read a file of the cache.

    Raises:
        RunError: It is damaged.
    """
    table, notes = read_arrow(path)
    try:
        column = table.column("vector").combine_chunks()
        vectors_ND = column.flatten().to_numpy().reshape(len(column), column.type.list_size)
        keys = tuple(table.column("key").to_pylist())
        vectors = Vectors(keys, vectors_ND, table.column("is_cut").to_numpy())
        is_whole = vectors.digest() == notes.get("digest")
    except (pa.ArrowInvalid, KeyError, AttributeError, TypeError, ValueError) as error:
        raise RunError(_damaged(path, str(error))) from error
    if not is_whole:
        raise RunError(_damaged(path, "another digest than its own"))
    return vectors


def _damaged(path: Path, came: str) -> Problem:
    must = "the file must hold the vectors that Strop wrote"
    return Problem(str(path), must, came, "remove the file: its vectors are computed anew")
