"""Who writes answers: the model of this process, or a server."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from strop.inference.generated import Generated
from strop.recipe.answer import Decoding
from strop.records.completions import Completions

Message = Mapping[str, str]


@dataclass(frozen=True)
class Asked:
    """P prompts in every form that an engine may want.

    Attributes:
        completions: The prompts as token ids, and their rows.
        text_P: The prompts as text, P of them, special tokens written out: all but the begin token, where the model's
            tokenizer puts it in front by itself, as a server's does.
        messages_P: The prompts as messages, before any chat template, P of them; empty where there are none, and no
            messages where none make the prompt.
    """

    completions: Completions
    text_P: Sequence[str] = ()
    messages_P: Sequence[Sequence[Message]] = ()

    def __post_init__(self) -> None:
        for given in (self.text_P, self.messages_P):
            if given and len(given) != self.completions.n_prompts:
                raise ValueError(f"every prompt must have one text, came {len(given)} for {self.completions.n_prompts}")


class Engine(Protocol):
    """Answers prompts."""

    def answer(
        self,
        asked: Asked,
        decoding: Decoding,
        *,
        max_answer_tokens: int,
        seed: int,
        done: Callable[[int, int], None] | None = None,
    ) -> Generated:
        """Write candidates behind every prompt.

        Args:
            asked: The prompts.
            decoding: How tokens are chosen.
            max_answer_tokens: Longest answer, its end token included.
            seed: Draws samples.
            done: Told how many of how many prompts are done.
        """
        ...
