"""`strop fit`."""

from pathlib import Path

from strop.cli.arguments import Overrides, RecipePath, RunsFolder


def fit(recipe: RecipePath, overrides: Overrides = None, runs: RunsFolder = Path("runs")) -> None:
    """Train, choose the checkpoint, predict, score and report; a run that was killed goes on where it was."""
    from strop.cli.progress import ProgressBars
    from strop.cli.terminal import out
    from strop.recipe.load import read_recipe
    from strop.records.run_folder import RunFolder

    resolved = read_recipe(recipe, overrides or [])
    folder = RunFolder(runs / resolved.name)
    was_finished = folder.read_about().get("state") == "finished"
    from strop.runs.fit import fit as fit_run

    with ProgressBars() as bars:
        run = fit_run(resolved, runs=runs, watcher=bars)
    from strop.reporting.terminal import differences_lines, scores_table, verdict

    if was_finished:
        out.print(f"{folder.path} was finished before; nothing was run again")
    scores = run.scores
    out.print(scores_table(scores))
    out.print(verdict(scores), style="bold")
    for line in differences_lines(scores):
        out.print(f"  {line}")
    for caveat in scores.caveats:
        out.print(f"  note: {caveat}", style="dim", soft_wrap=True)
    models = folder.model() if resolved.split.folds is None else folder.path / "folds"
    out.print(f"report: {folder.report}   model: {models}", soft_wrap=True)
