"""Audits are written and read again."""

import pytest

from strop.errors import RunError
from strop.records.audit import Audit, Duplicates, Groups, LabelCount

AUDIT = Audit(
    n_rows=3,
    labels=(LabelCount("가", 2, 2 / 3), LabelCount("b", 1, 1 / 3)),
    majority_accuracy=2 / 3,
    labels_once=("b",),
    duplicates=Duplicates(1, 1, 2),
    n_conflicting_texts=1,
    n_conflicting_rows=2,
    conflicting_ids=(("r1", "r2"),),
    characters_quantiles={"0": 1.0, "1": 9.5},
    n_misread_rows=0,
    misread_ids=(),
    n_blank_rows=0,
)


@pytest.mark.parametrize("groups", [None, Groups(2, 2)])
def test_an_audit_comes_back(tmp_path, groups):
    audit = Audit(**{**vars(AUDIT), "groups": groups, "fraction_fitting": {"128": 0.9}})
    audit.save(tmp_path / "audit.json")
    assert Audit.load(tmp_path / "audit.json") == audit


def test_labels_are_those_of_some_rows():
    assert AUDIT.n_labelled_rows == 3


def test_a_missing_audit_is_said(tmp_path):
    with pytest.raises(RunError, match="no such file"):
        Audit.load(tmp_path / "audit.json")
