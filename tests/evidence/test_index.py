from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strop.errors import ModelError
from strop.evidence.encoder import Encoder
from strop.evidence.index import PassageIndex, passage_text
from strop.evidence.rerank import Reranker
from strop.models.locate import locate_model
from strop.recipe.evidence import Retrieval
from strop.recipe.sections import Model
from strop.records.evidence import Found, Passage

PASSAGES = [
    Passage("python loop error", "d1"),
    Passage("python function", "d1"),
    Passage("python compile error again", "d1"),
    Passage("page button", "d2"),
    Passage("python page", "d2"),
    Passage("lunch and music", "d3"),
    Passage("날씨 음악", "d4"),
]


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return Encoder(locate_model(Model(name=str(tiny_encoder))))


def index(encoder: Encoder | None = None, passages: list[Passage] = PASSAGES, **settings: Any) -> PassageIndex:
    return PassageIndex.of(passages, Retrieval(**settings), encoder=encoder)


def at(found: list[Found]) -> list[int]:
    assert [one.rank for one in found] == list(range(1, len(found) + 1))
    return [PASSAGES.index(one.passage) for one in found]


def test_by_words_only_what_shares_a_word_is_found() -> None:
    (found,) = index(method="bm25").search(["python error"])
    assert at(found)[:2] == [0, 2]
    assert set(at(found)) == {0, 1, 2, 4}
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert index(method="bm25").search(["chair"]) == [[]]


def test_by_meaning_a_text_is_closest_to_itself(encoder: Encoder) -> None:
    found = index(encoder, method="dense", n_passages=3).search([passage_text(one) for one in PASSAGES])
    assert [at(one)[0] for one in found] == list(range(len(PASSAGES)))
    assert all(len(one) == 3 and one[0].score == pytest.approx(1.0, abs=1e-5) for one in found)


def test_fusion_sums_reciprocal_ranks(encoder: Encoder) -> None:
    question = "python error"
    by_words = at(index(method="bm25", n_passages=7).search([question])[0])
    by_meaning = at(index(encoder, method="dense", n_passages=7).search([question])[0])
    (found,) = index(encoder, method="fused", n_passages=7).search([question])
    expected = {
        number: sum(1 / (60 + ranks.index(number) + 1) for ranks in (by_words, by_meaning) if number in ranks)
        for number in by_meaning
    }
    assert at(found) == sorted(expected, key=lambda number: (-expected[number], number))
    np.testing.assert_allclose([one.score for one in found], sorted(expected.values(), reverse=True))


@pytest.mark.parametrize("method", ["bm25", "dense", "fused"])
@pytest.mark.parametrize("exact_below", [100, 1])
def test_own_documents_alone_are_searched_and_never_come_out_empty(
    encoder: Encoder, method: str, exact_below: int
) -> None:
    # One passage of the row's own among very many that fit better.
    crowd = [Passage("python error", f"other:{number}") for number in range(200)] + [Passage("python page", "mine")]
    searched = index(encoder, crowd, method=method, n_candidates=5, n_passages=5, exact_below=exact_below)
    found = searched.search(["python error"] * 3, own=[["mine"], ["unknown", "mine"], []])
    assert [[one.passage.document for one in one_found] for one_found in found] == [["mine"], ["mine"], []]


# Not fused: ranks among fewer passages are other ranks.
@pytest.mark.parametrize("method", ["bm25", "dense"])
def test_own_documents_keep_their_scores(encoder: Encoder, method: str) -> None:
    searched = index(encoder, method=method, n_passages=7)
    whole = {one.passage: one.score for one in searched.search(["python page"])[0]}
    (own,) = searched.search(["python page"], own=[{"d1", "d2"}])
    assert {one.passage.document for one in own} == {"d1", "d2"}
    assert all(one.score == pytest.approx(whole[one.passage], rel=1e-5) for one in own)


