from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from strop.errors import RecipeError
from strop.records.completions import Completions
from strop.records.dataset import strings
from strop.text.prompt_checks import check_completions
from strop.text.prompts import Prompted
from strop.text.rendering import Ending
from strop.text.tokenizer import TextTokenizer

BEGIN, END = 0, 1


@pytest.fixture(scope="module")
def tokenizer(tiny_causal: Path) -> TextTokenizer:
    return TextTokenizer.from_folder(tiny_causal)


def prompted_of(tokenizer: TextTokenizer, prompt: list[int], answer: list[int], text: str = "loop") -> Prompted:
    fine = [BEGIN, 40, 41]
    prompts, answers = [fine, prompt], [[*word(tokenizer, "loop"), END], answer]
    completions = Completions(
        ids=strings(["fine", "other"]),
        row_P=np.arange(2),
        prompts=[np.array(one, dtype=np.int32) for one in prompts],
        answers=[np.array(one, dtype=np.int32) for one in answers],
        context_P=np.arange(2),
        shared_P=np.zeros(2, dtype=np.int64),
        n_tokens_R=np.ones(2, dtype=np.int64),
        n_cut_R=np.zeros(2, dtype=np.int64),
    )
    return Prompted(
        completions=completions,
        prompt_texts=strings(["a", "b"]),
        messages=((), ()),
        answer_texts=strings(["loop", text]),
        ending=Ending("", END, (END,), is_written=True),
        kind="template",
        begin_ids=tokenizer.prefix_ids,
        entries=(),
    )


def word(tokenizer: TextTokenizer, text: str) -> list[int]:
    return tokenizer.encode([text])[0].tolist()


def test_what_is_well_made_passes(tokenizer: TextTokenizer) -> None:
    check_completions(prompted_of(tokenizer, [BEGIN, 40], [*word(tokenizer, " loop"), END]), tokenizer, "train")
    check_completions(prompted_of(tokenizer, [BEGIN, 40], [], ""), tokenizer, "train")


@pytest.mark.parametrize(
    ("prompt", "answer", "text", "must"),
    [
        ([BEGIN], ["loop", END], "loop", "no prompt may be empty"),
        ([40, 41], ["loop", END], "loop", "the begin token <bos> must stand once, at the beginning of the prompt"),
        ([BEGIN, BEGIN, 40], ["loop", END], "loop", "the begin token <bos> must stand once"),
        ([BEGIN, 40, BEGIN], ["loop", END], "loop", "the begin token <bos> must stand once"),
        ([BEGIN, 40, END], ["loop", END], "loop", "a prompt must not end with the end token <eos>"),
        ([BEGIN, 40], ["loop"], "loop", "every answer must end with the end token <eos>, and have it nowhere else"),
        ([BEGIN, 40], ["loop", END, END], "loop", "every answer must end with the end token <eos>"),
        ([BEGIN, 40], ["lo", END], "loop", "the tokens of an answer must read as the answer"),
        ([BEGIN, 40], [], "loop", "the tokens of an answer must read as the answer"),
    ],
)
def test_what_a_model_could_not_learn_from(
    tokenizer: TextTokenizer, prompt: list[int], answer: list[str | int], text: str, must: str
) -> None:
    ids = [one for piece in answer for one in ([piece] if isinstance(piece, int) else word(tokenizer, piece))]
    with pytest.raises(RecipeError) as caught:
        check_completions(prompted_of(tokenizer, prompt, ids, text), tokenizer, "train")
    problem = caught.value.problems[0]
    assert problem.where == "answer.prompt"
    assert problem.must.startswith(must)
    assert problem.came == "1 rows where it does not: other"


def test_everything_that_is_wrong_is_named(tokenizer: TextTokenizer) -> None:
    with pytest.raises(RecipeError) as caught:
        check_completions(prompted_of(tokenizer, [40, 41], word(tokenizer, "lo")), tokenizer, "train")
    assert len(caught.value.problems) == 3


def test_a_chat_template_may_begin_every_turn(tokenizer: TextTokenizer) -> None:
    prompted = prompted_of(tokenizer, [BEGIN, 40, BEGIN, 41], [*word(tokenizer, "loop"), END])
    chat = replace(prompted, kind="chat", prompt_texts=strings(["a", "b<bos>c"]))
    check_completions(chat, tokenizer, "train")
    with pytest.raises(RecipeError, match="the begin token <bos> must stand once"):
        check_completions(replace(chat, prompt_texts=strings(["a", "bc"])), tokenizer, "train")


def test_something_must_be_learnt(tokenizer: TextTokenizer) -> None:
    prompted = prompted_of(tokenizer, [BEGIN, 40], [], "")
    completions = replace(prompted.completions, answers=[np.zeros(0, dtype=np.int32)] * 2)
    without = replace(prompted, completions=completions, answer_texts=strings(["", ""]))
    check_completions(without, tokenizer, "predict")
    with pytest.raises(RecipeError, match="rows with an answer must be left to train on\n  came: no rows"):
        check_completions(without, tokenizer, "train")
