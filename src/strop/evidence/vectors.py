"""Search by meaning: the vectors closest to a question's, exactly or through an approximate index of faiss.

Dimensions: P passages, Q questions, N found, D numbers of a vector.
"""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from strop.evidence.libraries import evidence_library
from strop.records.files import write_bytes

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]
Kind = Literal["hnsw", "ivf"]

# HNSW (Malkov and Yashunin 2018): neighbours of a node, and how many candidates are held while building and searching.
# Of the ten closest of 20,736 snippets of BioASQ it finds 99 %; building with 100 candidates takes twice as long and
# finds 0.4 % more.
LINKS, HELD_WHILE_BUILDING, HELD_WHILE_SEARCHING = 32, 40, 128
# IVF: 4 sqrt(P) lists, but at least 40 passages a list; trained on 64 passages a list; one list in 8 is searched.
LISTS_A_ROOT, LEAST_A_LIST, TRAINED_A_LIST, SEARCHED_SHARE, LEAST_SEARCHED = 4, 40, 64, 8, 8
DIGEST_BYTES = 32
# Looked at beyond what is asked for, to see whether equal passages were left out.
SPARE = 16


def best(score_C: Floats, n: int) -> Numbers:
    """Positions of the n highest scores, best first; of equal ones the earlier comes first."""
    if n <= 0:
        return np.empty(0, dtype=np.intp)
    kept = np.arange(len(score_C))
    if n < len(score_C):
        lowest = np.partition(score_C, len(score_C) - n)[len(score_C) - n]
        kept = np.flatnonzero(score_C >= lowest)
    return np.asarray(kept[np.argsort(-score_C[kept], kind="stable")][:n], dtype=np.intp)


@dataclass(frozen=True)
class VectorIndex:
    """The vectors of all passages.

    Attributes:
        vectors_PD: One vector of length 1 a passage: products are cosines.
        approximate: A faiss index of them; None where every passage is compared.
        kind: Which approximate index.
    """

    vectors_PD: Floats
    approximate: Any = None
    kind: Kind = "hnsw"

    @classmethod
    def of(cls, vectors_PD: Floats, *, exact_below: int, kind: Kind, cache: Path | None = None) -> "VectorIndex":
        """Index vectors.

        Args:
            vectors_PD: One vector of length 1 a passage.
            exact_below: With fewer passages nothing is built, and every passage is compared.
            kind: hnsw: a graph, which holds the vectors once and takes long to build; ivf: lists around centres, which
                hold the vectors a second time, are quick to build, and miss a little more.
            cache: Folder in which what was built is kept, by content; a damaged file is built anew.

        Raises:
            MachineError: faiss is missing, or the cache cannot be written.
        """
        if len(vectors_PD) < exact_below:
            return cls(vectors_PD)
        path = None if cache is None else cache / f"{kind}-{_digest(vectors_PD, kind)[:24]}.faiss"
        index = None if path is None else _read(path, vectors_PD)
        if index is None:
            index = _graph(vectors_PD) if kind == "hnsw" else _lists(vectors_PD)
            if path is not None:
                _write(path, index)
        return cls(_stored(index) if kind == "hnsw" else vectors_PD, index, kind)

    def scores(self, vector_D: Floats, among: Numbers | None = None) -> Floats:
        """Cosine of a question with every passage, or with these, shape (P,) or (len(among),)."""
        vectors = self.vectors_PD if among is None else self.vectors_PD[among]
        return _rounded(vectors @ vector_D)

    def nearest(self, vectors_QD: Floats, n: int) -> list[tuple[Numbers, Floats]]:
        """Positions and cosines of the n closest passages of every question, best first.

        An approximate index gives about the n closest ones, and may give fewer.

        Raises:
            MachineError: faiss is missing.
        """
        n_asked = min(n + SPARE, len(self.vectors_PD))
        if self.approximate is None:
            faiss = evidence_library("faiss")
            score_QN, at_QN = faiss.knn(vectors_QD, self.vectors_PD, n_asked, metric=faiss.METRIC_INNER_PRODUCT)
        else:
            parameters = _search_parameters(self.approximate, self.kind, n_asked)
            score_QN, at_QN = self.approximate.search(vectors_QD, n_asked, params=parameters)
        score_QN = _rounded(score_QN)
        return [self._ordered(*found, n) for found in zip(vectors_QD, at_QN, score_QN, strict=True)]

    def _ordered(self, vector_D: Floats, at_N: Numbers, score_N: Floats, n: int) -> tuple[Numbers, Floats]:
        """The n first of what faiss found, of equal ones the earlier passage first."""
        if self.approximate is None and len(at_N) < len(self.vectors_PD) and score_N[n - 1] == score_N[-1]:
            # More passages are equal to the last one than were looked at: faiss took any of them.
            every_P = self.scores(vector_D)
            first = best(every_P, n)
            return first, every_P[first]
        order = np.lexsort((at_N, -score_N))
        order = order[at_N[order] >= 0][:n]
        return at_N[order].astype(np.intp), score_N[order]


