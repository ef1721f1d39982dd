"""Near duplicates: found, numbered, and not confused with the merely similar."""

import random
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strop.data.duplicates import comparable, connected, near_duplicate_clusters, numbered_by_appearance, shingles
from strop.records.dataset import strings

SENTENCE = "How do I undo the last commit in git without losing the changes I made to my files since then"


def clusters(*texts, similarity=0.8, seed=0):
    return near_duplicate_clusters(strings(texts), similarity, seed).tolist()


def exact_similarity(one, other):
    left, right = set(shingles(comparable(one)).tolist()), set(shingles(comparable(other)).tolist())
    return len(left & right) / len(left | right)


def test_equal_but_for_case_and_white_space():
    assert clusters("Hi", "hi ", "ho", "", " ", "H  i") == [0, 0, 1, 2, 2, 3]


def test_near_duplicates_are_found():
    texts = [SENTENCE, "something else entirely, about the weather", SENTENCE + "?", SENTENCE.replace("undo", "UNDO")]
    assert clusters(*texts) == [0, 1, 0, 0]


def test_similarity_is_that_of_shingles():
    other = SENTENCE.replace("commit", "merge").replace("files", "papers")
    assert 0.55 < exact_similarity(SENTENCE, other) < 0.75
    assert clusters(SENTENCE, other, similarity=0.9) == [0, 1]
    assert clusters(SENTENCE, other, similarity=0.4) == [0, 0]


def test_short_texts_are_near_only_if_equal():
    assert clusters("abcdef", "abcdeg", "yes", "yes!", similarity=0.1) == [0, 1, 2, 3]


def test_similarity_of_one_joins_equal_shingles_only():
    assert clusters(SENTENCE, SENTENCE + " the day before", SENTENCE.upper(), similarity=1.0) == [0, 1, 0]


def test_clusters_are_chains():
    texts = [SENTENCE + "".join(f" and {word}" for word in ("then", "also", "what", "more")[:n]) for n in range(5)]
    assert exact_similarity(texts[0], texts[4]) < 0.8
    assert clusters(*texts) == [0] * 5


def test_korean():
    texts = [
        "과제 제출 기한이 언제까지인지 알려 주세요",
        "과제 제출 기한이 언제까지인지 알려 주세요!",
        "서버가 켜지지 않아요",
    ]
    assert clusters(*texts) == [0, 0, 1]


def test_lone_surrogates_and_no_rows():
    assert clusters("\ud800 broken text", "\ud800 broken text") == [0, 0]
    assert clusters() == []


def test_shingles_are_counted_once():
    assert len(shingles("abcd")) == 0
    assert len(shingles("abcdef")) == 2
    assert len(shingles("aaaaaaaaaa")) == 1


def test_connected_and_numbered():
    assert connected(5, [(4, 1), (1, 2)]).tolist() == [0, 1, 1, 2, 1]
    assert connected(2, []).tolist() == [0, 1]
    assert numbered_by_appearance(strings(["b", "a", "b"])).tolist() == [0, 1, 0]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.sampled_from(["aa", "bb", "cc", "longer words", "한국어 문장"]), min_size=1, max_size=30), st.randoms()
)
def test_clusters_do_not_depend_on_the_order_of_rows(words, shuffler):
    texts = [" ".join(words[: n + 1]) for n in range(len(words))]
    order = list(range(len(texts)))
    shuffler.shuffle(order)
    straight, shuffled = clusters(*texts), clusters(*[texts[at] for at in order])
    back = [shuffled[order.index(at)] for at in range(len(texts))]
    assert numbered_by_appearance(np.array(back)).tolist() == straight


def test_many_texts_of_one_pattern_stay_quick():
    rng = random.Random(0)
    texts = [f"{SENTENCE} number {rng.randrange(10**6)}" for _ in range(2000)]
    start = time.perf_counter()
    assert len(set(clusters(*texts))) < 20
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("seed", range(3))
def test_pairs_well_above_the_similarity_are_not_missed(seed):
    rng = random.Random(seed)
    words = [f"{rng.randrange(10**5)}" for _ in range(400)]
    texts = [" ".join(rng.choices(words, k=40)) for _ in range(100)]
    changed = [text.rsplit(" ", 2)[0] for text in texts]
    assert min(exact_similarity(a, b) for a, b in zip(texts, changed, strict=True)) > 0.88
    assert clusters(*texts, *changed, seed=seed) == [*range(100), *range(100)]
