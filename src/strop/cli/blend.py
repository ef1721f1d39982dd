"""`strop blend`."""

from pathlib import Path
from typing import Annotated

import typer


def blend(
    runs: Annotated[list[Path], typer.Argument(help="Two or more folders of regression runs.", metavar="RUN RUN...")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the weights, the predictions and their scores.")
    ] = None,
) -> None:
    """Blend the out-of-fold predictions of runs, and show what that gains. No model is run."""
    from strop.cli.terminal import out
    from strop.reporting.terminal import scores_table
    from strop.runs.blend import blend_run_folders

    blended = blend_run_folders(runs)
    out.print(scores_table(blended.scores))
    for name, weight in blended.weights.items():
        out.print(f"  weight of {name}: {weight:.3f}")
    for difference in blended.scores.differences:
        out.print(
            f"  the blend minus {difference.other}: {difference.value:+.4f} [{difference.low:+.4f}, "
            f"{difference.high:+.4f}] {difference.metric}"
        )
    out.print("  every row was blended by weights that were fitted without it", style="dim")
    for caveat in blended.scores.caveats:
        out.print(f"  note: {caveat}", style="dim")
    if output is not None:
        blended.save(output)
        out.print(f"written to {output}", soft_wrap=True)
