"""`strop ensemble`."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def ensemble(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of classification runs, of single folds (RUN/folds/0), and files of checkpoints "
            "(RUN/stages/STAGE/predictions/step-NUMBER.arrow).",
            metavar="RUN RUN...",
        ),
    ],
    how: Annotated[
        Literal["soft", "calibrated", "hard", "weighted"],
        typer.Option("--how", help="The vote that is judged in full and saved; the others stand beside it."),
    ] = "soft",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the weights, the predictions and their scores.")
    ] = None,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Let every evaluated checkpoint of a run's last stage vote.")
    ] = False,
    folds: Annotated[
        bool, typer.Option("--folds", help="On test rows, let every fold of a run vote instead of their average.")
    ] = False,
    on_test: Annotated[
        bool,
        typer.Option("--on-test", help="Vote on test rows too; every run's test part must have been opened before."),
    ] = False,
) -> None:
    """Let runs vote on the rows that none of them was trained on, and show what that gains. No model is run."""
    from strop.cli.terminal import out
    from strop.reporting.terminal import scores_table
    from strop.runs.ensemble import vote_run_folders

    found = vote_run_folders(runs, how=how, of_checkpoints=checkpoints, of_folds=folds, on_test=on_test)
    for judged in (found.held_out, found.test):
        if judged is None:
            continue
        scores = judged.scores[how]
        out.print(scores_table(scores))
        for line in found.lines(judged):
            out.print(line, soft_wrap=True)
        for caveat in scores.caveats:
            out.print(f"  note: {caveat}", style="dim")
    for name, weight in found.weights.items():
        out.print(f"  weight of {name} in the weighted vote: {weight:.3f}")
    out.print("  every held-out row was weighted by weights that were fitted without it", style="dim")
    if output is not None:
        found.save(output)
        out.print(f"written to {output}", soft_wrap=True)
