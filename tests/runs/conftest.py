"""A small run that several tests look at."""

from pathlib import Path
from typing import Any

import pytest

import strop


@pytest.fixture(scope="session")
def tiny_recipe(tiny_encoder: Path, tiny_rows: Path) -> dict[str, Any]:
    """A recipe that fits in seconds."""
    return {
        "name": "tiny",
        "data": {"path": str(tiny_rows), "text": "text", "target": "label", "id": "id"},
        "model": {"name": str(tiny_encoder), "precision": "float32"},
        "text": {"max_length_tokens": 32},
        "stages": [
            {"trainable": "head", "epochs": 2, "learning_rate": 1e-2},
            {"epochs": 4, "learning_rate": 5e-3, "batch_size": 8},
        ],
        "evaluation": {"n_bootstrap": 200},
    }


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: dict[str, Any]) -> strop.Run:
    """A finished run whose test part stays sealed: tests must not open it."""
    return strop.fit(tiny_recipe, runs=tmp_path_factory.mktemp("runs"))
