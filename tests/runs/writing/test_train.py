"""The task `answer` from data to report, with a tiny model that writes."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import strop
from strop.data.read import read_new_rows
from strop.errors import RunError
from strop.inference.cleaning import clean_answers
from strop.recipe.answer import Cleaning
from strop.records.answers import Answers
from strop.records.dataset import Dataset
from strop.runs.label import labelled_columns
from strop.runs.several.vote_answers import vote_on_answers
from strop.runs.writing.decode import decode_run

CLEANING = Cleaning(first_line=True, strip=".")
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
            "decodings": [{"method": "beams", "n_beams": 2, "n_candidates": 2}, {"repetition_penalty": 1.5}],
        },
        "stages": [{"epochs": 20, "learning_rate": 5e-3, "batch_size": 6, "evaluations_per_epoch": 0.2}],
        "evaluation": {"n_bootstrap": 200, "few_shot_rows": 1},
    }


@pytest.fixture(scope="module")
def run(recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> strop.Run:
    """A finished run; tests must not open its test part."""
    return strop.fit(recipe, runs=tmp_path_factory.mktemp("runs"))


def test_new_contexts_that_are_cut_or_blank_are_said(run: strop.Run, tmp_path: Path) -> None:
    rows = [{"context": " ".join(["box"] * 300), "question": "what is it"}, {"context": "", "question": "what is it"}]
    (tmp_path / "new.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    new = read_new_rows(tmp_path / "new.jsonl", run.recipe.data)
    columns, notes = labelled_columns(run, new)
    assert len(columns["predicted"]) == 2
    assert "the text column 'context' is blank in 1 of 2 rows; it is read as empty" in notes
    (cut,) = (note for note in notes if "are not read" in note)
    assert cut.startswith("Contexts that do not fit 96 tokens were cut")


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


def test_the_card_says_what_the_model_does(run: strop.Run) -> None:
    words = run.folder.card.read_text()
    assert "fine-tuned with Strop" in words
    assert "to answer questions in words." in words
    assert "Answers are decoded by `greedy` and cleaned by the rules of the recipe." in words


@pytest.fixture(scope="module")
def decoded_run(run: strop.Run, tmp_path_factory: pytest.TempPathFactory) -> strop.Run:
    """A copy of the run whose decodings were compared."""
    folder = tmp_path_factory.mktemp("decoded") / "boxes"
    shutil.copytree(run.folder.path, folder)
    decoded = decode_run(folder)
    assert {one.system for one in decoded.scores.baselines} == {
        "beams n_beams=2 n_candidates=2",
        "greedy repetition_penalty=1.5",
    }
    assert decoded.own == "greedy"
    return strop.Run(folder)


def test_the_recipes_decoding_stays_where_no_other_is_clearly_better(run: strop.Run, decoded_run: strop.Run) -> None:
    folder = decoded_run.folder
    assert Answers.load(folder.predictions / "model.arrow").made_by["decoding"] == "greedy"
    assert (folder.model() / "strop.json").read_bytes() == (run.folder.model() / "strop.json").read_bytes()
    # What was there before these rows were looked at was not chosen by them.
    assert decoded_run.scores == run.scores
    (said,) = [entry.what for entry in folder.ledger.entries() if entry.station == "decoding"]
    assert "no other is clearly better than the recipe's 'greedy', so the run's answers are by 'greedy'" in said
    assert "Decodings compared" in decoded_run.folder.report.read_text()
    assert not decoded_run.folder.ledger.openings()


def test_decoding_again_asks_no_model_again(decoded_run: strop.Run) -> None:
    places = sorted((decoded_run.folder.predictions / "decodings").rglob("*.arrow"))
    before = {path: path.stat().st_mtime_ns for path in places}
    decode_run(decoded_run.folder.path)
    assert {path: path.stat().st_mtime_ns for path in places} == before


def test_decodings_of_a_run_vote(decoded_run: strop.Run, tmp_path: Path) -> None:
    found = vote_on_answers([decoded_run.folder.path], how="hard", of_decodings=True)
    assert set(found.held_out) == {"hard", "soft", "weighted"}
    assert len(found.weights) == 3
    found.save(tmp_path / "votes")
    saved = Answers.load(tmp_path / "votes" / "answers.arrow")
    assert saved.ids.tolist() == decoded_run.predictions.ids.tolist()


def test_a_vote_needs_more_than_one_answer_a_row(run: strop.Run) -> None:
    with pytest.raises(RunError, match="strop decode"):
        vote_on_answers([run.folder.path], of_decodings=True)
    with pytest.raises(RunError, match="vote"):
        vote_on_answers([run.folder.path])


def test_new_questions_are_answered(run: strop.Run, squad_file: Path) -> None:
    rows = [{"context": "box 3 is red", "question": "which colour"}, {"context": "", "question": "what is it"}]
    assert len(run.predict(rows)) == 2
    new = read_new_rows(squad_file, run.recipe.data, normalize=True)
    columns, _ = labelled_columns(run, new)
    held = run.predictions
    assert isinstance(held, Answers)
    predicted = dict(zip(columns["id"], columns["predicted"], strict=True))
    assert [predicted[row_id] for row_id in held.ids] == clean_answers(held, CLEANING)[0].text_R.tolist()


def test_a_run_of_another_task_has_no_decodings(finished_run: strop.Run) -> None:
    with pytest.raises(RunError, match="only the task 'answer' has decodings"):
        decode_run(finished_run.folder.path)


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
    for system in (finished.scores.model, *finished.scores.baselines):
        assert [one.fold for one in system.folds.folds] == [0, 1]
    assert "F1 by fold: mean of 2 folds" in finished.folder.report.read_text()


def test_the_sealed_part_is_scored_when_a_person_asks(recipe: dict[str, Any], tmp_path: Path) -> None:
    changed = {**recipe, "name": "opened", "stages": [{"epochs": 1, "batch_size": 6}]}
    finished = strop.fit(changed, runs=tmp_path)
    page = finished.folder.report.read_text()
    assert any(words in page for words in ("which colour", "what is it", "say the colour"))
    scores = finished.open_test()
    assert scores.part == "test"
    assert len(finished.folder.ledger.openings()) == 1
