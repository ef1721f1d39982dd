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
