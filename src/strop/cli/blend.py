"""`strop blend`."""

from pathlib import Path
from typing import Annotated

import typer


def blend(
    runs: Annotated[list[Path], typer.Argument(help="Two or more folders of regression runs.", metavar="RUN RUN...")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for the blend; `strop predict` takes it like a run."),
    ] = None,
    on_test: Annotated[
        bool,
        typer.Option(
            "--on-test", help="Judge it on test rows too; every run's test part must have been opened before."
        ),
    ] = False,
) -> None:
    """Blend the out-of-fold predictions of runs, and show what that gains. No model is run."""
    from strop.cli.terminal import out
    from strop.reporting.terminal import scores_table
    from strop.runs.several.blend import blend_run_folders
    from strop.runs.several.saved_blend import must_not_hold_a_run

    if output is not None:
        must_not_hold_a_run(output)
    blended = blend_run_folders(runs, on_test=on_test)
    for scores in (blended.scores, blended.test_scores):
        if scores is None:
            continue
        out.print(scores_table(scores))
        for line in blended.lines(scores):
            out.print(f"  {line}")
        for caveat in scores.caveats:
            out.print(f"  note: {caveat}", style="dim", soft_wrap=True)
    for name, weight in blended.weights.items():
        out.print(f"  weight of {name}: {weight:.3f}")
    for entry in blended.treatments.entries():
        out.print(f"  {entry.what}")
    out.print("  every held-out row was blended and snapped by what was fitted without it", style="dim")
    if output is not None:
        blended.save(output)
        out.print(f"written to {output}; new rows: strop predict {output} ROWS -o FILE", soft_wrap=True)
