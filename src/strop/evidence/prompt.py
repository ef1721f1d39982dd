"""Put evidence beside a row's text, as much of it as the model can read.

R rows, P prompts (one or more a row).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from strop.errors import Problem, RecipeError
from strop.recipe.evidence import Evidence
from strop.records.dataset import Dataset, Strings, strings
from strop.records.evidence import Passage
from strop.records.ledger import Entry
from strop.text.template import WHOLE_ROW, compile_template, render
from strop.text.tokenizer import TextTokenizer

if TYPE_CHECKING:
    from jinja2 import Template

WHERE = "evidence.prompt"
LISTS = ("snippets", "passages")
# Less than this of a passage says too little to be worth its place.
LEAST_TOKENS = 16
Pieces = Literal["whole", "by_source", "by_passage"]


@dataclass(frozen=True)
class RowEvidence:
    """What a row may be judged by.

    Attributes:
        snippets: Passages that came with the row.
        passages: Passages that were looked up, best first.
    """

    snippets: tuple[Passage, ...] = ()
    passages: tuple[Passage, ...] = ()

    def pieces(self, kind: Pieces) -> "list[RowEvidence]":
        """The evidence divided; what cannot be divided further is one piece."""
        if kind == "by_source" and self.snippets and self.passages:
            return [RowEvidence(snippets=self.snippets), RowEvidence(passages=self.passages)]
        if kind == "by_passage" and len(self.snippets) + len(self.passages) > 1:
            of_snippets = [RowEvidence(snippets=(one,)) for one in self.snippets]
            return [*of_snippets, *(RowEvidence(passages=(one,)) for one in self.passages)]
        return [self]

    def first(self, n_passages: int) -> "RowEvidence":
        """So many passages, taken in turns from both lists, so that neither crowds out the other."""
        n_paired = min(len(self.snippets), len(self.passages))
        n_snippets = min((n_passages + 1) // 2, n_paired)
        n_looked_up = min(n_passages // 2, n_paired)
        left = n_passages - n_snippets - n_looked_up
        if len(self.snippets) > n_paired:
            n_snippets += left
        else:
            n_looked_up += left
        return RowEvidence(self.snippets[:n_snippets], self.passages[:n_looked_up])

    @property
    def n_passages(self) -> int:
        """How many there are of both kinds."""
        return len(self.snippets) + len(self.passages)


@dataclass(frozen=True)
class Prompts:
    """Texts that a model reads.

    Attributes:
        texts: One text a prompt, shape (P,).
        row_of_P: The position of its row, ascending, shape (P,).
        n_left_out_R: Passages of a row that no prompt has room for, shape (R,).
    """

    texts: Strings
    row_of_P: NDArray[np.intp]
    n_left_out_R: NDArray[np.int64]

    def left_out(self, ids: Strings) -> tuple[Entry, ...]:
        """What the ledger says about passages that were left out: one entry, or none."""
        rows = np.flatnonzero(self.n_left_out_R)
        if not len(rows):
            return ()
        what = (
            f"{len(rows)} of {len(ids)} rows have more evidence than the model reads: "
            f"{int(self.n_left_out_R.sum())} passages were left out, the last ones of each row"
        )
        counts = dict(zip(ids[rows].tolist(), self.n_left_out_R[rows].tolist(), strict=True))
        return (Entry("cut", "evidence", what, len(rows), tuple(counts), {"n_passages_left_out": counts}),)


def make_prompts(
    dataset: Dataset,
    of_rows: Sequence[RowEvidence],
    evidence: Evidence,
    tokenizer: TextTokenizer,
    *,
    room_tokens: int,
    kind: Pieces = "whole",
) -> Prompts:
    """Render every row with its evidence, in one prompt or in several pieces.

    Of each prompt passages are left out from the end until it fits; where there is room for a part of the next one,
    this part is taken. The row's own text is never cut.

    Args:
        dataset: The rows.
        of_rows: Their evidence.
        evidence: The recipe's section.
        tokenizer: The model's tokenizer.
        room_tokens: Tokens that the model reads, without special tokens.
        kind: How the evidence of a row is divided.

    Raises:
        RecipeError: The template is wrong, or the text of rows alone does not fit; all such rows are named.
    """
    template = None
    if evidence.prompt is not None:
        template = compile_template(evidence.prompt, list(dataset.texts), WHERE, LISTS)
    texts, row_of_P, too_long = [], [], []
    n_left_out_R = np.zeros(dataset.n_rows, dtype=np.int64)
    for at, row_evidence in enumerate(of_rows):
        for piece in row_evidence.pieces(kind):
            prompt, n_kept = _fitted(_renderer(template, dataset, at), piece, tokenizer, room_tokens)
            if n_kept < 0:
                too_long.append(str(dataset.ids[at]))
                break
            texts.append(prompt)
            row_of_P.append(at)
            n_left_out_R[at] += piece.n_passages - n_kept
    if too_long:
        raise RecipeError(_question_too_long(too_long, room_tokens))
    return Prompts(strings(texts), np.asarray(row_of_P, dtype=np.intp), n_left_out_R)


def _renderer(template: "Template | None", dataset: Dataset, at: int) -> Callable[[RowEvidence], str]:
    row = {name: column[at] for name, column in dataset.texts.items()}

    def rendered(evidence: RowEvidence) -> str:
        if template is None:
            return "\n".join([*row.values(), *(one.text for one in (*evidence.snippets, *evidence.passages))])
        variables = {WHOLE_ROW: row, **row, "snippets": evidence.snippets, "passages": evidence.passages}
        return render(template, variables, dataset.ids[at], WHERE)

    return rendered


def _fitted(
    rendered: Callable[[RowEvidence], str], evidence: RowEvidence, tokenizer: TextTokenizer, room_tokens: int
) -> tuple[str, int]:
    """The longest prompt that fits and how many passages it has, -1 where not even the row's own text does."""

    def n_tokens(text: str) -> int:
        return len(tokenizer.encode([text])[0])

    whole = rendered(evidence)
    if n_tokens(whole) <= room_tokens:
        return whole, evidence.n_passages
    fits, too_many = -1, evidence.n_passages
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if n_tokens(rendered(evidence.first(middle))) <= room_tokens:
            fits = middle
        else:
            too_many = middle
    if fits < 0:
        return "", -1
    best = rendered(evidence.first(fits))
    room_left = room_tokens - n_tokens(best)
    while room_left >= LEAST_TOKENS:
        longer = rendered(_last_shortened(evidence.first(fits), evidence.first(fits + 1), tokenizer, room_left))
        if n_tokens(longer) <= room_tokens:
            return longer, fits
        # The template puts words around a passage, and tokens join differently there.
        room_left -= 4
    return best, fits


