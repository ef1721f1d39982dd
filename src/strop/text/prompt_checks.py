"""What must hold of prompts and answers before the first step of training."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from strop.errors import Problem, RecipeError
from strop.records.completions import TokenIds
from strop.text.fitting import Purpose
from strop.text.tokenizer import TextTokenizer

if TYPE_CHECKING:
    from strop.text.prompts import Prompted

WHERE = "answer.prompt"
SHOWN_IDS = 5


def check_completions(prompted: "Prompted", tokenizer: TextTokenizer, purpose: Purpose) -> None:
    """Check that a model can learn to answer from these prompts, and to stop.

    No prompt is empty; the begin token stands at its beginning, once, and no end token at its end; an answer ends with
    the end token, has it nowhere else, and reads as the answer; prompt and answer together read as the whole text; in
    training something is learnt.

    Args:
        prompted: What `make_completions` made.
        tokenizer: The model's tokenizer.
        purpose: Whether prompts are trained on.

    Raises:
        RecipeError: Any of that does not hold; all that does not is named.
    """
    rules = (_not_empty, _begin_once, _ends_open, _end_learned, _reads_as_answer)
    problems = [problem for rule in rules for problem in rule(prompted, tokenizer)]
    if purpose == "train" and not prompted.completions.answer_tokens_P.any():
        dropped = [f"{entry.n_rows} rows: {entry.what}" for entry in prompted.entries if entry.kind == "dropped"]
        must, came = "rows with an answer must be left to train on", "; ".join(dropped) or "no rows"
        do = "raise text.max_length_tokens or answer.prompt.max_answer_tokens, or set when_too_long=cut_context"
        problems.append(Problem(WHERE, must, came, do))
    if problems:
        raise RecipeError(*problems)


def _not_empty(prompted: "Prompted", tokenizer: TextTokenizer) -> Iterator[Problem]:
    n_begin = len(tokenizer.prefix_ids)
    must, do = "no prompt may be empty", "let the template write words of its own, or leave out rows without text"
    yield from _problems(prompted, lambda at: len(prompted.completions.prompts[at]) <= n_begin, must, do)


def _begin_once(prompted: "Prompted", tokenizer: TextTokenizer) -> Iterator[Problem]:
    """A begin token that the tokenizer does not put there itself is an ordinary word of the template."""
    begin = tokenizer.prefix_ids
    if not begin:
        return
    word = "".join(tokenizer.tokenizer.id_to_token(one) or "" for one in begin)

    def is_wrong(at: int) -> bool:
        ids = prompted.completions.prompts[at].tolist()
        # Some chat templates write it before every turn; what the text holds is as they wrote it.
        n_written = prompted.prompt_texts[at].count(word) if prompted.kind == "chat" else 0
        return tuple(ids[: len(begin)]) != begin or ids.count(begin[0]) != 1 + n_written

    must = f"the begin token {word} must stand once, at the beginning of the prompt"
    yield from _problems(prompted, is_wrong, must, f"take {word} out of the template: it is put there anyway")


def _ends_open(prompted: "Prompted", tokenizer: TextTokenizer) -> Iterator[Problem]:
    """Behind the end token a model has nothing to say; a chat template ends every turn by one."""
    if prompted.kind != "template":
        return
    ending = prompted.ending.ids

    def is_wrong(at: int) -> bool:
        return int(prompted.completions.prompts[at][-1]) in ending

    must = f"a prompt must not end with the end token {tokenizer.tokenizer.id_to_token(prompted.ending.id)}"
    yield from _problems(prompted, is_wrong, must, "take it out of the template: it is learnt behind the answer")


def _end_learned(prompted: "Prompted", tokenizer: TextTokenizer) -> Iterator[Problem]:
    end, answers = prompted.ending.id, prompted.completions.answers
    must = f"every answer must end with the end token {tokenizer.tokenizer.id_to_token(end)}, and have it nowhere else"

    def is_wrong(at: int) -> bool:
        ids = answers[at].tolist()
        return bool(ids) and (ids[-1] != end or ids.count(end) != 1)

    yield from _problems(prompted, is_wrong, must, "take the end token out of the answers of these rows")


def _reads_as_answer(prompted: "Prompted", tokenizer: TextTokenizer) -> Iterator[Problem]:
    completions, ending = prompted.completions, prompted.ending
    # What a tokenizer cannot hold (letters it does not know, forms that it normalises) is lost in the text itself too.
    alone = tokenizer.encode(prompted.answer_texts)

    def is_wrong(at: int) -> bool:
        ids = completions.answers[at]
        if not len(ids):
            return bool(prompted.answer_texts[at])
        read = _text(ids[:-1], tokenizer).removesuffix(ending.between)
        return read.strip() != _text(alone[at], tokenizer).strip()

    must = "the tokens of an answer must read as the answer"
    yield from _problems(prompted, is_wrong, must, "let the template end with a line break")


def _problems(prompted: "Prompted", is_wrong: Callable[[int], bool], must: str, do: str) -> Iterator[Problem]:
    """One problem for all prompts of which this holds, or none."""
    completions = prompted.completions
    wrong = [at for at in range(completions.n_prompts) if is_wrong(at)]
    if wrong:
        ids = list(dict.fromkeys(completions.ids[completions.row_P[wrong]].tolist()))
        shown = ", ".join(ids[:SHOWN_IDS]) + (", ..." if len(ids) > SHOWN_IDS else "")
        yield Problem(WHERE, must, f"{len(ids)} rows where it does not: {shown}", do)


def _text(ids: TokenIds, tokenizer: TextTokenizer) -> str:
    return tokenizer.tokenizer.decode(ids.tolist(), skip_special_tokens=False)
