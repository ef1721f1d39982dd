"""Ask for documents: PubMed records in batches, pages one by one, each answer kept as soon as it is there."""

import asyncio
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from strop.errors import DataError, Problem, StropError
from strop.evidence.addresses import Address, read_address
from strop.evidence.event_loop import run_to_end
from strop.evidence.libraries import evidence_library
from strop.evidence.store import DocumentStore
from strop.recipe.evidence import Fetch
from strop.records.evidence import Document, Status

if TYPE_CHECKING:
    from strop.evidence.pubmed import PubMed
    from strop.evidence.web import Pages

Progress = Callable[[int, int], None]
Work = Callable[[], Coroutine[Any, Any, None]]

# What may be otherwise another time, and so may be asked for again.
ASKED_AGAIN: tuple[Status, ...] = ("failed", "refused")
_NOT_HAD: tuple[Status, ...] = ("failed", "refused", "missing")
# What NCBI allows without and with a key. Source: "A General Introduction to the E-utilities", "Frequency, Timing and
# Registration of E-utility URL Requests", https://www.ncbi.nlm.nih.gov/books/NBK25497/.
_PER_SECOND, _PER_SECOND_WITH_KEY = 3.0, 10.0
_LIBRARIES = ("httpx", "lxml.etree", "selectolax.lexbor")
_N_SHOWN = 5


@dataclass(frozen=True)
class FetchSummary:
    """What became of the documents that were asked for.

    Attributes:
        n_documents: How many different documents were asked for.
        n_stored: How many of them the store had before, so that nothing was sent for them.
        n_by_status: How many there are now of every status; the values sum to `n_documents`.
        n_retracted: How many of them say that they were retracted.
        n_requests: How many requests there were, those for robots.txt, redirects, further attempts and hosts that could
            not be reached included.
        seconds: How long it took.
        failures: What could not be had, with the reason: failed first, then refused, then missing.
        notes: What was mended on the way (a charset that was declared wrongly), by address.
    """

    n_documents: int
    n_stored: int
    n_by_status: Mapping[Status, int]
    n_retracted: int
    n_requests: int
    seconds: float
    failures: tuple[Document, ...]
    notes: Mapping[str, str] = field(default_factory=dict)


def fetch_documents(
    addresses: Sequence[str],
    fetch: Fetch,
    store: DocumentStore,
    *,
    again: bool = False,
    progress: Progress | None = None,
) -> FetchSummary:
    """Ask for the documents that the store does not have, and keep each answer as soon as it is there.

    A process that is killed goes on where it was: what is in the store is not asked for again.

    Args:
        addresses: Addresses as they stand in the data (see `read_address`), in any number and order.
        fetch: The recipe's section.
        store: Where documents are kept.
        again: Ask again for what failed or was refused before.
        progress: Called with the number of documents that are done and of all.

    Returns:
        What became of them; no document's failure is raised.

    Raises:
        MachineError: A library is missing, the disk is full, or another process holds the store.
        DataError: The store is damaged.
    """
    for library in _LIBRARIES:
        evidence_library(library)
    began = time.monotonic()
    wanted = list({address.canonical: address for address in map(read_address, addresses)}.values())
    names = [address.canonical for address in wanted]
    statuses = store.statuses(names)
    open_ = [
        one for one in wanted if one.canonical not in statuses or (again and statuses[one.canonical] in ASKED_AGAIN)
    ]
    errand = _Errand(fetch, store, n_documents=len(wanted), n_done=len(wanted) - len(open_), progress=progress)
    run_to_end(errand.run(open_))
    found = store.get_many(names)
    counts = Counter(document.status for document in found.values())
    not_had = sorted(
        (document for document in found.values() if document.status in _NOT_HAD),
        key=lambda document: (_NOT_HAD.index(document.status), document.address),
    )
    return FetchSummary(
        n_documents=len(wanted),
        n_stored=len(wanted) - len(open_),
        n_by_status=counts,
        n_retracted=sum(document.retracted for document in found.values()),
        n_requests=errand.n_requests,
        seconds=time.monotonic() - began,
        failures=tuple(not_had),
        notes=errand.notes,
    )


