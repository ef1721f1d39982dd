"""Rows with evidence, from a file and a store of documents to labels of new rows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import strop
from strop.data.read import read_dataset
from strop.errors import DataError, RecipeError
from strop.evidence.store import DocumentStore
from strop.recipe.load import resolve
from strop.records.dataset import Dataset
from strop.records.evidence import Document, Retrieved
from strop.records.examples import Examples
from strop.records.split import Split
from strop.reporting.material import read_material
from strop.runs.check import check_recipe
from strop.runs.gather_evidence import evidence_at_hand, gather_corpus
from strop.runs.prepare import Prepared, prepare
from strop.runs.train import training_rows
from strop.text.tokenizer import TextTokenizer
from strop.training.watch import Watchers

N_ROWS = 48
PROMPT = (
    "{{ question }}{% for s in snippets %} # {{ s.text }}{% endfor %}{% for p in passages %} | {{ p.text }}{% endfor %}"
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of all rows but one: the even ones speak of cats, the odd ones of dogs."""
    path = tmp_path_factory.mktemp("evidence") / "store.sqlite"
    with DocumentStore(path) as opened:
        opened.put_many(
            [
                Document(
                    f"pubmed:{row + 1}", "found", f"Page {row}", f"the {'cat' if row % 2 else 'dog'} sat on page {row}."
                )
                for row in range(N_ROWS - 1)
            ]
        )
    return path


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every third answer is no."""
    path = tmp_path_factory.mktemp("questions") / "questions.json"
    rows = [
        {
            "id": f"q{row}",
            "question": f"page {row} and loop {row * 7}",
            "answer": "no" if row % 3 == 0 else "yes",
            "documents": [str(row + 1)],
            "snippets": [{"text": "python error" if row % 3 == 0 else "function loop", "document": str(row + 1)}],
        }
        for row in range(N_ROWS)
    ]
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def recipe(questions: Path, store: Path, tiny_encoder: Path) -> dict[str, Any]:
    return {
        "name": "asked",
        "data": {
            "path": str(questions),
            "text": "question",
            "target": "answer",
            "id": "id",
            "documents": "documents",
            "snippets": "snippets",
        },
        "split": {"near_duplicates": "ignore"},
        "evidence": {
            "store": str(store),
            "prompt": PROMPT,
            "passages": {"max_length_tokens": 16},
            "retrieval": {"method": "bm25", "n_passages": 1},
            "augmentation": {"labels": "rare"},
        },
        "text": {"max_length_tokens": 96},
        "model": {"name": str(tiny_encoder), "precision": "float32"},
        "stages": [{"epochs": 2, "learning_rate": 5e-3, "batch_size": 8}],
        "evaluation": {"baselines": ["majority", "tfidf"]},
    }


@pytest.fixture(scope="module")
def run(recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> strop.Run:
    return strop.fit(recipe, runs=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def prepared(run: strop.Run) -> Prepared:
    return prepare(run.recipe, run.folder, Watchers())


def text_of(examples: Examples, prepared: Prepared, window: int) -> str:
    tokenizer = TextTokenizer.from_folder(prepared.located.folder).tokenizer
    return str(tokenizer.decode(examples.window(window).tolist(), skip_special_tokens=True))


def test_a_row_reads_its_question_its_snippets_and_its_own_documents(run: strop.Run, prepared: Prepared) -> None:
    row = prepared.dataset.ids.tolist().index("q7")
    assert prepared.tokenized.texts[row] == "page 7 and loop 49 # function loop | the cat sat on page 7."
    (place,) = run.folder.evidence.iterdir()
    retrieved = Retrieved.load(place)
    assert len(retrieved.corpus) == N_ROWS - 1
    (passage,) = retrieved.passages(row)
    assert (passage.document, passage.start, passage.end, passage.title) == ("pubmed:8", 0, 22, "Page 7")


def test_the_ledger_says_which_documents_have_no_text(run: strop.Run) -> None:
    notes = [entry.what for entry in run.folder.ledger.entries()]
    assert f"1 of {N_ROWS} documents have no text: 1 not fetched" in notes
    assert not any("no evidence" in note for note in notes)


def test_the_ledger_says_which_rows_have_no_evidence_and_which_documents_were_retracted(
    recipe: dict[str, Any], questions: Path, tmp_path: Path
) -> None:
    rows = [{**row, "snippets": []} for row in json.loads(questions.read_text(encoding="utf-8"))]
    (tmp_path / "bare.json").write_text(json.dumps(rows), encoding="utf-8")
    with DocumentStore(tmp_path / "store.sqlite") as opened:
        opened.put_many(
            [
                Document(f"pubmed:{row + 1}", "found", text=f"the cat sat on page {row}.", retracted=row < 2)
                for row in range(N_ROWS - 1)
            ]
        )
    changes = {"data": {**recipe["data"], "path": str(tmp_path / "bare.json")}, "stages": [{"epochs": 0.2}]}
    evidence = {**recipe["evidence"], "store": str(tmp_path / "store.sqlite"), "augmentation": None}
    found = strop.fit({**recipe, **changes, "evidence": evidence}, runs=tmp_path)
    entries = {entry.what: entry for entry in found.folder.ledger.entries()}
    without = entries[f"3 of {N_ROWS} rows have no evidence: they are judged by their own text"]
    assert sorted(without.ids) == ["q0", "q1", f"q{N_ROWS - 1}"]
    retracted = f"2 of {N_ROWS - 1} documents were retracted and are left out (evidence.passages.keep_retracted)"
    assert sorted(entries[retracted].details["documents"]) == ["pubmed:1", "pubmed:2"]


def test_only_rare_training_rows_are_split(run: strop.Run, prepared: Prepared) -> None:
    (fold,) = prepared.split.folds()
    training, rows = training_rows(run.recipe, prepared, fold)
    train = prepared.dataset.rows_of(fold.train)
    assert set(training.row_of_R.tolist()) == set(train.tolist())
    label = prepared.dataset.target
    assert label is not None
    # The whole row, one piece with its snippets and one with its passages.
    no_passage = prepared.dataset.rows_of([f"q{N_ROWS - 1}"])[0]
    for row in train.tolist():
        expected = 3 if label[row] == "no" and row != no_passage else 1
        assert np.count_nonzero(training.row_of_R == row) == expected
    assert len(rows) == training.examples.n_rows
    number = np.flatnonzero(training.row_of_R == next(row for row in train if label[row] == "no"))
    texts = [text_of(training.examples, prepared, int(at)) for at in number]
    assert ["error" in text for text in texts] == [True, True, False]
    assert ["sat" in text for text in texts] == [True, False, True]


def test_a_run_with_evidence_is_continued_without_looking_up_again(run: strop.Run, recipe: dict[str, Any]) -> None:
    again = strop.fit(recipe, runs=run.folder.path.parent)
    np.testing.assert_array_equal(again.predictions.outputs_RL, run.predictions.outputs_RL)


def test_the_report_shows_what_the_model_read_and_nothing_of_sealed_rows(run: strop.Run, prepared: Prepared) -> None:
    material = read_material(run.folder)
    texts = dict(zip(prepared.dataset.ids.tolist(), prepared.tokenized.texts.tolist(), strict=True))
    sealed = set(prepared.split.test.tolist())
    assert material.texts_read == {row_id: text for row_id, text in texts.items() if row_id not in sealed}
    assert not any(texts[row_id] in run.folder.report.read_text(encoding="utf-8") for row_id in sealed)


def test_new_rows_bring_documents_of_their_own(run: strop.Run) -> None:
    new = [{"question": "page 3", "documents": ["4"], "snippets": ["python error"]}, {"question": "page 5"}]
    assert set(run.predict(new)) <= {"yes", "no"}


@pytest.mark.parametrize("source", ["own", "all"])
def test_new_rows_without_any_documents_are_judged_all_the_same(
    recipe: dict[str, Any], tmp_path: Path, source: str
) -> None:
    retrieval = {**recipe["evidence"]["retrieval"], "source": source}
    changes = {"evidence": {**recipe["evidence"], "retrieval": retrieval}, "stages": [{"epochs": 0.2}]}
    found = strop.fit({**recipe, **changes}, runs=tmp_path)
    probabilities = found.predict_proba([{"question": "the cat sat on page 7."}, {"question": "page 5"}])
    assert probabilities.shape == (2, 2)
    assert set(found.predict([{"question": "page 3", "documents": ["999"]}])) <= {"yes", "no"}
    said = [entry.what for entry in found.folder.ledger.entries() if entry.station == "prediction"]
    assert said == ["1 of 1 documents have no text: 1 not fetched"]


def test_pieces_are_averaged_where_the_recipe_says_so(recipe: dict[str, Any], tmp_path: Path) -> None:
    evidence = {**recipe["evidence"], "predict": "pieces"}
    stages = [{"epochs": 0.2, "learning_rate": 1e-3}]
    found = strop.fit({**recipe, "evidence": evidence}, runs=tmp_path, stages=stages)
    examples = prepare(found.recipe, found.folder, Watchers()).examples
    n_windows_R = np.bincount(examples.row_W)
    assert sorted(set(n_windows_R.tolist())) == [1, 2]


def test_check_counts_what_stands_in_the_file_and_fetches_nothing(recipe: dict[str, Any]) -> None:
    checked = check_recipe(resolve(recipe))
    assert checked.audit.n_rows == N_ROWS
    dataset = read_dataset(resolve(recipe).data, normalize=True, seed=0).dataset
    assert [len(one.snippets) for one in evidence_at_hand(resolve(recipe), dataset)] == [1] * N_ROWS


def test_without_any_text_there_is_nothing_to_search(
    recipe: dict[str, Any], tmp_path: Path, tiny_encoder: Path
) -> None:
    asked = resolve(recipe, [f"evidence.store={tmp_path / 'empty.sqlite'}"])
    dataset = read_dataset(asked.data, normalize=True, seed=0).dataset
    assert asked.evidence is not None
    with pytest.raises(DataError, match="there must be passages to search") as caught:
        gather_corpus(asked.evidence, dataset, TextTokenizer.from_folder(tiny_encoder), Watchers())
    assert f"none: {N_ROWS} of {N_ROWS} documents have no text: {N_ROWS} not fetched" in str(caught.value)
    assert "`strop evidence fetch RECIPE --again` asks again for what failed or was refused" in str(caught.value)


def test_snippets_of_all_rows_can_be_searched(recipe: dict[str, Any], tiny_encoder: Path) -> None:
    asked = resolve(recipe, ["evidence.retrieval.corpus=snippets", "evidence.retrieval.source=all"])
    dataset = read_dataset(asked.data, normalize=True, seed=0).dataset
    assert asked.evidence is not None
    corpus, entries = gather_corpus(asked.evidence, dataset, TextTokenizer.from_folder(tiny_encoder), Watchers())
    assert {one.text for one in corpus} == {"python error", "function loop"}
    assert {one.document for one in corpus} == {f"pubmed:{row + 1}" for row in range(N_ROWS)}
    assert entries == ()


def test_own_snippets_are_not_found_once_more(recipe: dict[str, Any], tmp_path: Path) -> None:
    retrieval = {"corpus": "snippets", "source": "all", "method": "bm25", "n_passages": 4}
    questions = tmp_path / "questions.json"
    rows = [
        {"id": f"q{row}", "question": f"cat dog page {row}", "answer": "no" if row % 2 else "yes", "snippets": [text]}
        for row, text in enumerate(["the cat", "the dog", "a cat and a dog", "a page"] * 6)
    ]
    questions.write_text(json.dumps(rows), encoding="utf-8")
    data = {**recipe["data"], "path": str(questions), "documents": None}
    stages = [{"epochs": 0.2, "learning_rate": 1e-3}]
    for finds_own in (False, True):
        evidence = {**recipe["evidence"], "retrieval": {**retrieval, "find_own_snippets": finds_own}}
        asked = {**recipe, "name": f"own-{finds_own}", "data": data, "evidence": evidence, "stages": stages}
        found = strop.fit(asked, runs=tmp_path)
        (place,) = found.folder.evidence.iterdir()
        at = prepare(found.recipe, found.folder, Watchers()).dataset.ids.tolist().index("q0")
        texts = {one.text for one in Retrieved.load(place).passages(at)}
        assert ("the cat" in texts) == finds_own
        assert {"the dog", "a cat and a dog", "a page"} <= texts


def test_check_says_what_the_store_has_and_refuses_where_there_is_nothing(
    recipe: dict[str, Any], tmp_path: Path
) -> None:
    said = [entry.what for entry in check_recipe(resolve(recipe)).entries]
    assert f"{N_ROWS - 1} of {N_ROWS} documents are in the store with their text" in said
    nowhere = tmp_path / "nowhere.sqlite"
    with pytest.raises(DataError, match="there must be documents to search") as caught:
        check_recipe(resolve(recipe, [f"evidence.store={nowhere}"]))
    assert f"none of {N_ROWS} documents is in {nowhere}" in str(caught.value)
    assert not nowhere.exists()
    fetched = resolve(recipe, [f"evidence.store={nowhere}", "evidence.fetch.contact=me@example.org"])
    said = [entry.what for entry in check_recipe(fetched).entries]
    assert f"0 of {N_ROWS} documents are in the store with their text; {N_ROWS} would be fetched" in said
    with DocumentStore(nowhere) as opened:
        opened.put_many([Document("pubmed:1", "failed", reason="gone")])
    said = [entry.what for entry in check_recipe(fetched).entries]
    assert (
        f"0 of {N_ROWS} documents are in the store with their text; {N_ROWS - 1} would be fetched; 1 failed or were "
        "refused before: `strop evidence fetch RECIPE --again` asks again for what failed or was refused"
    ) in said


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["evidence=null"], "data.documents: evidence is read only where the recipe says how"),
        (["data.documents=null", "data.snippets=null"], "evidence: a row's evidence must come from a column"),
        (
            ['text.template="{{ question }}"'],
            "text.template: text and evidence are put together by evidence.prompt alone",
        ),
        (["data.documents=null"], "evidence.retrieval.corpus: documents to be searched must come from a column"),
        (["evidence.retrieval.corpus=snippets"], "evidence.retrieval.source: snippets are searched across all rows"),
        (["evidence.augmentation=null", "evidence.predict=pieces"], "evidence.predict: pieces must be described"),
    ],
)
def test_what_does_not_fit_together_is_said(recipe: dict[str, Any], overrides: list[str], words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        resolve(recipe, overrides)
    assert words in str(caught.value)


def test_a_row_of_the_test_part_is_never_trained_on(run: strop.Run, prepared: Prepared) -> None:
    split = Split.load(run.folder.split)
    (fold,) = split.folds()
    training, _ = training_rows(run.recipe, prepared, fold)
    trained_on = set(prepared.dataset.ids[training.row_of_R].tolist())
    assert trained_on.isdisjoint(split.test.tolist())
    assert trained_on.isdisjoint(fold.validation.tolist())
    assert Dataset.load(run.folder.sealed_data).snippets is not None
