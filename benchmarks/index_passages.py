r"""How fast are passages indexed and looked up, beside LangChain's FAISS store?

Indexing: the same passages (cut from BioASQ snippets) and the same model (minilm), each side in a process of its own.
Strop turns them into vectors, writes these to its cache, and indexes vectors and words. LangChain's side is
`FAISS.from_texts` with `HuggingFaceEmbeddings`, library defaults: vectors alone, nothing kept. The clock runs from the
loaded model to the finished index; the sides take turns, three times, and the quickest time of each counts, since other
work on the machine only ever slows one down. The seconds that cutting takes stand beside it (by sentences, in tokens of
the model; and by LangChain's RecursiveCharacterTextSplitter, in characters).

Search: 100,000 passages of real texts (BioASQ snippets, pathology reports, question pages). Vectors of what lies in
the cache are the model's, all others are random: they serve to tell how long a search takes, not how good it is.

LangChain is installed beside the project, and its folder named by an environment variable:

    pip install --target /tmp/langchain --no-deps langchain-community langchain-huggingface langchain-text-splitters \
        langchain-core langchain-classic langchain-protocol langsmith jsonpatch jsonpointer uuid-utils tenacity \
        sniffio distro requests-toolbelt
    STROP_LANGCHAIN=/tmp/langchain python benchmarks/index_passages.py            # about 10 minutes on one core
    STROP_LANGCHAIN=/tmp/langchain python benchmarks/index_passages.py --quick    # fewer passages; ratios are rougher
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bioasq_passages import bioasq_questions, many_passages
from common_ground import model_folder, run_side, say_machine, say_result

GOAL = 2.0
MODEL = "minilm"
# What one side indexes at a time, how often, and how many passages are searched.
INDEXED, ROUNDS, SEARCHED = 1024, 3, 100_000
N_QUESTIONS = 300
SPLITTER = {"chunk_size": 500, "chunk_overlap": 50}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cache", type=Path, help="folder of vectors that benchmarks/retrieval.py kept")
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--request", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        print(json.dumps(SIDES[asked.side](json.loads(asked.request.read_text(encoding="utf-8")))))
        return
    langchain_folder()
    say_machine(__doc__.splitlines()[0])
    with tempfile.TemporaryDirectory() as work:
        sides = quickest_of_rounds(Path(work), 1 if asked.quick else ROUNDS, 256 if asked.quick else INDEXED)
        n_searched = SEARCHED // 10 if asked.quick else SEARCHED
        request = {"n_passages": n_searched, "cache": str(asked.cache or Path(work) / "none")}
        search = side("search", Path(work), request)
    say_search(search)
    ours, peer = (sides[name]["passages_a_second"] for name in ("ours", "langchain"))
    say_result(
        "index_passages",
        ours=round(ours, 1),
        peer=round(peer, 1),
        ratio=round(ours / peer, 2),
        goal=GOAL,
        met=ours / peer >= GOAL,
        ratio_of_cpu_seconds=round(sides["langchain"]["cpu_seconds"] / sides["ours"]["cpu_seconds"], 2),
        sides=sides,
        search=search,
    )


def quickest_of_rounds(work: Path, n_rounds: int, n_passages: int) -> dict[str, dict[str, Any]]:
    """Each side's quickest figures; the vectors of a round are not there in the next one."""
    rounds = []
    for number in range(n_rounds):
        folder = work / str(number)
        folder.mkdir()
        rounds.append({name: indexed_by(name, folder, n_passages) for name in ("ours", "langchain")})
    return {name: min((one[name] for one in rounds), key=lambda one: one["seconds"]) for name in rounds[0]}


def langchain_folder() -> str:
    """Where LangChain was installed."""
    folder = os.environ.get("STROP_LANGCHAIN", "")
    if not Path(folder, "langchain_community").is_dir():
        install = __doc__.partition("variable:\n\n")[2]
        raise SystemExit(
            f"this benchmark needs LangChain; install it and set STROP_LANGCHAIN to its folder:\n{install}"
        )
    return folder