def check_failures(summary: FetchSummary, fetch: Fetch) -> None:
    """Stop a run that must not go on without all of its documents.

    Raises:
        DataError: `on_failure` is `stop` and some could not be had.
    """
    if fetch.on_failure == "go_on" or not summary.failures:
        return
    shown = "; ".join(f"{one.address} ({one.status}: {one.reason})" for one in summary.failures[:_N_SHOWN])
    more = len(summary.failures) - _N_SHOWN
    problem = Problem(
        where="evidence.fetch.on_failure",
        must="with `stop` every document must be had",
        came=f"{len(summary.failures):,} of {summary.n_documents:,} could not be had: {shown}"
        + (f"; and {more:,} more" if more > 0 else ""),
        do="ask for them again with `strop evidence fetch RECIPE --again`, mend their addresses, or set it to go_on",
    )
    raise DataError(problem)


class _Errand:
    """All that is asked for in one run."""

    def __init__(
        self, fetch: Fetch, store: DocumentStore, *, n_documents: int, n_done: int, progress: Progress | None
    ) -> None:
        self._fetch = fetch
        self._store = store
        self._n_documents = n_documents
        self._n_done = n_done
        self._progress = progress
        self.n_requests = 0
        self.notes: dict[str, str] = {}

    async def run(self, addresses: Sequence[Address]) -> None:
        """Ask for documents; every host has its own workers, so that a slow one holds up no other."""
        from strop.evidence.asking import Asker
        from strop.evidence.pubmed import PubMed
        from strop.evidence.web import Pages

        refused = [one for one in addresses if one.kind == "refused"]
        self._keep([Document(one.canonical, "refused", reason=one.reason) for one in refused])
        key = os.environ.get(self._fetch.api_key_variable, "").strip()
        pace = self._fetch.requests_per_second or (_PER_SECOND_WITH_KEY if key else _PER_SECOND)
        async with Asker(self._fetch, pace) as asker:
            queues = self._queues(addresses, PubMed(asker, self._fetch, key), Pages(asker, self._fetch))
            try:
                await _all_done(queues, self._fetch.max_connections)
            finally:
                self.n_requests = asker.n_requests

    def _queues(self, addresses: Sequence[Address], pubmed: "PubMed", pages: "Pages") -> list[list[Work]]:
        """What is to be done, one list a host."""
        from strop.evidence.limits import place_of

        async def get_batch(ids: Sequence[str]) -> None:
            await pubmed.get(ids, lambda batch: self._keep(batch.documents, batch.note))

        async def get_page(url: str) -> None:
            page = await pages.get(url)
            self._keep([page.document], page.note)

        ids = [one.pubmed_id for one in addresses if one.kind == "pubmed"]
        size = self._fetch.ids_per_request
        queues: defaultdict[str, list[Work]] = defaultdict(list)
        for start in range(0, len(ids), size):
            queues["pubmed"].append(lambda part=ids[start : start + size]: get_batch(part))  # type: ignore[misc]
        for one in addresses:
            if one.kind == "page":
                queues[place_of(one.canonical)].append(lambda url=one.canonical: get_page(url))  # type: ignore[misc]
        return list(queues.values())

    def _keep(self, documents: Sequence[Document], note: str = "") -> None:
        if documents:
            self._store.put_many(documents)
        if note:
            self.notes |= {document.address: note for document in documents if document.status == "found"}
        self._n_done += len(documents)
        if self._progress is not None:
            self._progress(self._n_done, self._n_documents)


async def _all_done(queues: Sequence[Sequence[Work]], n_workers: int) -> None:
    async def take(works: Iterator[Work]) -> None:
        for work in works:
            await work()

    try:
        async with asyncio.TaskGroup() as group:
            for queue in queues:
                shared = iter(queue)
                for _ in range(min(n_workers, len(queue))):
                    group.create_task(take(shared))
    except BaseExceptionGroup as errors:
        # A full disk stops all workers at once; its words are those of the first.
        said = errors.subgroup(StropError)
        if said is not None:
            raise said.exceptions[0] from errors
        raise
