"""`strop predict`."""

from pathlib import Path
from typing import Annotated

import typer

from strop.cli.arguments import RunPath


def predict(
    run: RunPath,
    rows: Annotated[Path, typer.Argument(help="New rows, in any format that a recipe can name.", metavar="ROWS")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the labelled rows go; the suffix gives the format.")
    ],
    encoding: Annotated[
        str | None,
        typer.Option("--encoding", help="Text encoding of ROWS, for example cp949; without it, it is detected."),
    ] = None,
) -> None:
    """Label new rows: all their columns, the predicted label, and a calibrated probability for every label."""
    from strop.cli.terminal import out
    from strop.data.write import table_must_be_writable, write_table

    table_must_be_writable(output)
    from strop.data.read import read_new_rows
    from strop.runs.run import Run

    opened = Run(run)
    recipe = opened.recipe
    new = read_new_rows(rows, recipe.data, normalize=recipe.text.normalize, encoding=encoding)
    from strop.cli.progress import ProgressBars
    from strop.runs.label import labelled_columns

    with ProgressBars() as bars:
        columns, notes = labelled_columns(opened, new, bars.rows_done)
    write_table(output, columns)
    for note in notes:
        out.print(f"  note: {note}", style="dim")
    out.print(f"labelled rows: {new.dataset.n_rows}, in {output}", soft_wrap=True)
