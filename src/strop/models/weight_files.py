"""Read the headers of safetensors files: which tensors they hold, and whether the files are whole."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from strop.errors import ModelError, Problem

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
# The format's own limit on the length of a header.
LONGEST_HEADER_BYTES = 100_000_000


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a weight file.

    Attributes:
        shape: Its dimensions.
        format: Its number format as the file names it, for example F32 or BF16.
    """

    shape: tuple[int, ...]
    format: str

    @property
    def n_elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def is_floating_point(self) -> bool:
        """Whether the numbers are weights, and not a buffer of whole numbers."""
        return self.format.startswith(("F", "BF"))


def weight_paths(folder: Path) -> list[Path]:
    """The weight files that transformers would read; those that an index names may be missing.

    Raises:
        ModelError: The index is damaged.
    """
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    if not (folder / INDEX).exists():
        return []
    try:
        by_tensor = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
        return [folder / name for name in sorted(set(by_tensor.values()))]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(_half_written(folder / INDEX, f"an index that cannot be read ({error})")) from error


def read_tensors(folder: Path) -> Mapping[str, TensorInfo]:
    """Read shape and format of every tensor of a model folder.

    Raises:
        ModelError: A file is missing or not whole.
    """
    tensors: dict[str, TensorInfo] = {}
    for path in weight_paths(folder):
        for name, entry in read_header(path).items():
            tensors[name] = TensorInfo(tuple(entry["shape"]), entry["dtype"])
    return tensors


def read_header(path: Path) -> dict[str, Any]:
    """Read the header of a safetensors file (8 bytes of its length, JSON, then the tensors) and check the file's size.

    Raises:
        ModelError: The file is missing, or shorter or longer than its header says.
    """
    if not path.exists():
        raise ModelError(_half_written(path, "no such file, although the index names it"))
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(LONGEST_HEADER_BYTES, size - 8):
            raise ModelError(_half_written(path, f"{size} bytes, which end inside the header"))
        text = file.read(length)
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        stated = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(_half_written(path, f"a header that cannot be read ({error})")) from error
    if size != stated:
        raise ModelError(_half_written(path, f"{size} bytes where the header says {stated}"))
    return dict(header)


def _half_written(path: Path, came: str) -> Problem:
    return Problem(
        where=str(path),
        must="the weight file must be whole",
        came=came,
        do="the folder was written or copied only in part: fetch or save the model again",
    )
