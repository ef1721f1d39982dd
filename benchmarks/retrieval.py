"""How much of what a BioASQ question needs do BM25, sentence embeddings and both together find?

All distinct snippets of all questions of BioASQ 7 to 11 are one collection of passages; a question is looked up by its
body, and the passages that count are its own snippets (a text that several questions have counts for each of them). A
question has about ten such snippets, many of them saying the same: recall@10 cannot reach 1 where there are more than
ten, and what it could reach at most stands beside it. Other passages may answer a question too and count as misses.

    python benchmarks/retrieval.py            # about 10 minutes on one core, once; then vectors are read from the cache
    python benchmarks/retrieval.py --quick    # 200 questions and their snippets alone: higher, since less is in the way
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from bioasq_passages import Questions, bioasq_questions
from common_ground import model_folder, say_machine, say_result
from strop.evaluation.evaluate_retrieval import RetrievalScores, retrieval_difference, score_retrieval
from strop.evidence.encoder import Encoder
from strop.evidence.index import PassageIndex
from strop.models.locate import locate_model
from strop.recipe.evidence import Retrieval
from strop.recipe.sections import Model

K = 10
METHODS = ("bm25", "dense", "fused")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--cache", type=Path, help="keep the vectors in this folder")
    asked = parser.parse_args()
    say_machine(__doc__.splitlines()[0])
    questions = bioasq_questions()
    if asked.quick:
        questions = first_questions(questions, 200)
    n_gold = np.array([len(gold) for gold in questions.gold])
    print(
        f"  {len(questions.bodies)} questions, {len(questions.passages)} passages, {n_gold.mean():.1f} a question; "
        f"recall@{K} can reach {np.minimum(1.0, K / n_gold).mean():.4f} at most",
        flush=True,
    )
    encoder = Encoder(locate_model(Model(name=str(model_folder(asked.model)))))
    with tempfile.TemporaryDirectory() as work:
        cache = asked.cache or Path(work)
        scores = {method: measure(questions, method, encoder, cache) for method in METHODS}
    for metric in (f"recall@{K}", f"ndcg@{K}"):
        for other in ("bm25", "dense"):
            gain = retrieval_difference(scores["fused"], scores[other], metric, name=other)
            print(f"  fused over {other}, {metric}: {gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})")
    say(scores)


def first_questions(questions: Questions, n_questions: int) -> Questions:
    """The first questions with their passages alone."""
    gold = questions.gold[:n_questions]
    kept = {at: new for new, at in enumerate(sorted(frozenset().union(*gold)))}
    return Questions(
        questions.bodies[:n_questions],
        tuple(frozenset(kept[at] for at in one) for one in gold),
        tuple(questions.passages[at] for at in kept),
    )


def measure(questions: Questions, method: str, encoder: Encoder, cache: Path) -> RetrievalScores:
    """Index, look up every question, and score."""
    began = time.monotonic()
    retrieval = Retrieval(method=method, n_passages=K)
    index = PassageIndex.of(questions.passages, retrieval, encoder=encoder, cache=cache)
    built = time.monotonic()
    found = index.search(questions.bodies)
    searched = time.monotonic()
    number_of = {passage.text: at for at, passage in enumerate(questions.passages)}
    scores = score_retrieval(
        [[number_of[one.passage.text] for one in ranking] for ranking in found],
        [dict.fromkeys(gold, 1.0) for gold in questions.gold],
        k=K,
    )
    shown = ", ".join(
        f"{name} {one.value:.4f} ({one.low:.4f} to {one.high:.4f})" for name, one in scores.metrics.items()
    )
    computed = "" if index.embedded is None else f" ({index.embedded.n_computed} texts embedded)"
    print(f"  {method}: {shown}; index {built - began:.1f} s{computed}, search {searched - built:.1f} s", flush=True)
    return scores


def say(scores: dict[str, RetrievalScores]) -> None:
    """The last line: fused against the better of the two methods that it fuses, by recall."""
    metric = f"recall@{K}"
    value = {method: scores[method].metrics[metric].value for method in METHODS}
    peer = max(value["bm25"], value["dense"])
    say_result(
        "retrieval",
        ours=round(value["fused"], 4),
        peer=round(peer, 4),
        ratio=round(value["fused"] / peer, 3),
        goal=1.0,
        met=value["fused"] > peer,
        scores={
            method: {
                name: {"value": round(one.value, 4), "low": round(one.low or 0.0, 4), "high": round(one.high or 0.0, 4)}
                for name, one in of_method.metrics.items()
            }
            for method, of_method in scores.items()
        },
    )


if __name__ == "__main__":
    main()
