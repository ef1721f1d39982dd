"""The station that gives every row its evidence: fetch documents, cut them, index the passages, look up."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from strop.errors import DataError, Problem
from strop.evidence.addresses import canonical_address
from strop.evidence.prompt import RowEvidence
from strop.evidence.store import DocumentStore
from strop.recipe.evidence import Evidence
from strop.recipe.sections import Recipe
from strop.records.dataset import Dataset
from strop.records.evidence import Document, Found, Passage, Retrieved
from strop.records.ledger import Entry
from strop.records.run_folder import RunFolder
from strop.text.tokenizer import TextTokenizer
from strop.training.watch import Watcher

ASK_AGAIN = "`strop evidence fetch RECIPE --again` asks again for what failed or was refused"


def gather_evidence(
    recipe: Recipe, folder: RunFolder, dataset: Dataset, tokenizer: TextTokenizer, watcher: Watcher
) -> list[RowEvidence]:
    """The evidence of every row, looked up once and then read from the run folder.

    Args:
        recipe: A recipe with the section `evidence`.
        folder: The run.
        dataset: All rows; their targets are not looked at.
        tokenizer: Of the model that reads the passages.
        watcher: Receives news.

    Raises:
        DataError: Documents are missing and the recipe says to stop.
        MachineError: A library is missing, or the disk is full.
    """
    evidence = _section(recipe)
    if evidence.retrieval is None:
        at_hand = [RowEvidence(snippets=row) for row in _snippets(dataset)]
        folder.ledger.write_all(list(_rows_without(at_hand, dataset)))
        return at_hand
    key = hashlib.sha256(f"{dataset.fingerprint}{evidence.model_dump_json(exclude={'prompt', 'fetch'})}".encode())
    place = folder.evidence / key.hexdigest()[:16]
    if not (place / "found.arrow").exists():
        corpus, entries = gather_corpus(evidence, dataset, tokenizer, watcher)
        folder.ledger.write_all(list(entries))
        Retrieved.of(corpus, _search(recipe, corpus, dataset, watcher)).save(place)
    retrieved = Retrieved.load(place)
    found = [RowEvidence(row, retrieved.passages(at)) for at, row in enumerate(_snippets(dataset))]
    folder.ledger.write_all(list(_rows_without(found, dataset)))
    return found


def evidence_at_hand(recipe: Recipe, dataset: Dataset) -> list[RowEvidence]:
    """What can be known of the evidence before anything is fetched or looked up: the rows' own snippets."""
    _section(recipe)
    return [RowEvidence(snippets=row) for row in _snippets(dataset)]


def documents_at_hand(recipe: Recipe, dataset: Dataset) -> tuple[Entry, ...]:
    """How many documents the store has already; nothing is written or fetched.

    Raises:
        DataError: There are none, and the recipe does not say how to fetch them.
    """
    evidence = _section(recipe)
    if evidence.retrieval is None or evidence.retrieval.corpus == "snippets":
        return ()
    addresses = list(dict.fromkeys(address for row in own_documents(dataset) for address in row))
    path, stored = Path(evidence.store), {}
    if path.exists():
        with DocumentStore(path) as store:
            stored = store.statuses(addresses)
    n_found = sum(status == "found" for status in stored.values())
    if not n_found and evidence.fetch is None:
        problem = Problem(
            where="evidence.store",
            must="there must be documents to search, or the recipe must say how to fetch them",
            came=f"none of {len(addresses)} documents is in {path}",
            do="add evidence.fetch with a contact address of yours, or search the rows' snippets "
            "(evidence.retrieval.corpus=snippets)",
        )
        raise DataError(problem)
    what = f"{n_found} of {len(addresses)} documents are in the store with their text"
    n_unknown = len(addresses) - len(stored)
    if evidence.fetch is not None:
        what += f"; {n_unknown} would be fetched"
    n_could_be_had = sum(status in ("failed", "refused") for status in stored.values())
    if n_could_be_had:
        what += f"; {n_could_be_had} failed or were refused before: {ASK_AGAIN}"
    return (Entry("note", "evidence", what),)


