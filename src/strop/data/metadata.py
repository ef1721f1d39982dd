"""Metadata beside the texts: read the columns, and turn them into numbers that a head can take.

R rows, M encoded metadata columns.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from strop.data.cleaning import NOT_A_NUMBER, Findings
from strop.data.numbers import column_of_numbers
from strop.data.roles import column_of_strings, nested_values
from strop.data.tables import Table, named
from strop.data.values import normalized, written_as_floats
from strop.errors import DataError, Problem
from strop.recipe.data import Data
from strop.records.dataset import Dataset, Numbers, Strings, strings
from strop.records.ledger import Entry


def absent_metadata(table: Table, data: Data) -> list[Problem]:
    """One problem for every metadata column that a file of new rows lacks."""
    names = dict.fromkeys([*(data.categorical or []), *(data.numeric or [])])
    return [_absent(str(table.path), name) for name in names if name not in table.columns]


def _absent(where: str, name: str) -> Problem:
    return Problem(
        where=f"{where}: column '{name}'",
        must="new rows must have every metadata column that the model was trained with",
        came="no such column",
        do=f"add '{name}'; its cells may be empty where the value is not known",
    )


def read_metadata(
    findings: Findings, data: Data, texts: Mapping[str, Strings]
) -> tuple[dict[str, Strings], dict[str, Numbers]]:
    """The metadata columns, cleaned the same way at training and at prediction.

    Categories are stripped strings in Unicode NFC; "nan" and its like are missing, and whole numbers lose their decimal
    point ("1.0" is "1"), value by value, so that a value means the same in every file.

    Args:
        findings: Receives what must be mended: nested values, and values that are no numbers.
        data: The recipe's section; its columns must be there.
        texts: The text columns, of which the lengths are taken if the recipe asks for them.

    Returns:
        Categories by column name, "" where one is missing, and numbers by column name, NaN where one is missing; shape
        (n_rows,) each. A length is the logarithm of the number of characters: ratings of texts follow how many times
        longer one is, and one text of a thousand pages must not be the only one that counts. An empty text has none.
    """
    table = findings.table
    findings.problems += nested_values(table, data.categorical or [])
    categories = {
        name: strings([_category(value) for value in column_of_strings(table, name)]) for name in data.categorical or []
    }
    numbers = {}
    for name in data.numeric or []:
        numbers[name], problems = column_of_numbers(table, name)
        findings.problems += problems
    for text, name in data.length_columns.items():
        numbers[name] = np.log([float(len(value)) or np.nan for value in texts[text]])
    return categories, numbers


def _category(value: str) -> str:
    value = normalized(value)
    if value in NOT_A_NUMBER:
        return ""
    return value.partition(".")[0] if written_as_floats([value]) else value


# So many standard deviations from the mean a number is far from all that a model has seen.
FAR = 10


@dataclass(frozen=True)
class CategoryCode:
    """How a column of categories is encoded: one column of zeros and ones for each of its frequent values, and so on.

    Attributes:
        column: Its name.
        values: The most frequent values in training rows, the most frequent first.
        others: The other values in training rows, sorted; where there are any, they and unseen values share a column.
        is_sometimes_missing: Whether training rows lack values; then missing ones have a column.
    """

    column: str
    values: tuple[str, ...]
    others: tuple[str, ...]
    is_sometimes_missing: bool

    @classmethod
    def fit(cls, column: str, values: Strings, max_categories: int) -> Self:
        """Learn the code from the values of training rows."""
        counts = Counter(values.tolist())
        n_missing = counts.pop("", 0)
        ranked = sorted(counts, key=lambda value: (-counts[value], value))
        return cls(column, tuple(ranked[:max_categories]), tuple(sorted(ranked[max_categories:])), n_missing > 0)

    @property
    def names(self) -> tuple[str, ...]:
        """The encoded columns, for humans."""
        other = (f"{self.column}: another value",) if self.others else ()
        missing = (f"{self.column}: missing",) if self.is_sometimes_missing else ()
        return (*(f"{self.column}={value}" for value in self.values), *other, *missing)

    def encode(self, values: Strings) -> NDArray[np.float32]:
        """Zeros and ones, at most a single one in a row, shape (R, len(names))."""
        at = {value: number for number, value in enumerate(self.values)}
        n_values, n_columns = len(self.values), len(self.names)
        # Without other values in training their column would bring in a weight that was never trained.
        other = n_values if self.others else n_columns
        if self.is_sometimes_missing:
            at[""] = n_columns - 1
        place_R = np.fromiter((at.get(value, other) for value in values), dtype=np.intp, count=len(values))
        encoded: NDArray[np.float32] = np.eye(n_columns + 1, n_columns, dtype=np.float32)[place_R]
        return encoded

    def unseen(self, values: Strings) -> NDArray[np.bool_]:
        """Which values no training row has, shape (R,)."""
        seen = {*self.values, *self.others, *([""] if self.is_sometimes_missing else [])}
        return np.fromiter((value not in seen for value in values), dtype=np.bool_, count=len(values))


@dataclass(frozen=True)
class NumberCode:
    """How a column of numbers is encoded: standardised, missing values as the mean.

    Attributes:
        column: Its name.
        mean: Mean over training rows.
        deviation: Standard deviation over training rows; 0 for a constant column, which is encoded as zeros.
        is_sometimes_missing: Whether training rows lack values; then a second column says which rows do.
    """

    column: str
    mean: float
    deviation: float
    is_sometimes_missing: bool

    @classmethod
    def fit(cls, column: str, values: Numbers) -> Self:
        """Learn the code from the values of training rows."""
        held = values[~np.isnan(values)]
        # Rounding gives a constant column such as 0.1 a tiny deviation, which would blow up any other value.
        is_constant = not len(held) or held.min() == held.max()
        mean = float(held.mean()) if len(held) else 0.0
        return cls(column, mean, 0.0 if is_constant else float(held.std()), len(held) < len(values))

    @property
    def names(self) -> tuple[str, ...]:
        """The encoded columns, for humans."""
        return (self.column, *((f"{self.column}: missing",) if self.is_sometimes_missing else ()))

    def encode(self, values: Numbers) -> NDArray[np.float32]:
        """Standard deviations from the mean, and whether the value is missing, shape (R, len(names))."""
        missing_R = np.isnan(values)
        scaled_R = np.zeros(len(values))
        if self.deviation > 0.0:
            scaled_R = np.where(missing_R, 0.0, (values - self.mean) / self.deviation)
        columns = [scaled_R, missing_R][: len(self.names)]
        return np.stack(columns, axis=1).astype(np.float32)


@dataclass(frozen=True)
class MetadataEncoder:
    """Turns metadata into numbers; knows training rows alone.

    Attributes:
        categories: The code of every column of categories.
        numbers: The code of every column of numbers.
    """

    categories: tuple[CategoryCode, ...]
    numbers: tuple[NumberCode, ...]

    @classmethod
    def fit(cls, dataset: Dataset, rows: NDArray[np.intp], max_categories: int) -> Self:
        """Learn codes from training rows.

        A column of categories becomes one column of zeros and ones for each of its `max_categories` most frequent
        values (ties by name), one for all other values where training rows have others, and one for missing values
        where training rows lack some. A value at prediction that no training row has, and a missing one where none
        lacked, counts among the other values; without others the row is all zeros, as with `infrequent_if_exist` of
        `sklearn.preprocessing.OneHotEncoder`. A column of numbers is standardised; a missing number is the mean, with
        a column that says so where training rows lack some.

        Args:
            dataset: Rows with their metadata.
            rows: Positions of the training rows.
            max_categories: How many values of a column stand for themselves.
        """
        known = dataset.take(rows)
        return cls(
            tuple(CategoryCode.fit(name, values, max_categories) for name, values in known.categories.items()),
            tuple(NumberCode.fit(name, values) for name, values in known.numbers.items()),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The encoded columns, for humans, M of them."""
        names = [code.names for code in self.categories] + [code.names for code in self.numbers]
        return tuple(name for some in names for name in some)

    def encode(self, dataset: Dataset) -> NDArray[np.float32]:
        """The metadata of every row as numbers, shape (R, M).

        Raises:
            DataError: Naming every metadata column that the rows lack.
        """
        absent = [code.column for code in self.categories if code.column not in dataset.categories]
        absent += [code.column for code in self.numbers if code.column not in dataset.numbers]
        if absent:
            raise DataError(*(_absent("metadata", name) for name in absent))
        encoded = [code.encode(dataset.categories[code.column]) for code in self.categories]
        encoded += [code.encode(dataset.numbers[code.column]) for code in self.numbers]
        return np.concatenate([np.zeros((dataset.n_rows, 0), dtype=np.float32), *encoded], axis=1)

    def to_json(self) -> dict[str, Any]:
        """Everything the encoder knows, as values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The encoder that `to_json` described."""
        lists = ("values", "others")
        categories = [{**code, **{name: tuple(code[name]) for name in lists}} for code in content["categories"]]
        return cls(
            tuple(CategoryCode(**code) for code in categories), tuple(NumberCode(**code) for code in content["numbers"])
        )


