"""`strop decode`."""

from typing import TYPE_CHECKING, Annotated

import typer

from strop.cli.arguments import RunPath

if TYPE_CHECKING:
    from strop.recipe.answer import Decoding


def decode(
    run: RunPath,
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--also", help='A decoding beside those of the recipe, for example "{method: beams, n_beams: 8}".'
        ),
    ] = None,
) -> None:
    """Compare the decodings of the recipe on held-out rows, and make the best one the run's own.

    For the task `answer`. The answers of every decoding are kept, so that a command that was killed goes on.
    """
    from strop.cli.progress import ProgressBars
    from strop.cli.terminal import out
    from strop.reporting.terminal import decodings_table
    from strop.runs.decode import decode_run

    further = [_decoding(text) for text in also or []]
    with ProgressBars() as bars:
        decoded = decode_run(run, also=further, watcher=bars)
    out.print(decodings_table(decoded.scores, decoded.own))
    for caveat in decoded.scores.caveats:
        out.print(f"  note: {caveat}", style="dim")
    same = " (the recipe's own)" if decoded.chosen == decoded.own else ""
    out.print(f"chosen: {decoded.chosen}{same}; stored with the model, scores and report are by it", soft_wrap=True)


def _decoding(text: str) -> "Decoding":
    """A decoding as a recipe writes it.

    Raises:
        RecipeError: It is none.
    """
    from pydantic import ValidationError

    from strop.errors import Problem, RecipeError
    from strop.recipe.answer import Decoding
    from strop.recipe.load import parse_yaml

    content = parse_yaml(text, "--also")
    try:
        return Decoding.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(["--also", *(str(part) for part in first["loc"])])
        do = "write it as in a recipe, for example {method: sample, top_p: 0.9}"
        raise RecipeError(Problem(where, "it must be a decoding", f"{text} ({first['msg']})", do)) from error
