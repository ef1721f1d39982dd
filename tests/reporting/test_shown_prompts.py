import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from strop.records.completions import Completions, TokenIds
from strop.records.dataset import strings
from strop.reporting.shown_prompts import prompts_view
from strop.text.prompts import Prompted
from strop.text.rendering import Ending
from strop.text.tokenizer import TextTokenizer


@pytest.fixture(scope="module")
def tokenizer(tiny_causal: Path) -> TextTokenizer:
    return TextTokenizer.from_folder(tiny_causal)


def prompted_of(tokenizer: TextTokenizer) -> Prompted:
    def ids(text: str) -> TokenIds:
        return tokenizer.encode([text])[0]

    prompts = [ids("<bos>서울 [red] one?"), ids("<bos>서울 [red] two?")]
    shared = len(ids("<bos>서울 [red]"))
    completions = Completions(
        ids=strings(["r0", "r1"]),
        row_P=np.arange(2),
        prompts=prompts,
        answers=[ids(" 수도<eos>"), ids("")],
        context_P=np.zeros(2, dtype=np.int64),
        shared_P=np.full(2, shared),
        n_tokens_R=np.ones(2, dtype=np.int64),
        n_cut_R=np.zeros(2, dtype=np.int64),
    )
    texts = strings(["", ""])
    ending = Ending("", 1, (1, 0), is_written=True)
    return Prompted(completions, texts, ((),) * len(texts), texts, ending, "template", tokenizer.prefix_ids, ())


def printed(tokenizer: TextTokenizer, n_prompts: int, **options) -> str:
    out = io.StringIO()
    Console(file=out, width=200, highlight=False, **options).print(
        prompts_view(prompted_of(tokenizer), tokenizer, n_prompts)
    )
    return out.getvalue()


def test_without_colour_what_is_learnt_is_marked(tokenizer: TextTokenizer) -> None:
    prompted = prompted_of(tokenizer)
    lines = [line.rstrip() for line in printed(tokenizer, 5).splitlines()]
    n_prompt, n_shared = len(prompted.completions.prompts[0]), prompted.completions.shared_P[0]
    n_answer = len(prompted.completions.answers[0])
    shared = f"the first {n_shared} shared by all rows of its context"
    assert lines == [
        f"row 'r0'; prompt of {n_prompt} tokens, {shared}; {n_answer} tokens are learnt",
        "<bos>서울 [red] one?[learnt:  수도<eos>]",
        "",
        f"row 'r1'; prompt of {len(prompted.completions.prompts[1])} tokens, {shared}; nothing is learnt here",
        "<bos>서울 [red] two?",
        "",
        "prompts by answer.prompt.template; begin token <bos>, once; an answer stops at <eos>, <bos>",
    ]


def test_in_colour_it_is_coloured(tokenizer: TextTokenizer) -> None:
    shown = printed(tokenizer, 1, force_terminal=True, color_system="standard")
    assert "[learnt" not in shown
    # Black on green, the end token bold; the begin token in bold cyan.
    assert "\x1b[30;42m 수도\x1b[0m\x1b[1;30;42m<eos>\x1b[0m" in shown
    assert "\x1b[1;36m<bos>\x1b[0m" in shown
    assert "r1" not in shown


def test_colour_that_was_declined_is_marked(tokenizer: TextTokenizer) -> None:
    assert "[learnt:  수도<eos>]" in printed(
        tokenizer, 1, force_terminal=True, color_system="standard", no_color=True
    ).replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[0m", "")