def _rounded(score: Floats) -> Floats:
    """Cosines to six decimals: products of the same vectors differ beyond, with the number of questions."""
    return np.asarray(np.round(score, 6), dtype=np.float32)


def _graph(vectors_PD: Floats) -> Any:
    faiss = evidence_library("faiss")
    index = faiss.IndexHNSWFlat(vectors_PD.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = HELD_WHILE_BUILDING
    index.add(vectors_PD)
    return index


def _lists(vectors_PD: Floats) -> Any:
    faiss = evidence_library("faiss")
    n_passages, dimension = vectors_PD.shape
    n_lists = max(1, min(round(LISTS_A_ROOT * math.sqrt(n_passages)), n_passages // LEAST_A_LIST))
    centres = faiss.IndexFlatIP(dimension)
    index = faiss.IndexIVFFlat(centres, dimension, n_lists, faiss.METRIC_INNER_PRODUCT)
    n_trained = min(n_passages, TRAINED_A_LIST * n_lists)
    index.train(vectors_PD[np.sort(np.random.default_rng(0).choice(n_passages, n_trained, replace=False))])
    index.add(vectors_PD)
    # The list of centres belongs to Python unless it is handed over.
    centres.this.disown()
    index.own_fields = True
    return index


def _search_parameters(index: Any, kind: Kind, n: int) -> Any:
    faiss = evidence_library("faiss")
    if kind == "hnsw":
        return faiss.SearchParametersHNSW(efSearch=max(HELD_WHILE_SEARCHING, 2 * n))
    return faiss.SearchParametersIVF(nprobe=max(LEAST_SEARCHED, index.nlist // SEARCHED_SHARE))


def _stored(index: Any) -> Floats:
    """The vectors as a graph holds them, not copied."""
    faiss = evidence_library("faiss")
    storage = faiss.downcast_index(index.storage)
    flat = faiss.rev_swig_ptr(storage.get_xb(), index.ntotal * index.d)
    return np.asarray(flat).reshape(index.ntotal, index.d)


def _digest(vectors_PD: Floats, kind: Kind) -> str:
    """What an index is known by: its vectors and all that it is built with."""
    built_with = (LINKS, HELD_WHILE_BUILDING) if kind == "hnsw" else (LISTS_A_ROOT, LEAST_A_LIST, TRAINED_A_LIST)
    digest = hashlib.sha256(f"{kind}{built_with}{vectors_PD.shape}".encode())
    digest.update(np.ascontiguousarray(vectors_PD).data)
    return digest.hexdigest()


def _write(path: Path, index: Any) -> None:
    """Write an index after a digest of it: faiss itself would read a damaged one without a word."""
    content = evidence_library("faiss").serialize_index(index).tobytes()
    write_bytes(path, hashlib.sha256(content).digest() + content)


def _read(path: Path, vectors_PD: Floats) -> Any:
    """An index that was kept; None where there is none, or it is damaged."""
    if not path.is_file():
        return None
    content = path.read_bytes()
    digest, content = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        return None
    index = evidence_library("faiss").deserialize_index(np.frombuffer(content, dtype=np.uint8))
    return index if (index.ntotal, index.d) == vectors_PD.shape else None
