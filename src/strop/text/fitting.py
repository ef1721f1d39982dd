"""Bring every row to prompts that the model can read, by what the recipe says about rows that are too long."""

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Literal, Self

from strop.recipe.answer import Prompt
from strop.recipe.sections import Text
from strop.text.joining import Joined, join
from strop.text.length_policy import (
    SENTENCE,
    WORD,
    Context,
    Kept,
    cut_around,
    cut_middle,
    cut_to_question,
    fitted,
    lowered,
    overlapping_windows,
    place_of,
)
from strop.text.rendering import Asked, Renderer, Row
from strop.text.tokenizer import TextTokenizer

Purpose = Literal["train", "predict"]
How = Literal["whole", "cut", "windows", "middle", "long_answer", "dropped"]

# Of two neighbouring windows this share is the same, where text.windows does not say.
WINDOW_OVERLAP = 0.25
WIDTH_STEP = 16
# Contexts of which the units, and the words of each, are held.
N_REMEMBERED = 256


@dataclass(frozen=True)
class Question:
    """A row on its way to the model.

    Attributes:
        row_id: Its id.
        row: Its text columns.
        accepted: The accepted answers that may stand in its context; none at prediction.
        answer: What it is trained on; "" at prediction.
    """

    row_id: str
    row: Row
    accepted: tuple[str, ...] = ()
    answer: str = ""


@dataclass(frozen=True)
class ReadPrompt:
    """One prompt of a row.

    Attributes:
        asked: Its text.
        answer: The answer that is learnt behind it; "" where there is none.
        context: What it reads of the context.
        joined: The token ids of both.
    """

    asked: Asked
    answer: str
    context: str
    joined: Joined

    def unanswered(self) -> Self:
        """The same prompt, which is not trained on."""
        return replace(self, answer="", joined=replace(self.joined, answer=self.joined.answer[:0], is_apart=False))


@dataclass(frozen=True)
class Fit:
    """The prompts of a row: one, or none where it is left out, or several windows.

    Attributes:
        prompts: In the order of the context.
        how: What was done with the row.
        n_cut: Tokens of the row that no prompt holds.
        n_examples: How many examples stand before each of its prompts.
    """

    prompts: tuple[ReadPrompt, ...]
    how: How
    n_cut: int = 0
    n_examples: int = 0


