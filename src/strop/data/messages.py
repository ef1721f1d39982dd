"""Read a column of chat messages: the last one of the assistant is the answer, those before it are the prompt."""

import json
from dataclasses import dataclass
from typing import Any

from strop.data.cleaning import Findings
from strop.data.tables import named
from strop.data.values import has_control_characters, is_null, normalized, without_arrays
from strop.records.dataset import Strings, Tuples, strings, tuples

_TURNS = ("user", "assistant")
_KEYS = ("role", "content")
_RULES = {
    "shape": (
        "messages must be a list of objects with role and content, or such a list as JSON",
        "write for example [{'role': 'user', 'content': 'Who?'}, {'role': 'assistant', 'content': 'She.'}]",
    ),
    "roles": (
        "the roles must be user and assistant in turn, with a system message before them if there is one",
        "mend the order, or remove these rows",
    ),
    "content": ("the content of every message must be a text", "write the text itself as content"),
}


class _BrokenRuleError(Exception):
    """Messages that break one of the rules, and what came."""

    def __init__(self, rule: str, value: Any) -> None:
        super().__init__(f"{rule}: {value!r}")
        self.rule = rule
        self.value = value


@dataclass(frozen=True)
class _Message:
    role: str
    content: str


def read_messages(findings: Findings, column: str, *, normalize: bool) -> tuple[Strings, Tuples]:
    """The prompt and the answer of every row.

    Args:
        findings: Receives what was cleaned or left out, and what must be mended: values that are no list of messages,
            roles out of turn, contents that are no text.
        column: The column of messages, each with `role` (system, user or assistant) and `content`.
        normalize: Normalise every content (see `strop.data.values.normalized`).

    Returns:
        The messages before the answer as compact JSON, [{"role": ..., "content": ...}, ...], the empty string where
        none of them has text, shape (n_rows,); and the answer as a tuple of one, an empty tuple where the last message
        is the user's or has no text, shape (n_rows,).
    """
    prompts, answers, repaired = [], [], []
    wrong: dict[str, list[tuple[int, Any]]] = {rule: [] for rule in _RULES}
    unread: dict[str, list[int]] = {}
    for row, value in enumerate(findings.table.columns[column]):
        chat: list[_Message] = []
        try:
            chat = _chat(value, row, unread)
        except _BrokenRuleError as error:
            wrong[error.rule].append((row, error.value))
        if normalize and any(has_control_characters(one.content) for one in chat):
            repaired.append(row)
        contents = [normalized(one.content) if normalize else one.content for one in chat]
        n_asked = len(chat) - bool(chat and chat[-1].role == "assistant")
        prompts.append(_prompt(chat[:n_asked], contents[:n_asked]))
        answers.append(tuple(answer for answer in contents[n_asked:] if answer.strip()))
    for rule, found in wrong.items():
        if found:
            findings.refuse(column, _RULES[rule][0], findings.table.values_in_places(found), _RULES[rule][1])
    if repaired:
        findings.say("cleaned", f"Control characters were removed from messages in '{column}'", repaired)
    if unread:
        rows = sorted({row for rows in unread.values() for row in rows})
        findings.say("note", f"Of messages role and content are read, not {named(sorted(unread))}", rows)
    return strings(prompts), tuples(answers)


def _chat(value: Any, row: int, unread: dict[str, list[int]]) -> list[_Message]:
    """The messages of a row; keys that are not read are added to `unread`.

    Raises:
        _BrokenRuleError: The value is no such list.
    """
    chat = _listed(value)
    for one in chat:
        for key in one.keys() - _KEYS:
            if not is_null(one[key]) and one[key] not in ("", [], {}):
                unread.setdefault(str(key), []).append(row)
    roles = [one["role"] for one in chat]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    if chat and not (turns and all(role == _TURNS[number % 2] for number, role in enumerate(turns))):
        raise _BrokenRuleError("roles", ", ".join(roles))
    for one in chat:
        if not isinstance(one.get("content"), str):
            raise _BrokenRuleError("content", one.get("content"))
    return [_Message(one["role"], one["content"]) for one in chat]


def _listed(value: Any) -> list[dict[str, Any]]:
    """A list of objects that have a role, out of a list, an array or JSON; nothing is a list of none."""
    content = without_arrays(value)
    if isinstance(content, str) and content.strip():
        try:
            content = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise _BrokenRuleError("shape", value) from error
    elif isinstance(content, str) or is_null(content):
        return []
    if not isinstance(content, list):
        raise _BrokenRuleError("shape", value)
    for one in content:
        if not isinstance(one, dict) or not isinstance(one.get("role"), str):
            raise _BrokenRuleError("shape", one)
    return content


def _prompt(asked: list[_Message], contents: list[str]) -> str:
    if not any(content.strip() for content in contents):
        return ""
    written = [{"role": one.role, "content": content} for one, content in zip(asked, contents, strict=True)]
    return json.dumps(written, ensure_ascii=False, separators=(",", ":"))
