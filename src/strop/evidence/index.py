"""Passages that can be looked up: by words, by meaning, or by both, among all documents or a row's own.

Dimensions: P passages, C candidates, D numbers of a vector.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from strop.errors import ModelError, Problem
from strop.evidence.embed import Embedded, Progress, embed_texts
from strop.evidence.encoder import Encoder
from strop.evidence.rerank import Reranker
from strop.evidence.vectors import VectorIndex, best
from strop.evidence.words import WordIndex
from strop.recipe.evidence import Retrieval
from strop.records.evidence import Found, Passage

Floats = NDArray[np.float32]
Numbers = NDArray[np.intp]
# Positions of passages with their scores, best first.
Ranking = list[tuple[int, float]]

# Reciprocal rank fusion (Cormack, Clarke and Buettcher 2009): the constant of the paper.
FUSION_CONSTANT = 60


@dataclass(frozen=True)
class PassageIndex:
    """Passages, and what they are found by.

    Attributes:
        passages: In a fixed order; of passages that fit equally well the earlier one comes first.
        retrieval: The recipe's section.
        words: For the methods bm25 and fused.
        meaning: For the methods dense and fused.
        encoder: What `meaning` was made with.
        reranker: Orders candidates anew.
        embedded: How many vectors were computed and how many were there, where there are vectors.
        cache: Folder of the vectors.
    """

    passages: tuple[Passage, ...]
    retrieval: Retrieval
    words: WordIndex | None = None
    meaning: VectorIndex | None = None
    encoder: Encoder | None = None
    reranker: Reranker | None = None
    embedded: Embedded | None = None
    cache: Path | None = None

    @classmethod
    def of(
        cls,
        passages: Sequence[Passage],
        retrieval: Retrieval,
        *,
        encoder: Encoder | None = None,
        reranker: Reranker | None = None,
        cache: Path | None = None,
        progress: Progress | None = None,
    ) -> "PassageIndex":
        """Index passages, each by its document's title and its text.

        Args:
            passages: As `cut_passages` gives them.
            retrieval: Which methods, prefixes and sizes.
            encoder: Turns texts into vectors; needed for the methods dense and fused.
            reranker: Orders candidates anew, where one is wanted.
            cache: Folder in which vectors and approximate indexes are kept.
            progress: Receives how many passages have their vectors, and how many there are.

        Raises:
            MachineError: A library is missing, the memory does not do, or the cache cannot be written.
            ModelError: The encoder cannot be used, or there is none.
        """
        texts = [passage_text(passage) for passage in passages]
        by_words = retrieval.method in ("bm25", "fused")
        embedded = meaning = None
        if retrieval.method in ("dense", "fused"):
            if encoder is None:
                raise ModelError(_no_encoder(retrieval.method))
            embedded = embed_texts(texts, encoder, prefix=retrieval.passage_prefix, cache=cache, progress=progress)
            meaning = VectorIndex.of(
                embedded.vectors_ND, exact_below=retrieval.exact_below, kind=retrieval.approximate, cache=cache
            )
        words = WordIndex.of(texts) if by_words else None
        return cls(tuple(passages), retrieval, words, meaning, encoder, reranker, embedded, cache)

    @cached_property
    def _rows_of(self) -> dict[str, Numbers]:
        """Positions of every document's passages."""
        rows: dict[str, list[int]] = {}
        for at, passage in enumerate(self.passages):
            rows.setdefault(passage.document, []).append(at)
        return {document: np.array(at, dtype=np.intp) for document, at in rows.items()}

    def search(self, questions: Sequence[str], own: Sequence[Collection[str]] | None = None) -> list[list[Found]]:
        """Look up passages for every question.

        A passage that shares no word with the question is not found by words. Where an approximate index gives too few
        passages because of `per_document`, every passage is compared.

        Args:
            questions: What is asked.
            own: For every question the addresses of the documents to search; None to search all. Passages of exactly
                these documents are compared, each with its exact score.

        Returns:
            For every question at most `n_passages`, best first; the score is that of the method (BM25, cosine, the
            sum of reciprocal ranks), or that of the reranker.

        Raises:
            ValueError: `own` has another length than `questions`.
        """
        if own is not None and len(own) != len(questions):
            raise ValueError(f"own documents must be given for {len(questions)} questions, came {len(own)}")
        if not questions or not self.passages:
            return [[] for _ in questions]
        among = None if own is None else [self._among(documents) for documents in own]
        by_meaning = self._by_meaning(questions, among) if self.meaning is not None else None
        found = []
        for number, question in enumerate(questions):
            rankings = (
                [] if self.words is None else [self._by_words(question, None if among is None else among[number])]
            )
            rankings += [] if by_meaning is None else [by_meaning[number]]
            found.append(self._found(question, rankings))
        return found

    def _among(self, documents: Collection[str]) -> Numbers:
        rows = [self._rows_of[document] for document in set(documents) if document in self._rows_of]
        return np.sort(np.concatenate(rows)) if rows else np.empty(0, dtype=np.intp)

    @property
    def _n_candidates(self) -> int:
        return max(self.retrieval.n_passages, self.retrieval.n_candidates)

    def _by_words(self, question: str, among: Numbers | None) -> Ranking:
        """What shares words with a question, best first."""
        if self.words is None:
            raise ValueError("the passages are not indexed by words")
        score_P = self.words.scores(question)
        sharing = np.flatnonzero(score_P > 0) if among is None else among[score_P[among] > 0]
        return self._best_of(sharing, score_P[sharing])

    def _by_meaning(self, questions: Sequence[str], among: Sequence[Numbers] | None) -> list[Ranking]:
        """What is closest to every question, best first."""
        if self.meaning is None or self.encoder is None:
            raise ValueError("the passages are not indexed by meaning")
        prefix = self.retrieval.query_prefix
        vectors_QD = embed_texts(questions, self.encoder, prefix=prefix, cache=self.cache).vectors_ND
        if among is not None:
            pairs = zip(vectors_QD, among, strict=True)
            return [self._best_of(rows, self.meaning.scores(vector_D, rows)) for vector_D, rows in pairs]
        rankings = [self._best_of(*near) for near in self.meaning.nearest(vectors_QD, self._n_candidates)]
        every, wanted = np.arange(len(self.passages)), min(self._n_candidates, len(self.passages))
        for number, ranking in enumerate(rankings):
            if len(ranking) < wanted:
                rankings[number] = self._best_of(every, self.meaning.scores(vectors_QD[number]))
        return rankings

    def _found(self, question: str, rankings: Sequence[Ranking]) -> list[Found]:
        candidates = self._fused(rankings)
        if self.reranker is not None:
            texts = [passage_text(self.passages[at]) for at, _ in candidates]
            score_C = self.reranker.scores(question, texts)
            candidates = [(candidates[at][0], float(score_C[at])) for at in best(score_C, len(score_C))]
        first = candidates[: self.retrieval.n_passages]
        return [Found(self.passages[at], score, rank) for rank, (at, score) in enumerate(first, start=1)]

    def _best_of(self, row_C: Numbers, score_C: Floats) -> Ranking:
        """The best rows with their scores, as many as are candidates, at most `per_document` of a document."""
        n = self._n_candidates
        if self.retrieval.per_document is None:
            return [(int(row_C[at]), float(score_C[at])) for at in best(score_C, n)]
        ordered = ((int(row_C[at]), float(score_C[at])) for at in best(score_C, len(score_C)))
        return self._within_documents(ordered)

    def _within_documents(self, ordered: Iterable[tuple[int, float]]) -> Ranking:
        taken: Ranking = []
        n_of: Counter[str] = Counter()
        for at, score in ordered:
            document = self.passages[at].document
            if self.retrieval.per_document is None or n_of[document] < self.retrieval.per_document:
                n_of[document] += 1
                taken.append((at, score))
            if len(taken) == self._n_candidates:
                break
        return taken

    def _fused(self, rankings: Sequence[Ranking]) -> Ranking:
        """One ranking as it is; several by the sum over them of 1 / (60 + rank)."""
        if len(rankings) == 1:
            return rankings[0]
        score_of: dict[int, float] = {}
        for ranking in rankings:
            for rank, (at, _) in enumerate(ranking, start=1):
                score_of[at] = score_of.get(at, 0.0) + 1.0 / (FUSION_CONSTANT + rank)
        return self._within_documents(sorted(score_of.items(), key=lambda one: (-one[1], one[0])))


def passage_text(passage: Passage) -> str:
    """What a passage is found by: its document's title and its text."""
    return f"{passage.title}\n{passage.text}" if passage.title else passage.text


def _no_encoder(method: str) -> Problem:
    return Problem(
        where="evidence.retrieval.encoder",
        must=f"the method {method} needs a model that turns texts into vectors",
        came="none",
        do="name one, or take the method bm25",
    )
