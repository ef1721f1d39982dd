"""Prompts with as much evidence as fits, counted in tokens of a real tokenizer."""

from pathlib import Path

import numpy as np
import pytest

from strop.errors import RecipeError
from strop.evidence.prompt import RowEvidence, make_prompts
from strop.recipe.evidence import Evidence
from strop.records.dataset import Dataset, strings
from strop.records.evidence import Passage
from strop.text.tokenizer import TextTokenizer

ASKED = Dataset(strings(["r1", "r2"]), {"question": strings(["the cat", "the dog"])})
TEMPLATE = (
    "{{ question }}{% for s in snippets %} | {{ s.text }}{% endfor %}{% for p in passages %} # {{ p.text }}{% endfor %}"
)


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> TextTokenizer:
    return TextTokenizer.from_folder(tiny_encoder)


def passages(*texts: str) -> tuple[Passage, ...]:
    return tuple(Passage(text, "doc", 0, len(text)) for text in texts)


def both(*snippets: str, looked_up: tuple[str, ...] = ()) -> RowEvidence:
    return RowEvidence(passages(*snippets), passages(*looked_up))


def test_everything_is_read_where_there_is_room(tokenizer: TextTokenizer) -> None:
    rows = [both("a page", "a link", looked_up=("a loop",)), both()]
    made = make_prompts(ASKED, rows, Evidence(prompt=TEMPLATE), tokenizer, room_tokens=64)
    assert made.texts.tolist() == ["the cat | a page | a link # a loop", "the dog"]
    assert made.row_of_P.tolist() == [0, 1]
    assert made.left_out(ASKED.ids) == ()
    plain = make_prompts(ASKED, rows, Evidence(), tokenizer, room_tokens=64)
    assert plain.texts[0] == "the cat\na page\na link\na loop"


def test_the_last_passages_are_left_out_and_counted(tokenizer: TextTokenizer) -> None:
    rows = [both("cat page", "cat link", looked_up=("dog loop", "dog error")), both("cat")]
    evidence = Evidence(prompt=TEMPLATE)
    full = "the cat | cat page | cat link # dog loop"
    room = len(tokenizer.encode([full])[0])
    made = make_prompts(ASKED, rows, evidence, tokenizer, room_tokens=room)
    assert made.texts[0] == full
    assert made.n_left_out_R.tolist() == [1, 0]
    (entry,) = made.left_out(ASKED.ids)
    assert entry.what == (
        "1 of 2 rows have more evidence than the model reads: 1 passages were left out, the last ones of each row"
    )
    assert entry.details == {"n_passages_left_out": {"r1": 1}}


def test_lists_take_turns_so_that_neither_crowds_out_the_other() -> None:
    evidence = both("a", "b", "c", "d", looked_up=("x", "y"))
    taken = [evidence.first(n) for n in range(7)]
    words = ["".join(one.text for one in (*taken_n.snippets, *taken_n.passages)) for taken_n in taken]
    assert words == ["", "a", "ax", "abx", "abxy", "abcxy", "abcdxy"]


def test_a_part_of_the_next_passage_fills_the_room(tokenizer: TextTokenizer) -> None:
    long = " ".join(["page"] * 60)
    made = make_prompts(ASKED, [both(long), both()], Evidence(prompt=TEMPLATE), tokenizer, room_tokens=40)
    n_tokens = len(tokenizer.encode([made.texts[0]])[0])
    assert 30 < n_tokens <= 40
    assert made.texts[0].startswith("the cat | page page")


def test_the_text_of_a_row_is_never_cut(tokenizer: TextTokenizer) -> None:
    with pytest.raises(
        RecipeError, match="a row's own text and the words of the prompt must fit the 1 tokens"
    ) as caught:
        make_prompts(ASKED, [both(), both()], Evidence(), tokenizer, room_tokens=1)
    assert "2 rows whose text alone is longer: r1, r2" in str(caught.value)


def test_pieces_by_source_and_by_passage(tokenizer: TextTokenizer) -> None:
    rows = [both("a page", looked_up=("a loop", "a link")), both("a page")]
    evidence = Evidence(prompt=TEMPLATE)
    by_source = make_prompts(ASKED, rows, evidence, tokenizer, room_tokens=64, kind="by_source")
    assert by_source.texts.tolist() == ["the cat | a page", "the cat # a loop # a link", "the dog | a page"]
    assert by_source.row_of_P.tolist() == [0, 0, 1]
    by_passage = make_prompts(ASKED, rows, evidence, tokenizer, room_tokens=64, kind="by_passage")
    assert by_passage.texts.tolist() == ["the cat | a page", "the cat # a loop", "the cat # a link", "the dog | a page"]


def test_a_template_that_names_something_else_is_refused(tokenizer: TextTokenizer) -> None:
    with pytest.raises(RecipeError) as caught:
        make_prompts(ASKED, [both(), both()], Evidence(prompt="{{ snipets }}"), tokenizer, room_tokens=9)
    assert "every variable must be one of the columns in data.text, or snippets, or passages" in str(caught.value)
    assert "snippets" in str(caught.value).split("do:")[1]


def test_templates_are_rendered_in_a_sandbox(tokenizer: TextTokenizer) -> None:
    evidence = Evidence(prompt="{{ question.__class__.__mro__ }}")
    with pytest.raises(RecipeError, match="the template must make a text of every row"):
        make_prompts(ASKED, [both(), both()], evidence, tokenizer, room_tokens=9)


def test_no_half_word_is_read(tokenizer: TextTokenizer) -> None:
    made = make_prompts(ASKED.take([0]), [both(" ".join(["cat"] * 50))], Evidence(), tokenizer, room_tokens=30)
    assert np.array_equal(made.row_of_P, [0])
    assert set(made.texts[0].split()) == {"the", "cat"}
