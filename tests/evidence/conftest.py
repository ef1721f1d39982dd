"""A server of literature on this machine, a store, and quick settings."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from strop.evidence.fetch import FetchSummary, fetch_documents
from strop.evidence.store import DocumentStore
from strop.recipe.evidence import Fetch
from strop.testing.literature_server import LiteratureServer


@pytest.fixture
def literature() -> Iterator[LiteratureServer]:
    with LiteratureServer() as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DocumentStore]:
    with DocumentStore(tmp_path / "evidence.sqlite") as opened:
        yield opened


@pytest.fixture
def settings(literature: LiteratureServer) -> Callable[..., Fetch]:
    """Settings that allow the server and wait for nothing long."""

    def make(**changes: Any) -> Fetch:
        quick = {
            "contact": "reader@example.org",
            "pubmed_url": literature.pubmed_url,
            "allow_hosts": ["127.0.0.1"],
            "requests_per_second": 2000,
            "pages_per_second": 2000,
            "timeout_seconds": 5,
            "backoff_seconds": 0.001,
            "n_attempts": 3,
        }
        return Fetch(**(quick | changes))

    return make


@pytest.fixture
def fetched(settings: Callable[..., Fetch], store: DocumentStore) -> Callable[..., FetchSummary]:
    """Fetch addresses into the store; further arguments are entries of the section."""

    def fetch(*addresses: str, again: bool = False, **changes: Any) -> FetchSummary:
        return fetch_documents(addresses, settings(**changes), store, again=again)

    return fetch
