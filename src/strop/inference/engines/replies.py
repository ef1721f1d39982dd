"""What is sent to a server with the interface of OpenAI, and what is read from its replies."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from strop.evidence.attempts import Malformed, Trouble
from strop.inference.engines import Asked
from strop.recipe.answer import Decoding, Server

PATHS = {"completions": "completions", "chat": "chat/completions"}
_MOST_WORDS = 200


class Manner(NamedTuple):
    """What stands in a request beside what all servers understand.

    Attributes:
        is_explicit: The values that change nothing, so that none of the server's own takes their place.
        is_scored: Log-probabilities, and several candidates at once.
    """

    is_explicit: bool
    is_scored: bool


# The next one is for servers that refuse the one before.
MANNERS = (Manner(True, True), Manner(False, True), Manner(False, False))


class Written(NamedTuple):
    """One candidate, as in `Generated`."""

    text: str
    log_likelihood: float
    n_tokens: int
    ended: bool


@dataclass(frozen=True)
class Question:
    """One prompt and how it is to be answered.

    Attributes:
        prompt: What the interface calls the prompt: its text, or messages.
        n_candidates: How many answers are wanted.
        settings: What the decoding sets, the model and the length.
        neutral: What it leaves unset, at the values that change nothing.
    """

    prompt: Mapping[str, Any]
    n_candidates: int
    settings: Mapping[str, Any]
    neutral: Mapping[str, Any]

    def body(self, n_more: int, seed: int, manner: Manner) -> dict[str, Any]:
        """A request.

        Args:
            n_more: How many candidates are still wanted.
            seed: Draws them.
            manner: What else stands in it.
        """
        more: dict[str, Any] = {**self.neutral} if manner.is_explicit else {}
        if manner.is_scored:
            more |= {"logprobs": True, "top_logprobs": 0} if "messages" in self.prompt else {"logprobs": 1}
            if n_more > 1:
                more["n"] = n_more
        return {**self.prompt, **self.settings, **more, "seed": seed}


def question(server: Server, asked: Asked, at: int, decoding: Decoding, max_answer_tokens: int) -> Question:
    """What is asked for one prompt.

    Top-k, min-p and the repetition penalty are written as vLLM and SGLang write them. A server's own values for what a
    request leaves out may come from the model's generation_config.json (vLLM, SGLang, `transformers serve`) or be its
    own (llama.cpp draws with top-k 40 and min-p 0.05): what the decoding leaves unset is sent at the value that changes
    nothing. The value of top-k is -1 because older releases of vLLM refuse 0.

    Args:
        server: The recipe's section.
        asked: All prompts, in the form that the interface needs.
        at: The number of the prompt.
        decoding: Greedy or samples.
        max_answer_tokens: Longest answer.
    """
    settings: dict[str, Any] = {"model": server.model, "max_tokens": max_answer_tokens, "temperature": 0.0}
    unset: dict[str, Any] = {"repetition_penalty": 1.0}
    if decoding.method == "sample":
        settings |= {"temperature": decoding.temperature or 1.0, "top_p": decoding.top_p or 1.0}
        settings |= {key: value for key in ("top_k", "min_p") if (value := getattr(decoding, key)) is not None}
        unset |= {"top_k": -1, "min_p": 0.0}
    if decoding.repetition_penalty != 1.0:
        settings["repetition_penalty"] = decoding.repetition_penalty
    prompt: dict[str, Any] = {"prompt": asked.text_P[at]} if server.interface == "completions" else {}
    if server.interface == "chat":
        prompt = {"messages": [dict(message) for message in asked.messages_P[at]]}
    neutral = {key: value for key, value in unset.items() if key not in settings}
    return Question(prompt, decoding.n_candidates, settings, neutral)


def read_reply(content: bytes, model: str) -> list[Written]:
    """The candidates of a reply, at least one.

    Args:
        content: The body of a reply with status 200.
        model: The model that was asked.

    Raises:
        Trouble: The reply is not what it should be; another one may be.
        Malformed: Another model answered.
    """
    reply = _json(content)
    if not isinstance(reply, dict):
        raise Trouble(f"the reply is not an object of JSON: {short(content)}")
    choices = reply.get("choices")
    if not isinstance(choices, list) or not choices:
        raise Trouble(f"the reply has no choices: {short(content)}")
    answered = reply.get("model")
    # `transformers serve` appends the revision, hosted models their date.
    if isinstance(answered, str) and answered != model and not answered.startswith((f"{model}@", f"{model}-")):
        raise Malformed(f"the model '{answered}' answered, where '{model}' was asked")
    usage = reply.get("usage")
    n_tokens = usage.get("completion_tokens") if isinstance(usage, dict) and len(choices) == 1 else None
    return [_candidate(choice, n_tokens if isinstance(n_tokens, int) else 0, content) for choice in choices]


def said(content: bytes) -> str:
    """What a server says went wrong, in its own words, cut short."""
    reply = _json(content)
    error = reply.get("error", reply.get("detail", reply)) if isinstance(reply, dict) else None
    words = error.get("message") if isinstance(error, dict) else error
    return short((words if isinstance(words, str) else "").encode() or content)


def short(content: bytes) -> str:
    """The beginning of a reply, in one line."""
    words = " ".join(content[: 4 * _MOST_WORDS].decode(errors="replace").split())
    return (words if len(words) <= _MOST_WORDS else f"{words[:_MOST_WORDS]}...") or "(nothing)"


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _candidate(choice: Any, n_tokens: int, content: bytes) -> Written:
    message = choice.get("message") if isinstance(choice, dict) else None
    text = message.get("content") if isinstance(message, dict) else None
    if isinstance(choice, dict) and message is None:
        text = choice.get("text")
    if not isinstance(choice, dict) or not isinstance(text, str):
        raise Trouble(f"a choice of the reply has no text: {short(content)}")
    values = _log_probabilities(choice.get("logprobs"))
    return Written(
        text=text,
        log_likelihood=math.fsum(values) if values else math.nan,
        n_tokens=len(values) or n_tokens,
        ended=choice.get("finish_reason") == "stop",
    )


def _log_probabilities(given: Any) -> list[float]:
    """Of all tokens, in either of the forms that servers use; empty where one is missing."""
    if not isinstance(given, dict):
        return []
    values = given.get("token_logprobs")
    if not isinstance(values, list):
        entries = given.get("content")
        values = (
            [entry.get("logprob") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
        )
    numbers = [float(value) for value in values if isinstance(value, (int, float)) and math.isfinite(value)]
    return numbers if len(numbers) == len(values) else []
