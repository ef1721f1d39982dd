"""Saved ensembles: read again, and let to vote on new rows."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import strop
from strop.data.read import read_new_rows
from strop.ensembling.vote import hard_vote, soft_vote
from strop.errors import RunError
from strop.records.predictions import Predictions
from strop.runs.several.ensemble import vote_run_folders
from strop.runs.several.saved_ensemble import SavedEnsemble, holds_ensemble

NEW = "text\npython error in a loop\nthe cat sat on a page\n"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: dict[str, Any]) -> list[Path]:
    """A run with two folds and one with the same folds and another rate."""
    folder = tmp_path_factory.mktemp("runs")
    for name, rate in (("slow", 1e-3), ("quick", 5e-3)):
        stages = [{"epochs": 1, "learning_rate": rate, "batch_size": 8}]
        strop.fit(
            tiny_recipe, runs=folder, name=name, split__folds=2, stages=stages, evaluation__baselines=["majority"]
        ).open_test()
    return [folder / "slow", folder / "quick"]


@pytest.fixture
def new_rows(tmp_path: Path) -> Path:
    path = tmp_path / "new.csv"
    path.write_text(NEW, encoding="utf-8")
    return path


def vote_on(folder: Path, path: Path) -> tuple[SavedEnsemble, Predictions]:
    ensemble = SavedEnsemble.load(folder)
    read = {
        place: read_new_rows(path, run.recipe.data, normalize=run.recipe.text.normalize).dataset
        for place, run in ensemble.runs.items()
    }
    return ensemble, ensemble.predict_rows(read)


def probabilities(run: strop.Run, path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    rows = read_new_rows(path, run.recipe.data, normalize=run.recipe.text.normalize).dataset
    return run.predict_rows(rows).probabilities_RL()


def tempered(vote_RL: np.ndarray[Any, np.dtype[np.float64]], temperature: float) -> Any:
    raised = vote_RL ** (1 / temperature)
    return raised / raised.sum(axis=1, keepdims=True)


def test_a_saved_soft_or_weighted_vote_is_repeated_on_new_rows(
    runs: list[Path], tmp_path: Path, new_rows: Path
) -> None:
    each = np.stack([probabilities(strop.Run(path), new_rows) for path in runs])
    for how in ("soft", "weighted"):
        found = vote_run_folders(runs, how=how)
        found.save(tmp_path / how)
        assert holds_ensemble(tmp_path / how)
        assert not holds_ensemble(tmp_path)
        ensemble, vote = vote_on(tmp_path / how, new_rows)
        weights_S = np.array([found.weights[path.name] if how == "weighted" else 0.5 for path in runs])
        expected_RL = tempered(np.tensordot(weights_S, each, axes=1), ensemble.temperature)
        assert ensemble.temperature == pytest.approx(found.scores.temperature)
        np.testing.assert_allclose(vote.probabilities_RL(), expected_RL, atol=1e-5)
        assert vote.labels == strop.Run(runs[0]).labels


def test_folds_have_votes_of_their_own_where_they_had_them(runs: list[Path], tmp_path: Path, new_rows: Path) -> None:
    vote_run_folders(runs[:1], how="hard", of_folds=True, on_test=True).save(tmp_path / "folds")
    ensemble, vote = vote_on(tmp_path / "folds", new_rows)
    vote_run_folders([path / "folds" / "1" for path in runs]).save(tmp_path / "one")
    single, of_single = vote_on(tmp_path / "one", new_rows)
    by_fold = []
    for fold in ("0", "1"):
        vote_run_folders([runs[0] / "folds" / fold, runs[1] / "folds" / fold], how="soft").save(tmp_path / fold)
        path = tmp_path / fold / "ensemble.json"
        content = json.loads(path.read_text())
        # The first voter alone, uncalibrated, is that fold's model.
        name = f"slow fold {fold}"
        content |= {"voters": {name: content["voters"][name]}, "weights": {name: 1.0}, "temperature": 1.0}
        path.write_text(json.dumps(content))
        by_fold.append(vote_on(tmp_path / fold, new_rows)[1].probabilities_RL())
    np.testing.assert_allclose(
        vote.probabilities_RL(), tempered(hard_vote(np.stack(by_fold)), ensemble.temperature), atol=1e-5
    )
    # The average of the folds is what the run says.
    np.testing.assert_allclose(soft_vote(np.stack(by_fold)), probabilities(strop.Run(runs[0]), new_rows), atol=1e-5)
    assert list(single.voters) == ["slow fold 1", "quick fold 1"]
    assert not np.allclose(of_single.probabilities_RL(), by_fold[1])


def test_calibrated_votes_divide_the_logits_of_every_model(runs: list[Path], tmp_path: Path, new_rows: Path) -> None:
    found = vote_run_folders([path / "folds" / "0" for path in runs], how="calibrated")
    found.save(tmp_path / "vote")
    path = tmp_path / "vote" / "ensemble.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "temperature": 1.0, "temperatures": dict.fromkeys(found.weights, 1e6)}))
    _, vote = vote_on(tmp_path / "vote", new_rows)
    n_labels = len(vote.labels)
    np.testing.assert_allclose(vote.probabilities_RL(), np.full((2, n_labels), 1 / n_labels), atol=1e-5)


def test_what_cannot_vote_any_more_is_said(runs: list[Path], tmp_path: Path) -> None:
    copies = [Path(shutil.copytree(path, tmp_path / path.name)) for path in runs]
    place = tmp_path / "vote"
    vote_run_folders(copies).save(place)
    SavedEnsemble.load(place)
    shutil.move(copies[0], tmp_path / "gone")
    (copies[1] / "predictions" / "model.arrow").write_bytes(b"x")
    with pytest.raises(RunError) as caught:
        SavedEnsemble.load(place)
    words = str(caught.value)
    assert "every run of an ensemble must still be where it was" in words
    assert "its held-out predictions have changed" in words
    assert "vote again: `strop ensemble RUN RUN... -o`" in words
    about = json.loads((copies[1] / "run.json").read_text())
    (copies[1] / "run.json").write_text(json.dumps({**about, "state": "training"}))
    with pytest.raises(RunError, match="the run must be finished"):
        SavedEnsemble.load(place)
    (place / "ensemble.json").write_text("{}")
    with pytest.raises(RunError, match="it must say who votes, and how"):
        SavedEnsemble.load(place)


def test_checkpoints_do_not_vote_on_new_rows(runs: list[Path], tmp_path: Path) -> None:
    vote_run_folders(runs, of_checkpoints=True).save(tmp_path / "all")
    step = next((runs[0] / "folds" / "0" / "stages" / "0-cross_entropy" / "predictions").glob("*.arrow"))
    vote_run_folders([step, runs[1]]).save(tmp_path / "one")
    for name in ("all", "one"):
        with pytest.raises(RunError, match="only models that a run chose vote on new rows"):
            SavedEnsemble.load(tmp_path / name)
