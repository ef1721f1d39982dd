from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.text.length_policy import (
    MOST_TOKENS_OF_A_UNIT,
    SENTENCE,
    WORD,
    Context,
    cut_around,
    cut_middle,
    cut_to_question,
    fitted,
    overlapping_windows,
    place_of,
)
from strop.text.tokenizer import TextTokenizer

TEXT = "Rome is old. It has hills!\n서울은 한국의 수도이다. 부산은 항구이다? The end"
SENTENCES = ["Rome is old. ", "It has hills!\n", "서울은 한국의 수도이다. ", "부산은 항구이다? ", "The end"]


@pytest.fixture(scope="module")
def tokenizer(tiny_causal: Path) -> TextTokenizer:
    return TextTokenizer.from_folder(tiny_causal)


def texts_of(context: Context) -> list[str]:
    return [context.text[start:end] for start, end in context.units]


def in_words(n_tokens: list[int]) -> Context:
    """A context of one-letter words, each of so many tokens."""
    text = " ".join("abcdefghij"[: len(n_tokens)])
    units = [(2 * at, min(2 * at + 2, len(text))) for at in range(len(n_tokens))]
    return Context(text, units, np.array(n_tokens))


def test_a_context_falls_into_sentences_that_have_all_its_tokens(tokenizer: TextTokenizer) -> None:
    context = Context.of("  " + TEXT, tokenizer)
    assert texts_of(context) == SENTENCES
    assert context.n_tokens == len(tokenizer.encode(["  " + TEXT])[0])
    assert context.n_tokens_U[4] == len(tokenizer.encode(["The end"])[0])


def test_marks_inside_words_and_behind_quotes(tokenizer: TextTokenizer) -> None:
    text = 'It cost 3.5 won. "Why?" he said. (Yes.) e.g. this'
    assert texts_of(Context.of(text, tokenizer)) == [
        "It cost 3.5 won. ",
        '"Why?" ',
        "he said. ",
        "(Yes.) ",
        "e.g. ",
        "this",
    ]


@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_blank_context_has_no_units(text: str, tokenizer: TextTokenizer) -> None:
    context = Context.of(text, tokenizer)
    assert len(context.units) == 0
    assert context.n_tokens == 0
    assert context.nearness("what?").tolist() == []
    assert cut_to_question(context, np.zeros(0), 10) is None
    assert overlapping_windows(context, 4, 1, None) == []


@given(st.text(alphabet="ab .!?\n\t서울é😀", max_size=400), st.sampled_from([SENTENCE, WORD]))
@settings(deadline=None)
def test_units_follow_each_other_and_none_is_long(tokenizer: TextTokenizer, text: str, unit) -> None:
    context = Context.of(text, tokenizer, unit=unit)
    assert "".join(texts_of(context)) == text.lstrip() if text.strip() else not context.units
    assert all(before[1] == after[0] for before, after in zip(context.units, context.units[1:], strict=False))
    if text.strip():
        assert context.n_tokens == len(tokenizer.encode([text])[0])
        # White space belongs to the word before it, however long it is.
        words = [len(tokenizer.encode([one.strip()])[0]) for one in texts_of(context)]
        assert max(words) <= MOST_TOKENS_OF_A_UNIT + 4


