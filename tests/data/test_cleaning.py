"""Single steps of cleaning, where reading whole files would hide them."""

from pathlib import Path

import numpy as np
import pytest

from strop.data.cleaning import Findings, blank_rows, clean_labels, conflicting_rows, handle_blank, unique_ids
from strop.data.roles import row_names
from strop.data.tables import Table
from strop.records.dataset import strings


def findings_of(**columns):
    table = Table(Path("rows.csv"), columns)
    return Findings(table, row_names(table, None))


def test_blank_means_no_text_in_any_column():
    texts = {"a": strings(["", " \u3000", "x"]), "b": strings(["\n", "y", ""])}
    assert blank_rows(texts).tolist() == [True, False, False]


def test_conflicts_leave_blank_texts_out():
    texts, labels = {"a": strings(["", "", "t", "t", "t"])}, strings(["x", "y", "x", "x", "y"])
    assert conflicting_rows(texts, labels, range(5)) == [[2, 3, 4]]
    assert conflicting_rows(texts, labels, [2, 3]) == []


def test_a_new_name_is_not_taken_twice():
    findings = findings_of(id=["x", "x", "x#2", "x"])
    assert unique_ids(findings, "id", "rename").tolist() == ["x", "x#3", "x#2", "x#4"]
    assert findings.entries[0].details == {"names": ["x"]}


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (["1.0", "", "2.0"], ["1", "", "2"]),
        (["1.0", "x"], ["1.0", "x"]),
        (["x", "<NA>", "y"], ["x", "", "y"]),
        ([" a\u00a0", "b"], ["a", "b"]),
        (["nan"], [""]),
    ],
)
def test_labels(labels, wanted):
    assert clean_labels(findings_of(label=labels), "label").tolist() == wanted


@pytest.mark.parametrize(("choice", "n_kept", "kind"), [("drop", 1, "dropped"), ("keep", 2, "kept")])
def test_rows_already_dropped_are_not_counted_again(choice, n_kept, kind):
    findings = findings_of(a=["", "x", ""])
    kept = handle_blank(findings, np.array([True, False, True]), choice, ["a"], np.array([False, True, True]))
    assert int(kept.sum()) == n_kept
    assert [(entry.kind, entry.ids) for entry in findings.entries] == [(kind, ("row-3",))]
