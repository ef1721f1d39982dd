"""What `strop check --show` prints: prompts as the model reads them, with the tokens that it learns to write."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.text import Text

from strop.reporting.sentences import count

if TYPE_CHECKING:
    from strop.records.completions import TokenIds
    from strop.text.prompts import Prompted
    from strop.text.tokenizer import TextTokenizer

SPECIAL, TRAINED, SHARED = "bold cyan", "black on green", "dim"
# Where there is no colour, these stand around what is learnt.
LEARNT_BEGINS, LEARNT_ENDS = "[learnt: ", "]"

Kind = Literal["shared", "prompt", "answer"]
STYLES: dict[Kind, str] = {"shared": SHARED, "prompt": "", "answer": TRAINED}


def prompts_view(prompted: "Prompted", tokenizer: "TextTokenizer", n_prompts: int) -> RenderableType:
    """The first prompts with their answers, special tokens visible, what is learnt in colour, with counts of tokens.

    Args:
        prompted: Prompts and answers.
        tokenizer: The model's tokenizer.
        n_prompts: How many to show.
    """
    completions = prompted.completions
    shown: list[RenderableType] = []
    for at in range(min(n_prompts, completions.n_prompts)):
        n_shared, prompt, answer = int(completions.shared_P[at]), completions.prompts[at], completions.answers[at]
        facts = [
            f"row '{completions.ids[completions.row_P[at]]}'",
            f"prompt of {count(len(prompt))} tokens"
            + (f", the first {count(n_shared)} shared by all rows of its context" if n_shared else ""),
            f"{count(len(answer))} tokens are learnt" if len(answer) else "nothing is learnt here",
        ]
        pieces: dict[Kind, TokenIds] = {"shared": prompt[:n_shared], "prompt": prompt[n_shared:], "answer": answer}
        shown += [Text("; ".join(facts), style="bold"), _AsRead(pieces, tokenizer), Text()]
    ends = ", ".join(tokenizer.tokenizer.id_to_token(one) or str(one) for one in prompted.end_ids)
    source = "the model's chat template" if prompted.kind == "chat" else "answer.prompt.template"
    begins = "".join(tokenizer.tokenizer.id_to_token(one) or str(one) for one in prompted.begin_ids)
    facts = [
        f"prompts by {source}",
        f"begin token {begins}, once" if begins else "the tokenizer puts no begin token before a text",
        f"an answer stops at {ends}",
    ]
    return Group(*shown, Text("; ".join(facts)))


class _AsRead:
    """One prompt with its answer; how what is learnt is marked depends on where it is printed."""

    def __init__(self, pieces: "dict[Kind, TokenIds]", tokenizer: "TextTokenizer") -> None:
        self._pieces = pieces
        self._tokenizer = tokenizer

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        has_colour = console.color_system is not None and not console.no_color
        text = Text()
        for kind, ids in self._pieces.items():
            is_marked = kind == "answer" and bool(len(ids)) and not has_colour
            text.append(LEARNT_BEGINS if is_marked else "")
            for words, is_special in _words(ids, self._tokenizer):
                # A special token that is learnt has both styles.
                text.append(words, style=f"{STYLES[kind]} bold" if is_special and kind == "answer" else "")
                text.stylize(SPECIAL if is_special and kind != "answer" else STYLES[kind], len(text) - len(words))
            text.append(LEARNT_ENDS if is_marked else "")
        yield text


def _words(ids: "TokenIds", tokenizer: "TextTokenizer") -> Iterator[tuple[str, bool]]:
    """The text of token ids, special tokens by themselves, and whether each piece is one."""
    added = tokenizer.tokenizer.get_added_tokens_decoder()
    ordinary: list[int] = []
    for one in ids.tolist():
        if one not in added or not added[one].special:
            ordinary.append(one)
            continue
        if ordinary:
            yield tokenizer.tokenizer.decode(ordinary), False
            ordinary = []
        yield added[one].content, True
    if ordinary:
        yield tokenizer.tokenizer.decode(ordinary), False
