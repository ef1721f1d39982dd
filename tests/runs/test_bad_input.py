"""What users hand in by mistake: each an error of the right kind, nothing left half done."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from strop.errors import DataError, MachineError, ModelError, RecipeError, StropError
from strop.recipe.load import resolve
from strop.records.run_folder import RunFolder
from strop.runs.check import check_recipe
from strop.runs.fit import fit

GOOD = "id,text,label\n" + "".join(f"r{at},the cat sat number {at * 7919},{'ab'[at % 2]}\n" for at in range(40))


def recipe(path: Path, model: Path, **data: Any) -> dict[str, Any]:
    return {
        "name": "bad",
        "data": {"path": str(path), "text": "text", "target": "label", "id": "id", **data},
        "model": {"name": str(model)},
        "text": {"max_length_tokens": 32},
        "split": {"near_duplicates": "ignore"},
    }


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


BAD_FILES: list[tuple[str, Callable[[], str | bytes], dict[str, Any], str]] = [
    ("missing column", lambda: GOOD.replace("label", "lable", 1), {}, "did you mean 'lable'"),
    ("one class only", lambda: GOOD.replace(",b\n", ",a\n"), {}, "class"),
    ("empty file", lambda: "", {}, "empty"),
    ("header only", lambda: "id,text,label\n", {}, "a header line and nothing below it"),
    ("binary file", lambda: bytes(range(256)) * 20, {}, "text"),
    ("ragged CSV", lambda: GOOD + "r90,one\nr91,a,b,c,d\n", {}, "42"),
    ("duplicate ids", lambda: GOOD + "r0,again,a\n", {}, "r0"),
    ("NaN labels refused", lambda: GOOD + "r99,no label,NaN\n", {"missing_label": "refuse"}, "label"),
]


@pytest.mark.parametrize(
    ("content", "data", "words"), [one[1:] for one in BAD_FILES], ids=[one[0] for one in BAD_FILES]
)
def test_bad_files_are_data_errors(
    tmp_path: Path, tiny_encoder: Path, content: Callable[[], str | bytes], data: dict[str, Any], words: str
) -> None:
    file = written(tmp_path / "rows.csv", content())
    with pytest.raises(DataError) as caught:
        fit(recipe(file, tiny_encoder, **data), runs=tmp_path / "runs")
    assert caught.value.exit_code == 3
    assert words in str(caught.value)
    assert all(problem.must and problem.came and problem.do and problem.where for problem in caught.value.problems)
    folder = RunFolder(tmp_path / "runs" / "bad")
    assert not folder.split.exists()
    # The same command goes on once the file is mended.
    written(file, GOOD)
    checked = check_recipe(resolve(recipe(file, tiny_encoder)))
    assert checked.audit.n_rows == 40


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (GOOD + "r99,no label,NaN\n", "dropped", "label"),
        (GOOD + "r99,,a\n", "dropped", "text"),
        (GOOD + "r99,the only one of its kind,c\n", "kept", "'c' appears once"),
        (GOOD + f"r99,{'long ' * 2_100_000},a\n", "note", "cell"),
    ],
    ids=["NaN label", "blank text", "a label that appears once", "10 MB in one cell"],
)
def test_what_can_be_used_is_used_and_said_in_the_ledger(
    tmp_path: Path, tiny_encoder: Path, content: str, kind: str, words: str
) -> None:
    checked = check_recipe(resolve(recipe(written(tmp_path / "rows.csv", content), tiny_encoder)))
    said = [entry for entry in checked.entries if words in entry.what]
    assert said, [entry.what for entry in checked.entries]
    assert kind in {entry.kind for entry in said}, [(entry.kind, entry.what) for entry in said]


def test_fewer_rows_than_folds(tmp_path: Path, tiny_encoder: Path) -> None:
    content = recipe(written(tmp_path / "rows.csv", GOOD), tiny_encoder)
    content["split"]["folds"] = 50
    with pytest.raises(DataError, match="folds"):
        check_recipe(resolve(content))


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("tokenizer*", "tokenizer"), ("*.safetensors", "safetensors"), ("config.json", "config.json")],
)
def test_a_model_folder_that_lacks_something(tmp_path: Path, tiny_encoder: Path, pattern: str, words: str) -> None:
    model = shutil.copytree(tiny_encoder, tmp_path / "model")
    for file in model.glob(pattern):
        file.unlink()
    with pytest.raises(ModelError, match=words) as caught:
        check_recipe(resolve(recipe(written(tmp_path / "rows.csv", GOOD), model)))
    assert caught.value.exit_code == 4


def test_no_space_left_is_said_and_what_is_there_stays(
    tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    content = recipe(written(tmp_path / "rows.csv", GOOD), tiny_encoder)
    folder = RunFolder(tmp_path / "runs" / "bad")
    real = os.fsync

    def full(handle: int) -> None:
        # The disk is full from the moment the split has been written.
        if (folder.split / "split.json").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MachineError) as caught:
        fit(content, runs=tmp_path / "runs")
    assert "the disk must have room for what a run writes" in str(caught.value)
    assert "give the same command again; what was finished is kept" in str(caught.value)
    monkeypatch.undo()
    stamp = (folder.split / "split.json").stat().st_mtime_ns
    content["stages"] = None
    fit({**content, "stages": [{"epochs": 3.0}]}, runs=tmp_path / "runs")
    assert (folder.split / "split.json").stat().st_mtime_ns == stamp


def test_all_problems_of_a_recipe_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        resolve({"name": "bad name", "data": {"path": "x"}, "stages": [{"epocs": 3}]})
    assert {problem.where for problem in caught.value.problems} == {
        "recipe: name",
        "recipe: data.text",
        "recipe: data.target",
        "recipe: model",
        "recipe: stages.0.epocs",
    }
    assert isinstance(caught.value, StropError)
