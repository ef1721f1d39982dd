"""A row's answer comes from the window that is surest of one."""

from dataclasses import replace

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


def texts(
    generated: Generated, completions: Completions, no_answer: str | None = None, notes: tuple[str, ...] = ()
) -> list[list[str]]:
    n_rows = completions.n_rows
    answers, said = answers_of(
        generated,
        completions,
        part=strings(["new"] * n_rows),
        seen_R=np.zeros(n_rows, dtype=np.bool_),
        fold_R=np.full(n_rows, -1),
        rules="squad",
        no_answer=no_answer,
        made_by={"system": "tiny"},
    )
    assert answers.ids.tolist() == completions.ids.tolist()
    assert answers.made_by == {"system": "tiny"}
    assert tuple(said) == notes
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


UNKNOWN = (
    "of {} rows were read in windows and the server gives no likelihoods: the answer that most windows of a row give "
    "stands, the first of equals"
)


def test_windows_of_unknown_likelihood_vote_by_their_text() -> None:
    text = [["none", "x"], ["Red.", "y"], ["a cat", "z"], ["the red", "w"], ["b", "v"], ["u", "t"], ["s", "r"]]
    unknown = written(text, [[np.nan] * 2] * 7, [[1] * 2] * 7)
    # Row 0: none, red, cat, red; row 1 has one window; row 2 has two that differ.
    found = texts(unknown, windows([0, 0, 0, 0, 1, 2, 2]), "none", (f"2 {UNKNOWN.format(3)}",))
    assert found == [["Red.", "y"], ["b", "v"], ["u", "t"]]
    # The votes of windows that hold no answer do not count, and where none holds one the first stands.
    unsaid = written([["none"], ["none "], ["b"], [" none"], ["none"]], [[np.nan]] * 5, [[1]] * 5)
    assert texts(unsaid, windows([0, 0, 0, 1, 1]), "none") == [["b"], [" none"]]
    assert texts(unsaid, windows([0, 0, 0, 1, 1]), None, (f"2 {UNKNOWN.format(2)}",)) == [["none"], [" none"]]


def test_windows_of_unknown_likelihood_come_behind_those_that_are_known() -> None:
    one_known = written([["a"], ["b"], ["c"]], [[np.nan], [-50.0], [-1.0]], [[1], [1], [0]])
    assert texts(one_known, windows([0, 0, 0])) == [["b"]]


def test_what_an_engine_has_to_say_is_handed_on() -> None:
    generated = replace(written([["a"]], [[-1.0]], [[1]]), note="every prompt was read whole")
    assert texts(generated, windows([0]), None, ("every prompt was read whole",)) == [["a"]]


def test_candidates_must_fit_together() -> None:
    with pytest.raises(ValueError, match="candidates must have one shape"):
        written([["a"]], [[0.0, 1.0]], [[1]])
