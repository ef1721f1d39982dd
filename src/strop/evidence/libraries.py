"""Libraries that only evidence needs: where one is missing, it is said how to get it."""

from importlib import import_module
from typing import Any

from strop.errors import MachineError, Problem


def evidence_library(name: str) -> Any:
    """Import a library of the extra `strop[evidence]`.

    Args:
        name: The module, for example "bm25s".

    Raises:
        MachineError: It is not installed, or cannot be imported.
    """
    try:
        return import_module(name)
    except ImportError as error:
        problem = Problem(
            where="evidence",
            must=f"documents are fetched, cut, indexed and searched with the library {name.partition('.')[0]}",
            came=str(error),
            do="install it with `pip install 'strop[evidence]'`",
        )
        raise MachineError(problem) from error
