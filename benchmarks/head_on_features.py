"""How many rows a second does a head-only stage train on, against a stock Trainer with a frozen body?

Same rows of QUEST (30 targets), same encoder, tokens, epochs, rate and threads, a linear head on mean-pooled states on
both sides. Strop computes what the head reads once and trains on that; the Trainer runs the body in every epoch. The
clock of both sides runs from the first step to the last; the seconds of Strop's one pass over the body are inside.

    python benchmarks/head_on_features.py
    python benchmarks/head_on_features.py --quick
"""

import argparse
import csv
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common_ground import model_folder, real_data, run_side, say_machine, say_result

GOAL = 30.0
RATE = 2e-3
TOKENS = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rows", type=int, default=600, help="training rows")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--ours", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.ours:
        run_ours(json.loads(asked.ours.read_text()))
        return
    say_machine(__doc__.splitlines()[0])
    n_train, n_epochs = (64, 10) if asked.quick else (asked.rows, asked.epochs)
    with tempfile.TemporaryDirectory() as work:
        data, model = Path(work) / "rows.csv", str(model_folder("minilm"))
        truth_RT = write_rows(data, n_train)
        request = Path(work) / "request.json"
        request.write_text(json.dumps({"data": str(data), "model": model, "runs": work, "epochs": n_epochs}))
        ours = run_side(__file__, ["--ours", str(request)])
        script = str(Path(__file__).with_name("stock_head_script.py"))
        settings = {"--epochs": n_epochs, "--rate": RATE, "--tokens": TOKENS, "--work": f"{work}/stock"}
        arguments = [text for key, value in settings.items() for text in (key, str(value))]
        peer = run_side(script, ["--data", str(data), "--model", model, *arguments])
    rates = {side: n_train * n_epochs / one["seconds"] for side, one in (("ours", ours), ("peer", peer))}
    difference = compare(truth_RT, np.array(ours["values"]), np.array(peer["values"]))
    ratio = rates["ours"] / rates["peer"]
    print(f"  {n_train} rows, {n_epochs} epochs, {TOKENS} tokens")
    print(f"  strop: {rates['ours']:.0f} rows/s, of which {ours['features_seconds']:.1f} s for the body, once")
    print(f"  stock: {rates['peer']:.1f} rows/s")
    print(f"  mean Spearman: {difference['words']}")
    is_same = difference["low"] <= 0.0 <= difference["high"]
    say_result(
        "head_on_features",
        ours=round(rates["ours"], 1),
        peer=round(rates["peer"], 2),
        ratio=round(ratio, 1),
        goal=GOAL,
        met=ratio >= GOAL and (is_same or difference["low"] > 0.0),
        spearman=difference,
    )


def compare(truth_RT: Any, ours_RT: Any, peer_RT: Any) -> dict[str, Any]:
    """Mean Spearman of both sides on the same rows, and the paired interval of the difference."""
    from strop.evaluation.intervals import difference_interval, resample_weights
    from strop.metrics.regression import REGRESSION_METRICS, mean_over_targets

    spearman = REGRESSION_METRICS["spearman"]
    ours, peer = spearman.value(truth_RT, ours_RT), spearman.value(truth_RT, peer_RT)
    parts = [
        mean_over_targets(spearman.by_target(truth_RT, ours_RT, weight_BR))
        - mean_over_targets(spearman.by_target(truth_RT, peer_RT, weight_BR))
        for weight_BR in resample_weights(len(truth_RT), 1000, seed=0)
    ]
    low, high = difference_interval(ours - peer, np.concatenate(parts), 0.95)
    words = f"strop {ours:.3f}, stock {peer:.3f}, difference {ours - peer:+.3f} [{low:+.3f}, {high:+.3f}]"
    return {"ours": ours, "peer": peer, "low": low, "high": high, "words": words}


def write_rows(path: Path, n_train: int) -> Any:
    """A CSV with text, part and 30 targets, one row a question title; returns the targets of the validation rows."""
    with real_data("quest/train.csv").open(newline="", encoding="utf-8") as file:
        rows = list({row["question_title"]: row for row in csv.DictReader(file)}.values())
    names = list(rows[0])
    targets = names[names.index("question_asker_intent_understanding") :]
    n_validation = max(n_train // 2, 64)
    drawn = [rows[at] for at in np.random.default_rng(0).permutation(len(rows))[: n_train + n_validation]]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "part", *(f"y_{name}" for name in targets)])
        for place, row in enumerate(drawn):
            text = f"{row['question_title']}\n{row['question_body']}\n{row['answer']}"
            writer.writerow([text, "train" if place < n_train else "validation", *(row[name] for name in targets)])
    return np.array([[float(row[name]) for name in targets] for row in drawn[n_train:]])


def run_ours(request: Mapping[str, Any]) -> None:
    """Strop's side; prints one JSON line."""
    from strop.records.predictions import Predictions
    from strop.runs.fit import fit
    from strop.training.watch import Watchers

    marks: dict[str, float] = {}

    class Clock(Watchers):
        def station_began(self, name: str) -> None:
            marks[name] = time.monotonic()

        def stage_began(self, name: str, n_steps: int, step: int) -> None:
            marks["first step"] = time.monotonic()

        def stage_ended(self) -> None:
            marks["last step"] = time.monotonic()

    recipe = {
        "name": "head",
        "task": "regress",
        "data": {"path": request["data"], "text": ["text"], "targets": ["y_*"], "target_range": [0, 1], "part": "part"},
        "split": {"test_fraction": 0.0, "near_duplicates": "ignore"},
        "text": {"max_length_tokens": TOKENS},
        "model": {"name": request["model"], "pooling": "mean", "head_dropout": 0.0},
        "stages": [
            {
                "trainable": "head",
                "epochs": request["epochs"],
                "learning_rate": RATE,
                "batch_size": 8,
                "evaluations_per_epoch": 1 / request["epochs"],
            }
        ],
        "evaluation": {"baselines": ["mean"], "n_bootstrap": 100},
    }
    run = fit(recipe, runs=request["runs"], watcher=Clock())
    values = Predictions.load(run.folder.predictions / "model.arrow").outputs_RL
    features_seconds = marks["first step"] - marks["features of the body"]
    seconds = marks["last step"] - marks["features of the body"]
    found = {"seconds": seconds, "features_seconds": features_seconds, "values": values.tolist()}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
