"""`strop decode`."""

from strop.cli.arguments import RunPath


def decode(run: RunPath) -> None:
    """Compare the decodings of the recipe on held-out rows, and make the best one the run's own.

    For the task `answer`. The answers of every decoding are kept, so that a command that was killed goes on.
    """
    from strop.cli.progress import ProgressBars
    from strop.cli.terminal import out
    from strop.reporting.terminal import decodings_table
    from strop.runs.decode import decode_run

    with ProgressBars() as bars:
        decoded = decode_run(run, watcher=bars)
    out.print(decodings_table(decoded.scores, decoded.own))
    for caveat in decoded.scores.caveats:
        out.print(f"  note: {caveat}", style="dim")
    same = " (the recipe's own)" if decoded.chosen == decoded.own else ""
    out.print(f"chosen: {decoded.chosen}{same}; stored with the model, scores and report are by it", soft_wrap=True)
