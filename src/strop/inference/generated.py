"""What an engine wrote behind every prompt, and which of a row's prompts its answer is taken from.

Dimensions: P prompts, R rows, C candidates.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strop.metrics.answers import RULES
from strop.records.answers import Answers, Texts
from strop.records.completions import Completions, TokenIds
from strop.records.dataset import Strings


@dataclass(frozen=True)
class Generated:
    """C candidates for each of P prompts, the best or first drawn in front.

    Attributes:
        text_PC: The candidates without special tokens, shape (P, C).
        log_likelihood_PC: Log-probability of a candidate's tokens together, its end token included, by the model
            itself: at temperature 1 and without penalties. NaN where it is not known, shape (P, C).
        n_tokens_PC: Tokens of a candidate, its end token included; 0 where it is not known, shape (P, C).
        ended_PC: Whether the model itself ended a candidate, shape (P, C).
        token_ids: Token ids of every candidate, its end token included, P times C arrays; empty where only the texts
            are known.
        n_tokens_read: Tokens of prompts that were read to write all this; 0 where it is not known.
        note: What the reader should know about how it was made; "" for nothing.
    """

    text_PC: Texts
    log_likelihood_PC: NDArray[np.float32]
    n_tokens_PC: NDArray[np.int64]
    ended_PC: NDArray[np.bool_]
    token_ids: Sequence[Sequence[TokenIds]] = ()
    n_tokens_read: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        shapes = {m.shape for m in (self.text_PC, self.log_likelihood_PC, self.n_tokens_PC, self.ended_PC)}
        if len(shapes) != 1 or self.text_PC.ndim != 2 or self.text_PC.shape[1] == 0:
            raise ValueError(f"candidates must have one shape (prompts, candidates), came {sorted(shapes)}")

    @property
    def mean_log_likelihood_PC(self) -> NDArray[np.float64]:
        """Log-probability a token, NaN where it is not known, shape (P, C)."""
        known = np.where(self.n_tokens_PC > 0, self.n_tokens_PC, 1)
        return np.where(self.n_tokens_PC > 0, self.log_likelihood_PC / known, np.nan)


def answers_of(
    generated: Generated,
    completions: Completions,
    *,
    part: Strings,
    seen_R: NDArray[np.bool_],
    fold_R: NDArray[np.int64],
    rules: str,
    no_answer: str | None = None,
    made_by: Mapping[str, str] | None = None,
) -> tuple[Answers, list[str]]:
    """Take the candidates of one prompt for every row.

    Of a row that was read in windows it is the one whose first candidate has the highest mean log-likelihood a token,
    among windows whose first candidate is an answer, if there are any. Where no likelihood is known among these, the
    answer that most of them give stands. The first of equals in both cases.

    Args:
        generated: What was written behind the prompts.
        completions: The prompts and their rows.
        part: See `Answers`.
        seen_R: See `Answers`.
        fold_R: See `Answers`.
        rules: By which rules answers are equal, see `strop.metrics.answers`.
        no_answer: What stands for no answer, where a window may not hold it.
        made_by: See `Answers`.

    Returns:
        The answers, and in words what a reader should know about how they were made.
    """
    at_R, n_voted = _chosen_prompts(generated, completions, rules, no_answer)
    notes = [generated.note] if generated.note else []
    if n_voted:
        notes.append(
            f"{n_voted:,} of {completions.n_rows:,} rows were read in windows and the server gives no likelihoods: the "
            "answer that most windows of a row give stands, the first of equals"
        )
    answers = Answers(
        ids=completions.ids,
        text_RC=generated.text_PC[at_R],
        log_likelihood_RC=generated.log_likelihood_PC[at_R],
        n_tokens_RC=generated.n_tokens_PC[at_R],
        ended_RC=generated.ended_PC[at_R],
        part=part,
        seen_R=seen_R,
        fold_R=fold_R,
        made_by=dict(made_by or {}),
    )
    return answers, notes


def _chosen_prompts(
    generated: Generated, completions: Completions, rules: str, no_answer: str | None
) -> tuple[NDArray[np.intp], int]:
    """The prompt that each row's answer is taken from, shape (R,), and for how many rows the windows had to vote."""
    mean_P = generated.mean_log_likelihood_PC[:, 0]
    nothing = None if no_answer is None else no_answer.strip()
    is_answer_P = np.asarray([str(text).strip() != nothing for text in generated.text_PC[:, 0]], dtype=np.bool_)
    # Last key first: row, then answers before none, then the likeliest; stable for equals.
    order_P = np.lexsort((-np.nan_to_num(mean_P, nan=-np.inf), ~is_answer_P, completions.row_P))
    rows, first = np.unique(completions.row_P[order_P], return_index=True)
    if len(rows) != completions.n_rows:
        raise ValueError("every row must have a prompt")
    at_R, n_voted = order_P[first], 0
    for row, windows in enumerate(np.split(order_P, first[1:])):
        contending = windows[is_answer_P[windows]]
        # Those that are known stand in front: where the first is not, none is.
        if len(contending) > 1 and np.isnan(mean_P[contending[0]]):
            texts = [RULES[rules].normalized(str(generated.text_PC[at, 0])) for at in contending]
            at_R[row] = contending[texts.index(Counter(texts).most_common(1)[0][0])]
            n_voted += 1
    return at_R, n_voted
