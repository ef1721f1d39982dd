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
    _must_not_overwrite(output, rows, Path(recipe.data.path))
    new = read_new_rows(rows, recipe.data, normalize=recipe.text.normalize, encoding=encoding)
    from strop.cli.progress import ProgressBars
    from strop.runs.label import labelled_columns

    with ProgressBars() as bars:
        columns, notes = labelled_columns(opened, new, bars.rows_done)
    write_table(output, columns)
    for note in notes:
        out.print(f"  note: {note}", style="dim")
    out.print(f"labelled rows: {new.dataset.n_rows}, in {output}", soft_wrap=True)


def _must_not_overwrite(output: Path, *read: Path) -> None:
    """Check that labelled rows get a file of their own.

    Raises:
        DataError: They would replace the rows that are read, or the data of the run.
    """
    from strop.errors import DataError, Problem

    for path in read:
        if path.exists() and output.exists() and output.samefile(path):
            problem = Problem(
                where=f"--output {output}",
                must="labelled rows must not replace the rows that are read, nor the data that the run was made from",
                came=str(path),
                do="give another file name",
            )
            raise DataError(problem)