@pytest.mark.parametrize("method", ["bm25", "dense", "fused"])
@pytest.mark.parametrize("exact_below", [100, 1])
def test_passages_of_one_document_are_limited_without_leaving_places_empty(
    encoder: Encoder, method: str, exact_below: int
) -> None:
    crowd = [Passage("python error", "d0") for _ in range(50)]
    crowd += [Passage("python page", f"d{number}") for number in range(1, 6)]
    searched = index(
        encoder, crowd, method=method, n_candidates=4, n_passages=4, per_document=1, exact_below=exact_below
    )
    (found,) = searched.search(["python error"])
    assert [one.passage.document for one in found] == ["d0", "d1", "d2", "d3"]
    (two,) = index(encoder, crowd, method=method, n_passages=4, per_document=2).search(["python error"])
    assert [one.passage.document for one in two] == ["d0", "d0", "d1", "d2"]


def test_of_equal_passages_the_earlier_comes_first(encoder: Encoder) -> None:
    twins = [Passage("python error", f"d{number}") for number in range(30)]
    for method in ("bm25", "dense", "fused"):
        (found,) = index(encoder, twins, method=method, n_passages=3).search(["python error"])
        assert [one.passage.document for one in found] == ["d0", "d1", "d2"]


def test_the_title_counts_too() -> None:
    passages = [Passage("it works", "d1", title="Heart failure"), Passage("it works", "d2", title="Asthma")]
    (found,) = index(passages=passages, method="bm25").search(["asthma"])
    assert [one.passage.document for one in found] == ["d2"]


def test_prefixes_stand_before_questions_and_passages(encoder: Encoder) -> None:
    plain = index(encoder, method="dense", n_passages=1)
    prefixed = index(encoder, method="dense", n_passages=1, query_prefix="my ", passage_prefix="my ")
    assert plain.search(["page button"])[0][0].score == pytest.approx(1.0, abs=1e-5)
    assert prefixed.search(["page button"])[0][0].score == pytest.approx(1.0, abs=1e-5)
    other = index(encoder, method="dense", n_passages=7, query_prefix="my ").search(["page button"])[0]
    assert max(one.score for one in other) < 1.0 - 1e-3


def test_nothing_to_search_and_nothing_asked() -> None:
    assert index(passages=[], method="bm25").search(["python"]) == [[]]
    assert index(method="bm25").search([]) == []


def test_own_documents_must_be_given_for_every_question() -> None:
    with pytest.raises(ValueError, match="own documents must be given for 2 questions, came 1"):
        index(method="bm25").search(["a", "b"], own=[["d1"]])


def test_without_an_encoder_only_words_can_be_compared() -> None:
    with pytest.raises(ModelError) as raised:
        index(method="fused")
    (problem,) = raised.value.problems
    assert (problem.where, problem.came) == ("evidence.retrieval.encoder", "none")
    assert problem.must == "the method fused needs a model that turns texts into vectors"
    assert problem.do == "name one, or take the method bm25"


def cross_encoder(folder: Path, source: Path, n_outputs: int) -> Path:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=n_outputs)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


def test_a_reranker_orders_the_candidates_anew(tiny_encoder: Path, tmp_path: Path) -> None:
    reranker = Reranker.named(str(cross_encoder(tmp_path / "cross", tiny_encoder, 1)))
    texts = [one.text for one in PASSAGES[:3]]
    scores = reranker.scores("python error", texts)
    assert scores.shape == (3,)
    assert len(set(scores.tolist())) == 3
    assert reranker.scores("python error", []).shape == (0,)
    retrieval = Retrieval(method="bm25", n_passages=3, n_candidates=3)
    (found,) = PassageIndex.of(PASSAGES[:3], retrieval, reranker=reranker).search(["python error"])
    assert at(found) == np.argsort(-scores).tolist()
    np.testing.assert_allclose([one.score for one in found], np.sort(scores)[::-1], rtol=1e-2)


def test_a_reranker_must_be_a_cross_encoder(tiny_encoder: Path, tmp_path: Path) -> None:
    for folder, came in (
        (tiny_encoder, "BertModel with 2 outputs"),
        (cross_encoder(tmp_path / "three", tiny_encoder, 3), "BertForSequenceClassification with 3 outputs"),
    ):
        with pytest.raises(ModelError) as raised:
            Reranker.named(str(folder))
        (problem,) = raised.value.problems
        assert problem.must == "a reranker must be a sequence classifier with one output (a cross-encoder)"
        assert problem.came == came
