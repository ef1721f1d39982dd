"""How far does fine-tuning lift a small base model that answers Korean questions, and what do decodings and votes add?

Articles of KorQuAD 1.0, gemma3-270m with LoRA; parts by article, the test articles sealed until the end. Exact match
and F1 of characters, by KorQuAD's rules, with 95 % intervals over articles: the untrained model without and with
examples, the model after each half epoch (on validation rows, which chose the checkpoint), decodings and votes over
them (on validation rows too), and at last the chosen model on the opened test articles.

    python benchmarks/korquad_answers.py --runs runs-korquad  # goal: F1 25 points above zero-shot, 2 hours on 2 cores
    python benchmarks/korquad_answers.py --quick              # 60 questions: shows that it runs, no more
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from common_ground import QUIET, model_folder, real_data, say_machine, say_result

GOAL = 25.0
MINUTES_GOAL = 120.0
TEMPLATE = "다음 글을 읽고 질문에 짧게 답하시오.\n\n글: {{ context }}\n\n질문: {{ question }}\n답: "
ADAPTED = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", type=int, default=1500, help="questions, of 3,957")
    parser.add_argument("--runs", type=Path, help="folder for the runs: a killed benchmark goes on there")
    asked = parser.parse_args()
    os.environ.update(QUIET)
    say_machine(__doc__.splitlines()[0])
    with tempfile.TemporaryDirectory() as work:
        from strop.runs.fit import fit
        from strop.runs.several.vote_answers import vote_on_answers
        from strop.runs.writing.decode import decode_run

        run = fit(recipe_of(asked.rows, quick=asked.quick), runs=asked.runs or Path(work))
        # The run knows how long all of its fit took, also where earlier processes began it.
        fit_minutes, began = sum(run.folder.read_about()["seconds"].values()) / 60, time.monotonic()
        show("zero-shot, few-shot and fine-tuned", run.scores)
        for line in half_epochs(run):
            print(f"  {line}")
        decoded = decode_run(run.folder.path)
        show("decodings", decoded.scores, own=decoded.own)
        print(f"  chosen: {decoded.chosen}")
        votes = vote_on_answers([run.folder.path], of_decodings=True)
        print("\n".join(votes.lines(votes.held_out)))
        minutes = fit_minutes + (time.monotonic() - began) / 60
        scores = run.open_test()
        show("opened test articles", scores)
    zero_shot = next(one for one in scores.baselines if one.system == "zero_shot").metrics["f1"].value
    ours = scores.model.metrics["f1"].value
    print(f"  {minutes:.0f} minutes; decodings that an earlier process compared are not in it")
    say_result(
        "korquad_answers",
        ours=round(100 * ours, 2),
        peer=round(100 * zero_shot, 2),
        ratio=round(ours / max(zero_shot, 1e-9), 2),
        goal=GOAL,
        met=100 * (ours - zero_shot) >= GOAL and minutes <= MINUTES_GOAL,
        exact_match=round(100 * scores.model.metrics["exact_match"].value, 2),
        n_test=len(scores.ids),
        minutes=round(minutes, 1),
    )


def recipe_of(n_rows: int, *, quick: bool) -> dict[str, Any]:
    """The recipe; its rates are those of recipes/korean-reading.yaml."""
    return {
        "name": "korquad",
        "task": "answer",
        "data": {
            "path": str(real_data("korquad/articles.json")),
            "text": ["context", "question"],
            "context": "context",
            "answers": "answers",
            "id": "id",
            "group": "title",
            "max_rows": 60 if quick else n_rows,
        },
        "split": {"test_fraction": 0.15, "validation_fraction": 0.1},
        "model": {
            "name": str(model_folder("gemma3-270m")),
            "adapter": {"rank": 8, "alpha": 16, "target_modules": ADAPTED},
        },
        "text": {"max_length_tokens": 128 if quick else 512},
        "answer": {
            "prompt": {"template": TEMPLATE, "when_too_long": "cut_context", "max_answer_tokens": 32},
            "cleaning": {"first_line": True, "cut_at": ["질문:", "글:"], "strip": "\"'.,“”‘’"},
            "decodings": [
                *({"method": "beams", "n_beams": n_beams} for n_beams in ((2,) if quick else (2, 3, 4, 5))),
                *({"method": "sample", **one} for one in ({"top_k": 50}, {"top_p": 0.9}, {"min_p": 0.1})),
                {"method": "sample", "temperature": 0.7, "n_candidates": 8},
                {"repetition_penalty": 1.2},
            ],
        },
        "stages": [
            {
                "trainable": "adapter",
                "epochs": 0.5 if quick else 2,
                "learning_rate": 5e-4,
                "batch_size": 8,
                "neftune_alpha": 5,
                "schedule": "cosine",
                "evaluations_per_epoch": 2,
            }
        ],
        "evaluation": {"answer_rules": "korquad"},
    }


def show(what: str, scores: Any, own: str = "model") -> None:
    """Print exact match, F1 and what failed of every system, with intervals."""
    print(f"{what}, {len(scores.ids)} rows of the part {scores.part}:")
    for system in (scores.model, *scores.baselines):
        name = own if system.system == "model" else system.system
        words = [f"{metric} {score_in_points(system.metrics[metric])}" for metric in ("exact_match", "f1")]
        failed = [f"{way} {100 * system.metrics[way].value:.1f} %" for way in ("ended", "empty", "repeated")]
        print(f"  {name}: {', '.join(words)}; {', '.join(failed)}", flush=True)


def score_in_points(score: Any) -> str:
    """A score from 0 to 100 with its interval."""
    return f"{100 * score.value:.1f} [{100 * score.low:.1f}, {100 * score.high:.1f}]"


def half_epochs(run: Any) -> list[str]:
    """Exact match and F1 of every evaluated checkpoint with intervals, in words; no model runs again."""
    import json

    from strop.evaluation.evaluate_answers import score_answers
    from strop.inference.cleaning import clean_answers
    from strop.records.answers import Answers
    from strop.records.dataset import Dataset
    from strop.runs.judge import accepted_of

    folder = run.folder.stage("whole", 0, "complete")
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    found = []
    for line in (one for one in lines if "evaluation" in one):
        answers = Answers.load(folder / "predictions" / f"step-{line['step']:07d}.arrow")
        rows = Dataset.load(run.folder.open_data).select(answers.ids)
        scores = score_answers(
            clean_answers(answers, run.recipe.answer.cleaning)[0],
            accepted_of(rows),
            baselines={},
            evaluation=run.recipe.evaluation,
            part="validation",
            seed=run.recipe.seed,
            groups=rows.groups,
        )
        words = [f"{name} {score_in_points(scores.model.metrics[name])}" for name in ("exact_match", "f1")]
        found.append(f"after {line['epoch']:g} epochs: {', '.join(words)}")
    return found


if __name__ == "__main__":
    main()
