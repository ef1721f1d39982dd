"""Which columns are predicted, and what is said of their values."""

from pathlib import Path

import numpy as np
import pytest

from strop.data.cleaning import Findings
from strop.data.roles import row_names
from strop.data.sealing import speaks_of_labels
from strop.data.tables import Table
from strop.data.targets import (
    check_targets,
    handle_missing_targets,
    matching_targets,
    missing_targets,
    read_targets,
)
from strop.errors import DataError
from strop.recipe.data import Data

NAN = float("nan")


def findings_of(**columns):
    table = Table(Path("rows.csv"), columns)
    return Findings(table, row_names(table, None))


def data_of(targets, **entries):
    return Data(path="rows.csv", text="text", targets=targets, **entries)


def arrays(**columns):
    return {name: np.array(values, dtype=np.float64) for name, values in columns.items()}


WIDE = Table(
    Path("rows.csv"),
    {
        "text": ["7", "8"],
        "a_two": ["0.5", "1"],
        "a_page": ["http://x", "http://y"],
        "a_one": ["0", ""],
        "a_rank": ["3", "4"],
        "a_host": ["1", "2"],
        "a_group": ["1", "1"],
        "b": ["0,5", "0,1"],
        "score [0-9]x": ["1", "2"],
    },
)
ROLES = {"numeric": "a_rank", "categorical": "a_host", "group": "a_group"}


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        ("a_*", ["a_two", "a_one"]),
        (["b", "a_*", "a_two"], ["b", "a_two", "a_one"]),
        ("?", ["b"]),
        ("score [0-9]*", ["score [0-9]x"]),
        ("a_rank", ["a_rank"]),
        ("t*", None),
        ("A_*", None),
    ],
)
def test_names_and_patterns_become_columns(targets, names):
    data = data_of(targets, **ROLES)
    if names is None:
        with pytest.raises(DataError):
            matching_targets(WIDE, data)
    else:
        assert matching_targets(WIDE, data) == names


def test_a_column_named_like_a_pattern_goes_before():
    table = Table(Path("rows.csv"), {"is good?": ["1"], "is good!": ["1"]})
    assert matching_targets(table, data_of("is good?")) == ["is good?"]


def test_without_targets_there_are_none():
    assert matching_targets(WIDE, Data(path="rows.csv", text="text", target="b")) == []


def test_all_missing_targets_are_named_at_once():
    data = data_of(["a_tow", "c_*", "a_p*", "a_r*"], **ROLES)
    with pytest.raises(DataError) as caught:
        matching_targets(WIDE, data)
    literal, nothing, text, role = caught.value.problems
    assert tuple(caught.value.problems) == tuple(missing_targets(WIDE, data))
    assert (literal.where, literal.came, literal.do) == (
        "rows.csv: data.targets.0",
        "no column 'a_tow'",
        "did you mean 'a_two'?",
    )
    assert nothing.where == "rows.csv: data.targets.1"
    assert nothing.must == "the pattern must take columns of numbers that have no other role"
    assert nothing.came == "'c_*' matches no column"
    assert nothing.do == "change the pattern; there are 'a_two', 'a_one', 'b', 'score [0-9]x'"
    assert text.came == "'a_p*' matches only columns of another kind or role: 'a_page'"
    assert role.came == "'a_r*' matches only columns of another kind or role: 'a_rank'"


def test_a_file_without_numbers_says_so():
    (problem,) = missing_targets(Table(Path("rows.csv"), {"text": ["x"]}), data_of("a_*"))
    assert problem.do == "check data.targets: there are no such columns"


def test_values_are_read_and_the_pattern_is_told():
    findings = Findings(WIDE, row_names(WIDE, None))
    targets = read_targets(findings, data_of("a_*", target_range=(0, 1), **ROLES))
    np.testing.assert_array_equal(targets["a_two"], [0.5, 1.0])
    np.testing.assert_array_equal(targets["a_one"], [0.0, NAN])
    assert findings.problems == []
    (entry,) = findings.entries
    assert (entry.kind, entry.station) == ("note", "read")
    assert entry.what == "2 columns are targets, found by the patterns of data.targets"
    assert entry.details == {"targets": ["a_two", "a_one"]}


def test_targets_have_ranges_by_name_or_pattern():
    findings = findings_of(a_x=["5", "11"], a_y=["5", "-1"], b=["7", "900"])
    data = data_of(["a_*", "b"], target_range={"a_*": (0, 10), "a_y": (-1, 10)})
    read_targets(findings, data)
    (value,) = findings.problems
    assert (value.where, value.came) == ("rows.csv: column 'a_x'", "'11' in row 2")
    assert value.must == "every target must be in data.target_range, 0 to 10"
    assert [data.range_of(name) for name in ("a_x", "a_y", "b")] == [(0, 10), (-1, 10), None]


