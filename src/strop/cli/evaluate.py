"""`strop evaluate`."""

from typing import Annotated

import typer

from strop.cli.arguments import RunPath


def evaluate(
    run: RunPath,
    open_test: Annotated[
        bool, typer.Option("--open-test", help="Open the sealed test part; every opening is written to the ledger.")
    ] = False,
) -> None:
    """Show the scores of a run; with --open-test those on the sealed test part. No model is run."""
    from strop.cli.terminal import out
    from strop.reporting.card import write_card
    from strop.reporting.report import write_report
    from strop.reporting.terminal import differences_lines, scores_table, verdict
    from strop.runs.run import Run

    opened = Run(run)
    scores = opened.open_test() if open_test else opened.scores
    if open_test:
        write_report(opened.folder)
        write_card(opened.folder)
    out.print(scores_table(scores))
    out.print(verdict(scores), style="bold")
    for line in differences_lines(scores):
        out.print(f"  {line}")
    for caveat in scores.caveats:
        out.print(f"  note: {caveat}", style="dim", soft_wrap=True)
    if not open_test:
        n_openings = len(opened.folder.ledger.openings())
        state = f"has been opened {n_openings} time(s)" if n_openings else "is sealed"
        out.print(f"  the test part {state}; --open-test scores it and writes that to the ledger", style="dim")
