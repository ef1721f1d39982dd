"""Arguments that several verbs share, and what is read from them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from strop.recipe.answer import Decoding

RecipePath = Annotated[Path, typer.Argument(help="Recipe, a YAML file.", metavar="RECIPE")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Entries of the recipe to change, as path=value: model.name=... stages.0.epochs=2"),
]
RunsFolder = Annotated[
    Path, typer.Option("--runs", help="Folder in which the run's folder is made.", envvar="STROP_RUNS")
]
RunPath = Annotated[Path, typer.Argument(help="Run folder, for example runs/question-routing.", metavar="RUN")]


def decoding_of(text: str, option: str) -> "Decoding":
    """A decoding as a recipe writes it.

    Args:
        text: What was given.
        option: The option that it was given to.

    Raises:
        RecipeError: It is none.
    """
    from pydantic import ValidationError

    from strop.errors import Problem, RecipeError
    from strop.recipe.answer import Decoding
    from strop.recipe.load import parse_yaml

    content = parse_yaml(text, option)
    try:
        return Decoding.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([option, *(str(part) for part in first["loc"])])
        do = "write it as in a recipe, for example {method: sample, top_p: 0.9}"
        raise RecipeError(Problem(where, "it must be a decoding", f"{text} ({first['msg']})", do)) from error
