"""One family of errors, sorted by who must act.

Every error says what must hold, what came instead, where, and what to do about it. An error may carry several
problems, so that a recipe or a file is mended in one go.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        where: The place: a recipe path, a file and line, a column, a run folder.
        must: What must hold there.
        came: What was found instead.
        do: What the reader can do about it.
    """

    where: str
    must: str
    came: str
    do: str

    def __str__(self) -> str:
        return f"{self.where}: {self.must}\n  came: {self.came}\n  do:   {self.do}"


class StropError(Exception):
    """Base of all errors that are a user's to mend; the command line prints them without a traceback.

    Attributes:
        problems: Everything that is wrong, at least one.
        exit_code: What the command line exits with.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, *problems: Problem) -> None:
        if not problems:
            raise ValueError("an error must carry at least one problem")
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class RecipeError(StropError):
    """The recipe must be changed."""

    exit_code = 2


class DataError(StropError):
    """The data must be changed, or the recipe must say how to read it."""

    exit_code = 3


class ModelError(StropError):
    """The pretrained model is missing, incomplete, or not of the kind that is needed."""

    exit_code = 4


class RunError(StropError):
    """The run folder is in a state that forbids what was asked for."""

    exit_code = 5


class MachineError(StropError):
    """The machine lacks something: disk, memory, an optional library."""

    exit_code = 6


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name the known word closest to a misspelt one, else list what is known.

    Args:
        word: What was written.
        known: The words that would have been right.

    Returns:
        A sentence for the `do` of a problem.
    """
    choices = sorted(known)
    close = get_close_matches(word, choices, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    shown = ", ".join(choices[:20]) + (", ..." if len(choices) > 20 else "")
    return f"use one of: {shown}"
