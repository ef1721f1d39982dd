"""Which part of a context is read where the whole is too long for the model.

A stretch is a pair (start, end) of character offsets in a context. U units of a context.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from strop.text.tokenizer import TextTokenizer

Stretch = tuple[int, int]

# A sentence ends at a mark with white space behind it, or at a line break; what has no such end falls into words.
SENTENCE = re.compile(r"\S.*?(?:[.!?。！？…][\"'”’」』)\]]*(?=\s|$)|(?=\n)|$)\s*", re.DOTALL)
WORD = re.compile(r"\S+\s*")
# Longer sentences are taken in pieces: one of them must not crowd out all others.
MOST_TOKENS_OF_A_UNIT = 64
# What a sentence says often stands on the words of its neighbours: they count so much beside its own.
OF_NEIGHBOURS = 0.25
# Scripts without spaces between words, or with endings that hang on them: kana, Han, Hangul.
PAIRED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"
RUN = re.compile(f"[{PAIRED}]+|[^\\W_{PAIRED}]+")


@dataclass(frozen=True)
class Kept:
    """What is read of a context.

    Attributes:
        stretches: In the order of the context, none touching the next.
        text: Their texts, with a line break between them.
        n_tokens: About how many of the context's tokens they have.
    """

    stretches: tuple[Stretch, ...]
    text: str
    n_tokens: int

    def holds(self, place: Stretch) -> bool:
        """Whether one stretch holds this place whole."""
        return any(start <= place[0] and place[1] <= end for start, end in self.stretches)


@dataclass(frozen=True)
class Context:
    """A context in units that are never divided.

    Attributes:
        text: The whole context.
        units: Stretches that follow each other from the first word to the end, white space behind each included.
        n_tokens_U: About how many tokens each has, shape (U,); together as many as the context.
    """

    text: str
    units: Sequence[Stretch]
    n_tokens_U: NDArray[np.int64]

    @classmethod
    def of(cls, text: str, tokenizer: TextTokenizer, *, unit: re.Pattern[str] = SENTENCE) -> Self:
        """Divide a context into sentences, long ones into pieces of whole words, long words at token borders.

        Args:
            text: The context.
            tokenizer: The model's tokenizer, by whose tokens units are measured.
            unit: `SENTENCE`, or `WORD` for single words.
        """
        encoded = tokenizer.tokenizer.encode(text, add_special_tokens=False)
        starts_T = np.asarray([start for start, _ in encoded.offsets], dtype=np.int64)
        units: list[Stretch] = []
        for found in unit.finditer(text):
            units += _pieces(text, found.span(), starts_T)
        # A token belongs to the unit in which it begins, white space in front of the first unit to that one.
        borders = [0, *(start for start, _ in units[1:])]
        counts = np.diff([*np.searchsorted(starts_T, borders, "left"), len(starts_T)])
        return cls(text, units, counts[: len(units)].astype(np.int64))

    @property
    def n_tokens(self) -> int:
        """How many tokens all units have together."""
        return int(self.n_tokens_U.sum())

    def n_tokens_until(self, end: int) -> int:
        """About how many tokens stand before this character, the beginning of a unit."""
        return sum(n for (start, _), n in zip(self.units, self.n_tokens_U.tolist(), strict=True) if start < end)

    def keep(self, units: Sequence[int] | NDArray[np.intp]) -> Kept:
        """Keep these units, in the order of the context."""
        stretches: list[Stretch] = []
        for number in sorted(int(one) for one in units):
            start, end = self.units[number]
            if stretches and stretches[-1][1] == start:
                start = stretches.pop()[0]
            stretches.append((start, end))
        texts = [self.text[start:end].strip() for start, end in stretches]
        return Kept(tuple(stretches), "\n".join(texts), int(self.n_tokens_U[list(units)].sum()))

    def nearness(self, question: str) -> NDArray[np.float64]:
        """How near every unit is to a question, shape (U,): higher is nearer.

        Cosine of TF-IDF vectors (sublinear counts) of words and, of scripts whose words carry endings, pairs of
        characters; the idf is that of this context's units. To each a quarter of its neighbours' mean is added.
        """
        if self._vectors is None:
            return np.zeros(len(self.units))
        vectorizer, vectors_UW = self._vectors
        own_U = (vectors_UW @ vectorizer.transform([question]).T).toarray().ravel()
        beside_U = np.convolve(own_U, [0.5, 0.0, 0.5], mode="same") if len(own_U) > 2 else np.zeros_like(own_U)
        return np.asarray(own_U + OF_NEIGHBOURS * beside_U, dtype=np.float64)

    @cached_property
    def _vectors(self) -> tuple[Any, Any] | None:
        """The vectorizer and the vectors of all units; None where no unit has a word."""
        texts = [self.text[start:end] for start, end in self.units]
        if not any(map(_words, texts)):
            return None
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(analyzer=_words, sublinear_tf=True)
        return vectorizer, vectorizer.fit_transform(texts)

    def units_of(self, place: Stretch) -> list[int]:
        """The units that a place lies in, without gaps."""
        return [number for number, (start, end) in enumerate(self.units) if start < place[1] and place[0] < end]


def cut_to_question(context: Context, near_U: NDArray[np.float64], budget: int) -> Kept | None:
    """Keep the units nearest to the question, as many as fit, in the order of the context.

    Args:
        context: The context.
        near_U: What `context.nearness` gave.
        budget: Tokens that may stay.

    Returns:
        None where not even the shortest unit fits.
    """
    kept, left = [], budget
    for number in np.argsort(-near_U, kind="stable").tolist():
        if context.n_tokens_U[number] <= left:
            kept.append(number)
            left -= int(context.n_tokens_U[number])
    return context.keep(kept) if kept else None


def cut_around(context: Context, place: Stretch, budget: int, fraction_before: float) -> Kept | None:
    """Keep one stretch of units that holds a place.

    Args:
        context: The context.
        place: What must stay.
        budget: Tokens that may stay.
        fraction_before: Share of the tokens beside the place that are taken in front of it, where there are so many.

    Returns:
        None where the units of the place do not fit.
    """
    units = context.units_of(place)
    n_beside = budget - int(context.n_tokens_U[units].sum())
    if not units or n_beside < 0:
        return None
    first, last = units[0], units[-1]
    for share in (fraction_before, 1.0):  # what one side leaves unused passes on to the other
        first, used = _extended(context, range(first - 1, -1, -1), first, round(n_beside * share))
        n_beside -= used
        last, used = _extended(context, range(last + 1, len(context.units)), last, n_beside)
        n_beside -= used
    return context.keep(range(first, last + 1))


def overlapping_windows(context: Context, width: int, n_shared: int, max_windows: int | None) -> list[Kept]:
    """Divide a context into windows of whole units, each beginning inside the one before it.

    Args:
        context: The context, best in words.
        width: Tokens of a window; a longer unit is a window of its own.
        n_shared: How many tokens, at least, two neighbouring windows share.
        max_windows: How many there may be; what lies beyond is in none.
    """
    end_U = np.cumsum(context.n_tokens_U)
    start_U = end_U - context.n_tokens_U
    windows: list[Kept] = []
    first = 0
    while first < len(context.units) and (max_windows is None or len(windows) < max_windows):
        after = max(int(np.searchsorted(end_U, start_U[first] + width, "right")), first + 1)
        if after == len(context.units) and windows:
            # The last window ends where the context ends, and is as long as the others.
            first = min(first, int(np.searchsorted(start_U, end_U[-1] - width, "left")))
        windows.append(context.keep(range(first, after)))
        if after == len(context.units):
            break
        first = max(int(np.searchsorted(start_U, end_U[after - 1] - n_shared, "right")) - 1, first + 1)
    return windows


def place_of(answers: Sequence[str], context: Context, near_U: NDArray[np.float64]) -> Stretch | None:
    """Where the answer stands: of the first accepted one that is there, the place in the unit nearest to the question.

    Args:
        answers: The accepted answers.
        context: The context.
        near_U: What `context.nearness` gave.
    """
    for answer in answers:
        places = [found.span() for found in re.finditer(re.escape(answer), context.text)] if answer else []
        if places:
            return max(places, key=lambda place: max(near_U[context.units_of(place)], default=0.0))
    return None


def fitted(cut: Callable[[int], Kept | None], excess_of: Callable[[str], int]) -> Kept | None:
    """Cut a context until its prompt fits.

    Args:
        cut: Gives what is kept for a budget of tokens.
        excess_of: By how many tokens the prompt is too long with this context; below 0 where there is room.

    Returns:
        None where nothing that is kept fits.
    """
    room = budget = -excess_of("")
    while budget > 0:
        kept = cut(budget)
        if kept is None:
            return None
        excess = excess_of(kept.text)
        if excess <= 0:
            return kept
        budget = lowered(budget, room, excess)
    return None


def lowered(budget: int, room: int, excess: int) -> int:
    """The next budget to be tried, where a context of this one made the prompt too long.

    Beside the words of a template a context may have other tokens than by itself, and a template may write it twice.

    Args:
        budget: Tokens that the context was given.
        room: Tokens that its text may take in the prompt.
        excess: Tokens that it took beyond that.
    """
    return min(budget - 1, budget * room // (room + excess))


def cut_middle(text: str, room: int, tokenizer: TextTokenizer) -> tuple[str, int]:
    """Take tokens out of the middle of a text, so that its beginning and its end fit.

    Returns:
        What is left, and how many tokens were taken out.
    """
    encoded = tokenizer.tokenizer.encode(text, add_special_tokens=False)
    offsets, left, n_kept = encoded.offsets, text, room
    while n_kept > 0:
        n_head = (n_kept + 1) // 2
        tail = offsets[len(offsets) - (n_kept - n_head)][0] if n_kept > n_head else len(text)
        left = text[: offsets[n_head - 1][1]] + text[tail:]
        excess = len(tokenizer.encode([left])[0]) - room
        if excess <= 0:
            break
        n_kept -= excess
    return left, len(offsets) - n_kept


def _extended(context: Context, units: range, end: int, budget: int) -> tuple[int, int]:
    """The furthest of these units up to which all fit, `end` where none does, and the tokens that they have."""
    used = 0
    for number in units:
        if used + int(context.n_tokens_U[number]) > budget:
            break
        end, used = number, used + int(context.n_tokens_U[number])
    return end, used


def _pieces(text: str, whole: Stretch, starts_T: NDArray[np.int64]) -> list[Stretch]:
    """A unit, in pieces where it is too long: of whole words, and of single tokens where a word is too long."""
    start, end = whole
    first, after = np.searchsorted(starts_T, [start, end], "left")
    if after - first <= MOST_TOKENS_OF_A_UNIT:
        return [whole]
    begins_word = [start, *(found.start() for found in WORD.finditer(text, start, end) if found.start() > start)]
    pieces: list[Stretch] = []
    while after - first > MOST_TOKENS_OF_A_UNIT:
        furthest = int(starts_T[first + MOST_TOKENS_OF_A_UNIT])
        border = max((at for at in begins_word if start < at <= furthest), default=furthest)
        if border <= start:  # the bytes of one character may be many tokens
            break
        pieces.append((start, border))
        start, first = border, int(np.searchsorted(starts_T, border, "left"))
    return [*pieces, (start, end)]


def _words(text: str) -> list[str]:
    """What a text is compared by: words, and pairs of neighbouring characters of Hangul, Han and kana."""
    found: list[str] = []
    for run in RUN.findall(text.casefold()):
        if re.match(f"[{PAIRED}]", run) and len(run) > 1:
            found += [run[at : at + 2] for at in range(len(run) - 1)]
        else:
            found.append(run)
    return found
