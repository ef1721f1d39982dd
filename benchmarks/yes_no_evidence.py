"""What does evidence, and what is done with it, add to yes/no answers of a small encoder?

BioASQ task b, yes/no: editions 7 to 10 train and choose the checkpoint, edition 11 judges. Passages are looked up among
the snippets of all questions (the abstracts themselves are not at hand here). One thing changes from a
system to the next; `report` has the settings of a field report on the same encoder: low-rank adapters of rank 8 and
alpha 32 on a 4-bit base, class weights with a penalty, only "no" questions split, logits averaged over pieces; its
learning rate and epochs are not known, so these are 2e-4 and 3.

    python benchmarks/yes_no_evidence.py              # an hour or more on one core
    python benchmarks/yes_no_evidence.py --runs DIR   # a killed benchmark goes on there
    python benchmarks/yes_no_evidence.py --quick      # 80 questions, two systems: shows that it runs, no more
"""

import argparse
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common_ground import QUIET, model_folder, real_data, say_machine, say_result

GOAL = 0.05
# What the field report says of always answering yes, on its data.
NAIVE_OF_REPORT = {"accuracy": 0.74, "macro_f1": 0.4254}
BOTH = (
    "{{ question }}{% for s in snippets %}\n{{ s.text }}{% endfor %}{% for p in passages %}\n{{ p.text }}{% endfor %}"
)
PASSAGES_ALONE = "{{ question }}{% for p in passages %}\n{{ p.text }}{% endfor %}"
LOOKED_UP = {"corpus": "snippets", "source": "all", "method": "fused", "n_passages": 5}
STAGE: dict[str, Any] = {
    "epochs": 5,
    "learning_rate": 1e-4,
    "head_learning_rate": 1e-3,
    "batch_size": 8,
    "schedule": "cosine",
    "weight_average": 0.9,
    "evaluations_per_epoch": 2,
    "frozen": ["word_embeddings"],
}
REPORT_STAGE = {
    "trainable": "adapter",
    "epochs": 3,
    "learning_rate": 2e-4,
    "batch_size": 8,
    "rare_class_penalty": 1.5,
    "evaluations_per_epoch": 2,
}
WITH_SNIPPETS = {"prompt": BOTH}
WITH_PASSAGES = {"prompt": BOTH, "retrieval": LOOKED_UP}
SPLIT_RARE = {"pieces": "by_source", "labels": "rare"}
# By name: evidence, and what else differs.
SYSTEMS: dict[str, dict[str, Any]] = {
    "question only": {},
    "snippets": {"evidence": WITH_SNIPPETS},
    "retrieved alone": {"evidence": {"prompt": PASSAGES_ALONE, "retrieval": {**LOOKED_UP, "find_own_snippets": True}}},
    "snippets and retrieved": {"evidence": WITH_PASSAGES},
    "augmented": {"evidence": {**WITH_PASSAGES, "augmentation": SPLIT_RARE}},
    "windows": {
        "evidence": WITH_PASSAGES,
        "text": {"max_length_tokens": 256, "windows": {"stride_tokens": 32, "max_windows": 3}},
    },
    "no class weights": {"evidence": WITH_SNIPPETS, "stages": [{**STAGE, "class_weights": "none"}]},
    "report": {
        "evidence": {**WITH_PASSAGES, "augmentation": {"labels": ["no"]}, "predict": "pieces"},
        "model": {"adapter": {"rank": 8, "alpha": 32, "base_in_4bit": True}, "pooling": "native"},
        "stages": [REPORT_STAGE],
    },
}
# Named before anything was measured: the best of many on the same rows would flatter itself.
OURS = "soft vote"
VOTERS = ("snippets", "snippets and retrieved", "augmented", "windows", "no class weights")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--runs", type=Path, help="folder for the runs: a killed benchmark goes on there")
    asked = parser.parse_args()
    os.environ.update(QUIET)
    say_machine(__doc__.splitlines()[0])
    with tempfile.TemporaryDirectory() as work:
        folder = asked.runs or Path(work)
        names = ["snippets", "report"] if asked.quick else list(SYSTEMS)
        found = {name: fitted(name, folder, quick=asked.quick) for name in names}
        scores = {name: run.scores_of_test for name, run in found.items()}
        show_baselines(next(iter(scores.values())), scores.get("snippets"))
        for name, one in scores.items():
            show(name, one)
        if not asked.quick:
            scores |= votes(found)
        show_differences(found)
    ours, peer = macro_f1(scores.get(OURS, scores["snippets"])), macro_f1(scores["report"])
    say_result(
        "yes_no_evidence",
        ours=round(ours, 4),
        peer=round(peer, 4),
        ratio=round(ours / peer, 3),
        goal=GOAL,
        met=ours - peer >= GOAL,
        systems={name: round(macro_f1(one), 4) for name, one in scores.items()},
    )


