"""Read a table from any of the formats: CSV, TSV, JSON, JSONL, Parquet, and folders saved by `datasets`."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from strop.data.bioasq import is_bioasq, read_bioasq
from strop.data.delimited import Header, read_delimited
from strop.data.encodings import decoded
from strop.data.pubmedqa import is_pubmedqa, read_pubmedqa
from strop.data.squad import is_squad, read_squad
from strop.data.tables import DELIMITERS, Table, listed, no_rows
from strop.errors import DataError, Problem, did_you_mean
from strop.records.ledger import Entry

SUFFIXES = (*DELIMITERS, ".json", ".jsonl", ".parquet")
SAVED_BY_DATASETS = ("dataset_info.json", "dataset_dict.json", "state.json")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_table(
    path: Path,
    header: Header = None,
    encoding: str | None = None,
    *,
    expected: str | None = None,
    setting: str = "data.encoding",
) -> Table:
    """Read a file or a folder, by its suffix.

    Args:
        path: What to read.
        header: Column names of a CSV or tab-separated file without header line (see `read_delimited`).
        encoding: The encoding of a text file; None to detect it.
        expected: The encoding of files of the same origin, for where the bytes leave it open (see `decoded`).
        setting: What names the encoding of such a file, for errors and notes.

    Raises:
        DataError: The file is missing, of an unknown format, empty, binary or malformed.
    """
    if not path.exists():
        raise DataError(_missing(path))
    if path.is_dir():
        return _read_folder(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(unsupported(path))
    if suffix == ".parquet":
        return _read_parquet(path)
    content = _bytes_of(path)
    if not content.strip():
        raise no_rows(path, "an empty file")
    text, found = decoded(content, path, encoding, expected=expected, setting=setting)
    if suffix in DELIMITERS:
        table = read_delimited(text, path, header)
    else:
        table = _read_json(text, path) if suffix == ".json" else _read_jsonl(text, path)
    if found == "utf-8" or encoding is not None:
        return table
    reason = "as the training data were" if found == expected else "which was detected"
    note = Entry(
        kind="note",
        station="read",
        what=f"The file was read as {found.upper()}, {reason}; {setting} overrides it",
        details={"encoding": found},
    )
    return replace(table, entries=(note, *table.entries))


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        must, do = "the file must be readable", "check the file and its permissions"
        raise DataError(Problem(str(path), must, error.strerror or str(error), do)) from error


def unsupported(path: Path) -> Problem:
    """What is wrong with a file of a format that is neither read nor written."""
    do = "save it as one of these"
    if path.suffix.lower() in (".xlsx", ".xls", ".ods"):
        do = "export the sheet as CSV in UTF-8"
    if path.suffix.lower() in (".gz", ".zip", ".bz2", ".xz"):
        do = "unpack it first"
    return Problem(
        where=str(path),
        must=f"a table must be in one of the formats {', '.join(SUFFIXES)}",
        came=f"the suffix '{path.suffix}'",
        do=do,
    )


def _missing(path: Path) -> Problem:
    if not path.parent.is_dir():
        came, do = "no such file, and no such folder either", "check the path; it is relative to the working directory"
    else:
        near = [other.name for other in path.parent.iterdir() if not other.name.startswith(".")]
        came, do = "no such file", did_you_mean(path.name, near) if near else "the folder is empty: check the path"
    return Problem(where=str(path), must="the data must be a file or a folder", came=came, do=do)


class _NoJsonError(Exception):
    """A text is not JSON: what came, and at which place of the text, if that is known."""

    def __init__(self, came: str, place: str | None = None) -> None:
        super().__init__(came)
        self.came = came
        self.place = place


def _parsed(text: str) -> Any:
    """Parse JSON; halves of surrogate pairs, which no encoding can hold, become U+FFFD."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise _NoJsonError(error.msg, f"line {error.lineno}, column {error.colno}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists nested by the thousand
        raise _NoJsonError(str(error)) from error
    return _without_lone_surrogates(content) if _ESCAPED_SURROGATE.search(text) else content


def _without_lone_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_lone_surrogates(one) for one in value]
    if isinstance(value, dict):
        return {_without_lone_surrogates(key): _without_lone_surrogates(one) for key, one in value.items()}
    return value


