"""From the columns of a row to the text of its prompt, by the model's chat template or by a template of the recipe."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from strop.errors import ModelError, Problem, RecipeError
from strop.recipe.sections import Recipe
from strop.text.chat import ChatTemplate, Message, special_texts, token_settings
from strop.text.template import WHOLE_ROW, compile_template, render
from strop.text.tokenizer import TextTokenizer

if TYPE_CHECKING:
    from jinja2 import Template

Row = Mapping[str, str]
TEMPLATE, QUESTION = "answer.prompt.template", "answer.prompt.question"
EXAMPLE_TEMPLATE = r'"{{ context }}\n\nQuestion: {{ question }}\nAnswer: "'
OTHER_MESSAGES = '[{"role": "user", "content": "strop-4711"}]'
EOS_FILES = ("generation_config.json", "config.json")


@dataclass(frozen=True)
class Asked:
    """What the model is asked.

    Attributes:
        prompt: The text of the prompt, without the begin token that the tokenizer puts before every text, and without
            spaces at its end.
        lead: Those spaces: tokenizers join a space with the word after it, so they are learnt with the answer.
        messages: What the chat template made the prompt of; none where a template of the recipe made it.
    """

    prompt: str
    lead: str
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True)
class Ending:
    """What ends an answer.

    Attributes:
        between: What the chat template writes between the answer and the end token; mostly "".
        id: The end token that is learned.
        ids: All tokens at which generation stops, the learned one first.
        is_written: Whether the chat template writes an end token; False where the model's own is taken in its place.
    """

    between: str
    id: int
    ids: tuple[int, ...]
    is_written: bool


@dataclass(frozen=True)
class Renderer:
    """Makes prompts of rows.

    Attributes:
        kind: Whether the model's chat template or a template of the recipe makes the prompt.
        template: The recipe's template of the prompt, or of the user's message; None where rows hold messages and the
            chat template makes the prompt.
        chat: The chat template, where it is used.
        lead: What the chat template writes between its generation prompt and an answer.
        ending: What ends an answer.
        system: The system message.
        few_shot_join: What stands between examples.
        messages: The text column that holds messages as JSON, or None.
        begin: Text of the special tokens that the tokenizer puts before every text.
    """

    kind: Literal["chat", "template"]
    template: "Template | None"
    chat: ChatTemplate | None
    lead: str
    ending: Ending
    system: str | None
    few_shot_join: str
    messages: str | None
    begin: str

    @classmethod
    def of(cls, tokenizer: TextTokenizer, folder: Path, recipe: Recipe) -> Self:
        """Read what the recipe and the model say about prompts.

        Args:
            tokenizer: The model's tokenizer.
            folder: The model's folder.
            recipe: A recipe of the task `answer`.

        Raises:
            RecipeError: The template is wrong, or there is none.
            ModelError: The model has no end token, or its chat template is damaged.
        """
        if recipe.answer is None:
            raise ValueError("the recipe has no section 'answer'")
        prompt, columns = recipe.answer.prompt, list(recipe.data.text)
        chat = ChatTemplate.from_folder(folder) if prompt.template is None else None
        if chat is None and prompt.template is None:
            raise RecipeError(_no_template(folder))
        template = None
        if prompt.template is not None:
            template = compile_template(prompt.template, columns, TEMPLATE)
        elif recipe.data.messages is None:
            template = compile_template(prompt.question, columns, QUESTION)
        turn = None if chat is None else chat.turn(prompt.system)
        return cls(
            kind="template" if chat is None else "chat",
            template=template,
            chat=chat,
            lead="" if turn is None else turn.lead,
            ending=_ending(tokenizer, folder, "" if turn is None else turn.end),
            system=prompt.system,
            few_shot_join=prompt.few_shot_join,
            messages=recipe.data.messages,
            begin="".join(tokenizer.tokenizer.id_to_token(one) or "" for one in tokenizer.prefix_ids),
        )

    def ask(self, row: Row, row_id: str, examples: Sequence[tuple[Row, str]] = ()) -> Asked:
        """Make the prompt of a row.

        Args:
            row: Its text columns.
            row_id: Its id, for the words of an error.
            examples: Rows with their answers that stand before it: earlier turns of a chat, or prompts and answers with
                `few_shot_join` after each.

        Raises:
            RecipeError: A template fails on this row.
        """
        turns: tuple[Message, ...] = ()
        if self.chat is None:
            told = [self._text(example, row_id) + answer for example, answer in examples]
            text = self.few_shot_join.join([*told, self._text(row, row_id)])
        else:
            turns = tuple(self._turns(row, row_id, examples))
            text = self.chat.prompt(turns, f"chat template, row '{row_id}'") + self.lead
        # The tokenizer puts its begin token there itself: with one from the template there would be two.
        while self.begin and text.startswith(self.begin):
            text = text.removeprefix(self.begin)
        prompt = text.rstrip(" \t\u00a0")
        return Asked(prompt, text[len(prompt) :], turns)

    def must_use(self, row: Row, row_id: str) -> None:
        """Check that every text column has a place in the prompt: what it makes of a row changes with each of them.

        Raises:
            RecipeError: A column is not used.
        """
        if self.template is None:
            return
        plain = self._text(row, row_id)
        unused = []
        for name, value in row.items():
            other = f"x{value}x" if name != self.messages else OTHER_MESSAGES
            try:
                is_used = self._text({**row, name: other}, row_id) != plain
            except RecipeError:
                is_used = True  # a template that fails because of a column reads it
            if not is_used:
                unused.append(name)
        if unused:
            where = TEMPLATE if self.chat is None else QUESTION
            written = " and ".join(f"{{{{ {name} }}}}" for name in unused)
            must = "every text column must be used by the template: what it leaves out, the model never reads"
            do = f"write {written} into it, or take the column out of data.text"
            raise RecipeError(Problem(where, must, f"a template without {', '.join(unused)}", do))

    def _text(self, row: Row, row_id: str) -> str:
        """What the recipe's template makes of a row."""
        if self.template is None:
            raise ValueError("there is no template")
        values: dict[str, Any] = dict(row)
        if self.messages is not None:
            values[self.messages] = read_messages(row[self.messages])
        return render(self.template, {WHOLE_ROW: values, **values}, row_id, TEMPLATE if self.chat is None else QUESTION)

    def _turns(self, row: Row, row_id: str, examples: Sequence[tuple[Row, str]]) -> list[Message]:
        own = self._messages(row, row_id)
        system = [one for one in own if one.get("role") == "system"]
        if not system and self.system is not None:
            system = [{"role": "system", "content": self.system}]
        told: list[Message] = []
        for example, answer in examples:
            told += [one for one in self._messages(example, row_id) if one.get("role") != "system"]
            told.append({"role": "assistant", "content": answer})
        return [*system, *told, *(one for one in own if one.get("role") != "system")]

    def _messages(self, row: Row, row_id: str) -> list[Message]:
        if self.messages is not None:
            return read_messages(row[self.messages])
        return [{"role": "user", "content": self._text(row, row_id)}]


