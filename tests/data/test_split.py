"""Divisions keep their promises."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.data.split import make_split, must_learn_two_classes
from strop.errors import DataError
from strop.recipe.sections import SplitPlan
from strop.records.dataset import Dataset, strings
from strop.records.split import PARTS, Split

_NAMES = "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa"
WORDS = _NAMES.split()


def rows(labels, *, groups=None, parts=None, texts=None):
    rng = np.random.default_rng(0)
    own = [" ".join(rng.choice(WORDS, 12)) + f" {number}" for number in range(len(labels))]
    return Dataset(
        ids=strings([f"r{number}" for number in range(len(labels))]),
        texts={"text": strings(own if texts is None else texts)},
        target=strings(labels),
        groups=None if groups is None else strings(groups),
        parts=None if parts is None else strings(parts),
    )


def counts(dataset, ids):
    return Counter(dataset.select(ids).target)


def sizes(split):
    return len(split.train), len(split.validation), len(split.test)


def test_parts_have_every_class_by_its_share():
    dataset = rows(["a"] * 600 + ["b"] * 300 + ["c"] * 100)
    split = make_split(dataset, SplitPlan(), 0).split
    assert sizes(split) == (650, 150, 200)
    assert counts(dataset, split.train) == {"a": 390, "b": 195, "c": 65}
    assert counts(dataset, split.validation) == {"a": 90, "b": 45, "c": 15}
    assert counts(dataset, split.test) == {"a": 120, "b": 60, "c": 20}


def test_three_rows_of_a_class_go_to_three_parts():
    dataset = rows(["a"] * 97 + ["b"] * 3)
    split = make_split(dataset, SplitPlan(), 3).split
    assert [counts(dataset, getattr(split, part))["b"] for part in PARTS] == [1, 1, 1]


def test_a_label_that_appears_once_is_kept_in_train():
    result = make_split(rows(["a"] * 50 + ["b"] * 49 + ["c"]), SplitPlan(), 0)
    assert "r99" in result.split.train
    (entry,) = [entry for entry in result.entries if entry.details.get("label") == "c"]
    assert (entry.kind, entry.ids) == ("kept", ("r99",))
    assert entry.what == "The label 'c' appears once: kept in train, no other part can be judged on it"


def test_a_label_with_fewer_rows_than_parts_is_said():
    result = make_split(rows(["a"] * 50 + ["b"] * 48 + ["c"] * 2), SplitPlan(), 0)
    (entry,) = [entry for entry in result.entries if entry.details.get("label") == "c"]
    assert entry.what == "The label 'c' has 2 rows: too few for every part, none in 'validation'"


def test_the_test_part_is_the_same_with_folds_and_without():
    dataset = rows(["a", "b", "b"] * 60)
    plans = [SplitPlan(), SplitPlan(folds=3), SplitPlan(validation_fraction=0.3)]
    tests = [make_split(dataset, plan, 5).split.test.tolist() for plan in plans]
    assert tests[0] == tests[1] == tests[2]


def test_folds_divide_what_is_open():
    dataset = rows(["a"] * 60 + ["b"] * 40)
    split = make_split(dataset, SplitPlan(folds=4), 0).split
    assert sizes(split) == (80, 0, 20)
    assert [counts(dataset, held) for held in split.held_out] == [{"a": 12, "b": 8}] * 4


def test_folds_of_a_rare_label_are_said():
    result = make_split(rows(["a"] * 30 + ["b"] * 3), SplitPlan(folds=3, test_fraction=0.2), 0)
    (entry,) = [entry for entry in result.entries if entry.details.get("label") == "b"]
    assert entry.what == "The label 'b' has 3 rows: 'fold 2' cannot be judged on it"


def test_no_test_part_if_none_is_asked_for():
    assert sizes(make_split(rows(["a", "b"] * 20), SplitPlan(test_fraction=0.0), 0).split) == (34, 6, 0)


def test_near_duplicates_stay_together_unless_told_otherwise():
    texts = [
        f"{(WORDS[number % 8] + ' ') * 4}, {WORDS[8 + number % 8]}s all the way {number // 8}" for number in range(40)
    ]
    dataset = rows(["a", "b"] * 20, texts=texts)
    together = make_split(dataset, SplitPlan(), 0)
    assert len(set(together.clusters)) == 8
    for cluster in set(together.clusters):
        ids = set(dataset.ids[together.clusters == cluster])
        assert sum(bool(ids & set(getattr(together.split, part))) for part in PARTS) == 1
    assert any(entry.what.endswith("near duplicates were kept in one part each") for entry in together.entries)
    apart = make_split(dataset, SplitPlan(near_duplicates="ignore"), 0)
    (entry,) = [entry for entry in apart.entries if "pairs of near duplicates" in entry.what]
    assert entry.what.endswith("lie in different parts (split.near_duplicates=ignore)")
    assert entry.details["n_pairs"] > 0


def test_groups_joined_by_near_duplicates_stay_together():
    same = " ".join(WORDS)
    texts = [f"{WORDS[number]} {number} " * 4 for number in range(10)]
    texts[2] = texts[7] = same
    groups = ["g", "g", "g", "h", "h", "h", "i", "i", "i", "j"]
    dataset = rows(["a", "b"] * 5, texts=texts, groups=groups)
    plan = SplitPlan(test_fraction=0.3, validation_fraction=0.2)
    for seed in range(5):
        part = make_split(dataset, plan, seed).split.part_of()
        assert len({part[f"r{number}"] for number in (0, 1, 2, 6, 7, 8)}) == 1


def test_deviations_are_said():
    dataset = rows(["a", "b"] * 20, groups=["g"] * 20 + ["h"] * 10 + ["i"] * 10)
    result = make_split(dataset, SplitPlan(), 0)
    assert sizes(result.split) == (20, 10, 10)
    told = [entry.what for entry in result.entries if "were asked for" in entry.what]
    assert told[0].startswith("The validation part has 25.0% of the rows where 15.0% were asked for")


def test_given_parts_are_kept():
    parts = ["train"] * 6 + ["validation"] * 2 + ["test"] * 2
    texts = [f"{word} says something that is rather long" for word in WORDS[:10]]
    texts[9] = texts[0]
    result = make_split(rows(["a", "b"] * 5, parts=parts, texts=texts), SplitPlan(), 0)
    assert sizes(result.split) == (6, 2, 2)
    assert result.split.test.tolist() == ["r8", "r9"]
    (entry,) = [entry for entry in result.entries if "pairs of near duplicates" in entry.what]
    assert entry.what.endswith("lie in different parts (the data give the parts)")


def test_given_parts_without_validation_rows():
    dataset = rows(["a", "b"] * 50, parts=["train"] * 80 + ["test"] * 20)
    result = make_split(dataset, SplitPlan(), 0)
    assert sizes(result.split) == (68, 12, 20)
    assert result.split.test.tolist() == [f"r{number}" for number in range(80, 100)]
    assert any(entry.what.startswith("The data give no validation rows") for entry in result.entries)
    assert not any("no test rows" in entry.what for entry in result.entries)
    with pytest.raises(DataError, match="there must be validation rows to choose the checkpoint by"):
        make_split(dataset, SplitPlan(validation_fraction=0.0), 0)


@pytest.mark.parametrize("plan", [SplitPlan(), SplitPlan(folds=2)])
def test_given_parts_without_test_rows(plan):
    result = make_split(rows(["a", "b"] * 15, parts=["train"] * 20 + ["validation"] * 10), plan, 0)
    assert len(result.split.test) == 0
    (entry,) = [entry for entry in result.entries if "test rows" in entry.what]
    what = "The data give no test rows: nothing is sealed, so no rows are left to judge the finished run by"
    assert (entry.kind, entry.station, entry.what) == ("note", "split", what)


def test_given_parts_with_folds():
    dataset = rows(["a", "b"] * 15, parts=["train"] * 20 + ["validation"] * 4 + ["test"] * 6)
    result = make_split(dataset, SplitPlan(folds=3), 0)
    assert sizes(result.split) == (24, 0, 6)
    assert any(entry.what.startswith("Validation rows given by the data were put") for entry in result.entries)


@pytest.mark.parametrize(
    ("dataset", "plan", "words"),
    [
        (rows(["a", "b"]), SplitPlan(folds=5, test_fraction=0), r"at least 5 rows.*\n  came: 2 rows"),
        (rows(["a", "b"]), SplitPlan(), r"at least 3 rows, one for each part or fold\n  came: 2 rows"),
        (rows(["a", "b"] * 9, groups=["g"] * 18), SplitPlan(), r"at least 3 groups.*\n  came: 1 in 18 rows"),
        (
            rows(["a", "b"] * 9, groups=["g", "h", "i"] * 6),
            SplitPlan(folds=4, test_fraction=0.1),
            r"at least 5 groups, one for each part or fold, since a group stays in one part\n  came: 3 in 18 rows",
        ),
        (
            rows(["a", "b"] * 9, texts=["always the same text"] * 18),
            SplitPlan(),
            r"at least 3 sets of rows that share no group .*\n  came: 1 in 18 rows\n  do:   raise",
        ),
        (
            rows(["a", "b"], parts=["test", "validation"]),
            SplitPlan(),
            r"data\.part: there must be rows to train on\n  came: 1 validation and 1 test rows",
        ),
    ],
)
def test_what_cannot_be_divided_is_said(dataset, plan, words):
    with pytest.raises(DataError, match=words):
        make_split(dataset, plan, 0)


def test_rows_without_a_target_are_a_mistake():
    dataset = Dataset(ids=strings(["a"]), texts={"text": strings(["x"])})
    with pytest.raises(ValueError, match="must have a target"):
        make_split(dataset, SplitPlan(), 0)


@st.composite
def divisions(draw):
    n_rows = draw(st.integers(24, 90))
    labels = draw(st.lists(st.sampled_from("aaabbc"), min_size=n_rows, max_size=n_rows))
    n_groups = draw(st.integers(12, 40))
    grouped = draw(st.booleans())
    group = st.integers(0, n_groups - 1)
    groups = draw(st.lists(group, min_size=n_rows - 12, max_size=n_rows - 12)) if grouped else []
    names = [f"g{number}" for number in [*range(12), *groups]] if grouped else None
    plan = draw(
        st.builds(
            SplitPlan,
            test_fraction=st.sampled_from([0.0, 0.1, 0.25]),
            validation_fraction=st.sampled_from([0.1, 0.3]),
            folds=st.sampled_from([None, 2, 4]),
        )
    )
    return rows(labels, groups=names), plan, draw(st.integers(0, 100))


@settings(deadline=None, max_examples=60)
@given(divisions(), st.randoms())
def test_promises(division, shuffler):
    dataset, plan, seed = division
    split = make_split(dataset, plan, seed).split
    everything = [*split.train, *split.validation, *split.test]
    assert sorted(everything) == sorted(dataset.ids)  # none lost, none twice
    assert bool(len(split.test)) == (plan.test_fraction > 0)
    for fold in split.folds():
        assert not set(fold.train) & set(fold.validation)
        assert len(fold.train)
        assert len(fold.validation)
    place = {**split.part_of(), **{row_id: f"fold {n}" for n, held in enumerate(split.held_out) for row_id in held}}
    if dataset.groups is not None:
        where = defaultdict(set)
        for row_id, group in zip(dataset.ids, dataset.groups, strict=True):
            where[group].add(place[row_id])
        assert all(len(found) == 1 for found in where.values())
    order = list(range(dataset.n_rows))
    shuffler.shuffle(order)
    again = make_split(dataset.take(order), plan, seed).split
    assert [set(again.train), set(again.validation), set(again.test)] == [
        set(split.train),
        set(split.validation),
        set(split.test),
    ]
    assert [set(held) for held in again.held_out] == [set(held) for held in split.held_out]


@pytest.mark.parametrize(("parts", "where"), [(None, "split"), (["train", "train", "validation", "test"], "data.part")])
def test_training_rows_of_one_class_teach_nothing(parts: list[str] | None, where: str) -> None:
    dataset = Dataset(
        strings(["a", "b", "c", "d"]),
        {"text": strings(["one", "two", "three", "four"])},
        target=strings(["x", "x", "y", "y"]),
        parts=None if parts is None else strings(parts),
    )
    split = Split(strings(["a", "b"]), strings(["c"]), strings(["d"]), (), 0)
    with pytest.raises(DataError) as caught:
        must_learn_two_classes(dataset, split)
    assert f"{where}: the training rows must have at least two classes" in str(caught.value)
    assert "came: 2 rows, all 'x'" in str(caught.value)
    folds = Split(strings(["a", "b", "c"]), strings([]), strings(["d"]), (strings(["a", "b"]), strings(["c"])), 0)
    with pytest.raises(DataError, match="the training rows of fold 0 must have at least two classes"):
        must_learn_two_classes(dataset, folds)
