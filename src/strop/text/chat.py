"""The chat template of a model: how messages become the text of a prompt, and what ends an answer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

from strop.errors import ModelError, Problem, RecipeError

if TYPE_CHECKING:
    from jinja2 import Environment, Template, nodes
    from jinja2.parser import Parser

Message = Mapping[str, str]

TEMPLATE_FILE = "chat_template.jinja"
SETTINGS_FILES = ("special_tokens_map.json", "tokenizer_config.json")
# Templates that write today's date get this one (the day that Llama 3.1 names by itself): a prompt must be the same at
# prediction as in training.
DATE = datetime(2024, 7, 26, tzinfo=UTC)
SAFE_GLOBALS = ("range", "namespace", "cycler", "joiner")
# Words that no template trims or rewrites, and that stand in none.
PROBE_QUESTION, PROBE_ANSWER = "strop-4711-question", "strop-4711-answer"


@dataclass(frozen=True)
class Turn:
    r"""What a chat template writes around an answer.

    Attributes:
        lead: Between the end of the generation prompt and the answer; "" for most templates.
        end: After the answer, for example "<|im_end|>\n".
    """

    lead: str
    end: str


@dataclass(frozen=True)
class ChatTemplate:
    """A chat template with the special tokens that it may write.

    It is rendered in a sandbox with the variables, filters and functions that transformers gives to chat templates;
    alone the date is always the same.

    Attributes:
        source: The Jinja template.
        special: Text of the special tokens by their role, for example `bos_token`.
    """

    source: str
    special: Mapping[str, str]

    @classmethod
    def from_folder(cls, folder: Path) -> Self | None:
        """Read the chat template of a model folder: chat_template.jinja, else the entry in tokenizer_config.json.

        Of several named templates the one called `default` is taken.

        Returns:
            None where the model has none.

        Raises:
            ModelError: A file is damaged.
        """
        settings = token_settings(folder)
        path = folder / TEMPLATE_FILE
        source = path.read_text(encoding="utf-8") if path.exists() else settings.get("chat_template")
        if isinstance(source, list):
            named = {one.get("name"): one.get("template") for one in source if isinstance(one, dict)}
            source = named.get("default")
        return cls(source, special_texts(settings)) if isinstance(source, str) and source else None

    def prompt(self, messages: Sequence[Message], where: str = "chat template") -> str:
        """Render messages, the last not the model's, and the beginning of the turn in which the model answers.

        Raises:
            RecipeError: The template refuses the messages.
        """
        return self._render(messages, where, add_generation_prompt=True)

    def whole(self, messages: Sequence[Message], where: str = "chat template") -> str:
        """Render messages of which the last is the model's answer.

        Raises:
            RecipeError: The template refuses the messages.
        """
        return self._render(messages, where, add_generation_prompt=False)

    def turn(self, system: str | None = None) -> Turn:
        """Find out, by a conversation made up for it, what the template writes around an answer.

        Args:
            system: The system message that stands before every prompt.

        Raises:
            RecipeError: The template refuses the conversation, or does not write the answer.
        """
        first = [] if system is None else [{"role": "system", "content": system}]
        asked = [*first, {"role": "user", "content": PROBE_QUESTION}]
        prompt = self.prompt(asked)
        whole = self.whole([*asked, {"role": "assistant", "content": PROBE_ANSWER}])
        begin = whole.rfind(PROBE_ANSWER)
        if begin < 0 or PROBE_QUESTION not in prompt:
            missing = "answer" if begin < 0 else "question"
            raise RecipeError(
                Problem(
                    where="chat template of the model",
                    must="it must write the messages of user and assistant as they are",
                    came=f"the {missing} of a trial conversation is not in what it wrote",
                    do="give answer.prompt.template, which stands in place of it",
                )
            )
        # Templates that think before they answer may begin the model's turn otherwise when asked than when told.
        lead = whole[len(prompt) : begin] if whole.startswith(prompt) else ""
        return Turn(lead, whole[begin + len(PROBE_ANSWER) :])

    @cached_property
    def _compiled(self) -> "Template":
        from jinja2 import TemplateSyntaxError

        try:
            return _sandbox().from_string(self.source)
        except TemplateSyntaxError as error:
            problem = Problem(
                where=f"chat template of the model, line {error.lineno}",
                must="it must be a Jinja template",
                came=str(error.message),
                do="fetch the model again, or give answer.prompt.template, which stands in place of it",
            )
            raise ModelError(problem) from error

    def _render(self, messages: Sequence[Message], where: str, *, add_generation_prompt: bool) -> str:
        from jinja2 import TemplateError

        variables = {"messages": [dict(message) for message in messages], "tools": None, "documents": None}
        try:
            return self._compiled.render(**self.special, **variables, add_generation_prompt=add_generation_prompt)
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            roles = ", ".join(str(message.get("role")) for message in messages)
            problem = Problem(
                where=where,
                must="the model's chat template must take the messages",
                came=f"{error} (roles: {roles})",
                do="leave out answer.prompt.system where the template knows no system message (its words can begin "
                "answer.prompt.question), or give answer.prompt.template, which stands in place of the chat template",
            )
            raise RecipeError(problem) from error


def token_settings(folder: Path) -> dict[str, Any]:
    """What the files beside the tokenizer say about its tokens and its template.

    Raises:
        ModelError: A file is damaged.
    """
    settings: dict[str, Any] = {}
    for path in (folder / name for name in SETTINGS_FILES):
        if not path.exists():
            continue
        try:
            settings |= json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, TypeError) as error:
            problem = Problem(
                where=str(path),
                must="the file must be complete JSON, as the model's authors saved it",
                came=str(error).strip().splitlines()[0],
                do="fetch the model again, or copy this file from the original",
            )
            raise ModelError(problem) from error
    return settings


def special_texts(settings: Mapping[str, Any]) -> dict[str, str]:
    """Text of every special token that has a role, by the role's name: bos_token, eos_token, and so on."""
    contents = {
        name: value.get("content") if isinstance(value, dict) else value
        for name, value in settings.items()
        if name.endswith("_token")
    }
    return {name: content for name, content in contents.items() if isinstance(content, str)}


def _sandbox() -> "Environment":
    """The environment that transformers gives to chat templates."""
    from jinja2 import nodes
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """The block in which some templates say what the model writes; here it is only its content."""

        tags = {"generation"}  # noqa: RUF012 (as the base class declares it)

        def parse(self, parser: "Parser") -> "nodes.Node":
            line = next(parser.stream).lineno
            return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)

    # Texts go to a model, not to a browser: escaping would change them.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, autoescape=False, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    kept = {name: environment.globals[name] for name in SAFE_GLOBALS}
    environment.globals.clear()
    environment.globals.update(kept, dict=_dict, raise_exception=_refuse, strftime_now=DATE.strftime)
    environment.filters["tojson"] = _to_json
    return environment


def _dict(*given: Any, **named: Any) -> dict[str, Any]:
    """A mapping for a template, which must not reach the class itself."""
    return dict(*given, **named)


def _refuse(message: str) -> NoReturn:
    from jinja2 import TemplateError

    raise TemplateError(message)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as it is; Jinja's own filter escapes what HTML would read."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
