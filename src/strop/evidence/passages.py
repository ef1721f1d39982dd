"""Cut documents into passages of whole sentences that fit a model, each with its place in its document.

A stretch is a pair (start, end) of character offsets in a document's text.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from strop.evidence.libraries import evidence_library
from strop.recipe.evidence import Passages
from strop.records.evidence import Document, Passage
from strop.text.tokenizer import TextTokenizer

Stretch = tuple[int, int]

SURROGATE = re.compile("[\ud800-\udfff]")
# Texts whose tokens, with their offsets, are held at once.
CUT_AT_ONCE = 256


@dataclass(frozen=True)
class _Unit:
    """A sentence, or a piece of one that is too long for a passage: where it is, and how many tokens it has."""

    start: int
    end: int
    n_tokens: int


def cut_passages(documents: Sequence[Document], passages: Passages, tokenizer: TextTokenizer) -> list[Passage]:
    """Cut documents into passages.

    A passage takes as many sentences as fit; the next one begins with the last `overlap_sentences` of it, or with fewer
    where a new sentence would not fit beside them. A sentence that is too long by itself is cut at token borders, at
    the beginning of a word where there is one. For every passage `document.text[start:end] == passage.text` holds.

    Args:
        documents: In the order in which their passages come; those without text give none, and those that were
            retracted give none unless `passages.keep_retracted`.
        passages: The recipe's section. Lengths count tokens of the passage alone, without special tokens; only a single
            character that has more tokens than that stands by itself.
        tokenizer: Of the model that reads the passages.

    Raises:
        MachineError: The library that finds sentences is missing.
    """
    kept = [one for one in documents if one.text.strip() and (passages.keep_retracted or not one.retracted)]
    cut: list[Passage] = []
    for begin in range(0, len(kept), CUT_AT_ONCE):
        cut += _cut_some(kept[begin : begin + CUT_AT_ONCE], passages, tokenizer)
    return cut


def _cut_some(documents: Sequence[Document], passages: Passages, tokenizer: TextTokenizer) -> list[Passage]:
    texts = [SURROGATE.sub("\ufffd", document.text) for document in documents]
    sentences = [sentence_stretches(text, passages.language) for text in texts]
    flat = [text[start:end] for text, found in zip(texts, sentences, strict=True) for start, end in found]
    n_tokens = iter([len(ids) for ids in tokenizer.encode(flat)])
    stretches: list[list[Stretch]] = []
    for text, found in zip(texts, sentences, strict=True):
        counted = [_Unit(start, end, next(n_tokens)) for start, end in found]
        stretches.append(_packed(text, counted, passages, passages.max_length_tokens, tokenizer))
    for at in _excess(texts, stretches, passages.max_length_tokens, tokenizer):
        stretches[at] = _packed_tighter(texts[at], sentences[at], passages, tokenizer)
    return [
        Passage(document.text[start:end], document.address, start, end, document.title)
        for document, found in zip(documents, stretches, strict=True)
        for start, end in found
    ]


def sentence_stretches(text: str, language: str) -> list[Stretch]:
    """Where the sentences of a text lie, without the white space around them.

    Args:
        text: Without half surrogate pairs.
        language: ISO 639-1; of a language without rules of its own, related ones are taken.

    Raises:
        MachineError: The library that finds sentences is missing.
    """
    stretches, start = [], 0
    for boundary in evidence_library("sentencex").get_sentence_boundaries(language, text):
        end = boundary["end_index"]
        stretches.append(_trimmed(text, start, end))
        start = end
    stretches.append(_trimmed(text, start, len(text)))
    return [(start, end) for start, end in stretches if start < end]


def _trimmed(text: str, start: int, end: int) -> Stretch:
    inner = text[start:end]
    return start + len(inner) - len(inner.lstrip()), start + len(inner.rstrip())


def _excess(
    texts: Sequence[str], stretches: Sequence[Sequence[Stretch]], most_tokens: int, tokenizer: TextTokenizer
) -> dict[int, int]:
    """By how many tokens the longest passage of a document is too long, for documents that have such a passage."""
    owners = [at for at, found in enumerate(stretches) for _ in found]
    flat = [text[start:end] for text, found in zip(texts, stretches, strict=True) for start, end in found]
    excess: dict[int, int] = {}
    for at, ids in zip(owners, tokenizer.encode(flat), strict=True):
        if len(ids) > most_tokens:
            excess[at] = max(excess.get(at, 0), len(ids) - most_tokens)
    return excess


def _packed_tighter(
    text: str, sentences: Sequence[Stretch], passages: Passages, tokenizer: TextTokenizer
) -> list[Stretch]:
    """Pack with smaller budgets until every passage fits: sentences joined, or pieces alone, can have more tokens."""
    parts = [text[start:end] for start, end in sentences]
    units = [_Unit(*where, len(ids)) for where, ids in zip(sentences, tokenizer.encode(parts), strict=True)]
    budget = passages.max_length_tokens
    while True:
        found = _packed(text, units, passages, budget, tokenizer)
        excess = _excess([text], [found], passages.max_length_tokens, tokenizer)
        if not excess or budget == 1:
            return found
        budget = max(1, budget - excess[0])


def _packed(
    text: str, sentences: Sequence[_Unit], passages: Passages, budget: int, tokenizer: TextTokenizer
) -> list[Stretch]:
    units: list[_Unit] = []
    for sentence in sentences:
        units += [sentence] if sentence.n_tokens <= budget else _pieces(text, sentence, budget, tokenizer)
    stretches: list[Stretch] = []
    first = after = 0
    while after < len(units):
        # What two passages share gives way to what is new.
        while first < after and sum(unit.n_tokens for unit in units[first : after + 1]) > budget:
            first += 1
        n_tokens = sum(unit.n_tokens for unit in units[first : after + 1])
        after += 1
        while after < len(units) and n_tokens + units[after].n_tokens <= budget:
            n_tokens += units[after].n_tokens
            after += 1
        stretches.append((units[first].start, units[after - 1].end))
        first = max(first + 1, after - passages.overlap_sentences)
    return stretches


def _pieces(text: str, sentence: _Unit, budget: int, tokenizer: TextTokenizer) -> Iterator[_Unit]:
    """Cut a sentence into pieces of at most so many tokens."""
    part = text[sentence.start : sentence.end]
    offsets = tokenizer.tokenizer.encode(part, add_special_tokens=False).offsets
    # Tokens of one character (bytes of it, or what it is decomposed into) share its offset and stay together.
    borders = [at for at in range(1, len(offsets)) if offsets[at][0] >= offsets[at - 1][1]]
    borders.append(len(offsets))
    first = start = 0
    while first < len(offsets):
        after = _border(part, offsets, borders, first, budget)
        end = len(part) if after == len(offsets) else offsets[after][0]
        where = _trimmed(part, start, end)
        if where[0] < where[1]:
            yield _Unit(sentence.start + where[0], sentence.start + where[1], after - first)
        first, start = after, end


def _border(text: str, offsets: Sequence[Stretch], borders: Sequence[int], first: int, budget: int) -> int:
    """The token before which the piece that begins with token `first` ends; `borders` are where it may."""
    if len(offsets) - first <= budget:
        return len(offsets)
    lowest, highest = bisect_right(borders, first), bisect_right(borders, first + budget)
    if lowest == highest:
        return borders[lowest]
    within = borders[lowest:highest]
    at_words = [at for at in within if at > first + budget // 2 and _begins_word(text, offsets[at][0])]
    return (at_words or within)[-1]


def _begins_word(text: str, at: int) -> bool:
    return text[at].isspace() or text[at - 1].isspace()
