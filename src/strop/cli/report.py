"""`strop report`."""

from strop.cli.arguments import RunPath


def report(run: RunPath) -> None:
    """Write the run's report.html and model card anew from what is saved. No model is run."""
    from strop.cli.terminal import out
    from strop.records.run_folder import RunFolder

    folder = RunFolder(run)
    folder.must_be_a_run()
    from strop.reporting.card import write_card
    from strop.reporting.report import write_report

    out.print(f"report: {write_report(folder)}", soft_wrap=True)
    out.print(f"card:   {write_card(folder)}", soft_wrap=True)
