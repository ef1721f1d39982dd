"""How answers fail whatever the question: they do not end, are empty, or repeat themselves.

Dimensions: R rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strop.records.answers import Answers

Floats = NDArray[np.float64]

# A stretch is a loop where it is at least so long and made of at least so many copies of a unit of at most so many
# characters. Shorter ones are found in good answers: "bye bye bye", "1,000,000,000".
SHORTEST_LOOP_CHARACTERS = 20
FEWEST_COPIES = 3
LONGEST_UNIT_CHARACTERS = 80


def is_empty(text: str) -> bool:
    """Whether an answer holds nothing but white space."""
    return not text.strip()


def repeats_itself(text: str) -> bool:
    """Whether an answer runs in a loop.

    White space counts as one space. An answer repeats itself where some stretch of at least 20 characters consists of a
    unit of 1 to 80 characters that stands at least three times in a row (a further copy may be cut off): for a unit of
    p characters, where each of at least max(2 p, 20 - p) characters in a row equals the one p before it.
    """
    line = " ".join(text.split())
    if len(line) < SHORTEST_LOOP_CHARACTERS:
        return False
    codes = np.frombuffer(line.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    return any(
        _longest_run(codes[unit:] == codes[:-unit]) >= max((FEWEST_COPIES - 1) * unit, SHORTEST_LOOP_CHARACTERS - unit)
        for unit in range(1, min(LONGEST_UNIT_CHARACTERS, len(codes) // FEWEST_COPIES) + 1)
    )


def _longest_run(is_equal: NDArray[np.bool_]) -> int:
    """How many values in a row are true, at most."""
    breaks = np.flatnonzero(~is_equal)
    return int(np.diff(np.concatenate([[-1], breaks, [len(is_equal)]])).max()) - 1


@dataclass(frozen=True)
class Failure:
    """A share of answers, of those that stand.

    Attributes:
        name: As scores call it.
        by_row: 1 where the answer that stands is so, else 0, shape (R,).
        higher_is_better: Its direction.
    """

    name: str
    by_row: Callable[[Answers], Floats]
    higher_is_better: bool


def _of_texts(is_so: Callable[[str], bool]) -> Callable[[Answers], Floats]:
    return lambda answers: np.asarray([is_so(text) for text in answers.text_R], dtype=np.float64)


# "ended": the model itself ended its answer, rather than being stopped at the longest length.
FAILURES: Mapping[str, Failure] = {
    failure.name: failure
    for failure in (
        Failure("ended", lambda answers: answers.ended_RC[:, 0].astype(np.float64), higher_is_better=True),
        Failure("empty", _of_texts(is_empty), higher_is_better=False),
        Failure("repeated", _of_texts(repeats_itself), higher_is_better=False),
    )
}