def test_a_long_sentence_falls_into_words_and_a_long_word_into_tokens(tokenizer: TextTokenizer) -> None:
    context = Context.of("xy " * 100, tokenizer)
    assert len(context.units) > 1
    assert {one.strip().replace("xy", "").strip() for one in texts_of(context)} == {""}
    assert all(one.startswith("xy ") for one in texts_of(context))
    assert len(Context.of("q" * 500, tokenizer, unit=WORD).units) == -(-500 // MOST_TOKENS_OF_A_UNIT)


def test_the_sentence_of_the_question_is_nearest(tokenizer: TextTokenizer) -> None:
    context = Context.of(TEXT, tokenizer)
    assert context.nearness("어느 도시가 한국의 수도인가?").argmax() == 2
    assert context.nearness("Which city has HILLS?").argmax() == 1
    assert context.nearness("zzz").tolist() == [0.0] * 5
    # The neighbours of the sentence that shares words count, those further away do not.
    assert (context.nearness("hills") > 0).tolist() == [True, True, True, False, False]


def test_near_units_stay_in_the_order_of_the_context() -> None:
    context = in_words([3, 2, 4, 2])
    near_U = np.array([0.1, 0.9, 0.2, 0.8])
    kept = cut_to_question(context, near_U, 8)
    assert kept is not None
    # b and d first, then c, the next nearest, stands; a no longer fits.
    assert (kept.text, kept.n_tokens) == ("b c d", 8)
    apart = cut_to_question(context, near_U, 4)
    assert apart is not None
    assert (apart.text, apart.stretches, apart.n_tokens) == ("b\nd", ((2, 4), (6, 7)), 4)
    assert cut_to_question(context, near_U, 1) is None


@pytest.mark.parametrize(
    ("budget", "fraction_before", "expected"),
    [
        (1, 0.5, "d"),
        (3, 0.5, "c d e"),
        (3, 0.0, "d e f"),
        (3, 1.0, "b c d"),
        (6, 1.0, "a b c d e f"),
        (9, 0.5, "a b c d e f g"),
    ],
)
def test_a_cut_around_a_place(budget: int, fraction_before: float, expected: str) -> None:
    kept = cut_around(in_words([1] * 7), (6, 7), budget, fraction_before)
    assert kept is not None
    assert kept.text == expected
    assert kept.holds((6, 7))


def test_what_one_side_leaves_unused_passes_on() -> None:
    kept = cut_around(in_words([1] * 7), (0, 1), 4, 1.0)
    assert kept is not None
    assert kept.text == "a b c d"
    kept = cut_around(in_words([1] * 7), (12, 13), 4, 0.0)
    assert kept is not None
    assert kept.text == "d e f g"


def test_a_place_that_does_not_fit_is_not_cut() -> None:
    context = in_words([3, 3, 3])
    assert cut_around(context, (0, 3), 5, 0.5) is None
    kept = cut_around(context, (0, 3), 6, 0.5)
    assert kept is not None
    assert kept.text == "a b"


def test_windows_by_hand() -> None:
    windows = overlapping_windows(in_words([1] * 10), 4, 1, None)
    assert [window.text for window in windows] == ["a b c d", "d e f g", "g h i j"]
    windows = overlapping_windows(in_words([1] * 8), 4, 1, None)
    # The last one is moved back, so that it is as long as the others.
    assert [window.text for window in windows] == ["a b c d", "d e f g", "e f g h"]
    assert [window.text for window in overlapping_windows(in_words([1] * 8), 4, 1, 1)] == ["a b c d"]
    # A unit that is too long is a window of its own.
    assert [window.text for window in overlapping_windows(in_words([1, 9, 1]), 4, 1, None)][1] == "b"


@given(st.lists(st.integers(1, 5), min_size=1, max_size=10), st.integers(1, 12), st.integers(0, 6))
def test_windows_leave_nothing_out(n_tokens: list[int], width: int, n_shared: int) -> None:
    context = in_words(n_tokens)
    windows = overlapping_windows(context, width, n_shared, None)
    held = {word for window in windows for word in window.text.split()}
    assert held == set(context.text.split())
    assert all(window.n_tokens <= max(width, 5) for window in windows)
    starts = [window.stretches[0][0] for window in windows]
    assert starts == sorted(set(starts))


def test_an_answer_is_found_where_the_question_points(tokenizer: TextTokenizer) -> None:
    context = Context.of("In 1950 a war began. The tower was built in 1950.", tokenizer)
    near_U = context.nearness("When was the tower built?")
    assert place_of(["no", "1950"], context, near_U) == (44, 48)
    assert place_of(["Paris"], context, near_U) is None
    assert place_of([], context, near_U) is None


def test_a_budget_is_lowered_until_the_prompt_fits() -> None:
    context, budgets = in_words([1] * 7), []

    def cut(budget: int):
        budgets.append(budget)
        return cut_around(context, (0, 1), budget, 0.0)

    # Every word costs two tokens in the prompt, which has room for seven.
    kept = fitted(cut, lambda text: 2 * len(text.split()) - 7)
    assert kept is not None
    assert (kept.text, budgets) == ("a b c", [7, 3])
    assert fitted(cut, lambda text: len(text.split()) + 1) is None


def test_the_middle_of_a_text_is_cut(tokenizer: TextTokenizer) -> None:
    text = "begin " + "x " * 50 + "end"
    left, n_cut = cut_middle(text, 20, tokenizer)
    assert left.startswith("begin x")
    assert left.endswith("x end")
    n_left = len(tokenizer.encode([left])[0])
    assert n_left <= 20
    assert n_cut >= len(tokenizer.encode([text])[0]) - 20