class Fitted:
    """A finished run and its scores on the opened test part."""

    def __init__(self, run: Any) -> None:
        self.run = run
        self.scores_of_test = run.open_test()


def fitted(name: str, folder: Path, *, quick: bool) -> Fitted:
    """Fit one system; where its run stands already it goes on."""
    from strop.runs.fit import fit

    system = SYSTEMS[name]
    evidence = system.get("evidence")
    recipe = {
        "name": name.replace(" ", "-"),
        "data": {
            "path": str(real_data("bioasq")) + "/*_golden.json",
            "text": ["question"],
            "target": "answer",
            "id": "id",
            "snippets": "snippets" if evidence is not None else None,
            "where": {"type": "yesno"},
            "part_by": {"column": "file", "train": ["[789]B*", "10B*"], "test": "11B*"},
            "max_rows": 80 if quick else None,
        },
        "split": {"validation_fraction": 0.15},
        "evidence": None if evidence is None else {"store": str(folder / "evidence.sqlite"), **evidence},
        "text": system.get("text", {"max_length_tokens": 64 if quick else 256}),
        "model": {"name": str(model_folder("minilm")), **system.get("model", {})},
        "stages": [{**stage, "epochs": 1} if quick else stage for stage in system.get("stages", [STAGE])],
        "evaluation": {"baselines": ["majority", "tfidf"]},
    }
    return Fitted(fit(recipe, runs=folder))


def votes(found: Mapping[str, Fitted]) -> dict[str, Any]:
    """Scores of every vote of the runs that read snippets; no model runs again."""
    from strop.runs.several.ensemble import vote_run_folders

    paths = [found[name].run.folder.path for name in VOTERS]
    judged = vote_run_folders(paths, on_test=True).test
    if judged is None:
        raise ValueError("the votes were asked for on test rows")
    for how, scores in judged.scores.items():
        show(f"{how} vote of {len(VOTERS)}", scores)
    return {f"{how} vote": scores for how, scores in judged.scores.items()}


def show_differences(found: Mapping[str, Fitted]) -> None:
    """Print how each system differs from the report's, paired by row, corrected for the number of pairs."""
    from strop.runs.several.compare import compare_run_folders

    for line in compare_run_folders([one.run.folder.path for one in found.values()], on_test=True).lines():
        if "report" in line:
            print(f"  {line}")


def macro_f1(scores: Any) -> float:
    """The score that is compared."""
    return float(scores.model.metrics["macro_f1"].value)


def show(name: str, scores: Any) -> None:
    """Print one system's scores with intervals."""
    model = scores.model
    parts = [f"macro F1 {said(model.metrics['macro_f1'])}", f"accuracy {said(model.metrics['accuracy'])}"]
    parts += [f"F1-{one.label} {said(one.f1)}" for one in model.classes]
    print(f"  {name}: " + ", ".join(parts), flush=True)


def show_baselines(scores: Any, with_snippets: Any) -> None:
    """Print what answers without a language model, of the question alone and with its snippets."""
    naive = ", ".join(f"{name} {value}" for name, value in NAIVE_OF_REPORT.items())
    print(f"  always yes on the report's data: {naive}")
    for where, one in (("the first system's text", scores), ("question and snippets", with_snippets)):
        for baseline in [] if one is None else one.baselines:
            metrics = baseline.metrics
            words = f"macro F1 {said(metrics['macro_f1'])}, accuracy {said(metrics['accuracy'])}"
            print(f"  {baseline.system} on {where}: {words}")


def said(score: Any) -> str:
    """A score with its interval."""
    return f"{score.value:.3f} [{score.low:.3f}, {score.high:.3f}]"


if __name__ == "__main__":
    main()
