"""The command line: one file a verb, and one place where errors become words and exit codes."""

import sys

import typer

from strop.cli.blend import blend
from strop.cli.check import check
from strop.cli.compare import compare
from strop.cli.decode import decode
from strop.cli.ensemble import ensemble
from strop.cli.evaluate import evaluate
from strop.cli.evidence import evidence_app
from strop.cli.fit import fit
from strop.cli.predict import predict
from strop.cli.report import report
from strop.cli.schema import schema
from strop.errors import StropError

EXIT_CODES = """Exit codes: 0 done; 2 the recipe must be changed; 3 the data; 4 the model; 5 the run folder;
6 the machine (memory, disk, a missing library); 130 stopped from the keyboard; 1 a fault of Strop."""
STOPPED = "stopped: what is finished is kept, and the same command goes on from there"
STOPPED_CODE = 130

app = typer.Typer(
    name="strop",
    help="Fine-tune a pretrained language model on a small data set of your own field, and prove that it got better.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(asked: bool) -> None:
    if asked:
        from strop import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Options of all verbs."""
    del version


for verb in (check, fit, evaluate, predict, decode, compare, blend, ensemble, report, schema):
    app.command()(verb)
app.add_typer(evidence_app, name="evidence")


def main() -> None:
    """Run the command line; errors that are a user's to mend are printed without a traceback."""
    try:
        app()
    except StropError as error:
        from strop.cli.terminal import print_error

        print_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo(STOPPED, err=True)
        sys.exit(STOPPED_CODE)
    except SystemExit as ended:
        # Typer turns Ctrl-C into this exit without a word.
        if ended.code == STOPPED_CODE:
            typer.echo(STOPPED, err=True)
        raise