def strange_numbers(encoder: MetadataEncoder, dataset: Dataset) -> list[Entry]:
    """What there is to say of numbers that are far from those of training rows, or missing where these lack none.

    Args:
        encoder: Knows the training rows.
        dataset: Other rows, with the same metadata columns.
    """
    far, missing = {}, {}
    for code in encoder.numbers:
        values = dataset.numbers[code.column]
        # A column that is constant in training rows is not read at all.
        far[code.column] = (np.abs(values - code.mean) > FAR * code.deviation) & (code.deviation > 0.0)
        missing[code.column] = np.isnan(values) & (not code.is_sometimes_missing)
    words = {
        f"have numbers more than {FAR} standard deviations from the mean of training rows": far,
        "lack a number that every training row has; it is read as the mean": missing,
    }
    entries = []
    for what, by_column in words.items():
        n_rows_by_column = {name: int(is_so_R.sum()) for name, is_so_R in by_column.items() if is_so_R.any()}
        if n_rows_by_column:
            is_any_R = np.any(list(by_column.values()), axis=0)
            told = "; ".join(f"'{name}' in {n_rows}" for name, n_rows in n_rows_by_column.items())
            n_rows = int(is_any_R.sum())
            ids = tuple(dataset.ids[is_any_R].tolist())
            sentence = f"{n_rows} of {dataset.n_rows} rows {what}: {told}"
            entries.append(Entry("note", "read", sentence, n_rows, ids, {"n_rows": n_rows_by_column}))
    return entries


def unseen_categories(encoder: MetadataEncoder, dataset: Dataset) -> Entry | None:
    """What the ledger says of categories that no training row has; None where all were seen.

    Args:
        encoder: Knows the training rows.
        dataset: Other rows, with the same metadata columns.
    """
    is_unseen_R = np.zeros(dataset.n_rows, dtype=np.bool_)
    told, n_rows_by_column = [], {}
    for code in encoder.categories:
        values = dataset.categories[code.column]
        unseen_R = code.unseen(values)
        if unseen_R.any():
            is_unseen_R |= unseen_R
            n_rows_by_column[code.column] = int(unseen_R.sum())
            words = named(sorted({value or "(missing)" for value in values[unseen_R]}))
            told.append(f"'{code.column}' in {n_rows_by_column[code.column]} ({words})")
    if not told:
        return None
    n_rows = int(is_unseen_R.sum())
    what = (
        f"{n_rows} of {dataset.n_rows} rows have categories that no training row has; they are read as other values, "
        f"where training rows had such: {'; '.join(told)}"
    )
    ids = tuple(dataset.ids[is_unseen_R].tolist())
    return Entry("note", "read", what, n_rows=n_rows, ids=ids, details={"n_rows_unseen": n_rows_by_column})
