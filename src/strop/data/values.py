"""Turn the values of a column into strings or nothing, the same at training and at prediction."""

import datetime
import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

_LINE_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x85]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_WHOLE_FLOAT = re.compile(r"-?\d+\.0+")


def without_arrays(value: Any) -> Any:
    """A value with lists in place of its arrays and tuples, however deep they stand."""
    held = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(held, list | tuple):
        return [without_arrays(one) for one in held]
    if isinstance(held, dict):
        return {key: without_arrays(one) for key, one in held.items()}
    return held


def is_null(value: Any) -> bool:
    """Whether a value is a null or a NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def kind_of(value: Any) -> str:
    """The kind of a value: text, number, truth value, or what else it is."""
    if isinstance(value, bool):
        return "truth value"
    if isinstance(value, int | float | Decimal):
        return "number"
    if isinstance(value, str | datetime.date | datetime.time):
        return "text"
    if isinstance(value, dict):
        return "object"
    return type(value).__name__


def as_strings(values: Sequence[Any]) -> list[str | None]:
    """Every value as a string, None for nulls and NaN.

    Numbers of a column that holds only whole ones are written without a decimal point, so that a class 1 is "1" also
    where missing values made the column one of floats.
    """
    numbers = [value for value in values if not is_null(value) and kind_of(value) == "number"]
    whole = all(math.isfinite(number) and number == int(number) for number in numbers)
    return [None if is_null(value) else _as_string(value, whole=whole) for value in values]


def _as_string(value: Any, *, whole: bool) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(int(value)) if whole and kind_of(value) == "number" else str(value)


def written_as_floats(values: Sequence[str | None]) -> bool:
    """Whether all strings are whole numbers written with a decimal point, as "1.0"."""
    held = [value for value in values if value]
    return bool(held) and all(_WHOLE_FLOAT.fullmatch(value) for value in held)


def normalized(text: str) -> str:
    """Normalise a text: Unicode NFC, one kind of line break, no control characters but tab and line break, stripped."""
    import unicodedata

    text = unicodedata.normalize("NFC", text)
    return _CONTROL.sub("", _LINE_BREAKS.sub("\n", text)).strip()


def has_control_characters(text: str) -> bool:
    """Whether `normalized` would remove control characters, line breaks aside."""
    return _CONTROL.search(text) is not None
