"""`strop evidence` as a person types it."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from strop.cli.evidence import evidence_app
from strop.errors import DataError, RecipeError
from strop.evidence.store import DocumentStore
from strop.testing.literature_server import LiteratureServer, Reply, expected_document

Fetch = Callable[..., Result]


@pytest.fixture
def literature() -> Iterator[LiteratureServer]:
    with LiteratureServer() as server:
        yield server


@pytest.fixture
def recipe(tmp_path: Path, literature: LiteratureServer) -> Path:
    rows = [
        {"q": "Is it so?", "label": "yes", "documents": ["http://www.ncbi.nlm.nih.gov/pubmed/1", "2"]},
        {"q": "Is it not?", "label": "no", "documents": ["PMID: 2", "13", "ftp://x"]},
        {"q": "Or what?", "label": "yes", "documents": []},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    content = {
        "name": "tiny",
        "data": {"path": str(tmp_path / "rows.jsonl"), "text": "q", "target": "label", "documents": "documents"},
        "model": {"name": "none"},
        "evidence": {
            "store": str(tmp_path / "evidence.sqlite"),
            "fetch": {
                "contact": "reader@example.org",
                "pubmed_url": literature.pubmed_url,
                "allow_hosts": ["127.0.0.1"],
                "requests_per_second": 1000,
                "n_attempts": 1,
            },
        },
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture
def fetch(recipe: Path) -> Fetch:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(evidence_app, ["fetch", str(recipe), *arguments], env={"COLUMNS": "100"})

    return run


def test_documents_of_all_rows_are_fetched_once_and_counted(
    fetch: Fetch, tmp_path: Path, literature: LiteratureServer
) -> None:
    done = fetch("--failures", str(tmp_path / "failures.csv"))
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    for words in (
        "found │ 2 │ text is there",
        "missing │ 1 │ there is no such record or page",
        "refused │ 1 │ must not be asked for",
        "all │ 4 │ 0 of them stored before",
        "1 requests in",
        "refused: ftp://x: neither a PubMed id nor an address",
        "missing: pubmed:13: PubMed has no such record",
        "ask again for what failed or was refused with --again",
        f"store: {tmp_path / 'evidence.sqlite'}",
    ):
        assert words in said, words
    with (tmp_path / "failures.csv").open(newline="", encoding="utf-8") as file:
        failures = list(csv.DictReader(file))
    assert [(row["address"], row["status"]) for row in failures] == [("ftp://x", "refused"), ("pubmed:13", "missing")]
    with DocumentStore(tmp_path / "evidence.sqlite") as store:
        assert store.get_many(["pubmed:1", "pubmed:2"]) == {
            f"pubmed:{number}": expected_document(number) for number in ("1", "2")
        }
    assert "4 of them stored before" in fetch().output
    assert len(literature.asked) == 1


def test_what_failed_is_asked_for_again(fetch: Fetch, literature: LiteratureServer) -> None:
    literature.on_efetch = lambda asked: Reply(status=500)
    assert "failed: pubmed:1, pubmed:13, pubmed:2: HTTP 500 Internal Server Error (1 attempt)" in fetch().output
    literature.on_efetch = None
    assert "0 requests" in fetch().output
    assert "found" in fetch("--again").output
    assert literature.n_answered == {"1": 1, "2": 1, "13": 1}


def test_many_failures_are_counted(fetch: Fetch, tmp_path: Path) -> None:
    # No two reasons are the same: the addresses of private hosts stand in them.
    private = [f"http://10.0.0.{number}/" for number in range(30)]
    row = {"q": "Is it so?", "label": "yes", "documents": private}
    rows = [row, {**row, "q": "Is it not?", "label": "no"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    said = fetch("evidence.fetch.pages_per_second=1000").output
    assert said.count("refused: http://10.0.0.") == 20
    assert "and 10 more; --failures FILE writes all of them" in said


def test_documents_that_fail_alike_stand_in_one_line(fetch: Fetch, tmp_path: Path) -> None:
    row = {"q": "Is it so?", "label": "yes", "documents": [f"ftp://{number}" for number in range(30)]}
    rows = [row, {**row, "q": "Is it not?", "label": "no"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    said = " ".join(fetch().output.split())
    assert "refused: 30 documents (ftp://0, ftp://1, ftp://10, ...): neither a PubMed id nor an address" in said
    assert "more; --failures" not in said


def test_a_recipe_may_stop_without_all_documents(fetch: Fetch) -> None:
    done = fetch("evidence.fetch.on_failure=stop")
    assert isinstance(done.exception, DataError)
    assert "2 of 4 could not be had" in str(done.exception)
    assert "found" in done.output


def test_a_recipe_that_does_not_say_what_to_fetch_is_refused(fetch: Fetch) -> None:
    done = fetch("evidence.fetch=null", "data.documents=null", "data.snippets=documents")
    assert isinstance(done.exception, RecipeError)
    said = str(done.exception)
    assert "evidence.fetch: the recipe must say whom servers may write to" in said
    assert "data.documents: the recipe must name the column of documents" in said


def test_a_contact_that_no_header_can_carry_is_refused(fetch: Fetch) -> None:
    done = fetch('evidence.fetch.contact="me\\r\\nX: y"')
    assert isinstance(done.exception, RecipeError)
    assert "evidence.fetch.contact" in str(done.exception)
