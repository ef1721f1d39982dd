"""Token ids of prompts and of the answers that follow them, so that training meets what prediction will."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from strop.records.completions import TokenIds
from strop.text.rendering import Asked, Ending
from strop.text.tokenizer import TextTokenizer

# Some tokenizers put a space before every text; behind a line break they do not.
BEFORE = "\n"


@dataclass(frozen=True)
class Joined:
    """A prompt and its answer.

    Attributes:
        prompt: Token ids of the prompt by itself, begin token included: what is sent at prediction.
        answer: Token ids that follow it, end token included; none where there is no answer to be learnt.
        is_apart: Whether running text would have other tokens where the two meet, so that the answer was tokenised by
            itself: behind this prompt the model can only begin it with a token of its own.
    """

    prompt: TokenIds
    answer: TokenIds
    is_apart: bool

    @property
    def n_tokens(self) -> int:
        """Tokens of both."""
        return len(self.prompt) + len(self.answer)


def join(asked: Sequence[Asked], answers: Sequence[str], ending: Ending, tokenizer: TextTokenizer) -> list[Joined]:
    """Tokenise prompts by themselves, and with their answers behind them.

    Where the tokens of the whole begin with those of the prompt, the rest are the answer's. Either way the two together
    read, letter by letter, as the whole.

    Args:
        asked: The prompts.
        answers: One text a prompt; "" where there is none.
        ending: What follows an answer.
        tokenizer: The model's tokenizer; its begin token is put before every prompt, its end token nowhere.
    """
    begin = np.asarray(tokenizer.prefix_ids, dtype=np.int32)
    end = np.asarray([ending.id], dtype=np.int32)
    none = np.zeros(0, dtype=np.int32)
    prompts = tokenizer.encode([one.prompt for one in asked])
    answered = [at for at, answer in enumerate(answers) if answer]
    behind = [asked[at].lead + answers[at] + ending.between for at in answered]
    wholes = tokenizer.encode([asked[at].prompt + text for at, text in zip(answered, behind, strict=True)])
    joined = [Joined(np.concatenate([begin, prompt]), none, is_apart=False) for prompt in prompts]
    for at, text, whole in zip(answered, behind, wholes, strict=True):
        prompt = prompts[at]
        is_apart = len(whole) <= len(prompt) or not np.array_equal(whole[: len(prompt)], prompt)
        answer = _by_itself(text, tokenizer) if is_apart else whole[len(prompt) :]
        joined[at] = Joined(joined[at].prompt, np.concatenate([answer, end]), is_apart)
    return joined


def _by_itself(text: str, tokenizer: TextTokenizer) -> TokenIds:
    before, whole = tokenizer.encode([BEFORE, BEFORE + text])
    if np.array_equal(whole[: len(before)], before):
        return whole[len(before) :]
    return tokenizer.encode([text])[0]
