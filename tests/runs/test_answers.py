"""The task `answer` from data to report, with a tiny model that writes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import strop
from strop.records.answers import Answers
from strop.records.dataset import Dataset

COLOURS = ("red", "blue", "green")


@pytest.fixture(scope="module")
def squad_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 contexts of three questions each."""
    articles = []
    for at in range(24):
        colour = COLOURS[at % 3]
        context = f"box {at} is {colour}"
        questions = [
            {
                "id": f"q{at}-{number}",
                "question": words,
                "answers": [{"text": colour, "answer_start": context.index(colour)}],
            }
            for number, words in enumerate(("which colour", "what is it", "say the colour"))
        ]
        articles.append({"title": f"box {at}", "paragraphs": [{"context": context, "qas": questions}]})
    path = tmp_path_factory.mktemp("squad") / "boxes.json"
    path.write_text(json.dumps({"version": "1.1", "data": articles}))
    return path


@pytest.fixture(scope="module")
def recipe(squad_file: Path, tiny_causal: Path) -> dict[str, Any]:
    """A recipe that fits in seconds."""
    return {
        "name": "boxes",
        "task": "answer",
        "data": {
            "path": str(squad_file),
            "text": ["context", "question"],
            "context": "context",
            "answers": "answers",
            "id": "id",
        },
        "model": {"name": str(tiny_causal), "precision": "float32"},
        "text": {"max_length_tokens": 96},
        "answer": {
            "prompt": {"template": "{{ context }}\n{{ question }}? ", "max_answer_tokens": 8},
            "cleaning": {"first_line": True, "strip": "."},
        },
        "stages": [{"epochs": 20, "learning_rate": 5e-3, "batch_size": 6, "evaluations_per_epoch": 0.2}],
        "evaluation": {"n_bootstrap": 200, "few_shot_rows": 1},
    }


@pytest.fixture(scope="module")
def run(recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> strop.Run:
    """A finished run; tests must not open its test part."""
    return strop.fit(recipe, runs=tmp_path_factory.mktemp("runs"))


def test_a_model_learns_to_answer(run: strop.Run) -> None:
    scores = run.scores
    assert scores.primary == "f1"
    assert scores.model.metrics["f1"].value > 0.9
    assert {one.system for one in scores.baselines} == {"zero_shot", "few_shot"}
    assert scores.model.metrics["f1"].value > max(one.metrics["f1"].value for one in scores.baselines)
    assert scores.model.metrics["ended"].value == 1.0


def test_answers_are_saved_and_those_of_sealed_rows_stay_apart(run: strop.Run) -> None:
    answers = Answers.load(run.folder.predictions / "model.arrow")
    sealed = Answers.load(run.folder.predictions / "model.test.sealed.arrow")
    assert set(answers.part.tolist()) == {"validation"}
    assert set(sealed.part.tolist()) == {"test"}
    assert not answers.seen_R.any()
    assert not set(answers.ids.tolist()) & set(sealed.ids.tolist())
    assert answers.made_by["decoding"] == "greedy"


def test_questions_of_one_context_stay_in_one_part(run: strop.Run) -> None:
    open_rows, sealed = Dataset.load(run.folder.open_data), Dataset.load(run.folder.sealed_data)
    assert not set(open_rows.texts["context"].tolist()) & set(sealed.texts["context"].tolist())


def test_the_report_shows_questions_and_answers(run: strop.Run) -> None:
    page = run.folder.report.read_text()
    assert "which colour" in page
    card = run.folder.card.read_text()
    assert "answer" in card


def test_a_model_of_adapters_answers_as_it_was_trained(recipe: dict[str, Any], tmp_path: Path) -> None:
    changed = {
        **recipe,
        "name": "adapters",
        "model": {**recipe["model"], "adapter": {"rank": 4}},
        "stages": [{"trainable": "adapter", "epochs": 2, "batch_size": 6, "learning_rate": 1e-2, "neftune_alpha": 5}],
    }
    finished = strop.fit(changed, runs=tmp_path)
    last = sorted((finished.folder.stage("whole", 0, "complete") / "predictions").glob("*.arrow"))
    answers = Answers.load(finished.folder.predictions / "model.arrow")
    at_best = [Answers.load(path) for path in last]
    assert any(np.array_equal(one.select(answers.ids).text_RC, answers.text_RC) for one in at_best)
    assert (finished.folder.model() / "adapter_model.safetensors").exists()


def test_folds_answer_every_open_row_once(recipe: dict[str, Any], tmp_path: Path) -> None:
    changed = {
        **recipe,
        "name": "folds",
        "split": {"folds": 2},
        "stages": [{"epochs": 1, "batch_size": 6, "learning_rate": 1e-2}],
        "evaluation": {"n_bootstrap": 200, "baselines": ["zero_shot"]},
    }
    finished = strop.fit(changed, runs=tmp_path)
    answers = Answers.load(finished.folder.predictions / "model.arrow")
    rows = Dataset.load(finished.folder.open_data)
    assert sorted(answers.ids.tolist()) == sorted(rows.ids.tolist())
    assert set(answers.fold_R.tolist()) == {0, 1}
    assert finished.scores.part == "out of fold"


def test_the_sealed_part_is_scored_when_a_person_asks(recipe: dict[str, Any], tmp_path: Path) -> None:
    changed = {**recipe, "name": "opened", "stages": [{"epochs": 1, "batch_size": 6}]}
    finished = strop.fit(changed, runs=tmp_path)
    scores = finished.open_test()
    assert scores.part == "test"
    assert len(finished.folder.ledger.openings()) == 1
