"""A run from the file to the report, and again after it was stopped."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import strop
from strop.data.read import new_rows_of
from strop.errors import DataError, MachineError, ModelError, RecipeError, RunError
from strop.records.dataset import Dataset
from strop.records.predictions import Predictions
from strop.records.split import Split


def test_a_run_leaves_everything_the_plan_names(finished_run: strop.Run) -> None:
    path = finished_run.folder.path
    for name in (
        "recipe.yaml",
        "run.json",
        "ledger.jsonl",
        "data/open.arrow",
        "data/test.sealed.arrow",
        "data/audit.json",
        "split/split.json",
        "split/test.sealed.json",
        "stages/0-cross_entropy/history.jsonl",
        "stages/1-cross_entropy/ended.json",
        "model/config.json",
        "model/model.safetensors",
        "model/strop.json",
        "predictions/model.arrow",
        "predictions/model.test.sealed.arrow",
        "predictions/baseline-tfidf.arrow",
        "scores/validation.json",
        "report.html",
        "README.md",
    ):
        assert (path / name).exists(), name
    assert not (path / "scores" / "test.json").exists()
    about = json.loads((path / "run.json").read_text())
    assert about["state"] == "finished"
    # Report and card are written before: they show when the run ended, and not that it is running.
    for name in ("report.html", "README.md"):
        text = (path / name).read_text(encoding="utf-8")
        assert "Ended" in text
        assert "running" not in text
    assert set(about["seconds"]) == {"prepare", "train", "predict", "baselines", "score"}
    assert about["versions"]["torch"]


def test_new_texts_that_are_cut_are_said(finished_run: strop.Run) -> None:
    long = " ".join(["python function loop"] * 50)
    words = "1 of 2 texts are longer than what is read (32 tokens at a time): the beginning of each was kept"
    with pytest.warns(UserWarning, match=re.escape(words)):
        labels = finished_run.predict([long, "python loop"])
    with pytest.warns(UserWarning, match=re.escape(words)):
        assert finished_run.predict_proba([long, "python loop"]).shape == (2, len(finished_run.labels))
    said: list[str] = []
    rows = new_rows_of([{"text": long}, {"text": "python loop"}], finished_run.recipe.data, normalize=True)
    assert finished_run.predict_rows(rows, note=said.append).best_R().tolist() == labels
    assert [one.startswith(words) for one in said] == [True]


def test_the_model_learns_and_stands_beside_its_baselines(finished_run: strop.Run) -> None:
    scores = finished_run.scores
    assert scores.primary == "macro_f1"
    assert scores.primary_score.value > 0.6
    assert {one.system for one in scores.baselines} == {"majority", "tfidf", "linear_probe"}
    majority = next(one for one in scores.baselines if one.system == "majority")
    assert scores.primary_score.value > majority.metrics["macro_f1"].value
    assert scores.primary_score.low <= scores.primary_score.value <= scores.primary_score.high
    assert any("chose the checkpoint" in caveat for caveat in scores.caveats)


def test_nothing_was_fitted_on_sealed_rows(finished_run: strop.Run) -> None:
    folder = finished_run.folder
    split = Split.load(folder.split)
    open_rows, sealed = Dataset.load(folder.open_data), Dataset.load(folder.sealed_data)
    assert set(sealed.ids) == set(split.test)
    assert not set(open_rows.ids) & set(sealed.ids)
    predictions = Predictions.load(folder.predictions / "model.arrow")
    assert set(predictions.ids) == set(split.validation)
    assert not predictions.seen_R.any()
    report = folder.report.read_text(encoding="utf-8")
    assert not any(text in report for text in sealed.texts["text"] if len(text) > 20)


def test_a_finished_run_is_not_run_again(finished_run: strop.Run, tiny_recipe: dict[str, Any]) -> None:
    stamps = {path: path.stat().st_mtime_ns for path in finished_run.folder.predictions.rglob("*.arrow")}
    strop.fit(tiny_recipe, runs=finished_run.folder.path.parent)
    assert stamps == {path: path.stat().st_mtime_ns for path in finished_run.folder.predictions.rglob("*.arrow")}


def test_another_recipe_may_not_continue_a_run(finished_run: strop.Run, tiny_recipe: dict[str, Any]) -> None:
    with pytest.raises(
        RunError, match=r"a run is continued by the recipe that began it\n  came: it differs at seed: 0 -> 5"
    ):
        strop.fit(tiny_recipe, runs=finished_run.folder.path.parent, seed=5)


def test_what_changes_no_result_may_change_on_the_way(finished_run: strop.Run, tiny_recipe: dict[str, Any]) -> None:
    runs = finished_run.folder.path.parent
    again = strop.fit(tiny_recipe, runs=runs, report_to=["tensorboard"], stages__0__checkpoint_seconds=0)
    assert again.folder.path == finished_run.folder.path


def test_predictions_say_what_made_them(finished_run: strop.Run) -> None:
    made_by = Predictions.load(finished_run.folder.predictions / "folds" / "whole" / "model.arrow").made_by
    chosen = finished_run.folder.read_about()["chosen"]["whole"]
    assert made_by == {"system": "model", "fold": "whole", "stage": str(chosen["stage"]), "step": str(chosen["step"])}


def test_predictions_of_new_texts(finished_run: strop.Run) -> None:
    sealed = Dataset.load(finished_run.folder.open_data)
    texts = [*sealed.texts["text"][:5], "", None]
    labels = finished_run.predict(texts)
    assert len(labels) == 7
    assert set(labels) <= set(finished_run.labels)
    probabilities = finished_run.predict_proba(texts)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)


def test_saved_predictions_are_those_of_the_saved_model(finished_run: strop.Run) -> None:
    saved = finished_run.predictions
    rows = Dataset.load(finished_run.folder.open_data).select(saved.ids)
    again = finished_run.predict_rows(rows)
    np.testing.assert_allclose(again.outputs_RL, saved.outputs_RL, atol=1e-5)


def test_opening_the_test_is_written_down_each_time(tmp_path: Path, tiny_recipe: dict[str, Any]) -> None:
    run = strop.fit(tiny_recipe, runs=tmp_path, stages=[{"epochs": 1}], evaluation__baselines=["majority"])
    first = run.open_test()
    assert first.part == "test"
    (caveat,) = first.caveats
    assert caveat.startswith(f"{len(first.ids)} row(s) are judged: ")
    second = run.open_test()
    assert any("had been opened 1 time(s) before" in caveat for caveat in second.caveats)
    assert [entry.what for entry in run.folder.ledger.openings()] == [
        "the sealed test part was opened (opening number 1)",
        "the sealed test part was opened (opening number 2)",
    ]
    assert first.model == second.model


def test_folds_predict_every_open_row_once(tmp_path: Path, tiny_recipe: dict[str, Any]) -> None:
    run = strop.fit(tiny_recipe, runs=tmp_path, split__folds=3, stages=[{"epochs": 2, "learning_rate": 5e-3}])
    split = Split.load(run.folder.split)
    assert sorted(run.predictions.ids) == sorted(split.train)
    assert set(run.predictions.fold_R) == {0, 1, 2}
    assert run.scores.part == "out of fold"
    assert all((run.folder.path / "folds" / str(fold) / "model" / "strop.json").exists() for fold in range(3))
    assert len(run.predict(["the cat sat"])) == 1
    folds = run.scores.model.folds
    assert [one.fold for one in folds.folds] == [0, 1, 2]
    assert folds.mean.value == pytest.approx(sum(one.score.value for one in folds.folds) / 3)
    assert [one.folds is None for one in run.scores.baselines] == [False] * 3
    opened = run.open_test()
    assert (opened.part, opened.model.folds) == ("test", None)


def test_windows_and_adapters_go_the_whole_way(tmp_path: Path, tiny_causal: Path, tiny_recipe: dict[str, Any]) -> None:
    run = strop.fit(
        tiny_recipe,
        runs=tmp_path,
        model={"name": str(tiny_causal), "adapter": {"rank": 4}, "precision": "float32"},
        text={"max_length_tokens": 12, "windows": {"stride_tokens": 4, "max_windows": 2}},
        stages=[{"trainable": "adapter", "epochs": 2, "learning_rate": 1e-2}],
        evaluation__baselines=["majority", "linear_probe"],
    )
    assert (run.folder.model() / "adapter_model.safetensors").exists()
    assert any(entry.kind == "cut" for entry in run.folder.ledger)
    assert len(run.predict(["the cat sat"])) == 1


def test_a_killed_run_ends_with_the_same_bytes(tmp_path: Path, tiny_recipe: dict[str, Any]) -> None:
    recipe = tmp_path / "recipe.yaml"
    content = {**tiny_recipe, "stages": [{"epochs": 6, "learning_rate": 5e-3, "checkpoint_seconds": 0}]}
    recipe.write_text(yaml.safe_dump({**content, "evaluation": {"baselines": ["majority"], "n_bootstrap": 200}}))
    strop.fit(recipe, runs=tmp_path / "unbroken")
    command = [sys.executable, "-m", "strop.cli", "fit", str(recipe), "--runs", str(tmp_path / "broken")]
    checkpoints = tmp_path / "broken" / "tiny" / "stages" / "0-cross_entropy" / "checkpoints"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 60
    while not checkpoints.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoints.exists()
    assert not (tmp_path / "broken" / "tiny" / "predictions").exists()
    strop.fit(recipe, runs=tmp_path / "broken")
    files = sorted(
        path.relative_to(tmp_path / "unbroken") for path in (tmp_path / "unbroken").rglob("predictions/**/*.arrow")
    )
    assert len(files) >= 3
    for file in files:
        assert (tmp_path / "unbroken" / file).read_bytes() == (tmp_path / "broken" / file).read_bytes(), file


def test_data_that_changed_under_a_run_are_refused(
    tmp_path: Path, tiny_recipe: dict[str, Any], tiny_rows: Path
) -> None:
    data = tmp_path / "rows.csv"
    data.write_bytes(tiny_rows.read_bytes())

    class StopHereError(Exception):
        pass

    class Stopper(strop.training.watch.Watchers):
        def stage_began(self, name: str, n_steps: int, step: int) -> None:
            raise StopHereError

    with pytest.raises(StopHereError):
        strop.fit(tiny_recipe, runs=tmp_path, data__path=str(data), watcher=Stopper())
    with data.open("a", newline="") as file:
        csv.writer(file).writerow(["new", "the cat sat", "a"])
    with pytest.raises(
        RunError, match=r"the data must stay as they were when the run began\n  came: the file has changed since"
    ):
        strop.fit(tiny_recipe, runs=tmp_path, data__path=str(data))


def test_a_finished_run_refuses_changed_data(tmp_path: Path, tiny_recipe: dict[str, Any], tiny_rows: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_bytes(tiny_rows.read_bytes())
    fast = {"data__path": str(data), "stages": [{"epochs": 0.1}], "evaluation__baselines": ["majority"]}
    strop.fit(tiny_recipe, runs=tmp_path, **fast)
    with data.open("a", newline="") as file:
        csv.writer(file).writerow(["new", "the cat sat", "a"])
    with pytest.raises(RunError, match="the data must stay as they were when the run began"):
        strop.fit(tiny_recipe, runs=tmp_path, **fast)


def test_a_mended_recipe_may_use_the_name_of_a_failed_attempt(tmp_path: Path, tiny_recipe: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        strop.fit(tiny_recipe, runs=tmp_path, data__target="lable")
    run = strop.fit(tiny_recipe, runs=tmp_path, stages=[{"epochs": 0.1}], evaluation__baselines=["majority"])
    assert run.recipe.data.target == "label"


def test_scores_of_an_unfinished_run_are_refused(tmp_path: Path, tiny_recipe: dict[str, Any]) -> None:
    class StopHereError(Exception):
        pass

    class Stopper(strop.training.watch.Watchers):
        def stage_began(self, name: str, n_steps: int, step: int) -> None:
            raise StopHereError

    with pytest.raises(StopHereError):
        strop.fit(tiny_recipe, runs=tmp_path, watcher=Stopper())
    run = strop.Run(tmp_path / "tiny")
    for ask in (lambda: run.scores, lambda: run.predict(["a"]), run.open_test):
        with pytest.raises(RunError, match=r"the run must be finished\n  came: a run that is running"):
            ask()


def test_a_run_without_a_test_part_has_nothing_to_open(tmp_path: Path, tiny_recipe: dict[str, Any]) -> None:
    run = strop.fit(
        tiny_recipe,
        runs=tmp_path,
        split__test_fraction=0.0,
        stages=[{"epochs": 1}],
        evaluation__baselines=["majority"],
    )
    with pytest.raises(RunError, match=r"must have a sealed test part to open\n  came: split.test_fraction=0"):
        run.open_test()


def test_a_folder_that_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"the folder must hold a run\n  came: no such folder"):
        strop.Run(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"data__path": "missing.csv"}, DataError, "missing.csv"),
        ({"model__name": "/no/such/model"}, ModelError, "/no/such/model"),
        ({"text__max_length_tokens": 100_000}, RecipeError, "max_length_tokens"),
        ({"data__target": "lable"}, DataError, "did you mean 'label'"),
        ({"split__folds": 500}, DataError, "folds"),
        ({"report_to": ["mlflow"]}, MachineError, "strop[mlflow]"),
    ],
)
def test_what_is_wrong_is_said_before_training(
    tmp_path: Path, tiny_recipe: dict[str, Any], change: dict[str, Any], error: type[Exception], words: str
) -> None:
    if change.get("report_to") == ["mlflow"]:
        from importlib.util import find_spec

        if find_spec("mlflow"):
            pytest.skip("mlflow is installed")
    with pytest.raises(error) as caught:
        strop.fit(tiny_recipe, runs=tmp_path, **change)
    assert words in str(caught.value)


def test_trackers_receive_losses_and_metrics(tmp_path: Path, tiny_recipe: dict[str, Any]) -> None:
    pytest.importorskip("tensorboard", reason="needs strop[tensorboard]")
    run = strop.fit(
        tiny_recipe,
        runs=tmp_path,
        report_to=["tensorboard"],
        stages=[{"epochs": 1}],
        evaluation__baselines=["majority"],
    )
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = run.folder.path.rglob("events.out.tfevents*")
    log = EventAccumulator(str(events.parent)).Reload()
    names = log.Tags()["scalars"]
    assert any(name.endswith("/loss") for name in names)
    assert any(name.endswith("/validation_macro_f1") for name in names)


def test_what_was_removed_from_a_finished_run_is_made_again(finished_run: strop.Run, tmp_path: Path) -> None:
    copied = tmp_path / finished_run.folder.path.name
    shutil.copytree(finished_run.folder.path, copied)
    removed = copied / "predictions" / "model.arrow"
    before = removed.read_bytes()
    removed.unlink()
    (copied / "report.html").unlink()
    strop.fit(finished_run.recipe, runs=tmp_path)
    assert removed.read_bytes() == before
    assert (copied / "report.html").exists()