def test_ranges_that_declare_nothing_or_contradict_each_other_are_told():
    findings = findings_of(a_x=["0", "1"], a_y=["0", "1"])
    ranges = {"a_*": (0, 1), "*_x": (0, 2), "?_x": (0, 1), "a_y": (0, 1), "*_y": (0, 1), "b": (0, 1)}
    read_targets(findings, data_of("a_*", target_range=ranges))
    several, shadowed, mistyped = findings.problems
    assert several.where == shadowed.where == mistyped.where == "rows.csv: data.target_range"
    assert several.must == "patterns that fit one target must give it one range"
    assert several.came == "'a_*', '*_x', '?_x' fit 'a_x'"
    assert several.do == "give 'a_x' an entry of its own"
    assert shadowed.must == (
        "every entry must be the name of a target, or a pattern that fits one without an entry of its own"
    )
    assert (shadowed.came, mistyped.came) == ("'*_y'", "'b'")
    assert mistyped.do == "the targets are 'a_x', 'a_y'"


def test_all_wrong_values_are_told_at_once():
    findings = findings_of(a=["0.5", "1.0000001", "-2", ""], b=["x", "1", "1", "2"])
    read_targets(findings, data_of(["a", "b"], target_range=(0, 1)))
    below, word, above = findings.problems
    assert below.where == "rows.csv: column 'a'"
    assert below.must == "every target must be in data.target_range, 0 to 1"
    assert below.came == "'-2', '1.0000001' in rows 2 and 3"
    assert below.do == "mend these values, or widen data.target_range"
    assert (word.where, word.came) == ("rows.csv: column 'b'", "'x' in row 1")
    assert above.came == "'2' in row 4"
    assert findings.entries == []


def test_without_a_range_any_number_will_do():
    findings = findings_of(a=["-1000", "1e9"])
    assert read_targets(findings, data_of("a"))["a"].tolist() == [-1000.0, 1e9]
    assert findings.problems == []


def test_rows_without_any_target_are_dropped():
    findings = findings_of(a=["", "", "1", ""])
    targets = arrays(a=[NAN, NAN, 1, NAN], b=[NAN, 0, 1, NAN])
    kept = handle_missing_targets(findings, targets, "drop", np.array([True, True, True, False]))
    assert kept.tolist() == [False, True, True, False]
    (entry,) = findings.entries
    assert (entry.kind, entry.what, entry.ids) == ("dropped", "Rows without any target were dropped", ("row-1",))
    assert speaks_of_labels(entry)


def test_rows_without_any_target_are_refused_where_asked_for():
    findings = findings_of(a=["", "1"])
    kept = handle_missing_targets(findings, arrays(a=[NAN, 1]), "refuse", np.ones(2, dtype=bool))
    assert kept.tolist() == [True, True]
    (problem,) = findings.problems
    assert problem.where == "rows.csv: data.targets"
    assert problem.must == "every row must have at least one target"
    assert problem.came == "no target in row 1"
    assert problem.do == "fill in targets of these rows, or set data.missing_label=drop"


def test_targets_without_a_value_are_refused_all_of_them():
    findings = findings_of(a=["", "", "1"])
    targets = arrays(a=[NAN, NAN, 1], b=[NAN, NAN, NAN], c=[1, 2, 3])
    check_targets(findings, targets, np.array([True, True, False]))
    assert [problem.where for problem in findings.problems] == ["rows.csv: column 'a'", "rows.csv: column 'b'"]
    problem = findings.problems[0]
    assert problem.must == "a target must have a value in some row"
    assert problem.came == "none in 2 rows (all-NaN)"
    assert problem.do == "fill it in, or leave it out of data.targets"
    assert findings.entries == []


def test_constant_and_partly_missing_targets_are_noted():
    findings = findings_of(a=["1"] * 4)
    targets = arrays(a=[0.5, 0.5, NAN, 9], b=[1, 2, 3, 4], c=[NAN, NAN, 0, NAN])
    check_targets(findings, targets, np.array([True, True, True, False]))
    assert findings.problems == []
    constant, missing = findings.entries
    assert constant.kind == missing.kind == "note"
    assert constant.what == (
        "Targets with the same value in every row: 'a', 'c'; nothing correlates with a constant, so they are left out "
        "of the mean over targets"
    )
    assert constant.details == {"constant_targets": {"a": 0.5, "c": 0.0}, "about": "labels"}
    assert missing.what == (
        "2 of 3 targets are missing in some rows (3 values in all): 'a', 'c'; missing values are left out of the loss "
        "and of the scores"
    )
    assert missing.details == {"n_missing": {"a": 1, "c": 2}, "about": "labels"}
    assert missing.ids == ("row-1", "row-2", "row-3")


def test_complete_targets_need_no_words():
    findings = findings_of(a=["1", "2"])
    check_targets(findings, arrays(a=[1, 2]), np.ones(2, dtype=bool))
    assert (findings.entries, findings.problems) == ([], [])


def test_no_rows_left_is_one_problem():
    findings = findings_of(a=["1"])
    check_targets(findings, arrays(a=[1], b=[2]), np.zeros(1, dtype=bool))
    (problem,) = findings.problems
    assert problem.must == "there must be rows to learn from"
    assert problem.came == "no row that has both text and a target"
    assert problem.do == "check data.targets and data.text"
