import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from strop.text.joining import Joined, join
from strop.text.rendering import Asked, Ending
from strop.text.tokenizer import TextTokenizer

WORDS = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=30) | st.sampled_from(
    ["서울", "1989년 2월", "the end", "?", '"Rome"', " ", "\n", "", "ab"]
)


@pytest.fixture(scope="module")
def byte_level(tiny_causal: Path) -> TextTokenizer:
    return TextTokenizer.from_folder(tiny_causal)


@pytest.fixture(scope="module")
def sentence_piece(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    """A tokenizer that puts a space before every text, with merges across a colon and a quotation mark."""
    folder = tmp_path_factory.mktemp("sentencepiece")
    merges = [("▁", "a"), ("▁", "b"), (":", '"'), ("▁a", "b"), ("▁", "▁")]
    pieces = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "▁",
        "\n",
        *'ab:"',
        *map("".join, merges),
    ]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True))
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([])
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(parts)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"}))
    return TextTokenizer.from_folder(folder)


def joined(tokenizer: TextTokenizer, prompt: str, answer: str, *, lead: str = "", between: str = "") -> Joined:
    end = tokenizer.tokenizer.token_to_id("<eos>") or tokenizer.tokenizer.token_to_id("</s>")
    (one,) = join([Asked(prompt, lead)], [answer], Ending(between, end, (end,), is_written=True), tokenizer)
    return one


def tokens_of(tokenizer: TextTokenizer, ids: object) -> list[str]:
    return [tokenizer.tokenizer.id_to_token(int(one)) for one in ids]


def test_a_space_is_learnt_with_the_word_behind_it(byte_level: TextTokenizer) -> None:
    one = joined(byte_level, "python", "python", lead=" ")
    assert tokens_of(byte_level, one.prompt) == ["<bos>", "python"]
    assert tokens_of(byte_level, one.answer) == ["Ġp", "ython", "<eos>"]
    assert not one.is_apart
    assert one.n_tokens == 5


def test_without_an_answer_there_is_a_prompt_alone(byte_level: TextTokenizer) -> None:
    one = joined(byte_level, "python", "")
    assert (len(one.prompt), len(one.answer)) == (2, 0)


def test_what_the_template_writes_before_the_end_token_is_learnt(byte_level: TextTokenizer) -> None:
    one = joined(byte_level, "python ", "loop", between=" ")
    assert tokens_of(byte_level, one.answer)[-2:] == ["Ġ", "<eos>"]


def test_a_token_across_the_border_is_not_learnt(byte_level: TextTokenizer) -> None:
    # "fun" and "ction" together are one token of this vocabulary, which a model that reads "fun" can never write.
    assert len(byte_level.encode(["function"])[0]) == 1
    one = joined(byte_level, "fun", "ction")
    assert one.is_apart
    assert byte_level.tokenizer.decode([*one.prompt.tolist()[1:], *one.answer.tolist()[:-1]]) == "function"


def test_a_tokenizer_that_begins_every_text_with_a_space_puts_none_into_the_middle(
    sentence_piece: TextTokenizer,
) -> None:
    one = joined(sentence_piece, "ab:", '"ab"')
    assert one.is_apart
    assert tokens_of(sentence_piece, one.prompt) == ["▁ab", ":"]
    assert tokens_of(sentence_piece, one.answer) == ['"', "a", "b", '"', "</s>"]
    assert not joined(sentence_piece, "ab:", "ab", lead=" ").is_apart


@pytest.mark.parametrize("name", ["byte_level", "sentence_piece"])
@given(prompt=WORDS, lead=st.sampled_from(["", " "]), answer=WORDS)
@settings(deadline=None, max_examples=200)
def test_prompt_and_answer_read_as_the_whole(
    name: str, prompt: str, lead: str, answer: str, request: pytest.FixtureRequest
) -> None:
    tokenizer: TextTokenizer = request.getfixturevalue(name)
    # Words like special tokens are taken apart before texts come here.
    prompt, answer = prompt.replace("<", "("), answer.replace("<", "(").strip()
    one = joined(tokenizer, prompt, answer, lead=lead)
    begin, alone = len(tokenizer.prefix_ids), tokenizer.encode([prompt])[0].tolist()
    assert tuple(one.prompt[:begin].tolist()) == tokenizer.prefix_ids
    assert one.prompt[begin:].tolist() == alone
    if answer:
        whole = tokenizer.tokenizer.decode([*alone, *one.answer.tolist()[:-1]], skip_special_tokens=False)
        assert whole.encode() == (prompt + lead + answer).encode()
