from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from strop.errors import RecipeError
from strop.recipe.sections import Text, Windows
from strop.records.dataset import strings
from strop.records.examples import Examples
from strop.text.tokenizer import TextTokenizer
from strop.text.windows import check_length, cut_entries, make_examples

CLS, SEP, PAD = 1001, 1002, 1000


def numbers(prefix: tuple[int, ...] = (CLS,), suffix: tuple[int, ...] = (SEP,)) -> TextTokenizer:
    """A tokenizer whose words are the numbers 0 to 999."""
    words = {str(number): number for number in range(1000)}
    tokenizer = Tokenizer(models.WordLevel({**words, "[UNK]": PAD}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return TextTokenizer(tokenizer, prefix, suffix, PAD)


def counting(*lengths: int) -> Any:
    return strings([" ".join(str(number) for number in range(length)) for length in lengths])


def make(*lengths: int, tokenizer: TextTokenizer | None = None, **text: Any) -> Examples:
    ids = strings([f"r{at}" for at in range(len(lengths))])
    return make_examples(ids, counting(*lengths), tokenizer or numbers(), Text(**text))


def all_windows(examples: Examples) -> list[list[int]]:
    return [examples.window(number).tolist() for number in range(examples.n_windows)]


def test_texts_that_fit_stay_whole_between_special_tokens() -> None:
    examples = make(3, 8, max_length_tokens=10)
    assert all_windows(examples) == [[CLS, 0, 1, 2, SEP], [CLS, *range(8), SEP]]
    assert examples.row_W.tolist() == [0, 1]
    assert examples.n_tokens_R.tolist() == [5, 10]
    assert examples.n_cut_R.tolist() == [0, 0]
    assert examples.ids.tolist() == ["r0", "r1"]


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ("head", [0, 1, 2, 3, 4, 5, 6]),
        ("tail", [3, 4, 5, 6, 7, 8, 9]),
        ("middle", [1, 2, 3, 4, 5, 6, 7]),
        ("ends", [0, 1, 2, 3, 7, 8, 9]),
    ],
)
def test_longer_texts_keep_what_was_asked_for(keep: str, kept: list[int]) -> None:
    examples = make(10, max_length_tokens=9, keep=keep)
    assert all_windows(examples) == [[CLS, *kept, SEP]]
    assert examples.n_tokens_R.tolist() == [12]
    assert examples.n_cut_R.tolist() == [3]


def test_windows_share_the_stride_and_the_last_one_is_full() -> None:
    examples = make(14, max_length_tokens=8, windows=Windows(stride_tokens=2, max_windows=5))
    # Six own tokens a window, four new ones each: starts 0, 4, 8.
    assert all_windows(examples) == [
        [CLS, 0, 1, 2, 3, 4, 5, SEP],
        [CLS, 4, 5, 6, 7, 8, 9, SEP],
        [CLS, 8, 9, 10, 11, 12, 13, SEP],
    ]
    moved_back = make(12, max_length_tokens=8, windows=Windows(stride_tokens=2, max_windows=5))
    assert all_windows(moved_back)[-1] == [CLS, 6, 7, 8, 9, 10, 11, SEP]
    assert moved_back.n_cut_R.tolist() == [0]


def test_what_lies_beyond_the_last_window_is_cut_and_counted() -> None:
    plan = Windows(stride_tokens=2, max_windows=2)
    examples = make(14, 3, max_length_tokens=8, windows=plan)
    assert examples.row_W.tolist() == [0, 0, 1]
    assert all_windows(examples)[1] == [CLS, 4, 5, 6, 7, 8, 9, SEP]
    assert examples.n_cut_R.tolist() == [4, 0]
    tail = make(14, max_length_tokens=8, windows=plan, keep="tail")
    assert all_windows(tail) == [[CLS, 4, 5, 6, 7, 8, 9, SEP], [CLS, 8, 9, 10, 11, 12, 13, SEP]]


def test_a_row_without_text_has_special_tokens_alone() -> None:
    assert all_windows(make(0, max_length_tokens=8)) == [[CLS, SEP]]
    bare = make(0, max_length_tokens=8, tokenizer=numbers((), ()))
    assert all_windows(bare) == [[PAD]]
    assert bare.n_tokens_R.tolist() == [1]
    assert bare.n_cut_R.tolist() == [0]


