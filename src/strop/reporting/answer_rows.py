"""Answers in words as a report shows them: the worst, and those that failed whatever was asked.

Dimensions: R rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, isnan

import numpy as np

from strop.metrics.answer_failures import FAILURES
from strop.records.answers import Answers
from strop.records.dataset import Dataset, Strings, strings
from strop.records.scores import Scores
from strop.reporting.rows import MOST_ERRORS, ShownText, shown_text, with_evidence

MOST_ACCEPTED = 5
MOST_FAILED = 5
FAILURE_WORDS = {"ended": "not ended", "empty": "empty", "repeated": "in a loop"}


@dataclass(frozen=True)
class ShownAnswer:
    """A row and its answer.

    Attributes:
        row_id: Its id.
        f1: F1 of the answer.
        sureness: Probability of the answer's tokens, as their geometric mean; None where it is not known.
        failures: How the answer failed whatever was asked, in words.
        prompt: What was asked, and in its whole form all text columns.
        accepted: The first few different accepted answers.
        n_more_accepted: How many further ones there are.
        answer: The answer as it is judged.
        written: The answer as the model wrote it, None where cleaning took off nothing but white space.
    """

    row_id: str
    f1: float
    sureness: float | None
    failures: tuple[str, ...]
    prompt: ShownText
    accepted: tuple[ShownText, ...]
    n_more_accepted: int
    answer: ShownText
    written: ShownText | None


def question_texts(dataset: Dataset, context: str | None) -> Strings:
    """What is asked in every row: its text columns without the context, or all where there is nothing else."""
    others = [column for name, column in dataset.texts.items() if name != context]
    if not others:
        return dataset.joined_texts()
    return strings(["\n".join(parts) for parts in zip(*others, strict=True)])


def worst_answers(
    scores: Scores,
    answers: Answers,
    written: Answers,
    dataset: Dataset,
    context: str | None,
    most: int = MOST_ERRORS,
) -> list[ShownAnswer]:
    """The answers with the lowest F1, of equal ones those first that the model was surest of.

    Args:
        scores: Of these answers, with F1 by row.
        answers: As they are judged.
        written: As the model wrote them, the same rows in the same order.
        dataset: Rows with accepted answers.
        context: The text column that questions are about.
        most: How many at most.
    """
    by_id = dict(zip(scores.ids, scores.model.per_row["f1"], strict=True))
    f1_R = np.asarray([by_id.get(str(row_id), np.nan) for row_id in answers.ids], dtype=np.float64)
    sure_R = answers.log_likelihood_RC[:, 0] / np.maximum(answers.n_tokens_RC[:, 0], 1)
    order = np.lexsort((-np.nan_to_num(sure_R, nan=-np.inf), f1_R))
    worst = [at for at in order.tolist() if f1_R[at] < 1.0][:most]
    return shown_answers(worst, f1_R.tolist(), answers, written, dataset, context)


def shown_answers(
    rows: Sequence[int],
    f1_by_row: Sequence[float],
    answers: Answers,
    written: Answers,
    dataset: Dataset,
    context: str | None,
) -> list[ShownAnswer]:
    """These rows of the answers as a report shows them; arguments as in `worst_answers`."""
    kept = answers.take(rows)
    of_data = dataset.select(kept.ids)
    asked, whole = question_texts(of_data, context), of_data.joined_texts()
    failed = {name: (failure.by_row(kept) == 1.0) != failure.higher_is_better for name, failure in FAILURES.items()}
    shown = []
    for at, row in enumerate(rows):
        # Several people's answers to one question are often the same.
        accepted = [] if of_data.answers is None else list(dict.fromkeys(of_data.answers[at]))
        as_written, answer = str(written.text_R[row]), str(kept.text_R[at])
        log_likelihood = float(kept.log_likelihood_RC[at, 0])
        sure = None if isnan(log_likelihood) else exp(log_likelihood / max(1, int(kept.n_tokens_RC[at, 0])))
        shown.append(
            ShownAnswer(
                row_id=str(kept.ids[at]),
                f1=f1_by_row[row],
                sureness=sure,
                failures=tuple(FAILURE_WORDS[name] for name, is_failed_R in failed.items() if is_failed_R[at]),
                prompt=with_evidence(shown_text(asked[at]), whole[at]),
                accepted=tuple(shown_text(text) for text in accepted[:MOST_ACCEPTED]),
                n_more_accepted=max(0, len(accepted) - MOST_ACCEPTED),
                answer=shown_text(answer),
                written=None if as_written.strip() == answer else shown_text(as_written),
            )
        )
    return shown


@dataclass(frozen=True)
class Failed:
    """Answers of one system that failed in one way.

    Attributes:
        system: The model or a baseline.
        counts: By way of failing, in words, how many answers.
        n_rows: Of how many.
    """

    system: str
    counts: dict[str, int]
    n_rows: int


def failure_counts(scores: Scores) -> list[Failed]:
    """How often every system failed, in every way; the model first."""

    def count(per_row: Sequence[float], *, higher_is_better: bool) -> int:
        return sum((value == 1.0) != higher_is_better for value in per_row)

    return [
        Failed(
            one.system,
            {
                FAILURE_WORDS[name]: count(one.per_row[name], higher_is_better=failure.higher_is_better)
                for name, failure in FAILURES.items()
                if name in one.per_row
            },
            len(scores.ids),
        )
        for one in (scores.model, *scores.baselines)
    ]


def failed_answers(
    scores: Scores, answers: Answers, written: Answers, dataset: Dataset, context: str | None
) -> dict[str, list[ShownAnswer]]:
    """By way of failing, in words, the first few answers that failed so; arguments as in `worst_answers`."""
    by_id = dict(zip(scores.ids, scores.model.per_row["f1"], strict=True))
    f1_by_row = [by_id.get(str(row_id), np.nan) for row_id in answers.ids]
    found = {}
    for name, failure in FAILURES.items():
        rows = np.flatnonzero((failure.by_row(answers) == 1.0) != failure.higher_is_better)[:MOST_FAILED].tolist()
        if rows:
            found[FAILURE_WORDS[name]] = shown_answers(rows, f1_by_row, answers, written, dataset, context)
    return found
