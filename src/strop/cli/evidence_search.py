"""`strop evidence index` and `strop evidence search`."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from strop.cli.arguments import Overrides, RecipePath

if TYPE_CHECKING:
    from rich.table import Table

    from strop.evidence.index import PassageIndex
    from strop.recipe.evidence import Evidence
    from strop.recipe.sections import Recipe
    from strop.records.dataset import Dataset
    from strop.records.evidence import Found
    from strop.records.ledger import Entry
    from strop.runs.judge_retrieval import JudgedRetrieval

# The k of recall@k and nDCG@k where none is asked for.
JUDGED_DOCUMENTS = 10


def index(recipe: RecipePath, overrides: Overrides = None) -> None:
    """Cut the stored documents into passages, turn these into vectors, and index them; what was done is kept."""
    import psutil

    from strop.cli.terminal import out
    from strop.evidence.recipe_index import vectors_folder
    from strop.recipe.load import read_recipe

    opened = _opened(read_recipe(recipe, overrides or []))
    documents = {passage.document for passage in opened.index.passages}
    out.print(f"{len(opened.index.passages):,} passages of {len(documents):,} documents")
    for line in _notes(opened):
        out.print(f"  {line}", soft_wrap=True)
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in opened.seconds.items())
    out.print(f"{seconds}; this process holds {psutil.Process().memory_info().rss / 2**30:.2f} GiB", soft_wrap=True)
    if opened.index.embedded is not None:
        out.print(f"vectors: {vectors_folder(opened.evidence)}", soft_wrap=True)


def search(
    recipe: RecipePath,
    question: Annotated[str | None, typer.Argument(help="What is asked.", metavar="QUESTION")] = None,
    n_passages: Annotated[
        int | None, typer.Option("-k", min=1, help="How many passages, or with --judge documents; 10 to judge.")
    ] = None,
    own: Annotated[
        str | None, typer.Option("--own", help="Search the documents of this row alone.", metavar="ROW_ID")
    ] = None,
    judge: Annotated[
        bool,
        typer.Option("--judge", help="Look up every open row, and see where the documents of its snippets stand."),
    ] = False,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="An entry of the recipe to change, as path=value.")
    ] = None,
) -> None:
    """Look up passages for a question, or judge the search by rows whose documents are known."""
    from strop.cli.terminal import out
    from strop.recipe.load import read_recipe

    if (question is None) != judge:
        raise typer.BadParameter("give a question, or --judge without one")
    resolved = read_recipe(recipe, changes or [])
    opened = _opened(resolved)
    for line in _notes(opened):
        out.print(f"  {line}", soft_wrap=True)
    if question is None:
        _judge(resolved, opened, n_passages or JUDGED_DOCUMENTS)
        return
    documents = None if own is None else [_own_documents(opened.dataset, own)]
    retrieval = opened.index.retrieval
    asked = retrieval.model_copy(update={"n_passages": n_passages or retrieval.n_passages})
    (found,) = replace(opened.index, retrieval=asked).search([question], own=documents)
    out.print(_found_table(found) if found else "nothing was found")


@dataclass(frozen=True)
class _Opened:
    """A recipe's passages, ready to be looked up, and how that came about."""

    evidence: "Evidence"
    dataset: "Dataset"
    index: "PassageIndex"
    entries: "tuple[Entry, ...]"
    seconds: dict[str, float]


def _opened(recipe: "Recipe") -> _Opened:
    """Read the rows, cut their documents and index the passages.

    Raises:
        RecipeError: The recipe has no section `evidence`.
    """
    from strop.cli.progress import ProgressBars
    from strop.data.read import read_dataset
    from strop.errors import Problem, RecipeError
    from strop.evidence.recipe_index import index_passages
    from strop.models.locate import locate_model
    from strop.runs.gather_evidence import gather_corpus
    from strop.text.tokenizer import TextTokenizer

    if recipe.evidence is None:
        must, do = "the recipe must say what documents are searched", "add the section evidence"
        raise RecipeError(Problem("evidence", must, "no such section", do))
    seconds: dict[str, float] = {}
    with ProgressBars() as bars:
        with _timed(seconds, "reading"):
            dataset = read_dataset(recipe.data, normalize=recipe.text.normalize, seed=recipe.seed).dataset
            located = locate_model(recipe.model)
            tokenizer = TextTokenizer.from_folder(located.folder, trust_remote_code=recipe.model.trust_remote_code)
        with _timed(seconds, "cutting"):
            passages, entries = gather_corpus(recipe.evidence, dataset, tokenizer, bars)
        bars.station_began("indexing")
        with _timed(seconds, "indexing"):
            found = index_passages(recipe, recipe.evidence, passages, progress=bars.rows_done)
    return _Opened(recipe.evidence, dataset, found, tuple(entries), seconds)


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds[name] = time.monotonic() - began


