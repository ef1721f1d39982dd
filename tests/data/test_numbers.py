"""Columns of numbers, and what is said of values that are none."""

import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from strop.data.numbers import column_of_numbers, holds_numbers
from strop.data.tables import Table

NAN = float("nan")


def table_of(*values, lines=None):
    return Table(Path("rows.csv"), {"x": list(values)}, lines=lines)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("0.5", 0.5),
        (" 1e-3 ", 0.001),
        ("-2", -2.0),
        (".5", 0.5),
        (3, 3.0),
        (0.25, 0.25),
        (Decimal("0.1"), 0.1),
        (np.float64(0.5), 0.5),
        (True, 1.0),
        (False, 0.0),
        ("TRUE", 1.0),
        ("false", 0.0),
        (None, NAN),
        (NAN, NAN),
        (Decimal("NaN"), NAN),
        ("", NAN),
        (" ", NAN),
        ("nan", NAN),
        ("<NA>", NAN),
        ("null", NAN),
        ("None", NAN),
    ],
)
def test_numbers_and_nothing(value, number):
    numbers, problems = column_of_numbers(table_of(value), "x")
    assert problems == []
    assert numbers.dtype == np.float64
    np.testing.assert_array_equal(numbers, [number])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("high", "'high'"),
        ("1_000", "'1_000'"),
        ("50%", "'50%'"),
        (["0.5"], "'a list'"),
        (b"0.5", "'a bytes'"),
        (datetime.date(2024, 1, 2), "'2024-01-02'"),
        ("z" * 40, f"'{'z' * 30}...'"),
    ],
)
def test_what_is_no_number_is_named_with_its_place(value, shown):
    numbers, (problem,) = column_of_numbers(table_of("1", value, lines=[2, 5]), "x")
    np.testing.assert_array_equal(numbers, [1.0, NAN])
    assert problem.where == "rows.csv: column 'x'"
    assert problem.must == "every value must be a number, or nothing"
    assert problem.came == f"{shown} in line 5"
    assert problem.do == "mend these values, or leave their cells empty where the number is not known"


def test_all_places_are_one_problem():
    _, (problem,) = column_of_numbers(table_of("b", "1", "a", "b"), "x")
    assert problem.came == "'a', 'b' in rows 1, 3 and 4"


@pytest.mark.parametrize("comma", ["1,5", "-0,25", "1.234,5", "1,234"])
def test_commas_get_a_hint(comma):
    _, (problem,) = column_of_numbers(table_of("2", "x", comma), "x")
    assert problem.do == (
        f"write decimals with a point, as 1.5, and thousands without a separator: '{comma}' has a comma"
    )


def test_infinities_are_a_problem_beside_the_others():
    values = ["inf", "word", float("-inf"), "1e999", 10**400, -4e38, 3e38]
    numbers, (wrong, infinite) = column_of_numbers(table_of(*values), "x")
    assert numbers.tolist() == pytest.approx([np.nan] * 6 + [3e38], nan_ok=True)
    assert wrong.came == "'word' in row 2"
    assert infinite.must == "every number must be finite, and below 3.4e38"
    assert infinite.came.startswith("'-4e+38', '-inf', '1000000000")
    assert infinite.came.endswith("'1e999', 'inf' in rows 1, 3, 4, 5 and 6")
    assert infinite.do == "write the number itself, or leave the cell empty where it is not known"


def test_a_column_without_rows_is_empty():
    numbers, problems = column_of_numbers(table_of(), "x")
    assert (numbers.shape, numbers.dtype, problems) == ((0,), np.float64, [])


@pytest.mark.parametrize(
    ("values", "holds"),
    [
        (["1", "2", "x"], True),
        (["1", "x"], False),
        (["0,5", "0,25"], True),
        (["", None, "nan"], True),
        ([True, False], False),
        (["true", "false"], False),
        (["", "7"], True),
    ],
)
def test_which_columns_are_of_numbers(values, holds):
    assert holds_numbers(table_of(*values), "x") is holds