def _last_shortened(before: RowEvidence, after: RowEvidence, tokenizer: TextTokenizer, n_tokens: int) -> RowEvidence:
    """`after`, of whose one passage more than `before` only the first tokens stay."""

    def shortened(passage: Passage) -> Passage:
        offsets = tokenizer.tokenizer.encode(passage.text, add_special_tokens=False).offsets
        end = offsets[min(n_tokens, len(offsets)) - 1][1]
        if end < len(passage.text) and not passage.text[end].isspace():
            # Half a word may read as another one.
            end = max(passage.text.rfind(" ", 0, end), 0) or end
        stop = passage.start + end if passage.start >= 0 else -1
        return Passage(passage.text[:end], passage.document, passage.start, stop, passage.title)

    if len(after.snippets) > len(before.snippets):
        return RowEvidence((*before.snippets, shortened(after.snippets[-1])), after.passages)
    return RowEvidence(after.snippets, (*before.passages, shortened(after.passages[-1])))


def _question_too_long(ids: Sequence[str], room_tokens: int) -> Problem:
    return Problem(
        where=WHERE,
        must=f"a row's own text and the words of the prompt must fit the {room_tokens} tokens that are read",
        came=f"{len(ids)} rows whose text alone is longer: {', '.join(ids[:5])}{', ...' if len(ids) > 5 else ''}",
        do="raise text.max_length_tokens, read windows (text.windows), or shorten the template",
    )
