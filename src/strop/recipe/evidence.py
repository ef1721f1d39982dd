"""The section `evidence`: documents are fetched, cut into passages, indexed, retrieved, and put beside a row's text."""

from typing import Annotated, Literal

from pydantic import Field

from strop.recipe.section import AtLeastOne, Count, Positive, Section


class Fetch(Section):
    """How documents are asked for over the network. Each is asked for once and then kept in the store."""

    contact: Annotated[str, Field(min_length=3, pattern=r"^[ -~]+$")]
    """An address of yours, e-mail or web page: servers are told whom to write to."""
    api_key_variable: str = "NCBI_API_KEY"
    """The environment variable that holds your NCBI key, if you have one; the key itself never stands in a recipe."""
    pubmed_url: Annotated[str, Field(pattern=r"^https?://[^\s@]+$")] = "https://eutils.ncbi.nlm.nih.gov/entrez/eutils"
    """Where PubMed records are asked for."""
    ids_per_request: Annotated[int, Field(ge=1, le=200)] = 200
    """PubMed ids in one request."""
    requests_per_second: Positive | None = None
    """Most requests a second to `pubmed_url`; without a value 3, or 10 with a key, as NCBI asks."""
    pages_per_second: Positive = 1.0
    """Most requests a second to any other host."""
    max_connections: Count = 8
    """Requests under way at once."""
    timeout_seconds: Positive = 30.0
    """Longest wait for a connection, and for each piece of an answer; the whole may take ten times as long."""
    max_bytes: Count = 10 * 2**20
    """Longest answer, after decompression; of records that are too long together each is asked for by itself."""
    n_attempts: Count = 5
    """How often a document is asked for before it counts as failed."""
    backoff_seconds: Positive = 1.0
    """Longest wait after the first attempt that failed; it doubles with each, and what is waited is drawn from it."""
    allow_hosts: list[str] = []
    """Hosts that may be asked although they are private or this very machine."""
    on_failure: Literal["go_on", "stop"] = "go_on"
    """Whether a run goes on without the documents that could not be had; they are listed either way."""


class Passages(Section):
    """How documents are cut: by whole sentences."""

    max_length_tokens: Annotated[int, Field(ge=16)] = 128
    """Longest passage, in tokens of the model that reads it."""
    overlap_sentences: Annotated[int, Field(ge=0)] = 1
    """Sentences that two neighbouring passages share."""
    language: str = "en"
    """Language of the documents, for the rules of sentence ends (ISO 639-1)."""
    keep_retracted: bool = False
    """Whether documents that were retracted are cut too; without it they give no passages."""


class Retrieval(Section):
    """Which passages are looked up for a row."""

    corpus: Literal["documents", "snippets"] = "documents"
    """Search the passages of documents, or take the snippets of all rows for passages."""
    source: Literal["own", "all"] = "own"
    """Search the row's own documents, or what all rows have."""
    find_own_snippets: bool = False
    """Whether a row's own snippets, which it is given anyway, may be found among the snippets of all rows."""
    method: Literal["bm25", "dense", "fused"] = "fused"
    """By words (BM25), by sentence embeddings, or both, fused by reciprocal rank."""
    n_passages: Count = 5
    """Passages a row is given."""
    per_document: Count | None = None
    """At most so many passages of one document."""
    n_candidates: Count = 50
    """Passages that each method puts forward before they are fused or reranked."""
    encoder: str | None = None
    """The sentence-embedding model; without a value the recipe's own model."""
    query_prefix: str = ""
    """What the encoder expects before a question, for example "query: "."""
    passage_prefix: str = ""
    """What the encoder expects before a passage, for example "passage: "."""
    reranker: str | None = None
    """A cross-encoder that orders the candidates anew."""
    exact_below: Count = 100_000
    """With fewer passages every one is compared; from here on the index is approximate."""
    approximate: Literal["hnsw", "ivf"] = "hnsw"
    """Which approximate index."""


class Augmentation(Section):
    """Further training rows: the same row with a part of its evidence. Training rows alone are split so."""

    pieces: Literal["by_source", "by_passage"] = "by_source"
    """One piece with the snippets and one with the retrieved passages, or one piece a passage."""
    labels: Literal["rare", "all"] | AtLeastOne = "rare"
    """Rows of which labels are split: the rarest label of the training part, all labels, or these."""
    keep_whole: bool = True
    """Whether the row with all its evidence stays beside its pieces."""


class Evidence(Section):
    """Where passages that a row is judged by come from, and how they stand beside the row's text."""

    store: str = "evidence.sqlite"
    """The file in which fetched documents are kept; runs may share it."""
    fetch: Fetch | None = None
    """Ask for documents that the store does not have; without it only stored documents are used."""
    passages: Passages = Passages()
    """How documents are cut."""
    retrieval: Retrieval | None = None
    """Which passages are looked up for a row; without it a row has its snippets alone."""
    prompt: str | None = None
    """A Jinja template over the row's columns, `snippets` and `passages` (lists of objects with `text`, `document`,
    `title`); what does not fit the model's length is left out from the end of these lists, the rest is never cut."""
    augmentation: Augmentation | None = None
    """Split the evidence of training rows into several."""
    predict: Literal["whole", "pieces"] = "whole"
    """Predict a row with all its evidence at once, or average the logits of its pieces (see `augmentation.pieces`)."""
