"""Read a recipe from YAML with dotted overrides; report every problem at once."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from strop.errors import Problem, RecipeError, did_you_mean
from strop.recipe.rules import broken_rules, missing_target
from strop.recipe.sections import Recipe


class _Loader(yaml.SafeLoader):
    """Safe YAML in which `3e-5` is a number and a key written twice is an error."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        # Line and words of every key that was there before: read on, so that all problems are found at once.
        self.repeated: list[tuple[int, str]] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str | int):
                raise yaml.constructor.ConstructorError(
                    None, None, f"a key must be a plain word, came {key!r}", key_node.start_mark
                )
            if key in seen:
                self.repeated.append(
                    (line, f"the key '{key}' is written twice, in line {seen[key]} and in line {line}")
                )
            seen[key] = line
        return super().construct_mapping(node, deep=deep)


class _Dumper(yaml.SafeDumper):
    """Writes a text in quotes where it would not be read again as the same text: numbers, rare line breaks."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = '"' if re.search("[\x85\u2028\u2029\ufeff]", data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(?:[0-9][0-9_]*\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$"),
        list("-+.0123456789"),
    )


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML safely.

    Args:
        text: The YAML.
        where: What to call it in an error.

    Raises:
        RecipeError: It is not YAML, or a key is written twice.
    """
    content, problems = _parsed(text, where)
    if problems:
        raise RecipeError(*problems)
    return content


def _parsed(text: str, where: str) -> tuple[Any, list[Problem]]:
    """What the YAML says, and a problem for every key that is written twice.

    Raises:
        RecipeError: It is not YAML.
    """
    must, do = "the recipe must be YAML with every key once", "mend that line"
    try:
        loader = _Loader(text)
        content = loader.get_single_data()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}, line {mark.line + 1}" if mark else where
        came = getattr(error, "problem", None) or str(error)
        raise RecipeError(Problem(where=place, must=must, came=came, do=do)) from error
    return content, [Problem(f"{where}, line {line}", must, came, do) for line, came in loader.repeated]


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file, apply overrides, and check the whole.

    Args:
        path: A YAML file.
        overrides: Strings like `model.name=...` or `stages.0.epochs=2`; the value is YAML.

    Returns:
        The resolved recipe.

    Raises:
        RecipeError: With every problem of the recipe.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        problem = Problem(
            where=str(path),
            must="the recipe must be a file that can be read",
            came="no such file" if isinstance(error, FileNotFoundError) else str(error.strerror),
            do="check the path; ready recipes lie in recipes/",
        )
        raise RecipeError(problem) from error
    except UnicodeDecodeError as error:
        problem = Problem(where=str(path), must="the recipe must be UTF-8 text", came=str(error), do="save it as UTF-8")
        raise RecipeError(problem) from error
    content, repeated = _parsed(text, str(path))
    if not isinstance(content, dict):
        problem = Problem(
            where=str(path),
            must="the recipe must be a mapping with the sections name, data, model",
            came=type(content).__name__ if content is not None else "an empty file",
            do="start from a file in recipes/",
        )
        raise RecipeError(problem)
    try:
        resolved = resolve(content, overrides, where=str(path))
    except RecipeError as error:
        raise RecipeError(*repeated, *error.problems) from error
    if repeated:
        raise RecipeError(*repeated)
    return resolved


def resolve(content: Mapping[str, Any], overrides: Sequence[str] = (), where: str = "recipe") -> Recipe:
    """Check a recipe given as a mapping.

    Args:
        content: The recipe as nested mappings and lists.
        overrides: As in `read_recipe`.
        where: What to call the recipe in an error.

    Raises:
        RecipeError: With every problem of the recipe.
    """
    merged = json.loads(json.dumps(content, default=str))
    problems = [problem for override in overrides if (problem := _apply(merged, override)) is not None]
    try:
        recipe = Recipe.model_validate(merged)
    except ValidationError as error:
        # Where one of several types is allowed there is an error for each of them: the first says enough.
        by_place = {found.where: found for detail in reversed(error.errors()) if (found := _problem(detail, where))}
        problems += reversed(by_place.values())
        if (missing := missing_target(merged)) is not None:
            problems.append(replace(missing, where=f"{where}: {missing.where}"))
        raise RecipeError(*problems) from error
    problems += [replace(problem, where=f"{where}: {problem.where}") for problem in broken_rules(recipe)]
    if problems:
        raise RecipeError(*problems)
    return recipe


