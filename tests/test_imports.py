"""What comes after training starts quickly: it loads no language model library, and no heavy library before its use."""

import json
import subprocess
import sys

import pytest

import strop

LANGUAGE_MODEL_LIBRARIES = {"torch", "transformers", "peft", "accelerate", "tokenizers"}
HEAVY_LIBRARIES = {"sklearn", "scipy", "matplotlib", "datasketch", "datasets", "pandas"}
ROOMS_WITHOUT_TORCH = (
    "errors",
    "records",
    "recipe",
    "metrics",
    "data",
    "evaluation",
    "ensembling",
    "tasks",
    "reporting",
    "cli",
)

IMPORT_ALL_OF_A_ROOM = """
import importlib, json, pkgutil, sys
room = importlib.import_module(sys.argv[1])
for found in pkgutil.walk_packages(getattr(room, "__path__", []), room.__name__ + "."):
    if not found.name.endswith(".__main__"):  # that one runs the command line
        importlib.import_module(found.name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def loaded_by(module: str) -> set[str]:
    command = [sys.executable, "-c", IMPORT_ALL_OF_A_ROOM, module]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("room", ROOMS_WITHOUT_TORCH)
def test_a_room_loads_no_language_model_library_and_nothing_heavy(room):
    assert loaded_by(f"strop.{room}") & (LANGUAGE_MODEL_LIBRARIES | HEAVY_LIBRARIES) == set()


def test_strop_itself_loads_nothing_but_the_standard_library():
    command = [sys.executable, "-c", "import json, sys, strop; print(json.dumps(sorted(sys.modules)))"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & (LANGUAGE_MODEL_LIBRARIES | HEAVY_LIBRARIES | {"numpy", "pyarrow", "pydantic", "yaml"})


def test_the_public_names_are_listed():
    assert dir(strop) == ["Run", "TextClassifier", "__version__", "fit"]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'strop' has no attribute 'fitt'"):
        strop.fitt  # noqa: B018 (the look-up is what is tested)
