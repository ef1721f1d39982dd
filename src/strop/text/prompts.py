"""What a causal model is asked about every row, and what it shall write, as text and as token ids.

R rows, P prompts (one or more a row).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from strop.errors import Problem, RecipeError
from strop.recipe.answer import Prompt
from strop.recipe.sections import Recipe
from strop.records.completions import Completions
from strop.records.dataset import Dataset, Strings, strings, tuples
from strop.records.ledger import Entry
from strop.text.chat import Message
from strop.text.fitting import Fit, Fitter, Purpose, Question
from strop.text.prompt_checks import check_completions
from strop.text.prompt_notes import STATION, ending_entries, fit_entries
from strop.text.rendering import Ending, Renderer, Row, SpecialWords
from strop.text.shared import context_numbers, shared_tokens
from strop.text.tokenizer import TextTokenizer
from strop.text.windows import check_length

LEAST_PROMPT_TOKENS = 8
SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Prompted:
    """Prompts, ready for a model.

    Attributes:
        completions: Their token ids.
        prompt_texts: Their texts, shape (P,). A tokenizer that puts its special tokens before a text makes of each the
            ids in `completions.prompts`; one that is told to add none must be given the begin token.
        messages: What the chat template made each of, P of them; none for a prompt of a template of the recipe, and for
            one that lost its middle.
        answer_texts: What is learnt behind each, "" where nothing is, shape (P,).
        ending: What ends an answer; generation stops at any of `ending.ids`.
        kind: Whether the model's chat template made the prompts, or a template of the recipe.
        begin_ids: The special tokens that every prompt begins with; none for models that have no begin token.
        entries: What the ledger says.
    """

    completions: Completions
    prompt_texts: Strings
    messages: tuple[tuple[Message, ...], ...]
    answer_texts: Strings
    ending: Ending
    kind: Literal["chat", "template"]
    begin_ids: tuple[int, ...]
    entries: tuple[Entry, ...]

    @property
    def end_ids(self) -> tuple[int, ...]:
        """All tokens at which generation stops, the learned one first."""
        return self.ending.ids


def make_completions(
    dataset: Dataset,
    tokenizer: TextTokenizer,
    folder: Path,
    recipe: Recipe,
    *,
    purpose: Purpose,
    examples: Dataset | None = None,
    max_positions: int | None = None,
) -> Prompted:
    """Make the prompts of rows, and their answers where they are to be trained on.

    A prompt is tokenised by itself, as it is sent at prediction; the tokens of its answer follow it such that both
    together read as the whole. The begin token stands once, whoever writes it; an answer ends with the token that ends
    a turn of the chat template, or the model's end token. Spaces at a prompt's end are learnt with the answer, because
    tokenizers join them with the word behind. Words of the data that are special tokens are taken apart.

    Args:
        dataset: The rows; with `answers` where they are trained on.
        tokenizer: The model's tokenizer.
        folder: The model's folder.
        recipe: A recipe of the task `answer`.
        purpose: For `train`, rows without an answer, with one that is too long, or that do not fit, are left out. For
            `predict`, every row has a prompt with room for an answer, and answers are neither read nor given.
        examples: Rows with answers that stand before every prompt. Each may add `text.max_length_tokens` to it; fewer
            of them where not all fit that, or the model's positions.
        max_positions: Positions the model has, None where it has no limit.

    Returns:
        The prompts, checked by `check_completions`.

    Raises:
        RecipeError: There is no template, it leaves out a text column, the lengths leave no room, or no row is left.
        ModelError: The model has no end token, or its chat template is damaged.
    """
    prompt = _section(recipe, max_positions)
    renderer = Renderer.of(tokenizer, folder, recipe)
    readable, entries = _without_special_words(dataset, tokenizer)
    for at, row_id in enumerate(readable.ids[:1]):
        renderer.must_use(_row(readable, at), row_id)
    questions = _questions(readable, prompt, purpose)
    shown = [] if examples is None else _shown(examples, tokenizer, prompt)
    fitter = Fitter(renderer, tokenizer, prompt, recipe.text, recipe.data.context, purpose, shown, max_positions)
    fits, n_tokens = fitter.fit(questions)
    row_ids = [one.row_id for one in questions]
    entries += fit_entries(dataset, row_ids, fits, prompt, recipe.text, purpose, len(shown))
    entries += ending_entries(renderer, tokenizer)
    reads = [read for fit in fits for read in fit.prompts]
    prompted = Prompted(
        completions=_completions(questions, fits, n_tokens, has_context=recipe.data.context is not None),
        prompt_texts=strings([read.asked.prompt for read in reads]),
        messages=tuple(read.asked.messages for read in reads),
        answer_texts=strings([read.answer for read in reads]),
        ending=renderer.ending,
        kind=renderer.kind,
        begin_ids=tokenizer.prefix_ids,
        entries=tuple(entries),
    )
    check_completions(prompted, tokenizer, purpose)
    return prompted


def _section(recipe: Recipe, max_positions: int | None) -> Prompt:
    """The recipe's section on prompts.

    Raises:
        RecipeError: The lengths leave no room, or no column may be cut.
    """
    check_length(recipe.text, max_positions)
    if recipe.answer is None:
        raise ValueError("the recipe has no section 'answer'")
    prompt = recipe.answer.prompt
    problems = []
    most = recipe.text.max_length_tokens - LEAST_PROMPT_TOKENS
    if prompt.max_answer_tokens > most:
        must = f"it must leave {LEAST_PROMPT_TOKENS} of text.max_length_tokens for the prompt: at most {most}"
        do = "lower it, or raise text.max_length_tokens"
        problems.append(Problem("answer.prompt.max_answer_tokens", must, str(prompt.max_answer_tokens), do))
    if prompt.when_too_long != "drop" and recipe.data.context is None:
        must, do = "a column must be named that may be cut", "give data.context, or set when_too_long=drop"
        problems.append(Problem("answer.prompt.when_too_long", must, f"{prompt.when_too_long}, no data.context", do))
    if problems:
        raise RecipeError(*problems)
    return prompt


def _without_special_words(dataset: Dataset, tokenizer: TextTokenizer) -> tuple[Dataset, list[Entry]]:
    """The rows with special tokens that are written out in their texts taken apart, and what the ledger says of it."""
    special = SpecialWords.of(tokenizer)
    # No tokenizer reads half a surrogate pair.
    before = {name: [SURROGATE.sub("\ufffd", text) for text in column] for name, column in dataset.texts.items()}
    after = {name: [special.taken_apart(text) for text in column] for name, column in before.items()}
    answers = dataset.answers
    if answers is not None:
        answers = tuples([tuple(special.taken_apart(text).strip() for text in row) for row in answers])
    readable = replace(dataset, texts={name: strings(column) for name, column in after.items()}, answers=answers)
    changed = [at for at in range(dataset.n_rows) if any(before[name][at] != after[name][at] for name in before)]
    if not changed:
        return readable, []
    what = "Words that the model reads as its special tokens stand in these texts; a space was put inside each"
    return readable, [Entry("cleaned", STATION, what, len(changed), tuple(dataset.ids[changed].tolist()))]


def _shown(examples: Dataset, tokenizer: TextTokenizer, prompt: Prompt) -> list[tuple[Row, str]]:
    """Examples as they stand before a prompt: their columns, and what is learnt of each."""
    readable, _ = _without_special_words(examples, tokenizer)
    return [(_row(readable, at), _learnt(readable, at, prompt)) for at in range(readable.n_rows)]


def _row(dataset: Dataset, at: int) -> Row:
    return {name: str(column[at]) for name, column in dataset.texts.items()}


def _learnt(dataset: Dataset, at: int, prompt: Prompt) -> str:
    """What is trained on: the first accepted answer, or what stands for none; "" where there is neither."""
    accepted = () if dataset.answers is None else dataset.answers[at]
    return next((answer for answer in accepted if answer), None) or (prompt.no_answer or "").strip()


def _questions(dataset: Dataset, prompt: Prompt, purpose: Purpose) -> list[Question]:
    """The rows that are asked about: in training those that have an answer."""
    if purpose == "predict":
        return [Question(row_id, _row(dataset, at)) for at, row_id in enumerate(dataset.ids.tolist())]
    if dataset.answers is None:
        raise ValueError("rows to be trained on must have answers")
    return [
        Question(row_id, _row(dataset, at), dataset.answers[at], learnt)
        for at, row_id in enumerate(dataset.ids.tolist())
        if (learnt := _learnt(dataset, at, prompt))
    ]


def _completions(
    questions: Sequence[Question], fits: Sequence[Fit], n_tokens: Sequence[int], *, has_context: bool
) -> Completions:
    """Put the prompts of all rows that have some into one record."""
    kept = [at for at, fit in enumerate(fits) if fit.prompts]
    reads = [(row, read) for row, at in enumerate(kept) for read in fits[at].prompts]
    prompts = [read.joined.prompt for _, read in reads]
    context_P = context_numbers([read.context if has_context else at for at, (_, read) in enumerate(reads)])
    return Completions(
        ids=strings([questions[at].row_id for at in kept]),
        row_P=np.asarray([row for row, _ in reads], dtype=np.int64),
        prompts=prompts,
        answers=[read.joined.answer for _, read in reads],
        context_P=context_P,
        shared_P=shared_tokens(prompts, context_P),
        n_tokens_R=np.asarray([n_tokens[at] for at in kept], dtype=np.int64),
        n_cut_R=np.asarray([fits[at].n_cut for at in kept], dtype=np.int64),
    )
