"""Metadata and text parts of a classification, from a file to predictions of new rows."""

import csv
from pathlib import Path

import numpy as np
import pytest

import strop
from strop.data.read import read_new_rows
from strop.errors import DataError
from strop.runs.label import labelled_columns


def test_labels_are_learnt_from_metadata_that_bypass_the_model(tmp_path: Path, tiny_encoder: Path) -> None:
    generator = np.random.default_rng(0)
    path = tmp_path / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "title", "body", "host", "votes", "label"])
        for row in range(60):
            host = ["north", "south"][row % 2]
            word = str(generator.choice(["dog", "cat", "page"]))
            writer.writerow([f"r{row}", word, f"the {word} {row}", host, row % 5, "yes" if host == "north" else "no"])
    recipe = {
        "name": "hosts",
        "data": {
            "path": str(path),
            "text": ["title", "body"],
            "target": "label",
            "id": "id",
            "categorical": "host",
            "numeric": "votes",
        },
        "split": {"near_duplicates": "ignore"},
        "text": {"max_length_tokens": 32, "parts": {"title": {}, "body": {"share": 0.7}}},
        "model": {"name": str(tiny_encoder), "precision": "float32", "head_hidden": [8]},
        "stages": [{"trainable": "head", "epochs": 30, "learning_rate": 2e-2, "batch_size": 8}],
        "evaluation": {"n_bootstrap": 100, "baselines": ["majority"]},
    }
    run = strop.fit(recipe, runs=tmp_path / "runs")
    assert run.scores.primary_score.value == 1.0
    new = tmp_path / "new.csv"
    new.write_text("title,body,host,votes\ndog,the dog,north,\ndog,the dog,south,1\n,the dog,west,1\n")
    columns, notes = labelled_columns(run, read_new_rows(new, run.recipe.data))
    assert columns["predicted"][:2] == ["yes", "no"]
    assert any("'host' in 1 ('west')" in note for note in notes)
    assert "The text part 'title' is missing in 1 of 3 rows; it is read as empty" in notes
    new.write_text("title,body,votes\ndog,the dog,1\n")
    with pytest.raises(DataError, match="new rows must have every metadata column that the model was trained with"):
        read_new_rows(new, run.recipe.data)


def test_labels_are_learnt_from_the_lengths_of_texts_that_are_cut(tmp_path: Path, tiny_encoder: Path) -> None:
    generator = np.random.default_rng(0)
    n_words_R = np.concatenate([generator.integers(40, 80, 30), generator.integers(160, 320, 30)])
    lines = [f"the{' dog' * n_words},{'long' if n_words > 100 else 'short'}" for n_words in n_words_R]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    recipe = {
        "name": "lengths",
        "data": {"path": str(tmp_path / "rows.csv"), "text": "text", "target": "label", "text_lengths": True},
        "split": {"near_duplicates": "ignore"},
        "text": {"max_length_tokens": 16},
        "model": {"name": str(tiny_encoder), "precision": "float32"},
        "stages": [{"trainable": "head", "epochs": 30, "learning_rate": 2e-2, "batch_size": 8}],
        "evaluation": {"n_bootstrap": 100, "baselines": ["majority"]},
    }
    run = strop.fit(recipe, runs=tmp_path / "runs")
    assert run.scores.primary_score.value == 1.0
    new = tmp_path / "new.csv"
    new.write_text(f"text\nthe{' dog' * 50}\nthe{' dog' * 200}\n", encoding="utf-8")
    assert labelled_columns(run, read_new_rows(new, run.recipe.data))[0]["predicted"] == ["short", "long"]
    # A text alone is enough: its length needs no column.
    with pytest.warns(UserWarning, match="724 of 756 tokens .* were cut"):
        assert run.predict([f"the{' dog' * 50}", f"the{' dog' * 200}"]) == ["short", "long"]
    # An empty text has no length, rather than one that no training row comes near.
    (tmp_path / "blank.jsonl").write_text('{"text": ""}\n', encoding="utf-8")
    _, notes = labelled_columns(run, read_new_rows(tmp_path / "blank.jsonl", run.recipe.data))
    assert (
        "1 of 1 rows lack a number that every training row has; it is read as the mean: 'length of text' in 1"
    ) in notes
