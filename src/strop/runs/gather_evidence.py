"""The station that gives every row its evidence: fetch documents, cut them, index the passages, look up."""

import hashlib
from collections.abc import Sequence
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
        return [RowEvidence(snippets=row) for row in _snippets(dataset)]
    key = hashlib.sha256(f"{dataset.fingerprint}{evidence.model_dump_json(exclude={'prompt'})}".encode())
    place = folder.evidence / key.hexdigest()[:16]
    if not (place / "found.arrow").exists():
        corpus, entries = gather_corpus(evidence, dataset, tokenizer, watcher)
        folder.ledger.write_all(list(entries))
        Retrieved.of(corpus, _search(recipe, corpus, dataset, watcher)).save(place)
    retrieved = Retrieved.load(place)
    return [RowEvidence(row, retrieved.passages(at)) for at, row in enumerate(_snippets(dataset))]


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
    return (Entry("note", "evidence", what),)


def evidence_of_new_rows(
    recipe: Recipe, folder: RunFolder, rows: Dataset, tokenizer: TextTokenizer, watcher: Watcher
) -> list[RowEvidence]:
    """The evidence of new rows: their own snippets, and passages of their documents and of those of the run.

    Raises:
        DataError: Documents are missing and the recipe says to stop.
    """
    evidence = _section(recipe)
    if evidence.retrieval is None:
        return [RowEvidence(snippets=row) for row in _snippets(rows)]
    corpus, _ = gather_corpus(evidence, rows, tokenizer, watcher)
    if evidence.retrieval.source == "all":
        known = next((Retrieved.load(place).corpus for place in folder.evidence.iterdir() if _is_whole(place)), ())
        corpus = list(dict.fromkeys([*known, *corpus]))
    found = _search(recipe, corpus, rows, watcher)
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
    if evidence.retrieval is not None and evidence.retrieval.corpus == "snippets":
        corpus = list(dict.fromkeys(one for row in _snippets(dataset) for one in row))
        entries: tuple[Entry, ...] = ()
    else:
        documents, entries = _documents(evidence, dataset, watcher)
        watcher.station_began("cutting documents into passages")
        from strop.evidence.passages import cut_passages

        corpus = list(dict.fromkeys(cut_passages(documents, evidence.passages, tokenizer)))
    if not corpus:
        problem = Problem(
            where="evidence.retrieval",
            must="there must be passages to search",
            came="none: no document of these rows has text" if entries else "no row has documents or snippets",
            do="fetch the documents (evidence.fetch, or `strop evidence fetch`), or remove evidence.retrieval",
        )
        raise DataError(problem)
    return corpus, entries


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
    without = [address for address in addresses if address not in stored or not stored[address].text]
    documents = [stored[address] for address in addresses if address in stored]
    if not without:
        return documents, mended
    reasons: dict[str, int] = {}
    for address in without:
        reason = stored[address].status if address in stored else "not fetched"
        reasons[reason] = reasons.get(reason, 0) + 1
    what = f"{len(without)} of {len(addresses)} documents have no text: " + ", ".join(
        f"{count} {reason}" for reason, count in sorted(reasons.items())
    )
    details = {one: stored[one].reason if one in stored else "not fetched" for one in without}
    return documents, (*mended, Entry("note", "evidence", what, details={"documents": details}))


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
