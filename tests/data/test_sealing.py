"""The ledger names no sealed row together with what its label is."""

import pytest

from strop.data.read import read_dataset
from strop.data.sealing import ABOUT_LABELS, speaks_of_labels, without_sealed_ids
from strop.data.split import make_split
from strop.recipe.data import Data
from strop.recipe.sections import SplitPlan
from strop.records.dataset import strings
from strop.records.ledger import Entry
from strop.records.split import Split

SPLIT = Split(strings(["a", "b"]), strings(["c"]), strings(["d", "e"]))
NO_TEST = Split(strings(["a", "b"]), strings(["c", "d", "e"]), strings([]))


def entry(**details):
    return Entry("kept", "read", "2 texts have several labels", n_rows=3, ids=("a", "d", "gone"), details=details)


def test_ids_of_sealed_rows_leave_what_is_said_of_labels():
    (told,) = without_sealed_ids([entry(**ABOUT_LABELS, names=["x"])], SPLIT)
    assert (told.ids, told.n_rows, told.what) == (("a", "gone"), 3, "2 texts have several labels")
    assert told.details == {**ABOUT_LABELS, "names": ["x"], "ids": "of rows that are not sealed"}


def test_an_entry_does_not_tell_whether_sealed_rows_are_concerned():
    concerned, not_concerned = (
        Entry("note", "read", "w", 1, ("d",), ABOUT_LABELS),
        Entry("note", "read", "w", 1, (), ABOUT_LABELS),
    )
    assert without_sealed_ids([concerned], SPLIT) == without_sealed_ids([not_concerned], SPLIT)


def test_other_entries_and_splits_without_a_test_part_stay():
    assert without_sealed_ids([entry()], SPLIT) == (entry(),)
    assert without_sealed_ids([entry(**ABOUT_LABELS)], NO_TEST) == (entry(**ABOUT_LABELS),)


# Rows 20 to 29 of 30 are sealed; what is done to labels there must not be told by their ids.
@pytest.mark.parametrize(
    ("label_of", "text_of", "words"),
    [
        (lambda at: "ab"[at % 2].upper() if at > 14 else "ab"[at % 2], "text {}".format, "differ only in case"),
        (lambda at: f" {'ab'[at % 2]}", "text {}".format, "were stripped"),
        (lambda at: f"{at % 2}.0", "text {}".format, "lost their decimal point"),
        (lambda at: ("None", "a", "b")[at % 3], "text {}".format, "was taken for a class"),
        (lambda at: "ab"[at % 2], lambda at: f"text {at // 2}", "have several labels; their rows were kept"),
    ],
    ids=["case", "stripped", "decimal point", "words for nothing", "conflicts"],
)
def test_what_reading_says_of_labels_is_marked(tmp_path, label_of, text_of, words):
    path = tmp_path / "rows.csv"
    lines = [f"{text_of(at)},{label_of(at)},{'test' if at >= 20 else 'train'}" for at in range(30)]
    path.write_text("\n".join(["text,label,part", *lines]), encoding="utf-8")
    read = read_dataset(Data(path=str(path), text=["text"], target="label", part="part"))
    split = make_split(read.dataset, SplitPlan(near_duplicates="ignore"), 0).split
    before = [one for one in read.entries if words in one.what]
    told = [one for one in without_sealed_ids(read.entries, split) if words in one.what]
    assert before
    assert all(speaks_of_labels(one) for one in told)
    assert any(set(one.ids) & set(split.test) for one in before)
    assert not any(set(one.ids) & set(split.test) for one in told)
    assert [one.n_rows for one in told] == [one.n_rows for one in before]
