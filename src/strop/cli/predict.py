"""`strop predict`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from strop.recipe.answer import Server
    from strop.recipe.sections import Recipe

Columns = Mapping[str, Sequence[Any]]


class _Asking(NamedTuple):
    """What the command line says on how a run of the task `answer` is asked."""

    server: str | None
    served_model: str | None
    decoding: str | None


def predict(
    run: Annotated[
        Path,
        typer.Argument(
            help="Run folder, for example runs/question-routing, or the folder of a saved blend or ensemble.",
            metavar="RUN",
        ),
    ],
    rows: Annotated[Path, typer.Argument(help="New rows, in any format that a recipe can name.", metavar="ROWS")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where the answered rows go; the suffix gives the format.")
    ],
    encoding: Annotated[
        str | None,
        typer.Option("--encoding", help="Text encoding of ROWS, for example cp949; without it, it is detected."),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(help="For the task answer: a server like vLLM's that has loaded the model, http://host:8000/v1."),
    ] = None,
    served_model: Annotated[
        str | None, typer.Option(help="What the server calls the model; without it, the run's name.")
    ] = None,
    decoding: Annotated[
        str | None,
        typer.Option(
            help='For the task answer: how it is chosen, for example "{method: greedy}"; without it, as the run was '
            "judged."
        ),
    ] = None,
) -> None:
    """Answer new rows, all their columns kept: the label and a calibrated probability for every label, or numbers.

    For numbers a run with folds, and a blend, add the ends of a range and the value on the target's grid. What a server
    answered is kept beside OUTPUT until all is there, so that a command that failed goes on.
    """
    from strop.cli.terminal import out
    from strop.data.write import table_must_be_writable, write_table
    from strop.runs.several.saved_blend import holds_blend
    from strop.runs.several.saved_ensemble import holds_ensemble

    table_must_be_writable(output)
    asking, kept = _Asking(server, served_model, decoding), None
    if holds_ensemble(run) or holds_blend(run):
        _must_be_unasked(asking, f"the saved blend or ensemble {run}")
    if holds_ensemble(run):
        columns, notes = _columns_of_ensemble(run, rows, output, encoding)
    elif holds_blend(run):
        columns, notes = _columns_of_blend(run, rows, output, encoding)
    else:
        columns, notes, kept = _columns_of_run(run, rows, output, encoding, asking)
    write_table(output, columns)
    if kept is not None:
        # Kept for going on after a failure alone: predicting again asks again.
        kept.unlink(missing_ok=True)
    for note in notes:
        out.print(f"  note: {note}", style="dim", soft_wrap=True)
    n_rows = len(next(iter(columns.values()), ()))
    out.print(f"predicted rows: {n_rows}, in {output}", soft_wrap=True)


def _columns_of_run(
    folder: Path, rows: Path, output: Path, encoding: str | None, asking: _Asking
) -> tuple[Columns, list[str], Path | None]:
    """The answered rows, notes on them, and the file that a server's answers are kept in, where one was asked."""
    from strop.cli.arguments import decoding_of
    from strop.data.read import read_new_rows
    from strop.runs.run import Run

    opened = Run(folder)
    recipe = opened.recipe
    _must_not_overwrite(output, rows, Path(recipe.data.path))
    if recipe.task != "answer":
        _must_be_unasked(asking, f"a run of the task '{recipe.task}'")
    server = _server_of(recipe, asking)
    kept = None if server is None else output.with_name(f"{output.name}.answers.jsonl")
    decoding = None if asking.decoding is None else decoding_of(asking.decoding, "--decoding")
    new = read_new_rows(rows, recipe.data, normalize=recipe.text.normalize, encoding=encoding)
    from strop.cli.progress import ProgressBars
    from strop.runs.label import labelled_columns

    with ProgressBars() as bars:
        columns, notes = labelled_columns(opened, new, bars.rows_done, server=server, kept=kept, decoding=decoding)
    return columns, notes, kept


def _must_be_unasked(asking: _Asking, came: str) -> None:
    """Check that nothing was said that only a run of the task `answer` can be asked.

    Raises:
        RecipeError: Something was.
    """
    from strop.errors import Problem, RecipeError

    given = [f"--{name.replace('_', '-')}" for name, value in asking._asdict().items() if value is not None]
    must = "only a run of the task 'answer' is answered by a server, and by a decoding of one's choice"
    if given:
        raise RecipeError(*(Problem(option, must, came, f"predict without {option}") for option in given))


def _server_of(recipe: "Recipe", asking: _Asking) -> "Server | None":
    """The server that answers: the one named on the command line, else the recipe's, if it has one.

    Raises:
        RecipeError: The address is none, or a model is named and no server.
    """
    from pydantic import ValidationError

    from strop.errors import Problem, RecipeError
    from strop.recipe.answer import Server

    if recipe.task != "answer":
        return None
    url, model = asking.server, asking.served_model
    known = {} if recipe.answer is None or recipe.answer.server is None else recipe.answer.server.model_dump()
    given = {key: value for key, value in (("url", url), ("model", model)) if value is not None}
    if not known and url is None:
        if model is not None:
            must, do = "a model's name belongs to a server", "name the server too: --server http://localhost:8000/v1"
            raise RecipeError(Problem("--served-model", must, f"'{model}' without --server", do))
        return None
    try:
        return Server.model_validate({"model": recipe.name, **known, **given})
    except ValidationError as error:
        must, do = "it must be an address like http://localhost:8000/v1", "mend it"
        raise RecipeError(Problem("--server", must, str(url), do)) from error


def _columns_of_blend(folder: Path, rows: Path, output: Path, encoding: str | None) -> tuple[Columns, list[str]]:
    from strop.runs.run import Run
    from strop.runs.several.saved_blend import SavedBlend

    blend = SavedBlend.load(folder)
    _must_not_overwrite(output, rows, *(Path(Run(path).recipe.data.path) for path in blend.paths.values()))
    from strop.cli.progress import ProgressBars
    from strop.runs.label import blended_columns

    with ProgressBars() as bars:
        return blended_columns(blend, rows, encoding=encoding, rows_done=bars.rows_done)


def _columns_of_ensemble(folder: Path, rows: Path, output: Path, encoding: str | None) -> tuple[Columns, list[str]]:
    from strop.runs.several.saved_answer_ensemble import load_ensemble

    ensemble = load_ensemble(folder)
    _must_not_overwrite(output, rows, *(Path(run.recipe.data.path) for run in ensemble.runs.values()))
    from strop.cli.progress import ProgressBars
    from strop.runs.label import voted_columns

    with ProgressBars() as bars:
        return voted_columns(ensemble, rows, encoding=encoding, rows_done=bars.rows_done)


def _must_not_overwrite(output: Path, *read: Path) -> None:
    """Check that answered rows get a file of their own.

    Raises:
        DataError: They would replace the rows that are read, or the data of the run.
    """
    from strop.errors import DataError, Problem

    for path in read:
        if path.exists() and output.exists() and output.samefile(path):
            problem = Problem(
                where=f"--output {output}",
                must="answered rows must not replace the rows that are read, nor the data that a run was made from",
                came=str(path),
                do="give another file name",
            )
            raise DataError(problem)
