"""Read a column as numbers; what is no number becomes a problem that says where it stands."""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from strop.data.cleaning import NOT_A_NUMBER, NULL_WORDS
from strop.data.tables import Table, named
from strop.data.values import is_null, kind_of
from strop.errors import Problem
from strop.records.dataset import Numbers

_NOTHING = NOT_A_NUMBER | NULL_WORDS | {""}
_TRUTH = {"true": 1.0, "false": 0.0}
_WITH_COMMAS = re.compile(r"[+-]?[\d.]*(,\d+)+")
_MAX_CHARACTERS_SHOWN = 30
# Larger numbers are infinite in single precision.
LARGEST = float(np.finfo(np.float32).max)


def column_of_numbers(table: Table, name: str) -> tuple[Numbers, list[Problem]]:
    """A column as numbers, NaN where nothing stands, with what must be mended.

    Nothing is a null, a NaN, an empty cell, or one of the words that stand for it ("nan", "<NA>", "null", ...). Truth
    values are 1 and 0. Numbers are read as Python writes them, so that "1,5" is none, nor is "1_000".

    Args:
        table: The table.
        name: The column; it must be there.

    Returns:
        The numbers, shape (n_rows,), and up to two problems: values that are no numbers, and infinite ones, in single
        precision, in which networks compute. NaN stands in the place of both.
    """
    values = table.columns[name]
    read = [_number(value) for value in values]
    wrong = [row for row, number in enumerate(read) if number is None]
    infinite = [row for row, number in enumerate(read) if number is not None and abs(number) > LARGEST]
    numbers = np.array([math.nan if number is None or abs(number) > LARGEST else number for number in read])
    problems = []
    where = f"{table.path}: column '{name}'"
    if wrong:
        must, came = "every value must be a number, or nothing", _shown(table, values, wrong)
        problems.append(Problem(where, must, came, _what_to_do([values[row] for row in wrong])))
    if infinite:
        must = "every number must be finite, and below 3.4e38"
        do = "write the number itself, or leave the cell empty where it is not known"
        problems.append(Problem(where, must, _shown(table, values, infinite), do))
    return numbers.astype(np.float64), problems


def holds_numbers(table: Table, name: str) -> bool:
    """Whether a column is one of numbers: more than half of its values are, be it with decimal commas, or it is empty.

    A column with a few values that are no numbers counts, so that they are found rather than the column left out. One
    of truth values does not count.
    """
    held = [value for value in table.columns[name] if not _is_nothing(value)]
    n_numbers = sum(not _is_truth(value) and (_has_comma(value) or _number(value) is not None) for value in held)
    return not held or 2 * n_numbers > len(held)


def _number(value: Any) -> float | None:
    """The number, NaN for nothing, None for what is neither."""
    if _is_nothing(value):
        return math.nan
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in _TRUTH:
            return _TRUTH[text.lower()]
        # Python reads "1_000" as a number; in a file it is more likely a name.
        value = "" if "_" in text else text
    elif kind_of(value) not in ("number", "truth value"):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except ValueError:
        return None


def _is_nothing(value: Any) -> bool:
    return is_null(value) or (isinstance(value, str) and value.strip() in _NOTHING)


def _is_truth(value: Any) -> bool:
    return kind_of(value) == "truth value" or (isinstance(value, str) and value.strip().lower() in _TRUTH)


def _has_comma(value: Any) -> bool:
    return isinstance(value, str) and _WITH_COMMAS.fullmatch(value.strip()) is not None


def _shown(table: Table, values: Sequence[Any], rows: Sequence[int]) -> str:
    """The values of these rows and their places, in words."""
    plain = ("text", "number", "truth value")
    words = [str(values[row]) if kind_of(values[row]) in plain else f"a {kind_of(values[row])}" for row in rows]
    short = [word if len(word) <= _MAX_CHARACTERS_SHOWN else f"{word[:_MAX_CHARACTERS_SHOWN]}..." for word in words]
    return f"{named(sorted(set(short)))} in {table.places(rows)}"


def _what_to_do(values: Sequence[Any]) -> str:
    commas = [value.strip() for value in values if _has_comma(value)]
    if not commas:
        return "mend these values, or leave their cells empty where the number is not known"
    return f"write decimals with a point, as 1.5, and thousands without a separator: '{commas[0]}' has a comma"
