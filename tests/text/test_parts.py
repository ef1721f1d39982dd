from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from strop.errors import RecipeError
from strop.recipe.sections import Text, TextPart
from strop.records.dataset import strings
from strop.records.examples import Examples
from strop.text.parts import budgets, make_part_examples, part_cut_entries, segments
from strop.text.tokenizer import TextTokenizer

CLS, SEP, PAD = 1001, 1002, 1000


def numbers(prefix: tuple[int, ...] = (CLS,), suffix: tuple[int, ...] = (SEP,)) -> TextTokenizer:
    """A tokenizer whose words are the numbers 0 to 999."""
    words = {str(number): number for number in range(1000)}
    tokenizer = Tokenizer(models.WordLevel({**words, "[UNK]": PAD}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return TextTokenizer(tokenizer, prefix, suffix, PAD)


def counting(start: int, length: int) -> str:
    return " ".join(str(start + number) for number in range(length))


def texts_of(*lengths: tuple[int, ...]) -> Any:
    """One row for each tuple: part a counts from 0, part b from 100, part c from 200."""
    columns = zip(*lengths, strict=True)
    return {
        name: strings([counting(100 * at, length) for length in column])
        for at, (name, column) in enumerate(zip("abc", columns, strict=False))
    }


def plan(max_length: int, **parts: dict[str, Any]) -> Text:
    return Text(max_length_tokens=max_length, parts={name: TextPart(**part) for name, part in parts.items()})


def make(*lengths: tuple[int, ...], text: Text, tokenizer: TextTokenizer | None = None) -> Examples:
    ids = strings([f"r{at}" for at in range(len(lengths))])
    return make_part_examples(ids, texts_of(*lengths), tokenizer or numbers(), text)


THREE = {"a": {}, "b": {"share": 0.5, "keep": "head"}, "c": {"share": 0.5, "keep": "tail"}}


def test_parts_that_fit_stay_whole_each_with_its_separator() -> None:
    examples = make((2, 1, 3), (0, 2, 0), text=plan(16, **THREE))
    assert examples.window(0).tolist() == [CLS, 0, 1, SEP, 100, SEP, 200, 201, 202, SEP]
    assert examples.window_parts(0).tolist() == [0, 1, 1, 1, 2, 2, 3, 3, 3, 3]
    assert examples.window(1).tolist() == [CLS, SEP, 100, 101, SEP, SEP]
    assert examples.window_parts(1).tolist() == [0, 1, 2, 2, 2, 3]
    assert examples.row_W.tolist() == [0, 1]
    assert examples.n_tokens_R.tolist() == [10, 6]
    assert examples.n_cut_R.tolist() == [0, 0]
    assert examples.part_T is not None
    assert (examples.tokens_T.dtype, examples.part_T.dtype) == (np.int32, np.int8)


def test_longer_parts_are_cut_each_in_its_own_way() -> None:
    # Room 14 - 4: a is whole with 2, b and c share 8.
    examples = make((2, 9, 7), text=plan(14, **THREE))
    assert examples.window(0).tolist() == [CLS, 0, 1, SEP, 100, 101, 102, 103, SEP, 203, 204, 205, 206, SEP]
    assert examples.n_tokens_R.tolist() == [22]
    assert examples.n_cut_R.tolist() == [8]


def test_a_tokenizer_without_suffix_puts_nothing_between() -> None:
    examples = make((1, 9, 9), text=plan(8, **THREE), tokenizer=numbers(suffix=()))
    assert examples.window(0).tolist() == [CLS, 0, 100, 101, 102, 206, 207, 208]
    assert examples.window_parts(0).tolist() == [0, 1, 2, 2, 2, 3, 3, 3]
    assert examples.n_tokens_R.tolist() == [20]


def test_a_row_without_anything_is_a_padding_token() -> None:
    examples = make((0, 0, 0), text=plan(8, **THREE), tokenizer=numbers((), ()))
    assert (examples.window(0).tolist(), examples.window_parts(0).tolist()) == ([PAD], [0])
    assert examples.n_tokens_R.tolist() == [1]


def test_no_rows_make_no_windows() -> None:
    empty = {name: strings([]) for name in "abc"}
    examples = make_part_examples(strings([]), empty, numbers(), plan(16, **THREE))
    assert (examples.n_rows, examples.n_windows, examples.start_W1.tolist()) == (0, 0, [0])
    assert part_cut_entries(examples, empty, numbers(), plan(16, **THREE)) == ()


@pytest.mark.parametrize(
    ("lengths", "shares", "room", "wanted"),
    [
        # Everything fits.
        ((5, 5), (0.5, 0.5), 10, (5, 5)),
        # In proportion; shares need not add up to 1.
        ((90, 90), (0.1, 0.3), 40, (10, 30)),
        # What the first leaves goes to the others in proportion to their shares: 10, then 90 as 1 to 2.
        ((10, 90, 90), (0.4, 0.2, 0.4), 100, (10, 30, 60)),
        # The second is filled only once the first has passed its room on: 10, then 90 as 1 to 1, of which it needs 42.
        ((10, 42, 90), (0.6, 0.2, 0.2), 100, (10, 42, 48)),
        # Parts without a share go first, wherever they stand.
        ((50, 30, 50), (0.5, None, 0.5), 60, (15, 30, 15)),
        # They need more than three quarters of it: the other keeps its quarter, and they divide theirs evenly.
        ((50, 90, 50), (None, 1.0, None), 80, (30, 20, 30)),
        # The other needs less than a quarter of it, and the first more than an even part of the rest.
        ((90, 10, 20), (None, 1.0, None), 60, (30, 10, 20)),
        # No part has a share: all divide the room evenly, and what one leaves passes on.
        ((70, 5), (None, None), 60, (55, 5)),
        ((70, 80, 90), (None, None, None), 60, (20, 20, 20)),
        # Whole tokens: 3.33 each, the first of equals gets one more; 2.5 and 7.5, then.
        ((9, 9, 9), (0.3, 0.3, 0.3), 10, (4, 3, 3)),
        ((9, 9), (0.25, 0.75), 10, (3, 7)),
        # 1.4, 2.1 and 3.5: the largest remainder gets it.
        ((9, 9, 9), (0.2, 0.3, 0.5), 7, (1, 2, 4)),
        ((0, 0), (0.5, 0.5), 10, (0, 0)),
    ],
)
def test_budgets(lengths: Any, shares: Any, room: int, wanted: Any) -> None:
    assert budgets(np.array(lengths), shares, room).tolist() == list(wanted)


@given(
    parts=st.lists(
        st.tuples(st.integers(0, 60), st.one_of(st.none(), st.floats(0.01, 1.0))),
        min_size=1,
        max_size=5,
    ),
    room=st.integers(1, 150),
)
def test_nothing_is_wasted_and_nothing_is_read_twice(parts: Any, room: int) -> None:
    lengths, shares = np.array([length for length, _ in parts]), [share for _, share in parts]
    budget = budgets(lengths, shares, room)
    assert (budget >= 0).all()
    assert (budget <= lengths).all()
    assert budget.sum() == min(room, lengths.sum())
    # Of two parts that are cut, neither has more than a token above its proportion.
    cut = [(n, share) for n, share, whole in zip(budget, shares, lengths, strict=True) if share and n < whole]
    for (one, its_share), (other, share) in pairwise(cut):
        assert (one - 1) / its_share < (other + 1) / share + 1e-6
        assert (other - 1) / share < (one + 1) / its_share + 1e-6


def test_the_same_part_numbers_survive_the_file(tmp_path: Path) -> None:
    examples = make((2, 9, 7), (0, 1, 2), text=plan(14, **THREE))
    examples.save(tmp_path / "examples.arrow")
    again = Examples.load(tmp_path / "examples.arrow")
    assert [again.window_parts(at).tolist() for at in (0, 1)] == [examples.window_parts(at).tolist() for at in (0, 1)]


def test_a_length_without_room_for_every_part_is_refused() -> None:
    short = {"a": {}, "b": {}, "c": {}, "d": {}}
    texts = {name: strings(["1"]) for name in short}
    assert make_part_examples(strings(["r"]), texts, numbers(), plan(9, **short)).length_W.tolist() == [9]
    with pytest.raises(RecipeError) as caught:
        make_part_examples(strings(["r"]), texts, numbers(), plan(8, **short))
    (problem,) = caught.value.problems
    assert problem.where == "text.max_length_tokens"
    assert problem.must == "it must be at least 9: 5 special tokens, and 1 for each of 4 text parts"
    assert problem.came == "8"
    assert problem.do == "set text.max_length_tokens to 9 or more, or read fewer text parts"


def test_segments_follow_the_recipe_and_else_the_order() -> None:
    assert segments(plan(16, **THREE), ["a", "b", "c"]) == (0, 0, 1, 1)
    chosen = plan(16, a={"segment": 1}, b={"segment": 0}, c={})
    assert segments(chosen, ["a", "b", "c"]) == (0, 1, 0, 1)


def test_a_recipe_without_parts_makes_none() -> None:
    with pytest.raises(ValueError, match=r"the recipe must have text\.parts"):
        segments(Text(), ["a"])


def test_the_ledger_says_what_was_cut_of_which_part_and_where_one_is_missing() -> None:
    text = plan(14, **THREE)
    lengths = ((2, 9, 7), (0, 1, 2), (1, 3, 8), (3, 0, 8))
    examples = make(*lengths, text=text)
    # Room 10. Row r0: 2, 4 of 9, 4 of 7. Row r2: 1, 3, 6 of 8. Row r3: 3, 0, 7 of 8.
    assert examples.n_cut_R.tolist() == [8, 0, 2, 1]
    a_missing, b_cut, b_missing, c_cut = part_cut_entries(examples, texts_of(*lengths), numbers(), text)
    assert (a_missing.kind, a_missing.station, a_missing.ids) == ("note", "examples", ("r1",))
    assert a_missing.what == "The text part 'a' is missing in 1 of 4 rows; it is read as empty"
    assert b_missing.ids == ("r3",)
    assert (b_cut.kind, b_cut.n_rows, b_cut.ids) == ("cut", 1, ("r0",))
    assert b_cut.what == (
        "The text part 'b' did not fit whole into the 14 tokens in 1 of 4 rows: the beginning of each was kept, "
        "5 tokens were cut"
    )
    assert b_cut.details == {"part": "b", "n_tokens_cut": {"r0": 5}, "max_length_tokens": 14, "keep": "head"}
    assert c_cut.ids == ("r0", "r2", "r3")
    assert c_cut.details["n_tokens_cut"] == {"r0": 3, "r2": 2, "r3": 1}
    assert "the end of each was kept, 6 tokens were cut" in c_cut.what


def test_a_long_part_without_a_share_does_not_starve_the_others_and_is_said() -> None:
    text = plan(14, **THREE)
    # Room 10, of which the parts with a share keep 3: 2 and 1.
    examples = make((9, 9, 9), text=text)
    assert np.bincount(examples.window_parts(0)).tolist() == [1, 8, 3, 2]
    a_cut, b_cut, _ = part_cut_entries(examples, texts_of((9, 9, 9)), numbers(), text)
    assert a_cut.what.endswith(
        "2 tokens were cut; it has no share (text.parts.a.share), and was cut only to leave room for the other parts"
    )
    assert "share" not in b_cut.what


def test_the_ledger_is_silent_where_all_is_read() -> None:
    text = plan(16, **THREE)
    assert part_cut_entries(make((1, 1, 1), text=text), texts_of((1, 1, 1)), numbers(), text) == ()


def test_the_tiny_encoder_reads_parts_as_a_pair(tiny_encoder: Path) -> None:
    tokenizer = TextTokenizer.from_folder(tiny_encoder)
    texts = {"a": strings(["python loop"]), "b": strings(["the page"])}
    text = plan(16, a={}, b={})
    examples = make_part_examples(strings(["r"]), texts, tokenizer, text)
    pair = tokenizer.tokenizer.encode("python loop", "the page")
    assert examples.window(0).tolist() == pair.ids
    assert [segments(text, ["a", "b"])[part] for part in examples.window_parts(0)] == pair.type_ids
