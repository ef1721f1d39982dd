"""The task `classify` by a model that writes: labels as words, scored by their likelihood."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import strop
from strop.errors import RecipeError
from strop.recipe.load import resolve
from strop.records.predictions import Predictions
from strop.runs.writing.prepare import few_shot_prompts, prepare_answers, with_few_shot_prior
from strop.training.watch import Watchers

WORDS = {"r": "red", "b": "blue", "g": "green"}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, tiny_causal: Path) -> dict[str, Any]:
    """Boxes of three colours; the labels are single letters, their words the colours."""
    path = tmp_path_factory.mktemp("boxes") / "boxes.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([f"box {at} is {WORDS['rbg'[at % 3]]}", "rbg"[at % 3]] for at in range(60))
    return {
        "name": "colours",
        "data": {"path": str(path), "text": "text", "target": "label"},
        "split": {"near_duplicates": "ignore"},
        "model": {"name": str(tiny_causal), "precision": "float32"},
        "text": {"max_length_tokens": 64},
        "answer": {
            "prompt": {"template": "{{ text }}\nColour: ", "max_answer_tokens": 8},
            "label_words": WORDS,
            "calibrate_by_prior": True,
        },
        "stages": [{"epochs": 16, "learning_rate": 5e-3, "batch_size": 6, "evaluations_per_epoch": 0.25}],
        "evaluation": {"n_bootstrap": 200, "few_shot_rows": 1},
    }


@pytest.fixture(scope="module")
def run(recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> strop.Run:
    """A finished run; tests must not open its test part."""
    return strop.fit(recipe, runs=tmp_path_factory.mktemp("runs"))


def test_labels_are_learnt_as_words(run: strop.Run) -> None:
    scores = run.scores
    assert scores.model.metrics["macro_f1"].value > 0.9
    by_name = {one.system: one.metrics["macro_f1"].value for one in scores.baselines}
    assert list(by_name) == ["majority", "tfidf", "zero_shot", "few_shot"]
    assert scores.model.metrics["macro_f1"].value > by_name["zero_shot"]


def test_predictions_are_those_of_any_classifier(run: strop.Run) -> None:
    predictions = run.predictions
    assert isinstance(predictions, Predictions)
    assert predictions.labels == ("b", "g", "r")
    assert predictions.probabilities_RL().shape == (predictions.n_rows, 3)


def test_new_texts_are_classified_as_they_were_in_the_run(run: strop.Run) -> None:
    assert run.predict(["box 7 is blue", "box 9 is red"]) == ["b", "r"]
    probabilities = run.predict_proba(["box 7 is blue"])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)


def test_what_is_taken_off_few_shot_stands_behind_the_same_examples(run: strop.Run) -> None:
    prepared = prepare_answers(run.recipe, run.folder, Watchers())
    (fold,) = prepared.split.folds()
    assert prepared.words is not None
    assert prepared.words.blank is not None
    few = with_few_shot_prior(run.recipe, prepared, fold).words
    assert few is not None
    assert few.blank is not None
    asked = few_shot_prompts(run.recipe, prepared, fold, prepared.dataset.select(fold.validation[:1])).completions
    read = prepared.tokenizer.tokenizer.decode
    blank = read(few.blank.prompts[0].tolist())
    example = blank.removesuffix(read(prepared.words.blank.prompts[0].tolist()))
    assert "box" in example
    assert read(asked.prompts[0].tolist()).startswith(example)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"label_words": {"purple": "purple"}}, r"answer\.label_words\.purple: words are given for labels of the rows"),
        ({"label_words": {"r": "blue", "b": "blue"}}, "every label must have words of its own"),
    ],
)
def test_words_must_tell_labels_apart(
    recipe: dict[str, Any], changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=words):
        strop.fit({**recipe, "answer": {**recipe["answer"], **changes}}, runs=tmp_path)


def test_a_recipe_of_words_has_the_defaults_of_a_model_that_writes(recipe: dict[str, Any]) -> None:
    resolved = resolve({**recipe, "stages": [{}], "evaluation": {}})
    assert resolved.stages[0].objective == "complete"
    assert resolved.evaluation.baselines == ["majority", "tfidf", "zero_shot", "few_shot"]
    assert resolved.evaluation.primary_metric == "macro_f1"
    with pytest.raises(RecipeError, match=r"evaluation\.baselines\.0: it must be a baseline"):
        resolve({**recipe, "evaluation": {"baselines": ["linear_probe"]}})
    with pytest.raises(RecipeError, match=r"stages\.0\.objective: it must be an objective"):
        resolve({**recipe, "stages": [{"objective": "cross_entropy"}]})
