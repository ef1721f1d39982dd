"""`strop decode`."""

from typing import Annotated

import typer

from strop.cli.arguments import RunPath, decoding_of


def decode(
    run: RunPath,
    also: Annotated[
        list[str] | None,
        typer.Option(
            "--also", help='A decoding beside those of the recipe, for example "{method: beams, n_beams: 8}".'
        ),
    ] = None,
    choose: Annotated[
        str | None,
        typer.Option(
            "--choose", help="Make this decoding the run's own, whatever its score: its name as the table has it."
        ),
    ] = None,
) -> None:
    """Compare the decodings of the recipe on held-out rows; one that is clearly better becomes the run's own.

    For the task `answer`. Without --choose the recipe's decoding stays unless another is clearly better. After the test
    part was opened the run keeps the one it has. The answers of every decoding are kept, so that a command that was
    killed goes on.
    """
    from rich.text import Text

    from strop.cli.progress import ProgressBars
    from strop.cli.terminal import out
    from strop.reporting.terminal import decodings_table
    from strop.runs.writing.decode import decode_run

    further = [decoding_of(text, "--also") for text in also or []]
    with ProgressBars() as bars:
        decoded = decode_run(run, also=further, choose=choose, watcher=bars)
    out.print(decodings_table(decoded.scores, decoded.own))
    for caveat in decoded.scores.caveats:
        out.print(f"  note: {caveat}", style="dim", soft_wrap=True)
    same = " (the recipe's own)" if decoded.chosen == decoded.own else ""
    out.print(Text(f"the run's decoding: {decoded.chosen}{same}", style="bold"), soft_wrap=True)
    out.print(Text(f"  {decoded.why}"), soft_wrap=True)
