"""Judge what is looked up for open rows against the documents of their own snippets."""

from dataclasses import dataclass, replace

import numpy as np

from strop.errors import DataError, Problem
from strop.evaluation.evaluate_retrieval import RetrievalScores, score_retrieval
from strop.evidence.addresses import canonical_address
from strop.evidence.index import PassageIndex
from strop.recipe.sections import Evaluation
from strop.records.dataset import Dataset


@dataclass(frozen=True)
class JudgedRetrieval:
    """How well documents are found that are known to matter.

    Attributes:
        scores: Recall and nDCG of the first k documents, and MRR, with intervals over rows.
        n_rows: Rows that were judged.
        n_rows_without_gold: Open rows without a snippet whose document is known; they are left out.
        n_documents: Documents that matter for a judged row.
        n_documents_without_passages: Those of them that no passage comes from: they cannot be found, and count.
    """

    scores: RetrievalScores
    n_rows: int
    n_rows_without_gold: int
    n_documents: int
    n_documents_without_passages: int


def judge_retrieval(
    index: PassageIndex, open_rows: Dataset, evaluation: Evaluation, *, seed: int, k: int = 10
) -> JudgedRetrieval:
    """Search all documents for every row, and see where the documents of its snippets stand.

    A document stands where its best passage stands. Which documents are a row's own is not used.

    Args:
        index: The passages.
        open_rows: Rows that are not sealed.
        evaluation: The recipe's section: resamples and confidence.
        seed: Draws the resamples.
        k: How many documents are looked up.

    Raises:
        DataError: No row has a snippet whose document is known.
    """
    gold_R = _gold(open_rows)
    judged = np.array([at for at, gold in enumerate(gold_R) if gold], dtype=np.intp)
    if not len(judged):
        problem = Problem(
            where="data.snippets",
            must="at least one row that is not sealed must have snippets with known documents, to judge a search by",
            came=f"none of {open_rows.n_rows} rows",
            do="name a column of snippets that are objects with `text` and `document`",
        )
        raise DataError(problem)
    rows = open_rows.take(judged)
    one_a_document = index.retrieval.model_copy(update={"n_passages": k, "per_document": 1})
    found = replace(index, retrieval=one_a_document).search(rows.joined_texts().tolist())
    gold = [gold_R[at] for at in judged]
    scores = score_retrieval(
        [[canonical_address(one.passage.document) for one in ranking] for ranking in found],
        gold,
        k=k,
        n_bootstrap=evaluation.n_bootstrap,
        confidence=evaluation.confidence,
        seed=seed,
        groups=rows.groups,
    )
    documents = {document for one in gold for document in one}
    with_passages = {canonical_address(passage.document) for passage in index.passages}
    n_left_out = open_rows.n_rows - len(judged)
    return JudgedRetrieval(scores, len(judged), n_left_out, len(documents), len(documents - with_passages))


def _gold(rows: Dataset) -> list[dict[str, float]]:
    """For every row the documents that its snippets come from."""
    if rows.snippets is None:
        return [{} for _ in range(rows.n_rows)]
    return [{canonical_address(one.document): 1.0 for one in row if one.document} for row in rows.snippets]
