"""`strop compare`."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more run folders.", metavar="RUN RUN...")],
    on_test: Annotated[
        bool,
        typer.Option("--on-test", help="Compare on test rows; every run's test part must have been opened before."),
    ] = False,
) -> None:
    """Compare runs row by row on the rows that none of their models was trained on. No model is run."""
    from strop.cli.terminal import out
    from strop.runs.several.compare import compare_run_folders

    for line in compare_run_folders(runs, on_test=on_test).lines():
        out.print(line)
