"""Strop fine-tunes a pretrained language model on a small data set of one's own field, and proves that it got better.

The names below are loaded when they are first used, so that `import strop` is quick and needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strop.runs.estimator import TextClassifier
    from strop.runs.fit import fit
    from strop.runs.run import Run

__version__ = "0.1.0"
__all__ = ["Run", "TextClassifier", "__version__", "fit"]

_HOMES = {"fit": "strop.runs.fit", "Run": "strop.runs.run", "TextClassifier": "strop.runs.estimator"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'strop' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
