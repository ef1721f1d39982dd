"""What must hold between the entries of a recipe whose model writes."""

import re
from collections.abc import Callable, Iterator

from strop.errors import Problem
from strop.recipe.sections import Recipe


def _belongs_to_the_task(recipe: Recipe) -> Iterator[Problem]:
    must, do = "it belongs to the task 'answer'", "remove it, or set task=answer"
    if recipe.answer is not None and not recipe.writes:
        yield Problem("answer", must, f"task={recipe.task}", do)
    if recipe.data.messages is not None and recipe.task != "answer":
        yield Problem("data.messages", must, f"task={recipe.task}", do)
    if recipe.data.context is not None and not recipe.writes:
        yield Problem("data.context", must, f"task={recipe.task}", do)
    if recipe.task == "answer" and recipe.answer is not None:
        for name in ("label_words", "calibrate_by_prior"):
            if getattr(recipe.answer, name):
                must, do = "it belongs to the task 'classify'", "remove it, or set task=classify"
                yield Problem(f"answer.{name}", must, "task=answer", do)


def _reads_words_alone(recipe: Recipe) -> Iterator[Problem]:
    """Parts of the house that a model which writes cannot use."""
    if not recipe.writes:
        return
    data, model = recipe.data, recipe.model
    for where, is_given in (
        ("data.categorical", data.categorical is not None),
        ("data.numeric", data.numeric is not None),
        ("data.text_lengths", data.text_lengths),
        ("data.documents", data.documents is not None),
        ("data.snippets", data.snippets is not None),
        ("evidence", recipe.evidence is not None),
        ("model.head_hidden", bool(model.head_hidden)),
        ("text.parts", recipe.text.parts is not None),
    ):
        if is_given:
            yield Problem(where, "a model that writes reads a prompt alone", "a value", "remove it")
    if recipe.text.template is not None:
        yield Problem("text.template", "prompts have a template of their own", "both", "give answer.prompt.template")
    if model.pooling not in ("auto", "native"):
        yield Problem("model.pooling", "a model that writes has no head", model.pooling, "remove it")
    for number, stage in enumerate(recipe.stages):
        if stage.trainable == "head":
            must, do = "a model that writes has no head to train", "say 'all' or 'adapter'"
            yield Problem(f"stages.{number}.trainable", must, "head", do)


def _context(recipe: Recipe) -> Iterator[Problem]:
    data, answering = recipe.data, recipe.answer
    if not recipe.writes or answering is None:
        return
    if data.messages is not None:
        if data.text != [data.messages] or data.answers is not None or data.context is not None:
            must = "chat messages are both prompt and answer"
            yield Problem("data.messages", must, "data.text, data.answers or data.context beside it", "remove those")
        if answering.prompt.template is not None:
            must = "messages are put together by the chat template of the model"
            yield Problem("answer.prompt.template", must, "a template beside data.messages", "remove it")
    if data.context is not None and data.context not in data.text:
        must = "it must be one of the text columns"
        yield Problem("data.context", must, data.context, f"one of {', '.join(data.text)}")
    if data.context is None and answering.prompt.when_too_long != "drop":
        must = "only the column data.context is cut or read in windows"
        yield Problem("answer.prompt.when_too_long", must, answering.prompt.when_too_long, "name it in data.context")
    if answering.prompt.max_answer_tokens >= recipe.text.max_length_tokens:
        must = "there must be room for a prompt before the answer"
        came = f"{answering.prompt.max_answer_tokens} of text.max_length_tokens={recipe.text.max_length_tokens}"
        yield Problem("answer.prompt.max_answer_tokens", must, came, "lower it, or raise text.max_length_tokens")


def _cleaning(recipe: Recipe) -> Iterator[Problem]:
    rules = [] if recipe.answer is None else recipe.answer.cleaning.replace
    for number, rule in enumerate(rules):
        try:
            re.compile(rule.pattern).sub(rule.by, "")
        except (re.error, IndexError) as error:
            where = f"answer.cleaning.replace.{number}"
            yield Problem(where, "it must be a regular expression of Python", str(error), "mend pattern or by")


def _decodings(recipe: Recipe) -> Iterator[Problem]:
    decodings = [] if recipe.answer is None else recipe.answer.decodings
    names = [decoding.name for decoding in decodings]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem("answer.decodings", "every decoding must stand once", f"twice: {name}", "remove one of them")


ANSWER_RULES: tuple[Callable[[Recipe], Iterator[Problem]], ...] = (
    _belongs_to_the_task,
    _reads_words_alone,
    _context,
    _cleaning,
    _decodings,
)
