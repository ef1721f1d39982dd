from pathlib import Path

import numpy as np
import pytest

from strop.evidence.vectors import Kind, VectorIndex, best


def unit_vectors(n: int, dimension: int = 16, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(n, dimension)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_the_best_come_first_and_of_equal_ones_the_earlier() -> None:
    scores = np.array([1, 3, 2, 3, 2, 0], dtype=np.float32)
    assert best(scores, 3).tolist() == [1, 3, 2]
    assert best(scores, 4).tolist() == [1, 3, 2, 4]
    assert best(scores, 99).tolist() == [1, 3, 2, 4, 0, 5]
    assert best(scores, 0).tolist() == []
    assert best(scores[:0], 3).tolist() == []


def test_fewer_passages_are_compared_one_by_one() -> None:
    vectors = unit_vectors(20)
    index = VectorIndex.of(vectors, exact_below=21, kind="hnsw")
    assert index.approximate is None
    np.testing.assert_allclose(index.scores(vectors[3]), vectors @ vectors[3], atol=1e-6)
    np.testing.assert_allclose(index.scores(vectors[3], np.array([5, 3])), [vectors[5] @ vectors[3], 1.0], atol=1e-6)
    ((at, score),) = index.nearest(vectors[3:4], 2)
    assert at.tolist() == best(vectors @ vectors[3], 2).tolist()
    np.testing.assert_allclose(score, (vectors @ vectors[3])[at], atol=1e-6)


@pytest.mark.parametrize("n_questions", [1, 50])
def test_of_equal_passages_the_first_are_nearest_however_many_there_are(n_questions: int) -> None:
    vectors = np.concatenate([unit_vectors(20), np.tile(unit_vectors(1, seed=1), (300, 1))])
    index = VectorIndex.of(vectors, exact_below=1000, kind="hnsw")
    for at, _ in index.nearest(np.tile(vectors[-1:], (n_questions, 1)), 10):
        assert at.tolist() == list(range(20, 30))


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_an_approximate_index_finds_nearly_what_an_exact_one_does(kind: Kind) -> None:
    vectors, questions = unit_vectors(2000), unit_vectors(50, seed=1)
    index = VectorIndex.of(vectors.copy(), exact_below=1, kind=kind)
    assert index.vectors_PD.shape == vectors.shape
    np.testing.assert_array_equal(index.vectors_PD, vectors)
    n_right = 0
    for question, (at, score) in zip(questions, index.nearest(questions, 10), strict=True):
        np.testing.assert_allclose(score, vectors[at] @ question, atol=1e-6)
        assert (np.diff(score) <= 0).all()
        n_right += len(set(at.tolist()) & set(best(vectors @ question, 10).tolist()))
    assert n_right >= {"hnsw": 495, "ivf": 350}[kind]


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_a_kept_index_is_read_and_a_damaged_one_built_anew(kind: Kind, tmp_path: Path) -> None:
    vectors = unit_vectors(300)
    first = VectorIndex.of(vectors, exact_below=1, kind=kind, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    again = VectorIndex.of(vectors, exact_below=1, kind=kind, cache=tmp_path)
    assert file.stat().st_mtime_ns == written
    assert again.nearest(vectors[7:8], 5)[0][0].tolist() == first.nearest(vectors[7:8], 5)[0][0].tolist()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    mended = VectorIndex.of(vectors, exact_below=1, kind=kind, cache=tmp_path)
    assert mended.nearest(vectors[7:8], 5)[0][0].tolist() == first.nearest(vectors[7:8], 5)[0][0].tolist()
    assert file.read_bytes() != bytes(content)
    VectorIndex.of(unit_vectors(300, seed=2), exact_below=1, kind=kind, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_few_passages_can_be_approximate_too() -> None:
    vectors = unit_vectors(3)
    for kind in ("hnsw", "ivf"):
        ((at, _),) = VectorIndex.of(vectors, exact_below=1, kind=kind).nearest(vectors[1:2], 10)
        assert sorted(at.tolist()) == [0, 1, 2]