def dump_recipe(recipe: Recipe) -> str:
    """Write a recipe as YAML, every default included; `read_recipe` reads it back as the same recipe."""
    return yaml.dump(recipe.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def recipe_schema() -> dict[str, Any]:
    """The JSON Schema of recipes, for editors that complete and check YAML."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}


def differing_keys(one: Recipe, other: Recipe) -> list[str]:
    """Dotted paths at which two recipes differ, each with both values."""
    left, right = _flat(one.model_dump(mode="json")), _flat(other.model_dump(mode="json"))
    keys = sorted(left.keys() | right.keys())
    return [f"{key}: {left.get(key)!r} -> {right.get(key)!r}" for key in keys if left.get(key) != right.get(key)]


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {
            key: leaf
            for name, child in value.items()
            for key, leaf in _flat(child, f"{path}.{name}".lstrip(".")).items()
        }
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {key: leaf for at, child in enumerate(value) for key, leaf in _flat(child, f"{path}.{at}").items()}
    return {path: value}


def _apply(content: dict[str, Any], override: str) -> Problem | None:
    """Set one dotted path in place; a problem is returned, so that all of them can be reported together."""
    path, equals, text = override.partition("=")
    if not equals or not path:
        return Problem(
            where=f"override '{override}'",
            must="an override must read path=value",
            came=override,
            do="write for example stages.0.epochs=2",
        )
    try:
        value = parse_yaml(text, f"override '{path}'")
    except RecipeError as error:
        return Problem(
            where=f"override '{path}'",
            must="the value of an override must be YAML",
            came=error.problems[0].came,
            do=f"give text with colons or braces quotes of its own: {_quoted(path, text)}",
        )
    return _set(content, path, path.split("."), value)


def _quoted(path: str, text: str) -> str:
    """An override as a shell and YAML take it: quotes of YAML within quotes of the shell."""
    example = "query: {{ text }}" if any(mark in text for mark in "\"'\\\n") else text
    return f"'{path}=\"{example}\"'"


def _set(content: Any, path: str, keys: Sequence[str], value: Any) -> Problem | None:
    """Walk to the place that the keys name, making sections on the way, and set the value there."""
    at = content
    for position, key in enumerate(keys):
        reached, last = ".".join(keys[:position]), position == len(keys) - 1
        if isinstance(at, list):
            if not key.isdecimal() or int(key) >= len(at):
                must, do = f"{reached} has entries 0 to {len(at) - 1}", "use one of these numbers"
                return Problem(where=f"override '{path}'", must=must, came=key, do=do)
        elif isinstance(at, dict):
            if not last and at.get(key) is None:
                at[key] = [{}] if key == "stages" else {}
        else:
            must = f"{reached} must be a section to have the entry '{key}'"
            return Problem(where=f"override '{path}'", must=must, came=repr(at), do="shorten the path")
        index = int(key) if isinstance(at, list) else key
        if last:
            at[index] = value
        else:
            at = at[index]
    return None


NO_ADVICE = "change the recipe so that this holds"
# Longer sections are not shown in an error.
MOST_SHOWN = 200
# Where the library speaks of types of Python.
_OWN_WORDS = {
    "dict_type": "it must have names and values, as in {name: value}",
    "tuple_type": "it must be a list",
    "too_short": "it must not be empty",
}


def _problem(detail: ErrorDetails, where: str) -> Problem:
    path = ".".join(str(part) for part in detail["loc"] if not _is_union_tag(part))
    place = f"{where}: {path}" if path else where
    if detail["type"] == "extra_forbidden":
        known = _keys_at(detail["loc"][:-1])
        return Problem(
            where=place,
            must="the key must exist",
            came=f"'{detail['loc'][-1]}'",
            do=did_you_mean(str(detail["loc"][-1]), known),
        )
    if detail["type"] == "missing":
        return Problem(
            where=place, must="this entry must be given, it has no default", came="nothing", do=_describe(detail["loc"])
        )
    if detail["type"] == "literal_error" and isinstance(detail["input"], str):
        known = re.findall(r"'([^']+)'", detail.get("ctx", {}).get("expected", ""))
        return Problem(
            where=place, must=detail["msg"], came=repr(detail["input"]), do=did_you_mean(detail["input"], known)
        )
    message = _OWN_WORDS.get(detail["type"], detail["msg"].removeprefix("Value error, "))
    given = detail["input"]
    if isinstance(given, dict) and given:
        # What several entries of a section must be together; what the section is for would be no advice.
        written = ", ".join(f"{key}: {value}" for key, value in given.items())
        return Problem(place, message, f"{{{written}}}" if len(written) <= MOST_SHOWN else "a section", NO_ADVICE)
    return Problem(where=place, must=message, came=repr(given), do=_describe(detail["loc"]))


def _is_union_tag(part: int | str) -> bool:
    return isinstance(part, str) and (
        part.startswith(("literal[", "list[", "tuple[", "dict[", "function-"))
        or part in ("str", "float", "int", "[key]")
    )


def _section_at(location: Sequence[int | str]) -> type[BaseModel] | None:
    section: type[BaseModel] | None = Recipe
    for part in location:
        if isinstance(part, int) or section is None or _is_union_tag(part):
            continue
        field = section.model_fields.get(part)
        section = None if field is None else _section_in(field.annotation)
    return section


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _section_in(inner)
        if found is not None:
            return found
    return None


def _keys_at(location: Sequence[int | str]) -> list[str]:
    section = _section_at(location)
    return [] if section is None else list(section.model_fields)


def _describe(location: Sequence[int | str]) -> str:
    names = [part for part in location if isinstance(part, str) and not _is_union_tag(part)]
    if not names:
        return NO_ADVICE
    section = _section_at(location[: list(location).index(names[-1])])
    field = None if section is None else section.model_fields.get(names[-1])
    if field is None or not field.description:
        # An entry below one that is described: a value in a mapping.
        return _describe(location[: list(location).index(names[-1])]) if len(names) > 1 else NO_ADVICE
    return " ".join(field.description.split())