def side(name: str, work: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Run one side with what it needs to know."""
    file = work / f"{name}.json"
    file.write_text(json.dumps(request), encoding="utf-8")
    return run_side(__file__, ["--side", name, "--request", str(file)])


def indexed_by(name: str, work: Path, n_passages: int) -> dict[str, Any]:
    """One side's figures for indexing, printed."""
    passages = bioasq_questions().passages
    chosen = np.random.default_rng(0).permutation(len(passages))[:n_passages]
    request = {"texts": [passages[at].text for at in chosen], "cache": str(work / "vectors")}
    result = side(name, work, request)
    print(
        f"  {name}: {n_passages} passages in {result['seconds']:.1f} s ({result['cpu_seconds']:.1f} s of CPU), "
        f"{result['passages_a_second']:.1f} a second, peak {result['peak_gib']} GiB; "
        f"cutting {result['cut_characters'] / 1e6:.1f} million characters {result['cut_seconds']:.1f} s",
        flush=True,
    )
    return result


def index_ours(request: dict[str, Any]) -> dict[str, Any]:
    """Strop's side: vectors, cache, index of vectors and of words."""
    from strop.evidence.encoder import Encoder
    from strop.evidence.index import PassageIndex
    from strop.evidence.passages import cut_passages
    from strop.models.locate import locate_model
    from strop.recipe.evidence import Passages, Retrieval
    from strop.recipe.sections import Model
    from strop.records.evidence import Document, Passage

    encoder = Encoder(locate_model(Model(name=str(model_folder(MODEL)))))
    encoder.encode(["a first text, so that nothing is loaded later"])
    passages = [Passage(text, f"text:{at}") for at, text in enumerate(request["texts"])]

    def build() -> PassageIndex:
        return PassageIndex.of(passages, Retrieval(), encoder=encoder, cache=Path(request["cache"]))

    documents = [Document(f"text:{at}", "found", text=text) for at, text in enumerate(long_texts())]
    return timed(build, len(passages), lambda: cut_passages(documents, Passages(), encoder.tokenizer))


def index_langchain(request: dict[str, Any]) -> dict[str, Any]:
    """LangChain's side: its FAISS store from texts."""
    sys.path.append(langchain_folder())
    stores = import_module("langchain_community.vectorstores")
    embeddings = import_module("langchain_huggingface").HuggingFaceEmbeddings(model_name=str(model_folder(MODEL)))
    embeddings.embed_documents(["a first text, so that nothing is loaded later"])
    splitter = import_module("langchain_text_splitters").RecursiveCharacterTextSplitter(**SPLITTER)
    return timed(
        lambda: stores.FAISS.from_texts(request["texts"], embeddings),
        len(request["texts"]),
        lambda: splitter.create_documents(long_texts()),
    )


def long_texts() -> list[str]:
    """Snippets joined to texts of the length of an abstract, for cutting."""
    texts = [passage.text for passage in bioasq_questions().passages]
    return [" ".join(texts[at : at + 8]) for at in range(0, len(texts), 8)]


def timed(build: Callable[[], object], n_passages: int, cut: Callable[[], object]) -> dict[str, Any]:
    """Seconds of building an index, and of cutting texts."""
    began, began_cpu = time.monotonic(), time.process_time()
    build()
    seconds, cpu_seconds = time.monotonic() - began, time.process_time() - began_cpu
    characters = sum(len(text) for text in long_texts())
    began = time.monotonic()
    cut()
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_seconds, 2),
        "passages_a_second": round(n_passages / seconds, 2),
        "cut_seconds": round(time.monotonic() - began, 2),
        "cut_characters": characters,
    }


