"""Write files and folders so that a reader sees the old content or the new, never half of it."""

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from strop.errors import MachineError, Problem, RunError


@contextmanager
def no_space_is_said(path: Path) -> Iterator[None]:
    """Turn "no space left", "not allowed" and "that is a file" into errors that say where and what to do.

    Raises:
        MachineError: The disk is full, the place may not be written, or a file stands where a folder must be (or the
            other way round).
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            problem = Problem(
                where=str(path),
                must="the disk must have room for what a run writes",
                came=f"no space left ({error.strerror})",
                do="free some space and give the same command again; what was finished is kept",
            )
            raise MachineError(problem) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            problem = Problem(
                where=str(path),
                must="the place must be writable",
                came=f"{error.strerror}",
                do="choose another place (for runs with --runs), or change the folder's permissions",
            )
            raise MachineError(problem) from error
        taken = _taken_place(path, error)
        if taken is not None:
            raise MachineError(taken) from error
        raise


def _taken_place(path: Path, error: OSError) -> Problem | None:
    """What is wrong where a file must be written but a folder stands, or a folder is needed but a file stands."""
    do = "choose another place (for runs with --runs), or move what stands there"
    if error.errno == errno.EISDIR:
        # Renaming tells of two places, the second is the one to be written.
        place = str(error.filename2 or error.filename or path)
        return Problem(place, "a file must be written here", "a folder stands there", do)
    if error.errno not in (errno.ENOTDIR, errno.EEXIST):
        return None
    file = next((above for above in (path, *path.parents) if above.exists()), None)
    if file is None or file.is_dir():
        return None
    return Problem(str(path), "everything above the file's name must be a folder", f"'{file}' is a file", do)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unfinished(path: Path) -> Path:
    """A temporary name beside `path`: it starts with a dot and ends with `.part`.

    Files made under it get the permissions that the user's umask gives, which those of `tempfile` do not.
    """
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def _displaced(path: Path) -> Path:
    return path.with_name(f".{path.name}.old.part")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def clear_leftovers(folder: Path) -> None:
    """Remove what killed writers left anywhere in a folder; put a folder back whose replacement never arrived.

    Only for a process that nobody else writes beside.
    """
    for left in sorted(folder.rglob(".*.part")):
        home = left.with_name(left.name.removeprefix(".").removesuffix(".old.part"))
        if left == _displaced(home) and not home.exists():
            left.rename(home)
        elif left.exists():
            _remove(left)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, flush it to the disk, and rename it.

    Raises:
        MachineError: The disk is full, or the place may not be written.
    """
    with no_space_is_said(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        work = _unfinished(path)
        try:
            with work.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            work.replace(path)
        except BaseException:
            work.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text as `write_bytes` does."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: object) -> None:
    """Write JSON as `write_bytes` does: indented, keys in the order given, text as it is."""
    write_text(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file that a run wrote.

    Raises:
        RunError: The file is not there, cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        problem = Problem(
            where=str(path), must="the file must exist", came="no such file", do="run `strop fit` to the end first"
        )
        raise RunError(problem) from error
    except OSError as error:
        raise RunError(_unreadable(path, error)) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        problem = Problem(
            where=str(path),
            must="the file must hold the JSON that Strop wrote",
            came=str(error),
            do="the file was changed from outside: remove it and give the same command again",
        )
        raise RunError(problem) from error


def _unreadable(path: Path, error: OSError) -> Problem:
    came, do = error.strerror or str(error), "check that it is a file and its permissions"
    return Problem(str(path), "the file must be readable", came, do)


def write_arrow(path: Path, table: pa.Table, notes: Mapping[str, Any]) -> None:
    """Write a table as an Arrow file, with notes in its schema; the same table gives the same bytes."""
    schema = table.schema.with_metadata({"strop": json.dumps(notes, ensure_ascii=False, sort_keys=True)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(table.cast(schema).combine_chunks())
    write_bytes(path, sink.getvalue().to_pybytes())


def read_arrow(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    """Read a table and its notes, as written by `write_arrow`.

    Raises:
        RunError: The file is not there, cannot be read, or is damaged.
    """
    try:
        table = pa.ipc.open_file(pa.BufferReader(path.read_bytes())).read_all()
        notes = json.loads(table.schema.metadata[b"strop"])
    except FileNotFoundError as error:
        problem = Problem(
            where=str(path), must="the file must exist", came="no such file", do="run `strop fit` to the end first"
        )
        raise RunError(problem) from error
    except OSError as error:
        raise RunError(_unreadable(path, error)) from error
    except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        problem = Problem(
            where=str(path),
            must="the file must hold an Arrow table that Strop wrote",
            came=str(error),
            do="the file was changed from outside: remove it and give the same command again",
        )
        raise RunError(problem) from error
    return table, notes


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary folder to fill; rename it to `path` once it is filled and flushed.

    A folder that stood at `path` is replaced. It is moved aside for that, and a process killed in that moment leaves it
    there: `clear_leftovers` puts it back, and removes whatever else a killed attempt left.

    Yields:
        The temporary folder.
    """
    with no_space_is_said(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        work, old = _unfinished(path), _displaced(path)
        work.mkdir()
        try:
            yield work
            for file in work.rglob("*"):
                if file.is_file():
                    with file.open("rb+") as opened:
                        os.fsync(opened.fileno())
            if path.exists():
                _remove(old)
                path.rename(old)
            work.rename(path)
            shutil.rmtree(old, ignore_errors=True)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
        _sync_folder(path.parent)
