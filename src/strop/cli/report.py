"""`strop report`."""

from pathlib import Path
from typing import Annotated

import typer

from strop.cli.arguments import RunPath


def report(
    run: RunPath,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Another run to be shown beside it, for example the same without metadata; may be repeated."),
    ] = None,
) -> None:
    """Write the run's report.html and model card anew from what is saved. No model is run."""
    from strop.cli.terminal import out
    from strop.records.run_folder import RunFolder

    folder = RunFolder(run)
    folder.must_be_a_run()
    if against:
        from strop.runs.several.against import write_against

        write_against(run, against)
    from strop.reporting.card import write_card
    from strop.reporting.report import write_report

    out.print(f"report: {write_report(folder)}", soft_wrap=True)
    out.print(f"card:   {write_card(folder)}", soft_wrap=True)
