import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strop.errors import MachineError
from strop.evidence.passages import cut_passages, sentence_stretches
from strop.recipe.evidence import Passages
from strop.records.evidence import Document
from strop.text.tokenizer import TextTokenizer

# Sentences of 4, 3, 2, 3 and 5 tokens: every word and every full stop is one token of the tiny encoder.
TEXT = "The page is python. Please compile.\n\nLunch? My music today! How is the weather."


def document(text: str, **more: Any) -> Document:
    return Document("pubmed:1", "found", "A title", text, **more)


@pytest.fixture(scope="module")
def words(tiny_encoder: Path) -> TextTokenizer:
    return TextTokenizer.from_folder(tiny_encoder)


@pytest.fixture(scope="module")
def letters(tiny_causal: Path) -> TextTokenizer:
    return TextTokenizer.from_folder(tiny_causal)


def test_sentences_are_found_without_the_space_around_them() -> None:
    found = [TEXT[start:end] for start, end in sentence_stretches(TEXT, "en")]
    assert found == [
        "The page is python.",
        "Please compile.",
        "Lunch?",
        "My music today!",
        "How is the weather.",
    ]
    korean = "오늘 점심은 어디서 먹나요? 날씨가 좋습니다. 감사합니다!"
    found = [korean[start:end] for start, end in sentence_stretches(korean, "ko")]
    assert found == ["오늘 점심은 어디서 먹나요?", "날씨가 좋습니다.", "감사합니다!"]


def test_an_abbreviation_ends_no_sentence() -> None:
    text = "Dr. Kim saw 3.5 mg of IL-2 vs. placebo (Fig. 2). It worked."
    assert [text[start:end] for start, end in sentence_stretches(text, "en")] == [text[:-11], "It worked."]


def test_passages_are_whole_sentences_and_share_what_was_asked_for(words: TextTokenizer) -> None:
    # Long enough for any three sentences here, too short for four.
    text = "Please compile the function. " * 5
    asked = Passages(max_length_tokens=16, overlap_sentences=1)
    found = cut_passages([document(text)], asked, words)
    assert [(one.start, one.end) for one in found] == [(0, 86), (58, 144)]
    assert found[0].text == "Please compile the function. " * 2 + "Please compile the function."
    assert all(one.title == "A title" and one.document == "pubmed:1" for one in found)
    apart = cut_passages([document(text)], Passages(max_length_tokens=16, overlap_sentences=0), words)
    assert [(one.start, one.end) for one in apart] == [(0, 86), (87, 144)]


def test_what_passages_share_gives_way_to_a_new_sentence(words: TextTokenizer) -> None:
    short, long = "Please compile.", "The page is python today again how the page is please."
    found = cut_passages([document(f"{short} {short} {short} {long}")], Passages(max_length_tokens=16), words)
    # One short sentence and the long one are 3 + 12 tokens, two short ones would be too many.
    assert [one.text for one in found] == [f"{short} {short} {short}", f"{short} {long}"]
    many = Passages(max_length_tokens=16, overlap_sentences=2)
    assert [one.text for one in cut_passages([document(f"{short} {short} {short} {long}")], many, words)] == [
        f"{short} {short} {short}",
        f"{short} {long}",
    ]


def test_a_long_sentence_is_cut_at_words(words: TextTokenizer) -> None:
    text = "the page is python " * 12
    found = cut_passages([document(text)], Passages(max_length_tokens=16), words)
    assert [one.text for one in found] == ["the page is python " * 3 + "the page is python"] * 3


def test_a_word_that_is_too_long_is_cut_between_its_tokens(words: TextTokenizer) -> None:
    text = "abc" * 30
    found = cut_passages([document(text)], Passages(max_length_tokens=16), words)
    assert "".join(one.text for one in found) == text
    assert all(len(ids) <= 16 for ids in words.encode([one.text for one in found]))


def test_documents_without_text_and_retracted_ones_give_none(words: TextTokenizer) -> None:
    empty = [Document("pubmed:2", "missing"), document(" \n "), document("")]
    assert cut_passages(empty, Passages(), words) == []
    withdrawn = document("Please compile.", retracted=True)
    assert cut_passages([withdrawn], Passages(), words) == []
    assert len(cut_passages([withdrawn], Passages(keep_retracted=True), words)) == 1


def test_half_a_surrogate_pair_stops_nothing(words: TextTokenizer) -> None:
    found = cut_passages([document("A page \ud800. Please compile.")], Passages(), words)
    assert [one.text for one in found] == ["A page \ud800. Please compile."]


def test_a_missing_library_is_named_with_what_installs_it(
    words: TextTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentencex", None)
    with pytest.raises(MachineError) as raised:
        cut_passages([document("Please.")], Passages(), words)
    (problem,) = raised.value.problems
    assert problem.must == "documents are fetched, cut, indexed and searched with the library sentencex"
    assert problem.do == "install it with `pip install 'strop[evidence]'`"


PIECES = st.sampled_from(
    [
        "the page. ",
        "python",
        " ",
        "\n\n",
        "Dr. Kim ",
        "안녕하세요. ",
        "점심",
        "ab1c2",
        "!",
        "?",
        "é",
        "😀",
        "x" * 40,
        "\r\n",
        "\u3000",
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=40).map("".join),
    overlap=st.integers(0, 3),
    kind=st.sampled_from(["words", "letters"]),
)
def test_every_passage_is_where_it_says_and_short_enough_and_nothing_is_lost(
    text: str, overlap: int, kind: str, request: pytest.FixtureRequest
) -> None:
    tokenizer: TextTokenizer = request.getfixturevalue(kind)
    asked = Passages(max_length_tokens=16, overlap_sentences=overlap)
    found = cut_passages([document(text)], asked, tokenizer)
    covered = [False] * len(text)
    for one in found:
        assert text[one.start : one.end] == one.text
        assert one.text == one.text.strip()
        assert one.text
        covered[one.start : one.end] = [True] * (one.end - one.start)
    assert all(len(ids) <= 16 for ids in tokenizer.encode([one.text for one in found]))
    assert all(is_covered or text[at].isspace() for at, is_covered in enumerate(covered))
    starts = [(one.start, one.end) for one in found]
    assert all(one[0] < next_[0] and one[1] < next_[1] for one, next_ in pairwise(starts))