def _read_json(text: str, path: Path) -> Table:
    try:
        content = _parsed(text)
    except _NoJsonError as error:
        must, do = "the file must be JSON", "mend that line; one object a line is the format .jsonl"
        where = str(path) if error.place is None else f"{path}, {error.place}"
        raise DataError(Problem(where, must, error.came, do)) from error
    if is_bioasq(content):
        return read_bioasq(content, path)
    if is_pubmedqa(content):
        return read_pubmedqa(content, path)
    if is_squad(content):
        return read_squad(content, path)
    if isinstance(content, list) and all(isinstance(row, dict) for row in content):
        return _from_objects(content, path)
    if isinstance(content, dict) and content and all(isinstance(column, list) for column in content.values()):
        lengths = {name: len(column) for name, column in content.items()}
        if len(set(lengths.values())) > 1:
            must, do = "all columns must have the same number of rows", "complete the shorter ones"
            raise DataError(Problem(str(path), must, ", ".join(f"'{n}': {k}" for n, k in lengths.items()), do))
        if not max(lengths.values()):
            raise no_rows(path, "columns without rows")
        return Table(path, content)
    problem = Problem(
        where=str(path),
        must="the file must be a list of objects, or an object of lists of one length",
        came=f"{'a list with other things than objects' if isinstance(content, list) else type(content).__name__}",
        do='write [{"text": ..., "label": ...}, ...]; pandas does so with orient="records"',
    )
    raise DataError(problem)


def _read_jsonl(text: str, path: Path) -> Table:
    objects, lines, bad = [], [], []
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: JSON text may hold U+2028
        if not line.strip():
            continue
        try:
            content = _parsed(line)
        except _NoJsonError as error:
            bad.append((number, error.came))
            continue
        if isinstance(content, dict):
            objects.append(content)
            lines.append(number)
        else:
            bad.append((number, f"{type(content).__name__} instead of an object"))
    if bad:
        came = f"{listed('line', [number for number, _ in bad])}; the first: {bad[0][1]}"
        raise DataError(Problem(str(path), "every line must be a JSON object", came, "mend or remove these lines"))
    return _from_objects(objects, path, lines)


def _from_objects(objects: Sequence[Mapping[str, Any]], path: Path, lines: list[int] | None = None) -> Table:
    """Columns in the order in which their names first appear; an object that lacks one has None there."""
    if not objects:
        raise no_rows(path, "no objects")
    names = list(dict.fromkeys(name for one in objects for name in one))
    if not names:
        raise no_rows(path, "objects without entries")
    return Table(path, {name: [one.get(name) for one in objects] for name in names}, lines)


def _read_parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, partitioning=None)
        columns = {name: table.column(name).to_pylist() for name in table.column_names}
    except (pa.ArrowException, OSError, ValueError) as error:
        must, do = "the file must be readable as Parquet", "write it again, or save it in another format"
        raise DataError(Problem(str(path), must, str(error).splitlines()[0], do)) from error
    if not table.num_rows:
        raise no_rows(path, "a Parquet file without rows")
    return Table(path, columns)


def is_saved_by_datasets(path: Path) -> bool:
    """Whether a folder is one that `datasets` saved."""
    return any((path / name).exists() for name in SAVED_BY_DATASETS)


def _read_folder(path: Path) -> Table:
    """Read what `datasets` saved: one data set, or several whose names give the part. Class numbers become names."""
    import datasets

    if not is_saved_by_datasets(path):
        must = "a folder must hold tables, or have been saved by `datasets` (save_to_disk)"
        came = "a folder without tables, dataset_info.json or dataset_dict.json"
        raise DataError(Problem(str(path), must, came, f"give a folder with {', '.join(SUFFIXES)} files, or one file"))
    try:
        loaded = datasets.load_from_disk(str(path))
    except Exception as error:  # a damaged folder fails in as many ways as there are files in it
        must, do = "the folder must be readable by `datasets`", "save it again with save_to_disk"
        raise DataError(Problem(str(path), must, f"{type(error).__name__}: {error}", do)) from error
    several = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"": loaded}
    names = list(dict.fromkeys(name for one in several.values() for name in one.column_names))
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for one in several.values():
        for name in names:
            columns[name] += _with_class_names(one, name)
    parts = [name for name, one in several.items() for _ in range(one.num_rows)]
    if not parts:
        raise no_rows(path, "data sets without rows")
    return Table(path, columns, parts=parts if len(several) > 1 else None)


def _with_class_names(one: Any, name: str) -> list[Any]:
    if name not in one.column_names:
        return [None] * int(one.num_rows)
    values, class_names = list(one[name]), getattr(one.features[name], "names", None)
    if class_names is None:
        return values
    return [None if value is None or value < 0 else class_names[value] for value in values]
