"""`strop ensemble` as a person types it."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import strop
from strop.cli.main import app
from strop.errors import RunError


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, tiny_rows: Path) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    recipe: dict[str, Any] = {
        "name": "one",
        "data": {"path": str(tiny_rows), "text": "text", "target": "label", "id": "id"},
        "model": {"name": str(tiny_encoder), "precision": "float32"},
        "text": {"max_length_tokens": 32},
        "stages": [{"epochs": 1, "learning_rate": 5e-3}],
        "evaluation": {"n_bootstrap": 100, "baselines": ["majority"]},
    }
    for name, dropout in (("one", 0.1), ("two", 0.3)):
        strop.fit(recipe, runs=folder, name=name, model__head_dropout=dropout)
    return folder


def test_votes_voters_and_weights_are_shown_and_saved(runs: Path, tmp_path: Path) -> None:
    arguments = ["ensemble", str(runs / "one"), str(runs / "two"), "--how", "weighted", "-o", str(tmp_path / "vote")]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    for words in (
        "soft vote: ",
        "calibrated vote: ",
        "hard vote: ",
        "weighted vote: ",
        "; minus ",
        "weight of two in the weighted vote: ",
    ):
        assert words in done.output, words
    assert "Macro F1 on the validation part" in done.output
    names = {"ensemble.json", "predictions.arrow", "scores.json"}
    assert {path.name for path in (tmp_path / "vote").iterdir()} == names


def test_an_unknown_vote_is_refused_with_those_that_there_are(runs: Path) -> None:
    done = CliRunner().invoke(app, ["ensemble", str(runs / "one"), str(runs / "two"), "--how", "loud"])
    assert done.exit_code == 2
    assert "weighted" in done.output


def test_what_cannot_be_had_of_saved_predictions_is_said(runs: Path) -> None:
    done = CliRunner().invoke(app, ["ensemble", str(runs / "one"), str(runs / "two"), "--folds"])
    assert isinstance(done.exception, RunError)
    assert "the folds of a run vote together on test rows alone" in str(done.exception)
