"""Arguments that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

RecipePath = Annotated[Path, typer.Argument(help="Recipe, a YAML file.", metavar="RECIPE")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Entries of the recipe to change, as path=value: model.name=... stages.0.epochs=2"),
]
RunsFolder = Annotated[
    Path, typer.Option("--runs", help="Folder in which the run's folder is made.", envvar="STROP_RUNS")
]
RunPath = Annotated[Path, typer.Argument(help="Run folder, for example runs/question-routing.", metavar="RUN")]
