"""The recipe's reference page, made from the sections themselves, so that it cannot go stale."""

from typing import Any, Literal, get_args, get_origin

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from strop.recipe.sections import Recipe

INTRODUCTION = """# The recipe

A recipe is a YAML file. Only `name`, the data and the model must be given; every other entry has the default below, and
the resolved recipe, with every default written out, is saved in the run folder. A key that is not in these tables is an
error, and so is a key written twice.

Every entry can be changed on the command line by its dotted path; the value is YAML, and entries of lists are counted
from 0:

    strop fit recipes/question-routing.yaml name=small-rate stages.1.learning_rate=2e-5 data.text=[title,body]

Text with colons or braces needs quotes of its own: `'text.template="query: {{ text }}"'`.
`strop schema` prints the same as JSON Schema, for editors that complete and check YAML.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make the page."""
    content = "\n".join([INTRODUCTION, *_section_tables(Recipe, "", "The recipe's own entries")])
    files.append(File.generated(config, "reference/recipe.md", content=content))
    return files


def _section_tables(section: type[BaseModel], prefix: str, title: str) -> list[str]:
    """The section's table, then those of the sections inside it."""
    lines = [f"## {title}\n"]
    if prefix:
        lines.append(f"{' '.join((section.__doc__ or '').split())}\n")
    lines += ["| path | type | default | what it is |", "|---|---|---|---|"]
    inner: list[str] = []
    for name, field in section.model_fields.items():
        held, is_list = _section_in(field.annotation)
        path = f"{prefix}{name}"
        if held is None:
            lines.append(_row(path, field))
            continue
        place = f"{path}.0" if is_list else path
        lines.append(_row(f"[{path}](#{_anchor(place)})", field, link=True))
        inner += _section_tables(held, f"{place}.", f"`{place}`")
    return [*lines, "", *inner]


def _anchor(place: str) -> str:
    return place.replace(".", "")


def _row(path: str, field: FieldInfo, *, link: bool = False) -> str:
    shown = path if link else f"`{path}`"
    type_name = "section" if link else _type_name(field.annotation)
    limits = _limits(field)
    described = " ".join((field.description or "").split())
    cells = [shown, type_name + (f", {limits}" if limits else ""), _default(field, is_section=link), described]
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _section_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The section that an entry holds, and whether it is a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for inner in get_args(annotation):
        held, is_list = _section_in(inner)
        if held is not None:
            return held, is_list or get_origin(annotation) is list
    return None, False


def _type_name(annotation: Any) -> str:
    if annotation is type(None):
        return "null"
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) is list:
        return f"list of {_type_name(get_args(annotation)[0])}"
    if get_origin(annotation) is not None and get_args(annotation):
        names = dict.fromkeys(_type_name(one) for one in get_args(annotation) if isinstance(one, type) or get_args(one))
        return " or ".join(names)
    return {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}[annotation.__name__]


def _limits(field: FieldInfo) -> str:
    """Bounds in words, for example "at least 1"; bounds of a type with null stand in its annotation."""
    found = [*field.metadata, *_nested_limits(field.annotation)]
    words = {
        "ge": "at least {}",
        "gt": "above {}",
        "le": "at most {}",
        "lt": "below {}",
        "min_length": "number of entries at least {}",
    }
    bounds = [text.format(getattr(one, name)) for one in found for name, text in words.items() if hasattr(one, name)]
    return ", ".join(dict.fromkeys(bounds))


def _nested_limits(annotation: Any) -> list[Any]:
    found: list[Any] = []
    for inner in get_args(annotation):
        if hasattr(inner, "__metadata__"):
            for one in inner.__metadata__:
                found += one.metadata if isinstance(one, FieldInfo) else [one]
    return found


def _default(field: FieldInfo, *, is_section: bool) -> str:
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return "must be given"
    if default is None:
        return "none"
    if is_section:
        return "as below"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, list):
        return f"`[{', '.join(map(str, default))}]`"
    return f"`{default}`"
