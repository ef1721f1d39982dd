"""Index passages with the models that a recipe names."""

from collections.abc import Sequence
from pathlib import Path

from strop.evidence.embed import Progress
from strop.evidence.encoder import Encoder
from strop.evidence.index import PassageIndex
from strop.evidence.rerank import Reranker
from strop.models.locate import locate_model
from strop.recipe.evidence import Evidence, Retrieval
from strop.recipe.sections import Recipe
from strop.records.evidence import Passage


def index_passages(
    recipe: Recipe, evidence: Evidence, passages: Sequence[Passage], *, progress: Progress | None = None
) -> PassageIndex:
    """Index passages as a recipe says; vectors are kept beside its store of documents.

    Args:
        recipe: Its model is the encoder where `evidence.retrieval` names none.
        evidence: The recipe's section; without `retrieval` its defaults are taken.
        passages: What is searched.
        progress: Receives how many passages have their vectors, and how many there are.

    Raises:
        MachineError: A library is missing, the memory does not do, or the vectors cannot be written.
        ModelError: The encoder or the reranker cannot be used.
    """
    retrieval = evidence.retrieval or Retrieval()
    trust, encoder, reranker = recipe.model.trust_remote_code, None, None
    if retrieval.method != "bm25":
        named = {"name": retrieval.encoder, "revision": None} if retrieval.encoder else {}
        encoder = Encoder(locate_model(recipe.model.model_copy(update=named)), trust)
    if retrieval.reranker is not None:
        reranker = Reranker.named(retrieval.reranker, trust_remote_code=trust)
    cache = vectors_folder(evidence)
    return PassageIndex.of(passages, retrieval, encoder=encoder, reranker=reranker, cache=cache, progress=progress)


def vectors_folder(evidence: Evidence) -> Path:
    """Where the vectors of a store's passages are kept: `evidence.vectors` beside `evidence.sqlite`."""
    return Path(evidence.store).with_suffix(".vectors")
