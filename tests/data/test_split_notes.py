"""What is torn apart, counted by hand."""

import numpy as np

from strop.data.split import make_split
from strop.data.split_notes import Straddling, places, straddling
from strop.recipe.sections import SplitPlan
from strop.records.dataset import Dataset, strings
from strop.records.split import Split


def test_straddling_is_counted_by_pairs():
    # cluster 0: two rows in train, one in test (2 pairs); cluster 1: together; cluster 2: one in each part (3 pairs)
    sets = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    where = ["train", "train", "test", "train", "train", "train", "validation", "test"]
    assert straddling(sets, where) == Straddling(n_sets=2, n_rows=6, n_pairs=5)
    assert straddling(np.array([0, 0]), ["train", "train"]) == Straddling(0, 0, 0)


def test_places_are_parts_or_folds():
    none = strings([])
    split = Split(strings(["a", "b"]), none, strings(["c"]), held_out=(strings(["b"]), strings(["a"])))
    assert places(split, strings(["a", "b", "c"])) == ["fold 1", "fold 0", "test"]


def test_groups_torn_by_given_parts_are_said():
    dataset = Dataset(
        ids=strings(["a", "b", "c"]),
        texts={"text": strings(["one", "two", "six"])},
        target=strings(["x", "y", "x"]),
        groups=strings(["g", "g", "h"]),
        parts=strings(["train", "validation", "train"]),
    )
    entries = make_split(dataset, SplitPlan(), 0).entries
    (entry,) = [entry for entry in entries if "groups" in entry.what]
    assert (entry.what, entry.n_rows) == ("1 groups have rows in several parts (the data give the parts)", 2)
