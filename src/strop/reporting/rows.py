"""Rows of the data as a report shows them: the worst errors, and equal texts with different labels."""

import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from strop.records.dataset import Dataset
from strop.records.predictions import Predictions

SHORT_CHARACTERS = 180
MOST_CHARACTERS = 20_000
MOST_ERRORS = 20
MOST_CONFLICTS = 20
SMALLEST_PROBABILITY = 1e-15


@dataclass(frozen=True)
class ShownText:
    """A text of the data, short and whole.

    Attributes:
        short: Its beginning on one line.
        whole: All of it, None where the short form says everything.
        n_left_out: Characters beyond what even the whole form shows.
    """

    short: str
    whole: str | None
    n_left_out: int


@dataclass(frozen=True)
class ShownError:
    """A row that was predicted wrongly.

    Attributes:
        row_id: Its id.
        truth: Its label.
        predicted: The predicted label.
        p_predicted: Probability of the predicted label.
        p_truth: Probability of the true label.
        log_loss: Minus the logarithm of `p_truth`.
        text: Its text.
    """

    row_id: str
    truth: str
    predicted: str
    p_predicted: float
    p_truth: float
    log_loss: float
    text: ShownText


@dataclass(frozen=True)
class Conflict:
    """Rows of equal text and different labels.

    Attributes:
        text: The text.
        labels: By label, the ids of the rows that have it.
    """

    text: ShownText
    labels: dict[str, list[str]]


def shown_text(text: str) -> ShownText:
    """Shorten a text at a word, and make control characters visible."""
    visible = "".join(_visible(character) for character in text[:MOST_CHARACTERS])
    line = " ".join(visible.split())
    n_left_out = max(0, len(text) - MOST_CHARACTERS)
    if len(line) <= SHORT_CHARACTERS and not n_left_out:
        return ShownText(line, None, 0)
    start = line[:SHORT_CHARACTERS]
    at_word = start.rsplit(" ", 1)[0] if " " in start[SHORT_CHARACTERS // 2 :] else start
    return ShownText(f"{at_word} …", visible, n_left_out)


def with_evidence(shown: ShownText, text_read: str | None) -> ShownText:
    """A row's own text for its short form, and all that the model read of it for the whole."""
    if text_read is None:
        return shown
    whole = shown_text(text_read)
    return ShownText(shown.short, whole.whole or whole.short, whole.n_left_out)


def worst_errors(
    predictions: Predictions, dataset: Dataset, texts_read: Mapping[str, str], most: int = MOST_ERRORS
) -> list[ShownError]:
    """The wrongly predicted rows with the largest log loss, worst first.

    Args:
        predictions: Of rows in the dataset.
        dataset: Rows with labels; a row whose label was never learnt counts with probability 0.
        texts_read: What the model read of a row, by id, where that is more than its text.
        most: How many at most.
    """
    rows = dataset.select(predictions.ids)
    if rows.target is None:
        raise ValueError("errors need rows with labels")
    column = {label: at for at, label in enumerate(predictions.labels)}
    probabilities_RL = predictions.probabilities_RL()
    best_R, texts = predictions.best_R(), rows.joined_texts()
    errors = []
    for at in np.flatnonzero(best_R != rows.target):
        truth = rows.target[at]
        p_truth = float(probabilities_RL[at, column[truth]]) if truth in column else 0.0
        loss = -float(np.log(max(p_truth, SMALLEST_PROBABILITY)))
        errors.append((loss, int(at), p_truth))
    errors.sort(key=lambda error: (-error[0], error[1]))
    return [
        ShownError(
            row_id=str(rows.ids[at]),
            truth=str(rows.target[at]),
            predicted=str(best_R[at]),
            p_predicted=float(probabilities_RL[at].max()),
            p_truth=p_truth,
            log_loss=loss,
            text=with_evidence(shown_text(texts[at]), texts_read.get(str(rows.ids[at]))),
        )
        for loss, at, p_truth in errors[:most]
    ]


def conflicts(dataset: Dataset) -> list[Conflict]:
    """Open rows whose texts are equal and whose labels are not; rows without text are passed over."""
    if dataset.target is None:
        return []
    labels_by_text: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row_id, text, label in zip(dataset.ids, dataset.joined_texts(), dataset.target, strict=True):
        if text.strip():
            labels_by_text[text][label].append(row_id)
    return [
        Conflict(shown_text(text), dict(sorted(labels.items())))
        for text, labels in labels_by_text.items()
        if len(labels) > 1
    ]


def _visible(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs"):
        return character
    return f"\\x{ord(character):02x}"
