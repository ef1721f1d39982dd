"""`strop evidence`: `fetch` stands here, `index` and `search` beside it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from strop.cli.arguments import Overrides, RecipePath
from strop.cli.evidence_search import index, search

if TYPE_CHECKING:
    from rich.table import Table

    from strop.evidence.fetch import FetchSummary
    from strop.recipe.evidence import Fetch
    from strop.recipe.sections import Recipe

N_SHOWN = 20
# Documents that failed alike are named in one line.
N_NAMED = 3
PRINTED_WITHOUT_TERMINAL_SECONDS = 30.0

evidence_app = typer.Typer(
    help="Documents that rows are judged by: fetch them, index them, search them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@evidence_app.callback()
def _evidence() -> None:
    """Documents that rows are judged by: fetch them, index them, search them."""


@evidence_app.command()
def fetch(
    recipe: RecipePath,
    overrides: Overrides = None,
    again: Annotated[bool, typer.Option("--again", help="Ask again for what failed or was refused before.")] = False,
    failures: Annotated[
        Path | None, typer.Option("--failures", help="Write what could not be had, with the reasons, to a CSV file.")
    ] = None,
) -> None:
    """Ask for the documents that the rows name; what is stored is not asked for again, and a killed run goes on."""
    from strop.cli.terminal import out
    from strop.data.read import read_dataset
    from strop.evidence.fetch import check_failures, fetch_documents
    from strop.evidence.store import DocumentStore
    from strop.recipe.load import read_recipe

    resolved = read_recipe(recipe, overrides or [])
    store_path, asked = _sections(resolved, recipe)
    dataset = read_dataset(resolved.data, normalize=resolved.text.normalize, seed=resolved.seed).dataset
    addresses = [] if dataset.documents is None else [address for row in dataset.documents for address in row]
    with DocumentStore(store_path) as store, _progress() as progress:
        summary = fetch_documents(addresses, asked, store, again=again, progress=progress)
    out.print(_table(summary))
    for line in _lines(summary, was_again=again):
        out.print(line, soft_wrap=True)
    out.print(f"store: {store_path}", soft_wrap=True)
    if failures is not None:
        _write_failures(failures, summary)
        out.print(f"failures: {failures}", soft_wrap=True)
    check_failures(summary, asked)


for verb in (index, search):
    evidence_app.command()(verb)


def _sections(recipe: "Recipe", path: Path) -> tuple[Path, "Fetch"]:
    """Where documents are kept, and how they are asked for.

    Raises:
        RecipeError: The recipe does not say how, or which documents.
    """
    from strop.errors import Problem, RecipeError

    problems = []
    asked = None if recipe.evidence is None else recipe.evidence.fetch
    if asked is None:
        must, do = "the recipe must say whom servers may write to", "add for example `contact: you@example.org`"
        problems.append(Problem(f"{path}: evidence.fetch", must, "no such section", do))
    if recipe.data.documents is None:
        must, do = "the recipe must name the column of documents", "add for example `documents: documents` to data"
        problems.append(Problem(f"{path}: data.documents", must, "nothing", do))
    if problems or recipe.evidence is None or asked is None:
        raise RecipeError(*problems)
    return Path(recipe.evidence.store), asked


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar with the remaining time; where the output is no terminal, a line now and then."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from strop.cli.terminal import out

    columns = (BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(TextColumn("documents"), *columns, console=out, transient=True) as bars:
        bar = bars.add_task("documents", total=None)
        printed_at = time.monotonic()

        def progress(n_done: int, n_documents: int) -> None:
            nonlocal printed_at
            bars.update(bar, completed=n_done, total=n_documents)
            if not out.is_terminal and time.monotonic() - printed_at > PRINTED_WITHOUT_TERMINAL_SECONDS:
                printed_at = time.monotonic()
                out.print(f"  {n_done:,} of {n_documents:,} documents")

        yield progress


def _table(summary: "FetchSummary") -> "Table":
    from rich.table import Table

    meaning = {
        "found": "text is there",
        "no_text": "the record or page has no text",
        "missing": "there is no such record or page",
        "failed": "can be asked for again",
        "refused": "must not be asked for, or no text (such as a PDF)",
    }
    table = Table(title="Documents", title_justify="left")
    table.add_column("status")
    table.add_column("documents", justify="right")
    table.add_column("meaning")
    for status, words in meaning.items():
        table.add_row(status, f"{dict(summary.n_by_status).get(status, 0):,}", words)  # type: ignore[call-overload]
    table.add_section()
    table.add_row("all", f"{summary.n_documents:,}", f"{summary.n_stored:,} of them stored before")
    return table


def _lines(summary: "FetchSummary", *, was_again: bool) -> Iterator[str]:
    yield f"{summary.n_requests:,} requests in {summary.seconds:.1f} s"
    if summary.n_retracted:
        yield f"retracted: {summary.n_retracted:,}"
    for address, note in list(summary.notes.items())[:N_SHOWN]:
        yield f"  mended: {address}: {note}"
    alike: dict[tuple[str, str], list[str]] = {}
    for document in summary.failures:
        alike.setdefault((document.status, document.reason), []).append(document.address)
    for (status, reason), addresses in list(alike.items())[:N_SHOWN]:
        yield f"  {status}: {_named(addresses)}: {reason}"
    n_left = sum(map(len, list(alike.values())[N_SHOWN:]))
    if n_left:
        yield f"  and {n_left:,} more; --failures FILE writes all of them"
    if not was_again and any(document.status in ("failed", "refused") for document in summary.failures):
        yield "ask again for what failed or was refused with --again"


def _named(addresses: Sequence[str]) -> str:
    """Some of the documents that share a reason, and how many there are."""
    if len(addresses) <= N_NAMED:
        return ", ".join(addresses)
    return f"{len(addresses):,} documents ({', '.join(addresses[:N_NAMED])}, ...)"


def _write_failures(path: Path, summary: "FetchSummary") -> None:
    import csv
    import io

    from strop.records.files import write_text

    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["address", "status", "reason"])
    writer.writerows([one.address, one.status, one.reason] for one in summary.failures)
    write_text(path, written.getvalue())