def evidence_of_new_rows(
    recipe: Recipe, folder: RunFolder, rows: Dataset, tokenizer: TextTokenizer, watcher: Watcher
) -> list[RowEvidence]:
    """The evidence of new rows: their own snippets, and passages of their documents and of those of the run.

    A row for which there is nothing is judged by its own text. What there is to say stands in the run's ledger.

    Raises:
        DataError: Documents are missing and the recipe says to stop.
    """
    evidence = _section(recipe)
    if evidence.retrieval is None:
        return [RowEvidence(snippets=row) for row in _snippets(rows)]
    corpus, entries = _passages(evidence, rows, tokenizer, watcher)
    # A finished run may lie where nobody may write; its answers are wanted all the same.
    if os.access(folder.ledger.path, os.W_OK):
        folder.ledger.write_all([replace(entry, station="prediction") for entry in entries])
    if evidence.retrieval.source == "all":
        known = next((Retrieved.load(place).corpus for place in folder.evidence.glob("*") if _is_whole(place)), ())
        corpus = list(dict.fromkeys([*known, *corpus]))
    found = _search(recipe, corpus, rows, watcher) if corpus else [[]] * rows.n_rows
    return [
        RowEvidence(snippets, tuple(one.passage for one in of_row))
        for snippets, of_row in zip(_snippets(rows), found, strict=True)
    ]


def gather_corpus(
    evidence: Evidence, dataset: Dataset, tokenizer: TextTokenizer, watcher: Watcher
) -> tuple[list[Passage], tuple[Entry, ...]]:
    """The passages that are searched, each once, and what the ledger says about documents without text.

    Raises:
        DataError: Documents are missing and the recipe says to stop, or there is no passage at all.
    """
    corpus, entries = _passages(evidence, dataset, tokenizer, watcher)
    if not corpus:
        reasons = "; ".join(entry.what for entry in entries)
        problem = Problem(
            where="evidence.retrieval",
            must="there must be passages to search",
            came=f"none: {reasons}" if entries else "no row has documents or snippets",
            do=f"fetch the documents (evidence.fetch, or `strop evidence fetch`; {ASK_AGAIN}), or remove "
            "evidence.retrieval",
        )
        raise DataError(problem)
    return corpus, entries


def _passages(
    evidence: Evidence, dataset: Dataset, tokenizer: TextTokenizer, watcher: Watcher
) -> tuple[list[Passage], tuple[Entry, ...]]:
    """As `gather_corpus`, be there passages or none."""
    if evidence.retrieval is not None and evidence.retrieval.corpus == "snippets":
        return list(dict.fromkeys(one for row in _snippets(dataset) for one in row)), ()
    documents, entries = _documents(evidence, dataset, watcher)
    if not documents:
        return [], entries
    watcher.station_began("cutting documents into passages")
    from strop.evidence.passages import cut_passages

    return list(dict.fromkeys(cut_passages(documents, evidence.passages, tokenizer))), entries


def _section(recipe: Recipe) -> Evidence:
    if recipe.evidence is None:
        raise ValueError("the recipe must have the section evidence")
    return recipe.evidence


def _snippets(dataset: Dataset) -> list[tuple[Passage, ...]]:
    """Every row's snippets, their documents by canonical address."""
    if dataset.snippets is None:
        return [()] * dataset.n_rows

    def known(one: Passage) -> Passage:
        return replace(one, document=canonical_address(one.document)) if one.document else one

    return [tuple(known(one) for one in row) for row in dataset.snippets]


def _is_whole(place: Path) -> bool:
    return (place / "found.arrow").exists()


def own_documents(dataset: Dataset) -> list[tuple[str, ...]]:
    """Canonical addresses of every row's documents."""
    if dataset.documents is None:
        return [()] * dataset.n_rows
    return [tuple(dict.fromkeys(canonical_address(one) for one in row)) for row in dataset.documents]