def test_no_rows_make_no_windows() -> None:
    examples = make(max_length_tokens=8)
    assert (examples.n_rows, examples.n_windows) == (0, 0)
    assert examples.start_W1.tolist() == [0]


def test_examples_survive_their_file(tmp_path: Path) -> None:
    examples = make(14, 0, 5, max_length_tokens=8, windows=Windows(stride_tokens=2, max_windows=2))
    examples.save(tmp_path / "examples.arrow")
    again = Examples.load(tmp_path / "examples.arrow")
    assert all_windows(again) == all_windows(examples)
    assert again.n_cut_R.tolist() == examples.n_cut_R.tolist()


@given(
    n_tokens=st.integers(0, 120),
    max_length=st.integers(8, 40),
    stride=st.integers(0, 5),
    max_windows=st.integers(1, 6),
    keep=st.sampled_from(["head", "tail", "middle", "ends"]),
    windowed=st.booleans(),
)
def test_every_token_is_in_a_window_or_counted_as_cut(
    n_tokens: int, max_length: int, stride: int, max_windows: int, keep: Any, windowed: bool
) -> None:
    plan = Windows(stride_tokens=stride, max_windows=max_windows) if windowed else None
    examples = make(n_tokens, max_length_tokens=max_length, keep=keep, windows=plan)
    held = {token for window in all_windows(examples) for token in window} - {CLS, SEP}
    assert len(held) + examples.n_cut_R[0] == n_tokens
    assert examples.length_W.max() <= max_length
    assert examples.n_windows <= (max_windows if windowed else 1)
    assert all(window[0] == CLS and window[-1] == SEP for window in all_windows(examples))
    if examples.n_windows > 1:
        assert set(examples.length_W.tolist()) == {max_length}


def test_a_stride_that_leaves_no_new_token_is_refused() -> None:
    with pytest.raises(RecipeError) as caught:
        make(5, max_length_tokens=10, windows=Windows(stride_tokens=8))
    (problem,) = caught.value.problems
    assert problem.where == "text.max_length_tokens"
    assert problem.must == "it must be at least 11: 2 special tokens, 8 shared with the next window, 1 new"
    assert problem.came == "10"
    assert problem.do == "set text.max_length_tokens to 11 or more, or lower text.windows.stride_tokens"


def test_a_length_beyond_the_models_positions_is_refused() -> None:
    check_length(Text(max_length_tokens=512), 512)
    check_length(Text(max_length_tokens=512), None)
    with pytest.raises(RecipeError) as caught:
        check_length(Text(max_length_tokens=1024), 512)
    (problem,) = caught.value.problems
    assert problem.must == "it must not exceed the model's positions, 512"
    assert problem.came == "1024"
    assert "set it to 512 or less; text.windows reads longer texts in windows" in problem.do


def test_the_ledger_says_what_was_cut_of_which_row() -> None:
    text = Text(max_length_tokens=9, keep="tail")
    examples = make(10, 3, 17, max_length_tokens=9, keep="tail")
    (entry,) = cut_entries(examples, text)
    assert (entry.kind, entry.station, entry.n_rows, entry.ids) == ("cut", "examples", 2, ("r0", "r2"))
    assert entry.details["n_tokens_cut"] == {"r0": 3, "r2": 10}
    # 13 of 12 + 5 + 19 tokens.
    assert entry.what == (
        "2 of 3 texts are longer than what is read (9 tokens at a time): the end of each was kept, 13 of 36 tokens "
        "(36.1%) were cut"
    )


def test_the_ledger_is_silent_where_nothing_was_cut() -> None:
    assert cut_entries(make(3, 4, max_length_tokens=8), Text(max_length_tokens=8)) == ()


def test_the_tiny_encoder_makes_examples(tiny_encoder: Path) -> None:
    tokenizer = TextTokenizer.from_folder(tiny_encoder)
    examples = make_examples(strings(["a"]), strings(["python loop"]), tokenizer, Text())
    assert examples.window(0).tolist() == tokenizer.tokenizer.encode("python loop").ids
    assert examples.tokens_T.dtype == np.int32
