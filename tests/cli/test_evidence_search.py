"""The verbs `index` and `search` of `strop evidence`, on a small store of documents."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from click.testing import Result
from typer.testing import CliRunner

from strop.cli.evidence_search import index, search
from strop.errors import DataError, RecipeError, StropError
from strop.evidence.store import DocumentStore
from strop.records.evidence import Document
from strop.testing.tiny_models import TOPIC_WORDS

WORDS = {name: [word for word in words if word.isascii()][:5] for name, words in TOPIC_WORDS.items()}
N_ROWS = 40


def documents() -> list[Document]:
    """For every topic four documents of its words, and a retracted one."""
    found = []
    for number, (topic, words) in enumerate(WORDS.items()):
        for turn in range(4):
            text = f"The {words[turn]} and the {words[turn + 1]}. How is the {words[turn]} today?"
            found.append(Document(f"pubmed:{10 * number + turn + 1}", "found", f"About {topic}", text))
    withdrawn = Document("pubmed:999", "found", "Withdrawn", "The python of yesterday.", retracted=True)
    return [*found, withdrawn, Document("pubmed:998", "missing", reason="no such record")]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    folder = tmp_path_factory.mktemp("evidence")
    with DocumentStore(folder / "evidence.sqlite") as store:
        store.put_many(documents())
    rows = []
    for at in range(N_ROWS):
        topic, turn = at % len(WORDS), at // len(WORDS) % 4
        address = str(10 * topic + turn + 1)
        word = list(WORDS.values())[topic][turn]
        # Every fifth row has a snippet whose document is not known.
        snippet = {"text": f"The {word}.", "document": "" if at % 5 == 4 else address}
        extra = ["998", "999"] if at == 0 else []
        rows.append(
            {
                "id": f"r{at}",
                "text": f"{word} number {at}",
                "label": "yes" if at % 2 else "no",
                "documents": [address, *extra],
                "snippets": [snippet],
            }
        )
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    data = {
        "path": str(folder / "rows.json"),
        "text": "text",
        "target": "label",
        "id": "id",
        "documents": "documents",
        "snippets": "snippets",
    }
    content: dict[str, Any] = {
        "name": "small",
        "data": data,
        "model": {"name": str(tiny_encoder)},
        "evidence": {"store": str(folder / "evidence.sqlite"), "retrieval": {"method": "bm25"}},
        "evaluation": {"n_bootstrap": 200},
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(index)
    app.command()(search)
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, arguments)


def done(*arguments: str) -> str:
    result = run(*arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: str) -> StropError:
    result = run(*arguments)
    assert isinstance(result.exception, StropError)
    return result.exception


def test_index_says_what_there_is_and_keeps_the_vectors(recipe: Path) -> None:
    said = done("index", str(recipe), "evidence.retrieval.method=fused")
    # Of 34 documents that rows name, one is retracted and one does not exist; the others fit into a passage each.
    assert "32 passages of 32 documents" in said
    assert "1 of 34 documents have no text: 1 missing" in said
    assert "vectors: 32 computed, 0 were there" in said
    for words in ("reading", "cutting", "indexing", "this process holds", "evidence.vectors"):
        assert words in said, words


def test_search_shows_passages_with_their_place(recipe: Path) -> None:
    said = done("search", str(recipe), "theorem", "-k", "1")
    assert "pubmed:21" in said or "pubmed:22" in said
    assert "About theory" in said
    assert "theorem" in said
    assert "characters 0 to" in said
    assert done("search", str(recipe), "nowhere").rstrip().endswith("nothing was found")


def test_own_documents_alone_are_searched(recipe: Path) -> None:
    said = done("search", str(recipe), "today", "--own", "r3", "--set", "evidence.retrieval.n_passages=9")
    assert "pubmed:31" in said
    assert said.count("pubmed:") == 1
    error = refused("search", str(recipe), "today", "--own", "r300")
    assert isinstance(error, DataError)
    (problem,) = error.problems
    assert (problem.where, problem.must, problem.came) == ("--own", "it must be the id of a row", "'r300'")
    assert problem.do == "did you mean 'r30'?"


def test_retracted_documents_are_left_out_unless_asked_for(recipe: Path) -> None:
    assert "pubmed:999" not in done("search", str(recipe), "python yesterday")
    kept = ("--set", "evidence.passages.keep_retracted=true")
    assert "pubmed:999" in done("search", str(recipe), "python yesterday", *kept)


def test_judge_uses_open_rows_whose_documents_are_known(recipe: Path) -> None:
    said = done("search", str(recipe), "--judge")
    for words in ("recall@10", "ndcg@10", "mrr", "8 sealed rows are not judged"):
        assert words in said, words
    n_judged, n_left_out = (
        int(line.split()[0]) for line in said.splitlines() if " rows" in line and "sealed" not in line
    )
    assert n_judged + n_left_out == 32
    # The word of a question stands in two documents at most, and both are among ten.
    assert "1.0000" in next(line for line in said.splitlines() if "recall@10" in line)


def test_a_question_or_judge_and_not_both(recipe: Path) -> None:
    for arguments in ((), ("today", "--judge")):
        result = run("search", str(recipe), *arguments)
        assert result.exit_code == 2
        assert "give a question, or --judge without one" in result.output


def test_what_the_recipe_must_have(recipe: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    without = tmp_path / "without.yaml"
    data = {name: value for name, value in content["data"].items() if name not in ("documents", "snippets")}
    without.write_text(yaml.safe_dump({**content, "data": data, "evidence": None}), encoding="utf-8")
    error = refused("search", str(without), "today")
    assert isinstance(error, RecipeError)
    assert error.problems[0].must == "the recipe must say what documents are searched"
    del content["data"]["snippets"]
    without.write_text(yaml.safe_dump(content), encoding="utf-8")
    error = refused("search", str(without), "--judge")
    assert isinstance(error, DataError)
    assert error.problems[0].where == "data.snippets"
    assert error.problems[0].came == "none of 32 rows"