def _documents(evidence: Evidence, dataset: Dataset, watcher: Watcher) -> tuple[list[Document], tuple[Entry, ...]]:
    """Documents of all rows, those with text and those without."""
    addresses = list(dict.fromkeys(address for row in own_documents(dataset) for address in row))
    mended: tuple[Entry, ...] = ()
    with DocumentStore(Path(evidence.store)) as store:
        if evidence.fetch is not None:
            from strop.evidence.fetch import check_failures, fetch_documents

            watcher.station_began("fetching documents")
            summary = fetch_documents(addresses, evidence.fetch, store, progress=watcher.rows_done)
            check_failures(summary, evidence.fetch)
            mended = tuple(Entry("cleaned", "evidence", f"{one}: {note}") for one, note in summary.notes.items())
        stored = store.get_many(addresses)
    documents = [stored[address] for address in addresses if address in stored]
    entries = (*mended, *_without_text(addresses, stored), *_left_out(documents, evidence))
    return documents, entries


def _without_text(addresses: Sequence[str], stored: Mapping[str, Document]) -> Iterator[Entry]:
    """What the ledger says of documents without text: how many for which reason, and each with its own."""
    without = [address for address in addresses if address not in stored or not stored[address].text]
    if not without:
        return
    counts = Counter(stored[one].status if one in stored else "not fetched" for one in without)
    what = f"{len(without)} of {len(addresses)} documents have no text: " + ", ".join(
        f"{count} {reason}" for reason, count in sorted(counts.items())
    )
    details = {one: stored[one].reason if one in stored else "not fetched" for one in without}
    yield Entry("note", "evidence", what, details={"documents": details})


def _left_out(documents: Sequence[Document], evidence: Evidence) -> Iterator[Entry]:
    """What the ledger says of documents that were retracted."""
    retracted = [one.address for one in documents if one.text and one.retracted]
    if not retracted:
        return
    became = "are read all the same" if evidence.passages.keep_retracted else "are left out"
    what = (
        f"{len(retracted)} of {len(documents)} documents were retracted and {became} (evidence.passages.keep_retracted)"
    )
    yield Entry("note", "evidence", what, details={"documents": retracted})


def _rows_without(found: Sequence[RowEvidence], dataset: Dataset) -> Iterator[Entry]:
    """What the ledger says of rows that have neither snippets nor passages."""
    ids = tuple(str(row_id) for row_id, of_row in zip(dataset.ids, found, strict=True) if not of_row.n_passages)
    if ids:
        what = f"{len(ids)} of {len(found)} rows have no evidence: they are judged by their own text"
        yield Entry("note", "evidence", what, n_rows=len(ids), ids=ids)


def _search(recipe: Recipe, corpus: Sequence[Passage], dataset: Dataset, watcher: Watcher) -> list[list[Found]]:
    """Look up every row's text, as it stands in the data, without its evidence."""
    from strop.evidence.recipe_index import index_passages

    evidence = _section(recipe)
    watcher.station_began("indexing passages")
    index = index_passages(recipe, evidence, corpus, progress=watcher.rows_done)
    watcher.station_began("looking up passages")
    questions = dataset.joined_texts().tolist()
    if index.retrieval.corpus == "documents":
        return index.search(questions, own=own_documents(dataset) if index.retrieval.source == "own" else None)
    if index.retrieval.find_own_snippets:
        return index.search(questions)
    own = [{one.text for one in row} for row in _snippets(dataset)]
    wanted = index.retrieval.n_passages
    # So many more that enough are left without the row's own.
    n_asked = wanted + max(map(len, own), default=0)
    asked = index.retrieval.model_copy(
        update={"n_passages": n_asked, "n_candidates": max(n_asked, index.retrieval.n_candidates)}
    )
    found = replace(index, retrieval=asked).search(questions)
    return [
        [one for one in of_row if one.passage.text not in texts][:wanted]
        for of_row, texts in zip(found, own, strict=True)
    ]
