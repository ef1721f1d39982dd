"""Fixtures that several rooms' tests share."""

import os

# Before torch loads: spinning threads starve each other on shared cores, and no test may reach the network.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["GOMP_SPINCOUNT"] = "0"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"

import sys
from pathlib import Path

import pytest

from strop.testing.tiny_models import make_tiny_causal, make_tiny_encoder, make_tiny_rows

REPOSITORY = Path(__file__).resolve().parents[1]


def _make_torch_deterministic() -> None:
    import torch

    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)


def pytest_collection_finish() -> None:
    """Set up torch only where collected tests load it: the tests of the torch-free rooms stay quick."""
    if "torch" in sys.modules:
        _make_torch_deterministic()


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny BERT."""
    _make_torch_deterministic()
    return make_tiny_encoder(tmp_path_factory.mktemp("tiny") / "encoder")


@pytest.fixture(scope="session")
def tiny_causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny Llama."""
    _make_torch_deterministic()
    return make_tiny_causal(tmp_path_factory.mktemp("tiny") / "llama", "llama")


@pytest.fixture(scope="session")
def tiny_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV file of 120 rows and 3 uneven classes: id, text, label."""
    return make_tiny_rows(tmp_path_factory.mktemp("tiny") / "rows.csv", n_rows=120, n_labels=3, seed=0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of public data that is not part of the repository."""
    folder = Path(os.environ.get("STROP_REAL_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data: set STROP_REAL_DATA to its folder ({folder} does not exist)")
    return folder
