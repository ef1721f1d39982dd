"""A row's answer comes from the window that is surest of one."""

import numpy as np
import pytest

from strop.inference.generated import Generated, answers_of
from strop.records.completions import Completions
from strop.records.dataset import strings


def windows(row_P: list[int]) -> Completions:
    n_rows, n_prompts = max(row_P) + 1, len(row_P)
    empty = np.asarray([], dtype=np.int32)
    return Completions(
        ids=strings([f"r{row}" for row in range(n_rows)]),
        row_P=np.asarray(row_P),
        prompts=[np.asarray([3], dtype=np.int32)] * n_prompts,
        answers=[empty] * n_prompts,
        context_P=np.zeros(n_prompts, dtype=np.int64),
        shared_P=np.zeros(n_prompts, dtype=np.int64),
        n_tokens_R=np.ones(n_rows, dtype=np.int64),
        n_cut_R=np.zeros(n_rows, dtype=np.int64),
    )


def written(text: list[list[str]], total: list[list[float]], n_tokens: list[list[int]]) -> Generated:
    return Generated(
        text_PC=np.asarray(text, dtype=object),
        log_likelihood_PC=np.asarray(total, dtype=np.float32),
        n_tokens_PC=np.asarray(n_tokens),
        ended_PC=np.ones(np.shape(text), dtype=np.bool_),
    )


def texts(generated: Generated, completions: Completions, no_answer: str | None = None) -> list[list[str]]:
    n_rows = completions.n_rows
    answers = answers_of(
        generated,
        completions,
        part=strings(["new"] * n_rows),
        seen_R=np.zeros(n_rows, dtype=np.bool_),
        fold_R=np.full(n_rows, -1),
        no_answer=no_answer,
        made_by={"system": "tiny"},
    )
    assert answers.ids.tolist() == completions.ids.tolist()
    assert answers.made_by == {"system": "tiny"}
    rows: list[list[str]] = answers.text_RC.tolist()
    return rows


def test_the_likeliest_window_a_token_answers_with_all_its_candidates() -> None:
    # Means a token: row 0 has -1, -0.5 and -2; row 1 has one window.
    text = [["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"]]
    generated = written(text, [[-2, -9], [-3, -9], [-2, 0], [-1, -1]], [[2, 1], [6, 1], [1, 1], [1, 1]])
    assert texts(generated, windows([0, 0, 0, 1])) == [["c", "d"], ["g", "h"]]


def test_windows_without_an_answer_stand_back() -> None:
    generated = written([["none"], ["c"], [" none"], ["none "]], [[-0.1], [-9], [-0.3], [-0.2]], [[1]] * 4)
    assert texts(generated, windows([0, 0, 1, 1]), "none") == [["c"], ["none "]]
    assert texts(generated, windows([0, 0, 1, 1])) == [["none"], ["none "]]


def test_windows_of_unknown_likelihood_come_last_and_in_their_order() -> None:
    unknown = written([["a"], ["b"], ["c"]], [[np.nan]] * 3, [[1]] * 3)
    assert texts(unknown, windows([0, 0, 0])) == [["a"]]
    one_known = written([["a"], ["b"], ["c"]], [[np.nan], [-50.0], [-1.0]], [[1], [1], [0]])
    assert texts(one_known, windows([0, 0, 0])) == [["b"]]


def test_candidates_must_fit_together() -> None:
    with pytest.raises(ValueError, match="candidates must have one shape"):
        written([["a"]], [[0.0, 1.0]], [[1]])