def _notes(opened: _Opened) -> Iterator[str]:
    """What a reader must know of the documents and the vectors."""
    for entry in opened.entries:
        yield entry.what
    embedded = opened.index.embedded
    if embedded is None:
        return
    yield f"vectors: {embedded.n_computed:,} computed, {embedded.n_cached:,} were there"
    if embedded.n_cut:
        yield f"{embedded.n_cut:,} passages are longer than the encoder reads: it read their beginning"
    if embedded.damaged:
        yield f"files of vectors were damaged and are written anew: {', '.join(embedded.damaged)}"


def _judge(recipe: "Recipe", opened: _Opened, k: int) -> None:
    """Judge the search by open rows, and print how it does."""
    from strop.cli.terminal import out
    from strop.data.split import make_split
    from strop.runs.judge_retrieval import judge_retrieval

    split = make_split(opened.dataset, recipe.split, recipe.seed).split
    open_rows = opened.dataset.select(split.open_ids)
    judged = judge_retrieval(opened.index, open_rows, recipe.evaluation, seed=recipe.seed, k=k)
    out.print(_scores_table(judged))
    for line in _judged_lines(judged, len(split.test), k):
        out.print(f"  {line}", soft_wrap=True)


def _own_documents(dataset: "Dataset", row_id: str) -> tuple[str, ...]:
    """Documents of a row.

    Raises:
        DataError: There is no such row.
    """
    from strop.errors import DataError, Problem, did_you_mean
    from strop.runs.gather_evidence import own_documents

    ids = dataset.ids.tolist()
    if row_id not in ids:
        problem = Problem("--own", "it must be the id of a row", f"'{row_id}'", did_you_mean(row_id, ids))
        raise DataError(problem)
    documents: tuple[str, ...] = own_documents(dataset)[ids.index(row_id)]
    return documents


def _found_table(found: "Sequence[Found]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(show_lines=True)
    table.add_column("rank", justify="right")
    table.add_column("score", justify="right")
    table.add_column("document")
    table.add_column("passage", ratio=1)
    for one in found:
        passage = one.passage
        place = "" if passage.start < 0 else f"characters {passage.start} to {passage.end}"
        words = Text.assemble(passage.text, (f"\n{place}", "dim") if place else "")
        where = Text.assemble(passage.document, (f"\n{passage.title}", "dim") if passage.title else "")
        table.add_row(str(one.rank), f"{one.score:.4f}", where, words)
    return table


def _scores_table(judged: "JudgedRetrieval") -> "Table":
    from rich.table import Table

    table = Table(title="Documents of a row's snippets, looked up among all", title_justify="left")
    for name in ("metric", "value", "interval"):
        table.add_column(name, justify="left" if name == "metric" else "right")
    for name, score in judged.scores.metrics.items():
        table.add_row(name, f"{score.value:.4f}", f"{score.low:.4f} to {score.high:.4f}")
    return table


def _judged_lines(judged: "JudgedRetrieval", n_sealed: int, k: int) -> Iterator[str]:
    yield f"{judged.n_rows:,} rows, {judged.n_documents:,} documents that matter; the first {k} documents count"
    if judged.n_documents_without_passages:
        yield f"{judged.n_documents_without_passages:,} of these documents have no passages and cannot be found"
    if judged.n_rows_without_gold:
        yield f"{judged.n_rows_without_gold:,} rows have no snippet with a known document and are left out"
    if n_sealed:
        yield f"{n_sealed:,} sealed rows are not judged"
