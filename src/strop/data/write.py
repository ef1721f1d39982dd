"""Write a table as CSV, TSV, JSON, JSONL or Parquet."""

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from strop.data.formats import SUFFIXES, unsupported
from strop.data.tables import DELIMITERS
from strop.data.values import is_null
from strop.errors import DataError, MachineError, Problem
from strop.records.files import write_bytes, write_text


def write_table(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns to a file, whole or not at all; the suffix decides the format.

    Args:
        path: The file; a file that stands there is replaced.
        columns: By name, all of one length.

    Raises:
        DataError: The suffix is of no format that can be written.
        MachineError: The disk is full, or the place may not be written.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(unsupported(path))
    if suffix == ".parquet":
        write_bytes(path, _parquet(columns))
    elif suffix in DELIMITERS:
        write_text(path, _delimited(columns, DELIMITERS[suffix]))
    else:
        rows = [dict(zip(columns, _plain(row), strict=True)) for row in zip(*columns.values(), strict=True)]
        lines = [json.dumps(row, ensure_ascii=False, default=str) for row in rows]
        write_text(path, "\n".join(lines) + "\n" if suffix == ".jsonl" else "[\n" + ",\n".join(lines) + "\n]\n")


def table_must_be_writable(path: Path) -> None:
    """Check, before any work is done for it, that a table can be written to a file; no folder is made for it.

    Raises:
        DataError: The suffix is of no format that can be written; with what else is wrong.
        MachineError: The folder does not exist or may not be written, or a folder stands where the file should be.
    """
    folder, do = path.parent, "check the path, or make the folder first"
    suffix = [] if path.suffix.lower() in SUFFIXES else [unsupported(path)]
    place = []
    if path.is_dir():
        came = "a folder stands there"
        place.append(Problem(str(path), "the table must be written to a file", came, "name a file inside this folder"))
    elif not folder.is_dir():
        came = "it is no folder" if folder.exists() else "no such folder"
        place.append(Problem(str(path), f"the folder '{folder}' must exist", came, do))
    elif not os.access(folder, os.W_OK):
        do = "choose another place, or change the folder's permissions"
        place.append(Problem(str(path), f"the folder '{folder}' must be writable", "it may not be written", do))
    # A folder is not blamed for its suffix.
    if suffix and not path.is_dir():
        raise DataError(*suffix, *place)
    if place:
        raise MachineError(*place)


def _plain(row: Sequence[Any]) -> list[Any]:
    """Values for JSON: NaN is null, numpy's numbers are Python's."""
    values = [value.item() if hasattr(value, "item") else value for value in row]
    return [None if is_null(value) else value for value in values]


def _delimited(columns: Mapping[str, Sequence[Any]], delimiter: str) -> str:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*columns.values(), strict=True):
        cells = _plain(row)
        writer.writerow([json.dumps(c, ensure_ascii=False) if isinstance(c, list | dict) else c for c in cells])
    return file.getvalue()


def _parquet(columns: Mapping[str, Sequence[Any]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {}
    for name, values in columns.items():
        plain = _plain(values)
        try:
            arrays[name] = pa.array(plain)
        except (pa.ArrowInvalid, pa.ArrowTypeError):  # a column of several types is written as text
            arrays[name] = pa.array([None if value is None else str(value) for value in plain], pa.string())
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(arrays), sink)
    return bytes(sink.getvalue().to_pybytes())
