"""Write a table as CSV, TSV, JSON, JSONL or Parquet."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from strop.data.formats import SUFFIXES, unsupported
from strop.data.tables import DELIMITERS
from strop.data.values import is_null
from strop.errors import DataError
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
