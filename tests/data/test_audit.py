"""The audit counts everything and names nothing that is sealed."""

from dataclasses import replace

import numpy as np
import pytest

from strop.data.audit import audit_dataset, quantiles
from strop.data.duplicates import near_duplicate_clusters
from strop.records.audit import Audit, Duplicates, Groups, LabelCount
from strop.records.dataset import Dataset, strings
from strop.records.split import Split

TEXTS = ["same", "same", "Same ", "sealed", "sealed", "it\u00e2\u20ac\u2122s", "br\ufffdken", "", "a longer text"]
LABELS = ["x", "y", "x", "x", "y", "x", "x", "y", "z"]


@pytest.fixture
def dataset():
    return Dataset(
        ids=strings([f"r{number}" for number in range(9)]),
        texts={"text": strings(TEXTS)},
        target=strings(LABELS),
        groups=strings(["g"] * 4 + ["h"] * 5),
    )


@pytest.fixture
def split():
    ids = [f"r{number}" for number in range(9)]
    sealed = ["r3", "r4", "r6"]
    return Split(
        train=strings([one for one in ids if one not in (*sealed, "r2", "r7")]),
        validation=strings(["r2", "r7"]),
        test=strings(sealed),
    )


def audited(dataset, split, **more):
    return audit_dataset(dataset, near_duplicate_clusters(dataset.joined_texts(), 0.8), split, **more)


def test_everything_is_counted(dataset, split):
    audit = audited(dataset, split, coverage={"128": 1.0}, tokens_quantiles={"0.5": 3.0})
    assert audit.duplicates == Duplicates(2, 2, 5, n_straddling_clusters=1, n_straddling_rows=3, n_straddling_pairs=2)
    assert (audit.n_misread_rows, audit.n_blank_rows, audit.groups) == (2, 1, Groups(2, 5))
    assert audit.n_rows_by_part == {"test": 3, "train": 4, "validation": 2}
    assert (audit.fraction_fitting, audit.tokens_quantiles) == ({"128": 1.0}, {"0.5": 3.0})


def test_labels_are_counted_over_rows_that_are_not_sealed(dataset, split):
    # sealed are r3 (x), r4 (y) and r6 (x); r3 and r4 are one text
    audit = audited(dataset, split)
    assert audit.labels == (LabelCount("x", 3, 3 / 6), LabelCount("y", 2, 2 / 6), LabelCount("z", 1, 1 / 6))
    assert audit.n_labelled_rows == 6
    assert audit.majority_accuracy == 3 / 6
    assert audit.labels_once == ("z",)
    assert (audit.n_conflicting_texts, audit.n_conflicting_rows) == (1, 2)


def test_other_labels_of_sealed_rows_change_nothing(dataset, split):
    other = replace(dataset, target=strings(["x", "y", "x", "q", "q", "x", "q", "y", "z"]))
    assert audited(other, split) == audited(dataset, split)


def test_an_open_text_that_a_sealed_row_labels_otherwise_is_no_conflict(dataset, split):
    sealed = [*split.test, "r1"]
    moved = Split(strings([one for one in split.train if one != "r1"]), split.validation, strings(sealed))
    audit = audited(dataset, moved)
    assert (audit.n_conflicting_texts, audit.n_conflicting_rows, audit.conflicting_ids) == (0, 0, ())


def test_sealed_rows_are_not_named(dataset, split):
    audit = audited(dataset, split)
    assert audit.conflicting_ids == (("r0", "r1"),)
    assert audit.misread_ids == ("r5",)


def test_before_there_is_a_split_all_rows_are_open(dataset):
    audit = audited(dataset, None)
    assert audit.labels == (LabelCount("x", 5, 5 / 9), LabelCount("y", 3, 3 / 9), LabelCount("z", 1, 1 / 9))
    assert (audit.n_conflicting_texts, audit.n_conflicting_rows) == (2, 4)
    assert audit.conflicting_ids == (("r0", "r1"), ("r3", "r4"))
    assert audit.misread_ids == ("r5", "r6")
    assert audit.n_rows_by_part == {}
    assert audit.duplicates.n_straddling_pairs == 0


def test_rows_without_a_target():
    audit = audited(Dataset(ids=strings(["a"]), texts={"text": strings(["b"])}), None)
    assert (audit.labels, audit.majority_accuracy, audit.groups) == ((), None, None)


def test_an_audit_comes_back_from_its_file(dataset, split, tmp_path):
    audit = audited(dataset, split, coverage={"128": 0.5})
    audit.save(tmp_path / "audit.json")
    assert Audit.load(tmp_path / "audit.json") == audit


def test_quantiles():
    assert quantiles(np.arange(101)) == {"0": 0, "0.25": 25, "0.5": 50, "0.75": 75, "0.95": 95, "0.99": 99, "1": 100}
    assert quantiles([]) == {}