@dataclass(frozen=True)
class Fitter:
    """Makes prompts that are no longer than the model reads.

    Attributes:
        renderer: Makes the text of a prompt.
        tokenizer: The model's tokenizer.
        prompt: The recipe's section on prompts.
        text: The recipe's section on texts.
        column: The text column that may be cut, None where there is none.
        purpose: Whether prompts are trained on; at prediction no row is left out, and room for an answer is kept.
        examples: Rows with their answers that stand before every prompt, as many as fit. A row is brought to its length
            without them, as where there are none, and with them a prompt may be that much longer for each.
        max_positions: Positions the model has, None where it has no limit.
    """

    renderer: Renderer
    tokenizer: TextTokenizer
    prompt: Prompt
    text: Text
    column: str | None
    purpose: Purpose
    examples: Sequence[tuple[Row, str]] = ()
    max_positions: int | None = None

    def fit(self, questions: Sequence[Question]) -> tuple[list[Fit], list[int]]:
        """Make the prompts of rows.

        Returns:
            What became of every row, and how many tokens its prompt and its answer have before anything is cut.
        """
        asked = [self._ask(one, None) for one in questions]
        wholes = join(asked, [one.answer for one in questions], self.renderer.ending, self.tokenizer)
        fits = []
        for one, its, joined in zip(questions, asked, wholes, strict=True):
            if len(joined.answer) > self.prompt.max_answer_tokens:
                fits.append(Fit((), "long_answer"))
            elif self._excess(joined) <= 0:
                fits.append(Fit((ReadPrompt(its, one.answer, self._context(one), joined),), "whole"))
            else:
                fits.append(self._fit_too_long(one))
        if self.examples:
            fits = [self._behind_examples(one, fit) for one, fit in zip(questions, fits, strict=True)]
        return fits, [joined.n_tokens for joined in wholes]

    def _behind_examples(self, one: Question, fit: Fit) -> Fit:
        """Put the same number of examples before every prompt of a row: as many as fit."""
        if fit.how == "middle":
            return fit
        most = self.text.max_length_tokens * (1 + len(self.examples))
        if self.max_positions is not None:
            most = min(most, self.max_positions)
        for n_examples in range(len(self.examples), 0, -1):
            reads = tuple(self._read(one, read.context, n_examples) for read in fit.prompts)
            if all(self._excess(read.joined, most) <= 0 for read in reads):
                return replace(fit, prompts=reads, n_examples=n_examples)
        return fit

    def _fit_too_long(self, one: Question) -> Fit:
        fit = None
        if self.column is not None and (self.prompt.when_too_long != "drop" or self.purpose == "predict"):
            fit = self._in_windows(one) if self.prompt.when_too_long == "windows" else self._cut(one)
        if fit is None:
            fit = Fit((), "dropped") if self.purpose == "train" else self._without_middle(one)
        return fit

    def _cut(self, one: Question) -> Fit | None:
        context = self._divided(self._context(one), SENTENCE)
        near_U = context.nearness(self._beside_context(one))
        place = place_of(one.accepted, context, near_U)

        def around(divided: Context) -> Callable[[int], Kept | None]:
            # The answer must not stand in the middle of every context: its place would give it away.
            fraction_before = zlib.crc32(one.row_id.encode("utf-8", "replace")) / 2**32
            return lambda budget: cut_around(divided, place or (0, 0), budget, fraction_before)

        if place is None:
            kept = fitted(lambda budget: cut_to_question(context, near_U, budget), self._excess_with(one))
        else:
            kept = fitted(around(context), self._excess_with(one))
            if kept is None:  # the answer's sentence is too long by itself: words around the answer
                words = self._divided(context.text, WORD)
                kept = fitted(around(words), self._excess_with(one))
        if kept is None:
            return None
        return Fit((self._read(one, kept.text),), "cut", context.n_tokens - kept.n_tokens)

    def _in_windows(self, one: Question) -> Fit | None:
        sentences = self._divided(self._context(one), SENTENCE)
        place = place_of(one.accepted, sentences, sentences.nearness(self._beside_context(one)))
        words = self._divided(sentences.text, WORD)
        given = self.text.windows
        room = width = -self._excess_with(one)("")
        # Questions of one context differ in length: with whole steps they mostly share their windows.
        width -= width % WIDTH_STEP if width > 2 * WIDTH_STEP else 0
        while width > 0:
            n_shared = int(width * WINDOW_OVERLAP) if given is None else min(given.stride_tokens, width // 2)
            windows = overlapping_windows(words, width, n_shared, None if given is None else given.max_windows)
            # All windows leave room for the answer: which of them holds it is not known at prediction.
            reads = [self._read(one, window.text) for window in windows]
            excess = max((self._excess(read.joined) for read in reads), default=0)
            if excess <= 0 and windows:
                is_answered = [not one.accepted or (place is not None and window.holds(place)) for window in windows]
                reads = [read if at else read.unanswered() for read, at in zip(reads, is_answered, strict=True)]
                return Fit(tuple(reads), "windows", words.n_tokens - words.n_tokens_until(windows[-1].stretches[-1][1]))
            width = lowered(width, room, excess)
        return None

    def _without_middle(self, one: Question) -> Fit:
        """Cut a prompt itself, where there is no context to be cut or what stands beside it is too long."""
        asked = self._ask(one, None)
        room = self.text.max_length_tokens - self.prompt.max_answer_tokens - len(self.tokenizer.prefix_ids)
        text, n_cut = cut_middle(asked.prompt, room, self.tokenizer)
        # No messages make this text.
        cut = replace(asked, prompt=text, messages=())
        return Fit((self._joined(cut, one, self._context(one)),), "middle", n_cut)

    def _ask(self, one: Question, context: str | None, n_examples: int = 0) -> Asked:
        row = one.row if context is None or self.column is None else {**one.row, self.column: context}
        return self.renderer.ask(row, one.row_id, self.examples[:n_examples])

    def _read(self, one: Question, context: str | None, n_examples: int = 0) -> ReadPrompt:
        shown = self._context(one) if context is None else context
        return self._joined(self._ask(one, context, n_examples), one, shown)

    def _joined(self, asked: Asked, one: Question, context: str) -> ReadPrompt:
        (joined,) = join([asked], [one.answer], self.renderer.ending, self.tokenizer)
        return ReadPrompt(asked, one.answer, context, joined)

    def _context(self, one: Question) -> str:
        return "" if self.column is None else one.row[self.column]

    def _beside_context(self, one: Question) -> str:
        return "\n".join(value for name, value in one.row.items() if name != self.column)

    @cached_property
    def _divided(self) -> Callable[[str, re.Pattern[str]], Context]:
        """Divides a context into units; what several rows are about is divided once."""
        return lru_cache(maxsize=N_REMEMBERED)(lambda text, unit: Context.of(text, self.tokenizer, unit=unit))

    def _excess(self, joined: Joined, most: int | None = None) -> int:
        """By how many tokens a prompt is longer than `most`, its answer or the room for one included."""
        n_reserved = 0 if self.purpose == "train" else self.prompt.max_answer_tokens
        return joined.n_tokens + n_reserved - (most or self.text.max_length_tokens)

    def _excess_with(self, one: Question) -> Callable[[str], int]:
        return lambda context: self._excess(self._read(one, context).joined)