def read_messages(written: str) -> list[Message]:
    """The messages that make a prompt, of the JSON in a text column; of a blank row one without words."""
    return list(json.loads(written)) if written.strip() else [{"role": "user", "content": ""}]


@dataclass(frozen=True)
class SpecialWords:
    """Words that a tokenizer reads as special tokens wherever they stand; some have thousands of them.

    Attributes:
        words: The words.
        beginning: Finds the characters that they begin with.
        lengths: How many characters they have.
    """

    words: frozenset[str]
    beginning: re.Pattern[str]
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: TextTokenizer) -> Self:
        """Those of a tokenizer that can be taken apart: longer than a character, without white space."""
        added = tokenizer.tokenizer.get_added_tokens_decoder().values()
        contents = [one.content for one in added if one.special]
        words = frozenset(word for word in contents if len(word) > 1 and len(word.split()) == 1)
        first = "".join(sorted({re.escape(word[0]) for word in words}))
        beginning = re.compile(f"[{first}]" if first else "(?!)")
        return cls(words, beginning, tuple(sorted({len(word) for word in words}, reverse=True)))

    def taken_apart(self, text: str) -> str:
        """The text with a space inside each of these words: "<s>" becomes "< s>"."""
        begin = [found.start() for found in self.beginning.finditer(text)]
        inside = [at + 1 for at in begin if any(text[at : at + length] in self.words for length in self.lengths)]
        return " ".join(text[start:end] for start, end in pairwise([0, *inside, len(text)]))


def _ending(tokenizer: TextTokenizer, folder: Path, end: str) -> Ending:
    """The first special token of what the chat template writes after an answer, else the model's end token."""
    own = _own_end_ids(tokenizer, folder)
    added = tokenizer.tokenizer.get_added_tokens_decoder()
    found = tokenizer.tokenizer.encode(end, add_special_tokens=False)
    for only_special in (True, False):
        for token, (start, _) in zip(found.ids, found.offsets, strict=True):
            is_end = token in added and bool(added[token].content.strip())
            if is_end and (added[token].special or not only_special):
                return Ending(end[:start], token, tuple(dict.fromkeys([token, *own])), is_written=True)
    if not own:
        raise ModelError(
            Problem(
                where=str(folder),
                must="the model must have an end token, or it never learns to stop",
                came="no eos_token in tokenizer_config.json, and no eos_token_id in config.json",
                do="use another model, or name its end token in tokenizer_config.json",
            )
        )
    return Ending("", own[0], own, is_written=False)


def _own_end_ids(tokenizer: TextTokenizer, folder: Path) -> tuple[int, ...]:
    """The end tokens that the model's files name, the tokenizer's own first."""
    text = special_texts(token_settings(folder)).get("eos_token")
    named = [] if text is None else [tokenizer.tokenizer.token_to_id(text)]
    for path in (folder / name for name in EOS_FILES):
        if path.exists():
            ids = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
            named += ids if isinstance(ids, list) else [ids]
    return tuple(dict.fromkeys(one for one in named if isinstance(one, int)))


def _no_template(folder: Path) -> Problem:
    return Problem(
        where=TEMPLATE,
        must="a model without a chat template needs a template of the recipe",
        came=f"neither answer.prompt.template nor a chat template in {folder}",
        do=f"give answer.prompt.template, for example {EXAMPLE_TEMPLATE}",
    )
