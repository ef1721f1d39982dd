import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strop.evidence.words import K1, B, WordIndex, search_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The studies of IL-2 receptors.", ["study", "il", "2", "receptor"]),
        (
            "Virus, viruses, glass, glasses, gas, bodies, DNAs",
            ["virus", "viruse", "glass", "glasse", "gas", "body", "dna"],
        ),
        ("Sjögren’s naïve ＢＥＲＴ", ["sjogren", "s", "naive", "bert"]),
        ("점심시간은 언제", ["점심", "심시", "시간", "간은", "언제"]),
        ("약", ["약"]),
        ("BERT모델을 씀", ["bert", "모델", "델을", "씀"]),
        ("東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("TNF-α_2 and β", ["tnf", "α", "2", "β"]),
        (" . ", []),
    ],
)
def test_what_a_text_is_found_by(text: str, words: list[str]) -> None:
    assert search_words(text) == words


@given(st.text())
def test_any_text_has_words(text: str) -> None:
    assert all(search_words(text))


def test_scores_are_lucenes_bm25() -> None:
    texts = ["heart attack heart", "attack", "lung cancer of smokers"]
    scores = WordIndex.of(texts).scores("heart attack")
    lengths, average = np.array([3.0, 1.0, 3.0]), 7 / 3  # "of" counts for nothing

    def part(counts: list[int]) -> np.ndarray:
        n_with = sum(count > 0 for count in counts)
        rarity = np.log(1 + (3 - n_with + 0.5) / (n_with + 0.5))
        return rarity * np.array(counts) / (np.array(counts) + K1 * (1 - B + B * lengths / average))

    np.testing.assert_allclose(scores, part([2, 0, 0]) + part([1, 1, 0]), rtol=1e-5)


def test_a_korean_word_is_found_whatever_particle_follows_it() -> None:
    scores = WordIndex.of(["도서관에서 책을 빌립니다", "점심은 식당에서", "도서관이 문을 닫았다"]).scores(
        "도서관은 어디"
    )
    assert scores[1] == 0
    assert scores[0] > 0
    assert scores[2] > 0


@pytest.mark.parametrize("texts", [[], ["", "the of"]])
def test_passages_without_words_score_nothing(texts: list[str]) -> None:
    assert WordIndex.of(texts).scores("heart").tolist() == [0.0] * len(texts)


def test_a_question_without_known_words_scores_nothing() -> None:
    assert WordIndex.of(["heart", "lung"]).scores("the 간").tolist() == [0.0, 0.0]