def search_many(request: dict[str, Any]) -> dict[str, Any]:
    """Seconds to index, and milliseconds a search, by method."""
    import faiss

    from strop.evidence.encoder import Encoder
    from strop.evidence.index import PassageIndex
    from strop.evidence.vectors import VectorIndex
    from strop.evidence.words import WordIndex
    from strop.models.locate import locate_model
    from strop.recipe.evidence import Retrieval
    from strop.recipe.sections import Model

    encoder = Encoder(locate_model(Model(name=str(model_folder(MODEL)))))
    passages = many_passages(request["n_passages"])
    questions = bioasq_questions().bodies[:N_QUESTIONS]
    vectors_PD, n_real = vectors_of([one.text for one in passages], encoder, Path(request["cache"]))
    asked_QD = np.concatenate([encoder.encode([question]) for question in questions])
    words, word_seconds = seconds_of(lambda: WordIndex.of([one.text for one in passages]))
    exact = VectorIndex(vectors_PD)
    graph, graph_seconds = seconds_of(lambda: VectorIndex.of(vectors_PD, exact_below=1, kind="hnsw"))
    lists, list_seconds = seconds_of(lambda: VectorIndex.of(vectors_PD, exact_below=1, kind="ivf"))
    flat = faiss.IndexFlatL2(vectors_PD.shape[1])
    flat.add(vectors_PD)
    index = PassageIndex(passages, Retrieval(method="bm25"), words=words)
    both = replace(index, retrieval=Retrieval(), meaning=exact, encoder=encoder)
    own = [[passage.document for passage in passages[at : at + 50]] for at in range(0, 50 * N_QUESTIONS, 50)]
    measured = {
        "a question's vector": lambda at: encoder.encode([questions[at]]),
        "bm25": lambda at: index.search([questions[at]]),
        "exact": lambda at: replace(both, words=None).search([questions[at]]),
        "fused, exact": lambda at: both.search([questions[at]]),
        "fused, hnsw": lambda at: replace(both, meaning=graph).search([questions[at]]),
        "fused, ivf": lambda at: replace(both, meaning=lists).search([questions[at]]),
        "fused, 50 own documents": lambda at: both.search([questions[at]], own=[own[at % len(own)]]),
        "exact alone, vector given": lambda at: exact.nearest(asked_QD[at : at + 1], 50),
        "hnsw alone, vector given": lambda at: graph.nearest(asked_QD[at : at + 1], 50),
        "ivf alone, vector given": lambda at: lists.nearest(asked_QD[at : at + 1], 50),
        "LangChain's IndexFlatL2, vector given": lambda at: flat.search(asked_QD[at : at + 1], 50),
    }
    return {
        "n_passages": len(passages),
        "n_real_vectors": n_real,
        "build_seconds": {"words": word_seconds, "hnsw": graph_seconds, "ivf": list_seconds},
        "milliseconds": {name: percentiles(one, len(questions)) for name, one in measured.items()},
    }


def vectors_of(texts: Sequence[str], encoder: Any, cache: Path) -> tuple[NDArray[np.float32], int]:
    """The model's vectors where the cache has them, else random ones of length 1."""
    from strop.evidence.embedding_cache import EmbeddingCache, text_keys

    kept, _ = EmbeddingCache(cache / encoder.key[:24]).read()
    found = {key: vector for part in kept for key, vector in zip(part.keys, part.vectors_ND, strict=True)}
    dimension = encoder.encode(["a text"]).shape[1]
    drawn = np.random.default_rng(0).normal(size=(len(texts), dimension)).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    n_real = 0
    for at, key in enumerate(text_keys(texts)):
        if key in found:
            drawn[at] = found[key]
            n_real += 1
    return drawn, n_real


def seconds_of(build: Callable[[], Any]) -> tuple[Any, float]:
    began = time.monotonic()
    return build(), round(time.monotonic() - began, 2)


def percentiles(one: Callable[[int], object], n_times: int) -> dict[str, float]:
    """Median and 99th percentile of single calls, in milliseconds."""
    one(0)
    times = []
    for at in range(n_times):
        began = time.perf_counter()
        one(at)
        times.append(1000 * (time.perf_counter() - began))
    return {"p50": round(float(np.quantile(times, 0.5)), 2), "p99": round(float(np.quantile(times, 0.99)), 2)}


def say_search(search: dict[str, Any]) -> None:
    """Print what a search takes."""
    seconds = ", ".join(f"{name} {value:.1f} s" for name, value in search["build_seconds"].items())
    print(
        f"  search among {search['n_passages']} passages; {search['n_real_vectors']} vectors are the model's, "
        f"the others are random (for time alone); building: {seconds}; peak {search['peak_gib']} GiB"
    )
    for name, times in search["milliseconds"].items():
        print(f"    {name}: p50 {times['p50']:.1f} ms, p99 {times['p99']:.1f} ms")


SIDES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "ours": index_ours,
    "langchain": index_langchain,
    "search": search_many,
}

if __name__ == "__main__":
    main()
