"""`strop ensemble`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from strop.records.scores import Scores


def ensemble(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of runs that classify or answer, of single folds (RUN/folds/0), and files of checkpoints "
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
    decodings: Annotated[
        bool, typer.Option("--decodings", help="Let every decoding that `strop decode` compared vote.")
    ] = False,
    on_test: Annotated[
        bool,
        typer.Option("--on-test", help="Vote on test rows too; every run's test part must have been opened before."),
    ] = False,
) -> None:
    """Let runs vote on the rows that none of them was trained on, and show what that gains. No model is run."""
    from strop.runs.run import Run

    if Run(_run_of(runs[0])).recipe.task == "answer":
        asked = {"of_checkpoints": checkpoints, "of_folds": folds, "of_decodings": decodings, "on_test": on_test}
        _show_answers(runs, how, output, asked)
        return
    from strop.cli.terminal import out
    from strop.errors import Problem, RunError
    from strop.runs.several.ensemble import vote_run_folders

    if decodings:
        must, do = "only the task 'answer' has decodings", "leave it out"
        raise RunError(Problem("--decodings", must, f"{runs[0]}, a run of another task", do))
    found = vote_run_folders(runs, how=how, of_checkpoints=checkpoints, of_folds=folds, on_test=on_test)
    for judged in (found.held_out, found.test):
        if judged is None:
            continue
        _show(judged.scores[how], found.lines(judged))
    _show_weights(found.weights)
    if output is not None:
        found.save(output)
        out.print(f"written to {output}", soft_wrap=True)


def _run_of(path: Path) -> Path:
    """The run folder of a path that may name a fold or a checkpoint of it; the path itself where none is found."""
    return next((one for one in (path, *path.parents) if (one / "recipe.yaml").exists()), path)


def _show_answers(runs: list[Path], how: str, output: Path | None, of: Mapping[str, bool]) -> None:
    from strop.cli.terminal import out
    from strop.errors import Problem, RunError
    from strop.runs.several.vote_answers import ANSWER_HOWS, vote_on_answers

    asked = next((one for one in ANSWER_HOWS if one == how), None)
    if asked is None:
        must = f"answers in words are voted on by {', '.join(ANSWER_HOWS)}"
        raise RunError(Problem("--how", must, how, "choose one of these"))
    found = vote_on_answers(runs, how=asked, **of)
    for judged in (found.held_out, found.test):
        if judged:
            _show(judged[asked], found.lines(judged))
    _show_weights(found.weights)
    if output is not None:
        found.save(output)
        out.print(f"written to {output}", soft_wrap=True)


def _show(scores: "Scores", lines: list[str]) -> None:
    from strop.cli.terminal import out
    from strop.reporting.terminal import scores_table

    out.print(scores_table(scores))
    for line in lines:
        out.print(line, soft_wrap=True)
    for caveat in scores.caveats:
        out.print(f"  note: {caveat}", style="dim", soft_wrap=True)


def _show_weights(weights: Mapping[str, float]) -> None:
    from strop.cli.terminal import out

    for name, weight in weights.items():
        out.print(f"  weight of {name} in the weighted vote: {weight:.3f}")
    out.print("  every held-out row was weighted by weights that were fitted without it", style="dim")
