"""The sections of the task `answer`: what a causal model is asked, how it decodes, and how its answers are cleaned."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from strop.recipe.section import Count, Positive, Section


class Prompt(Section):
    """What the model is given, and where its answer begins and ends."""

    template: str | None = None
    """A Jinja template over the text columns, for models without a chat template; what it makes is the prompt, and the
    answer follows it at once, then the end token. Without one the chat template of the model is used."""
    question: str = "{{ context }}\n\n{{ question }}"
    """A Jinja template over the text columns that makes the user's message, for the model's chat template."""
    system: str | None = None
    """The system message, for chat templates that know one."""
    few_shot_join: str = "\n\n"
    """What stands between examples and the prompt of a few-shot baseline, where there is a template."""
    when_too_long: Literal["drop", "cut_context", "windows"] = "drop"
    """What is done with a row that is longer than `text.max_length_tokens`: leave it out of the training part, cut the
    column `data.context` (around the answer in training, to the passages nearest to the question at prediction), or
    read that column in overlapping windows. An answer is never cut; a row that is to be answered is never left out."""
    max_answer_tokens: Count = 64
    """Room for the answer, its end token included: a training row with a longer answer is left out."""
    no_answer: str | None = None
    """What stands for the answer of a question that has none (SQuAD 2.0); without it such rows are left out."""


class Decoding(Section):
    """How an answer is chosen, token by token."""

    method: Literal["greedy", "beams", "sample"] = "greedy"
    """The likeliest token each time, the likeliest of several beams, or tokens drawn by their probability."""
    n_beams: Annotated[int, Field(ge=2, le=16)] | None = None
    """How many beams are kept; 4 without a value. For `beams` alone."""
    length_penalty: float | None = None
    """Exponent of the length that divides a beam's log-probability; 1 without a value. For `beams` alone."""
    temperature: Positive | None = None
    """Divides the logits before tokens are drawn; 1 without a value. This and the next three for `sample` alone."""
    top_k: Count | None = None
    """Draw among so many likeliest tokens."""
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Draw among the likeliest tokens that hold this much probability together."""
    min_p: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Draw among tokens at least so likely, as a share of the likeliest token's probability."""
    repetition_penalty: Annotated[float, Field(ge=1.0)] = 1.0
    """Divides the positive logits of tokens that came before, and multiplies the negative ones; 1 turns it off."""
    n_candidates: Count = 1
    """Answers kept for every row: beams, or samples; the first stands, all of them can be voted on."""

    @model_validator(mode="after")
    def _entries_belong_to_the_method(self) -> Self:
        of_method = {"beams": ("n_beams", "length_penalty"), "sample": ("temperature", "top_k", "top_p", "min_p")}
        for method, names in of_method.items():
            given = [name for name in names if getattr(self, name) is not None]
            if method != self.method and given:
                raise ValueError(f"{', '.join(given)} must stand with method '{method}', came '{self.method}'")
        if self.method == "greedy" and self.n_candidates > 1:
            raise ValueError(f"method 'greedy' gives one candidate, came n_candidates={self.n_candidates}")
        if self.method == "beams" and self.n_candidates > (self.n_beams or 4):
            raise ValueError(f"n_candidates must be at most n_beams, came {self.n_candidates} of {self.n_beams or 4}")
        return self

    @property
    def name(self) -> str:
        """What a person calls it, for example `sample temperature=0.7 top_p=0.9`; equal decodings have equal names."""
        given = self.model_dump(exclude_defaults=True, exclude={"method"})
        return " ".join([self.method, *(f"{key}={value:g}" for key, value in given.items())])


def stored_decoding(about: Mapping[str, Any]) -> Decoding | None:
    """The decoding that `strop decode` stored in the description of a run or a model; None where the recipe's stays."""
    stored = about.get("decoding")
    return None if stored is None else Decoding.model_validate(stored)


# What `strop decode` compares where the recipe says nothing else.
USUAL_DECODINGS = (
    Decoding(),
    *(Decoding(method="beams", n_beams=n_beams) for n_beams in (2, 3, 4, 5)),
    Decoding(method="sample", top_k=50),
    Decoding(method="sample", top_p=0.9),
    Decoding(method="sample", temperature=0.7),
    Decoding(method="sample", min_p=0.1),
    Decoding(repetition_penalty=1.2),
)


class Replace(Section):
    """A regular expression and what stands in its place."""

    pattern: Annotated[str, Field(min_length=1)]
    """A regular expression of Python."""
    by: str = ""
    """What stands in place of every match; \\1 is the first group."""


class Cleaning(Section):
    """Rules that take noise off answers, in this order; what each changed is shown."""

    first_line: bool = False
    """Keep what stands before the first line break (after white space at the beginning)."""
    cut_at: list[str] = []
    """Keep what stands before the first of these words, for example "Question:"."""
    replace: list[Replace] = []
    """Regular expressions to be replaced."""
    strip: str = ""
    """Characters taken off both ends, beside white space, for example "\\"'.,"."""


class Server(Section):
    """A server with the interface of OpenAI (vLLM, SGLang, llama.cpp, `transformers serve`) that answers."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s@]+$")]
    """Where its interface begins, for example "http://localhost:8000/v1"."""
    model: str
    """What the server calls the model."""
    api_key_variable: str = "OPENAI_API_KEY"
    """The environment variable that holds the key, where the server wants one; the key never stands in a recipe."""
    interface: Literal["completions", "chat"] = "completions"
    """`completions` sends the very prompt that was trained on; `chat` lets the server apply its own chat template."""
    max_connections: Count = 8
    """Requests under way at once."""
    timeout_seconds: Positive = 120.0
    """Longest wait for an answer."""
    n_attempts: Count = 4
    """How often a row is asked for before it counts as failed."""


class Answering(Section):
    """What a causal model is asked, how it decodes, and how its answers are cleaned."""

    prompt: Prompt = Prompt()
    """What the model is given."""
    decoding: Decoding = Decoding()
    """How an answer is chosen, in training's evaluations and in prediction."""
    decodings: Annotated[list[Decoding], Field(min_length=1)] = list(USUAL_DECODINGS)
    """What `strop decode` compares on held-out rows."""
    cleaning: Cleaning = Cleaning()
    """What takes noise off answers."""
    label_words: dict[str, str] = {}
    """For the task `classify`: words that stand for a label, by label; a label without an entry stands for itself."""
    calibrate_by_prior: bool = False
    """For the task `classify`: take off a label what the model says for it behind a prompt without texts; this helps a
    model that is not trained."""
    server: Server | None = None
    """A server that answers in place of this process, for `strop predict`; `strop decode` asks the model itself."""
