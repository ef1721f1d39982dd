"""Votes of finished runs, of runs with folds, and of checkpoints."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import strop
from strop.ensembling.vote import hard_vote, soft_vote
from strop.errors import RunError
from strop.records.predictions import Predictions
from strop.records.scores import Scores
from strop.runs.several.ensemble import HOWS, vote_run_folders

FAST = {"stages": [{"epochs": 2, "learning_rate": 5e-3, "batch_size": 8}], "evaluation__baselines": ["majority"]}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: dict[str, Any]) -> list[Path]:
    """Two runs of the same split whose test parts were opened."""
    runs = tmp_path_factory.mktemp("pair")
    for name, dropout in (("one", 0.1), ("two", 0.4)):
        strop.fit(tiny_recipe, runs=runs, name=name, model__head_dropout=dropout, **FAST).open_test()
    return [runs / "one", runs / "two"]


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: dict[str, Any]) -> list[Path]:
    """Two runs with the same folds; the first has two evaluations a fold."""
    runs = tmp_path_factory.mktemp("folded")
    for name, rate in (("slow", 1e-3), ("quick", 5e-3)):
        stages = [{"epochs": 1, "learning_rate": rate, "evaluations_per_epoch": 2}]
        strop.fit(tiny_recipe, runs=runs, name=name, split__folds=2, **{**FAST, "stages": stages})
    return [runs / "slow", runs / "quick"]


@pytest.fixture
def copied(pair: list[Path], tmp_path: Path) -> list[Path]:
    return [Path(shutil.copytree(path, tmp_path / path.name)) for path in pair]


def test_runs_vote_on_the_rows_that_they_held_out(pair: list[Path], tmp_path: Path) -> None:
    runs = [strop.Run(path) for path in pair]
    found = vote_run_folders(pair, how="soft")
    assert set(found.held_out.scores) == set(HOWS)
    expected_RL = soft_vote(np.stack([run.predictions.probabilities_RL() for run in runs]))
    votes = found.held_out.predictions["soft"]
    assert votes.ids.tolist() == runs[0].predictions.ids.tolist()
    np.testing.assert_allclose(votes.probabilities_RL(), expected_RL, atol=1e-6)
    assert sum(found.weights.values()) == pytest.approx(1.0)
    assert found.test is None

    values = {run.folder.path.name: run.scores.primary_score.value for run in runs}
    assert values[found.best] == max(values.values())
    beside = {one.system: one.metrics["macro_f1"].value for one in found.scores.baselines}
    assert beside == pytest.approx(values)
    assert found.scores.differences[0].other == found.best
    for how in HOWS:
        (first, *_) = found.held_out.scores[how].differences
        gain = found.held_out.scores[how].primary_score.value - max(values.values())
        assert first.value == pytest.approx(gain)
        assert first.low <= first.value <= first.high
    assert any("chose the checkpoint" in caveat for caveat in found.scores.caveats)

    found.save(tmp_path / "vote")
    assert Scores.load(tmp_path / "vote" / "scores.json").primary_score == found.scores.primary_score
    assert Predictions.load(tmp_path / "vote" / "predictions.arrow").made_by == {
        "system": "soft vote",
        "voters": "one, two",
    }
    content = json.loads((tmp_path / "vote" / "ensemble.json").read_text())
    assert (content["how"], set(content["held_out"]), content["test"]) == ("soft", set(HOWS), None)
    assert content["held_out"]["hard"]["minus_best_voter"]["low"] <= 0.0
    assert len(found.lines(found.held_out)) == 1 + len(HOWS) + len(pair)


def test_opened_test_rows_are_voted_on_and_the_look_is_written_down(copied: list[Path]) -> None:
    n_before = len(strop.Run(copied[0]).folder.ledger.openings())
    found = vote_run_folders(copied, how="weighted", on_test=True)
    assert found.test is not None
    sealed = [Predictions.load(path / "predictions" / "model.test.sealed.arrow") for path in copied]
    weights_S = np.array(list(found.weights.values()))
    expected_RL = np.tensordot(weights_S, np.stack([one.probabilities_RL() for one in sealed]), axes=1)
    votes = found.test.predictions["weighted"]
    np.testing.assert_allclose(votes.select(sealed[0].ids).probabilities_RL(), expected_RL, atol=1e-6)
    scores = found.test.scores["weighted"]
    assert (scores.part, scores.temperature) == ("test", found.scores.temperature)
    for path in copied:
        openings = strop.Run(path).folder.ledger.openings()
        assert len(openings) == n_before + 1
        assert openings[-1].what == "the opened test part was used to let one, two vote (opening number 2)"


def test_sealed_test_rows_are_not_voted_on(pair: list[Path], finished_run: strop.Run) -> None:
    with pytest.raises(RunError, match="must have been opened before runs are ensembled on it") as caught:
        vote_run_folders([pair[0], finished_run.folder.path], on_test=True)
    assert str(finished_run.folder.path) in str(caught.value)
    assert finished_run.folder.ledger.openings() == []


def test_checkpoints_of_one_run_vote(pair: list[Path]) -> None:
    found = vote_run_folders(pair[:1], how="hard", of_checkpoints=True)
    steps = sorted(file.stem for file in (pair[0] / "stages" / "0-cross_entropy" / "predictions").glob("*.arrow"))
    assert len(steps) == 2
    assert sorted(found.weights) == [f"one {step}" for step in steps]
    both = vote_run_folders(pair, of_checkpoints=True)
    assert len(both.weights) == 4
    with pytest.raises(RunError, match="checkpoints vote on held-out rows alone"):
        vote_run_folders(pair, of_checkpoints=True, on_test=True)


def test_runs_with_folds_vote_out_of_fold(folded: list[Path]) -> None:
    found = vote_run_folders(folded, how="weighted")
    assert found.scores.part == "out of fold"
    assert len(found.scores.ids) == strop.Run(folded[0]).predictions.n_rows
    found = vote_run_folders(folded, of_checkpoints=True)
    assert sorted(found.weights) == [f"{name} evaluation {at}" for name in ("quick", "slow") for at in (1, 2)]
    assert len(found.scores.ids) == strop.Run(folded[0]).predictions.n_rows


def test_sealed_rows_of_runs_with_folds_are_predicted_by_the_folds_average(folded: list[Path], tmp_path: Path) -> None:
    copies = [Path(shutil.copytree(path, tmp_path / path.name)) for path in folded]
    for path in copies:
        strop.Run(path).open_test()
    found = vote_run_folders(copies, on_test=True)
    assert found.test is not None
    averages = [Predictions.load(path / "predictions" / "model.test.sealed.arrow") for path in copies]
    expected_RL = np.mean([one.probabilities_RL() for one in averages], axis=0)
    votes = found.test.predictions["soft"].select(averages[0].ids)
    np.testing.assert_allclose(votes.probabilities_RL(), expected_RL, atol=1e-6)


def test_single_folds_vote_on_the_rows_that_they_held_out(folded: list[Path], tmp_path: Path) -> None:
    found = vote_run_folders([path / "folds" / "1" for path in folded], how="weighted")
    assert list(found.weights) == ["slow fold 1", "quick fold 1"]
    by_fold = [Predictions.load(path / "predictions" / "folds" / "1" / "model.arrow") for path in folded]
    assert sorted(found.scores.ids) == sorted(by_fold[0].ids.tolist())
    expected_RL = soft_vote(np.stack([one.select(by_fold[0].ids).probabilities_RL() for one in by_fold]))
    votes = found.held_out.predictions["soft"].select(by_fold[0].ids)
    np.testing.assert_allclose(votes.probabilities_RL(), expected_RL, atol=1e-6)

    # Beside a fold a whole run votes on the fold's rows alone, by what it said out of fold.
    mixed = vote_run_folders([folded[0], folded[1] / "folds" / "1"])
    assert sorted(mixed.scores.ids) == sorted(by_fold[0].ids.tolist())
    of_run = Predictions.load(folded[0] / "predictions" / "model.arrow").select(by_fold[0].ids)
    np.testing.assert_array_equal(of_run.outputs_RL, by_fold[0].outputs_RL)

    found.save(tmp_path / "votes" / "fold")
    content = json.loads((tmp_path / "votes" / "fold" / "ensemble.json").read_text())
    voter = content["voters"]["slow fold 1"]
    assert (tmp_path / "votes" / "fold" / voter["path"]).resolve() == folded[0].resolve()
    assert (voter["fold"], voter["checkpoint"], content["votes_by_fold"]) == ("1", None, False)
    assert set(content["temperatures"]) == set(content["weights"]) == set(content["voters"])


def test_folds_that_held_out_different_rows_vote_on_test_rows_alone(folded: list[Path], tmp_path: Path) -> None:
    folds = [folded[0] / "folds" / "0", folded[0] / "folds" / "1"]
    with pytest.raises(RunError, match="there must be rows that all voters held out") as caught:
        vote_run_folders(folds)
    assert "none for slow fold 0, slow fold 1" in str(caught.value)
    assert "--folds --on-test" in str(caught.value)
    with pytest.raises(RunError, match="the folds of a run vote together on test rows alone"):
        vote_run_folders(folded, of_folds=True)

    copies = [Path(shutil.copytree(path, tmp_path / path.name)) for path in folded]
    for path in copies:
        strop.Run(path).open_test()
    found = vote_run_folders(copies, how="hard", of_folds=True, on_test=True)
    assert found.test is not None
    files = [path / "predictions" / "folds" / fold / "model.test.sealed.arrow" for path in copies for fold in "01"]
    each = [Predictions.load(file) for file in files]
    expected_RL = hard_vote(np.stack([one.probabilities_RL() for one in each]))
    votes = found.test.predictions["hard"].select(each[0].ids)
    np.testing.assert_allclose(votes.probabilities_RL(), expected_RL, atol=1e-6)
    assert votes.made_by["voters"] == "slow fold 0, slow fold 1, quick fold 0, quick fold 1"
    # A run's weight, which was fitted out of fold, is shared by its folds.
    weights_S = np.repeat([found.weights["slow"] / 2, found.weights["quick"] / 2], 2)
    weighted_RL = np.tensordot(weights_S, np.stack([one.probabilities_RL() for one in each]), axes=1)
    weighted = found.test.predictions["weighted"].select(each[0].ids)
    np.testing.assert_allclose(weighted.probabilities_RL(), weighted_RL, atol=1e-6)
    assert {one.system for one in found.test.scores["hard"].baselines} == {
        *("slow", "quick", "slow fold 0", "slow fold 1", "quick fold 0", "quick fold 1")
    }

    alone = vote_run_folders(copies[:1], how="hard", of_folds=True, on_test=True)
    assert alone.weights == {"slow": 1.0}
    assert any("on these rows a run has one vote" in caveat for caveat in alone.scores.caveats)
    single = vote_run_folders([copies[0] / "folds" / "0", copies[1] / "folds" / "0"], on_test=True)
    assert single.test is not None
    assert single.test.predictions["soft"].made_by["voters"] == "slow fold 0, quick fold 0"


def test_single_checkpoints_vote(pair: list[Path], folded: list[Path]) -> None:
    place = pair[0] / "stages" / "0-cross_entropy" / "predictions"
    steps = sorted(place.glob("step-*.arrow"))
    found = vote_run_folders([steps[0], steps[1], pair[1]], how="soft")
    assert list(found.weights) == [f"one {steps[0].stem}", f"one {steps[1].stem}", "two"]
    said = [Predictions.load(step) for step in steps] + [strop.Run(pair[1]).predictions]
    expected_RL = soft_vote(np.stack([one.select(said[2].ids).probabilities_RL() for one in said]))
    votes = found.held_out.predictions["soft"].select(said[2].ids)
    np.testing.assert_allclose(votes.probabilities_RL(), expected_RL, atol=1e-6)
    assert any("single checkpoints were named" in caveat for caveat in found.scores.caveats)
    with pytest.raises(RunError, match="checkpoints vote on held-out rows alone"):
        vote_run_folders([steps[0], pair[1]], on_test=True)

    of_fold = sorted((folded[0] / "folds" / "0" / "stages" / "0-cross_entropy" / "predictions").glob("*.arrow"))
    found = vote_run_folders([*of_fold, folded[1]])
    assert list(found.weights) == [*(f"slow fold 0 {file.stem}" for file in of_fold), "quick"]
    assert len(found.scores.ids) == Predictions.load(of_fold[0]).n_rows


def test_what_is_no_voter_is_said(pair: list[Path], folded: list[Path]) -> None:
    place = pair[0] / "stages" / "0-cross_entropy" / "predictions"
    with pytest.raises(RunError, match="a file that votes must hold a checkpoint's predictions"):
        vote_run_folders([pair[0] / "predictions" / "model.arrow", pair[1]])
    with pytest.raises(RunError, match="there must be predictions of this checkpoint") as caught:
        vote_run_folders([place / "step-9999999.arrow", pair[1]])
    assert "did you mean 'step-" in str(caught.value)
    with pytest.raises(RunError, match="it must be a fold of the run\n  came: fold '7'\n  do:   use one of: 0, 1"):
        vote_run_folders([folded[0] / "folds" / "7", folded[1]])
    with pytest.raises(RunError, match="name the run itself: it has no folds"):
        vote_run_folders([pair[0] / "folds" / "0", pair[1]])
    with pytest.raises(RunError, match="a run must have folds that can vote\n  came: none in one, two"):
        vote_run_folders(pair, of_folds=True, on_test=True)


def test_a_voter_that_was_trained_on_its_rows_is_refused(copied: list[Path]) -> None:
    (step, *_) = sorted((copied[0] / "stages" / "0-cross_entropy" / "predictions").glob("*.arrow"))
    said = Predictions.load(step)
    replace(said, seen_R=np.ones(said.n_rows, dtype=np.bool_)).save(step)
    with pytest.raises(RunError, match="must not have been trained on the rows that it votes on"):
        vote_run_folders([step, copied[1]])


def test_runs_that_cannot_vote_together(
    pair: list[Path], folded: list[Path], tmp_path: Path, tiny_recipe: dict[str, Any]
) -> None:
    with pytest.raises(RunError, match="there must be at least two voters\n  came: one"):
        vote_run_folders(pair[:1])
    with pytest.raises(RunError, match="every voter must be named once"):
        vote_run_folders([pair[0], pair[0]])
    with pytest.raises(RunError, match="all voters must have predicted the same rows") as caught:
        vote_run_folders([pair[0], folded[0]])
    assert "rows that one did not predict, and 0 missing that it did" in str(caught.value)
    other = strop.fit(tiny_recipe, runs=tmp_path, name="other", seed=1, **FAST)
    with pytest.raises(RunError, match="fit the runs with the same data file, seed, split and groups"):
        vote_run_folders([pair[0], other.folder.path])


def test_runs_must_agree_on_labels(
    pair: list[Path], tmp_path: Path, tiny_rows: Path, tiny_recipe: dict[str, Any]
) -> None:
    # The same rows in the same parts, with another name for a label.
    renamed = tmp_path / "renamed.csv"
    lines = tiny_rows.read_text(encoding="utf-8").splitlines(keepends=True)
    label = lines[1].rstrip("\n").rpartition(",")[2]
    renamed.write_text("".join(line.replace(f",{label}\n", f",{label}x\n") for line in lines), encoding="utf-8")
    data = {**tiny_recipe["data"], "path": str(renamed)}
    other = strop.fit({**tiny_recipe, "data": data}, runs=tmp_path, name="renamed", **FAST)
    with pytest.raises(RunError) as caught:
        vote_run_folders([pair[0], other.folder.path])
    words = str(caught.value)
    assert "runs must know the same labels" in words
    assert "runs must agree on the true label of every shared row" in words


def test_only_finished_classifiers_vote(pair: list[Path], tmp_path: Path) -> None:
    broken = Path(shutil.copytree(pair[0], tmp_path / "broken"))
    shutil.rmtree(broken / "stages")
    with pytest.raises(RunError, match="the run must hold predictions of its checkpoints"):
        vote_run_folders([broken], of_checkpoints=True)
    about = json.loads((broken / "run.json").read_text())
    (broken / "run.json").write_text(json.dumps({**about, "state": "training"}))
    with pytest.raises(RunError, match="the run must be finished\n  came: a run that is training"):
        vote_run_folders([pair[1], broken])
    recipe = (broken / "recipe.yaml").read_text()
    (broken / "run.json").write_text(json.dumps(about))
    (broken / "recipe.yaml").write_text(
        recipe.replace("task: classify", "task: regress")
        .replace("  targets: null\n", "")
        .replace("  target: label", "  targets: [label]")
        .replace("macro_f1", "spearman")
        .replace("objective: cross_entropy", "objective: mse")
        .replace("class_weights: balanced", "class_weights: none")
        .replace("- majority", "- mean")
    )
    with pytest.raises(RunError, match="only runs that predict labels vote\n  came: a run of the task 'regress'"):
        vote_run_folders([pair[1], broken])
