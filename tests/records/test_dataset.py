"""Rows with roles."""

from dataclasses import replace

import numpy as np
import pytest

from strop.errors import RunError
from strop.records.dataset import Dataset, strings, tuples
from strop.records.evidence import Passage

FULL = Dataset(
    ids=strings(["a", "b", "c"]),
    texts={
        "title": strings(["T1", "", "T3"]),
        "body": strings(["안녕", "line\nbreak", '<script> "x"\t']),
    },
    target=strings(["yes", "no", "yes"]),
    groups=strings(["g1", "g1", "g2"]),
    parts=strings(["train", "test", "validation"]),
)
BARE = Dataset(ids=strings(["1"]), texts={"text": strings(["one"])})
WITH_EVIDENCE = replace(
    FULL,
    documents=tuples([("1", "https://a.org/b c"), (), ("1", "2")]),
    snippets=tuples([(Passage("한\n글", "1", 3, 9, "T"),), (Passage("a"), Passage("b")), ()]),
)
WITH_ANSWERS = replace(FULL, target=None, answers=tuples([("1911", "in\n1911"), (), ("서울",)]))
EMPTY = Dataset(ids=strings([]), texts={"text": strings([])}, target=strings([]))


OPTIONAL = ("target", "groups", "parts", "documents", "snippets", "answers")


def same(one: Dataset, other: Dataset) -> bool:
    optional = [(getattr(one, name), getattr(other, name)) for name in OPTIONAL]
    return (
        one.ids.tolist() == other.ids.tolist()
        and {name: column.tolist() for name, column in one.texts.items()}
        == {name: column.tolist() for name, column in other.texts.items()}
        and list(one.texts) == list(other.texts)
        and all((a is None) == (b is None) and (a is None or a.tolist() == b.tolist()) for a, b in optional)
    )


@pytest.mark.parametrize(
    "dataset", [FULL, BARE, EMPTY, WITH_EVIDENCE, WITH_ANSWERS], ids=["full", "bare", "empty", "evidence", "answers"]
)
def test_saved_rows_are_loaded_again_the_same(tmp_path, dataset):
    dataset.save(tmp_path / "rows.arrow")
    loaded = Dataset.load(tmp_path / "rows.arrow")
    assert same(loaded, dataset)
    assert loaded.fingerprint == dataset.fingerprint


def test_equal_rows_give_equal_bytes(tmp_path):
    FULL.save(tmp_path / "one.arrow")
    Dataset.load(tmp_path / "one.arrow").save(tmp_path / "two.arrow")
    assert (tmp_path / "one.arrow").read_bytes() == (tmp_path / "two.arrow").read_bytes()


def test_the_fingerprint_follows_every_column_and_the_order():
    changed = [
        FULL.take([1, 0, 2]),
        FULL.take([0, 1]),
        Dataset(FULL.ids, FULL.texts, strings(["yes", "yes", "yes"]), FULL.groups, FULL.parts),
        Dataset(FULL.ids, FULL.texts, None, FULL.groups, FULL.parts),
        Dataset(FULL.ids, {"title": FULL.texts["title"]}, FULL.target, FULL.groups, FULL.parts),
        Dataset(strings(["a", "b", "d"]), FULL.texts, FULL.target, FULL.groups, FULL.parts),
    ]
    assert len({FULL.fingerprint, *(one.fingerprint for one in changed)}) == 7


def test_the_fingerprint_follows_documents_and_snippets():
    documents, snippets = WITH_EVIDENCE.documents, WITH_EVIDENCE.snippets
    changed = [
        FULL,
        replace(WITH_EVIDENCE, documents=None),
        replace(WITH_EVIDENCE, documents=documents[[1, 0, 2]]),
        replace(WITH_EVIDENCE, snippets=tuples([(Passage("한\n글", "1", 3, 9),), *snippets[1:]])),
        replace(WITH_EVIDENCE, snippets=tuples([*snippets[:2], (Passage("a"),)])),
    ]
    assert len({WITH_EVIDENCE.fingerprint, *(one.fingerprint for one in changed)}) == 6
    # Rows without evidence keep the fingerprint that they had before there was any.
    assert FULL.fingerprint.startswith("8f5cca8c5778acc2")


def test_documents_and_snippets_are_taken_with_their_rows():
    taken = WITH_EVIDENCE.select(["c", "a"])
    assert taken.documents.tolist() == [("1", "2"), ("1", "https://a.org/b c")]
    assert taken.snippets.tolist() == [(), (Passage("한\n글", "1", 3, 9, "T"),)]
    with pytest.raises(ValueError, match="every column must have 3 rows, 'snippets' has 2"):
        replace(WITH_EVIDENCE, snippets=tuples([(), ()]))


def test_the_fingerprint_follows_answers_and_their_order():
    changed = [
        replace(WITH_ANSWERS, answers=None),
        replace(WITH_ANSWERS, answers=tuples([("in\n1911", "1911"), (), ("서울",)])),
        replace(WITH_ANSWERS, answers=tuples([("1911", "in\n1911"), ("서울",), ()])),
        replace(WITH_ANSWERS, answers=None, documents=WITH_ANSWERS.answers),
    ]
    assert len({one.fingerprint for one in [WITH_ANSWERS, *changed]}) == 5


def test_answers_are_taken_with_their_rows():
    assert WITH_ANSWERS.select(["c", "a"]).answers.tolist() == [("서울",), ("1911", "in\n1911")]
    with pytest.raises(ValueError, match="every column must have 3 rows, 'answers' has 1"):
        replace(WITH_ANSWERS, answers=tuples([()]))


def test_text_that_moves_over_a_border_changes_the_fingerprint():
    one = Dataset(strings(["1", "2"]), {"t": strings(["ab", "c"])})
    other = Dataset(strings(["1", "2"]), {"t": strings(["a", "bc"])})
    assert one.fingerprint != other.fingerprint


def test_rows_are_taken_and_selected_in_the_order_asked_for():
    assert same(FULL.take(np.array([2, 0])), FULL.select(["c", "a"]))
    assert FULL.select(["c", "a"]).target.tolist() == ["yes", "yes"]
    assert FULL.rows_of(["b", "a"]).tolist() == [1, 0]


def test_an_id_that_is_not_there_is_a_key_error():
    with pytest.raises(KeyError, match="zz"):
        FULL.select(["zz"])


def test_labels_are_distinct_and_sorted():
    assert FULL.labels() == ("no", "yes")
    with pytest.raises(ValueError, match="the rows have no target"):
        BARE.labels()


def test_text_parts_are_joined_in_order():
    assert FULL.joined_texts(" | ").tolist() == ["T1 | 안녕", " | line\nbreak", 'T3 | <script> "x"\t']


def test_columns_of_another_length_and_ids_that_repeat_are_refused():
    with pytest.raises(ValueError, match="every column must have 2 rows, 'text:t' has 1"):
        Dataset(strings(["1", "2"]), {"t": strings(["x"])})
    with pytest.raises(ValueError, match="ids must be unique"):
        Dataset(strings(["1", "1"]), {"t": strings(["x", "y"])})


def test_a_file_that_is_missing_says_what_to_run(tmp_path):
    with pytest.raises(RunError, match="no such file\n  do:   run `strop fit` to the end first"):
        Dataset.load(tmp_path / "rows.arrow")
