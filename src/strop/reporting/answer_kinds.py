"""F1 of answers by kind of row: by length of the context, by length of the answer, by question word.

Dimensions: R rows.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strop.evaluation.answer_intervals import resampled_means, score_of
from strop.evaluation.intervals import numbers_of_groups
from strop.records.dataset import Dataset, strings
from strop.records.scores import Score, Scores
from strop.reporting.answer_rows import question_texts
from strop.reporting.sentences import count

N_RESAMPLES = 1000
N_BINS = 4
METRICS_SHOWN = ("f1", "exact_match")
# Of several in one question the one that comes first counts.
QUESTION_WORDS = {
    "who": r"\bwho(?:m|se)?\b|누구|누가",
    "what": r"\bwhat\b|무엇|무슨|뭐",
    "when": r"\bwhen\b|언제",
    "where": r"\bwhere\b|어디",
    "which": r"\bwhich\b|어느|어떤",
    "why": r"\bwhy\b|왜(?=[\s?]|$)",
    "how many": r"\bhow (?:many|much)\b|몇|얼마",
    "how": r"\bhow\b(?! many| much)|어떻게",
}
FIRST_WORD = re.compile("|".join(f"({pattern})" for pattern in QUESTION_WORDS.values()), re.IGNORECASE)


@dataclass(frozen=True)
class Kind:
    """Rows of one kind: how many, and their scores by metric."""

    name: str
    n_rows: int
    scores: dict[str, Score]


@dataclass(frozen=True)
class Division:
    """Rows divided in one way.

    Attributes:
        title: By what.
        kinds: The kinds that have rows.
    """

    title: str
    kinds: tuple[Kind, ...]


def divisions(scores: Scores, dataset: Dataset, context: str | None) -> list[Division]:
    """Divide the judged rows by length of context, length of answer and question word.

    Lengths are in characters, divided at quartiles; a division with one kind is left out. Intervals are percentile
    bootstrap intervals over the rows of the kind, or over their groups.

    Args:
        scores: Scores of answers, with F1 and exact match by row.
        dataset: The rows judged, with accepted answers.
        context: The text column that questions are about; without one the length of all text counts.
    """
    rows = dataset.select(scores.ids)
    of_context = None if context is None else rows.texts.get(context)
    texts = rows.joined_texts() if of_context is None else of_context
    read = "Length of the text" if of_context is None else "Length of the context"
    found = {f"{read}, in characters": _by_length([len(text) for text in texts])}
    if rows.answers is not None:
        shortest = [min((len(text) for text in accepted), default=0) for accepted in rows.answers]
        found["Length of the shortest accepted answer, in characters"] = _by_length(shortest)
    found["Question word"] = [_question_word(text) for text in question_texts(rows, context)]
    return [Division(title, kinds) for title, names in found.items() if len(kinds := _kinds(names, scores, rows)) > 1]


def _by_length(lengths: Sequence[int]) -> list[str]:
    """The name of every row's bin; bins hold about as many rows each, equal lengths together."""
    inner = np.quantile(lengths, np.linspace(0, 1, N_BINS + 1)[1:-1], method="inverted_cdf")
    edges = np.unique(np.asarray(inner, dtype=np.int64))
    # Nothing is longer than the last edge where the longest fill more than a bin.
    edges = edges[edges < max(lengths)]
    names = _names(edges, min(lengths), max(lengths))
    return [names[at] for at in np.searchsorted(edges, lengths, side="left").tolist()]


def _names(edges: NDArray[np.int64], shortest: int, longest: int) -> list[str]:
    lows = [shortest, *(int(edge) + 1 for edge in edges)]
    highs = [*(int(edge) for edge in edges), longest]
    return [
        count(low) if low == high else f"{count(low)} to {count(high)}" for low, high in zip(lows, highs, strict=True)
    ]


def _question_word(question: str) -> str:
    found = FIRST_WORD.search(question)
    return "another or none" if found is None else list(QUESTION_WORDS)[(found.lastindex or 1) - 1]


def _kinds(names: Sequence[str], scores: Scores, rows: Dataset) -> tuple[Kind, ...]:
    named = np.asarray(names, dtype=object)
    order = sorted(set(names), key=_place)
    return tuple(_kind(name, np.flatnonzero(named == name), scores, rows) for name in order)


def _place(name: str) -> tuple[int, str]:
    """Lengths from short to long, question words in their order, the rest last."""
    if name[0].isdigit():
        return int(name.split(maxsplit=1)[0].replace(",", "")), name
    words = list(QUESTION_WORDS)
    return (words.index(name) if name in words else len(words)), name


def _kind(name: str, at: NDArray[np.intp], scores: Scores, rows: Dataset) -> Kind:
    values = {metric: np.asarray(scores.model.per_row[metric], dtype=np.float64)[at] for metric in METRICS_SHOWN}
    group_R = None if rows.groups is None else numbers_of_groups(strings(rows.groups[at].tolist()))
    means = resampled_means(values, n_resamples=N_RESAMPLES, seed=0, group_R=group_R)
    found = {
        metric: score_of(metric, values_R, means[metric], scores.confidence) for metric, values_R in values.items()
    }
    return Kind(name, len(at), found)
