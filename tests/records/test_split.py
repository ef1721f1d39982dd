"""Row ids by part."""

import json

import pytest

from strop.errors import RunError
from strop.records.dataset import strings
from strop.records.split import Split

WHOLE = Split(train=strings(["a", "b"]), validation=strings(["c"]), test=strings(["d"]), seed=7)
FOLDED = Split(
    train=strings(["a", "b", "c"]),
    validation=strings([]),
    test=strings(["d"]),
    held_out=(strings(["a", "c"]), strings(["b"])),
)


@pytest.mark.parametrize("split", [WHOLE, FOLDED], ids=["whole", "folds"])
def test_a_saved_split_is_loaded_again_the_same(tmp_path, split):
    split.save(tmp_path / "one")
    loaded = Split.load(tmp_path / "one")
    assert [ids.tolist() for ids in (loaded.train, loaded.validation, loaded.test, *loaded.held_out)] == [
        ids.tolist() for ids in (split.train, split.validation, split.test, *split.held_out)
    ]
    assert loaded.seed == split.seed
    loaded.save(tmp_path / "two")
    for name in ("split.json", "test.sealed.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_sealed_ids_have_a_file_of_their_own(tmp_path):
    WHOLE.save(tmp_path)
    assert json.loads((tmp_path / "test.sealed.json").read_text()) == ["d"]
    assert "test" not in json.loads((tmp_path / "split.json").read_text())


def test_a_split_without_its_last_file_is_not_there(tmp_path):
    WHOLE.save(tmp_path)
    (tmp_path / "split.json").unlink()
    with pytest.raises(RunError, match=r"split\.json: the file must exist"):
        Split.load(tmp_path)


def test_without_folds_there_is_one_division():
    (only,) = WHOLE.folds()
    assert (only.number, only.name, only.train.tolist(), only.validation.tolist()) == (None, "whole", ["a", "b"], ["c"])


def test_every_fold_trains_on_all_but_what_it_holds_out():
    assert [(fold.name, fold.train.tolist(), fold.validation.tolist()) for fold in FOLDED.folds()] == [
        ("0", ["b"], ["a", "c"]),
        ("1", ["a", "c"], ["b"]),
    ]


def test_parts_are_told_by_id_and_the_open_ones_leave_out_the_sealed():
    assert WHOLE.part_of() == {"a": "train", "b": "train", "c": "validation", "d": "test"}
    assert WHOLE.open_ids.tolist() == ["a", "b", "c"]


def test_parts_that_share_rows_and_folds_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="parts must not share ids"):
        Split(train=strings(["a"]), validation=strings([]), test=strings(["a"]))
    for held_out in [(strings(["a"]),), (strings(["a", "b"]), strings(["b"]))]:
        with pytest.raises(ValueError, match="folds must divide the training part"):
            Split(train=strings(["a", "b"]), validation=strings([]), test=strings([]), held_out=held_out)
    with pytest.raises(ValueError, match="leave no other validation part"):
        Split(train=strings(["a"]), validation=strings(["b"]), test=strings([]), held_out=(strings(["a"]),))
