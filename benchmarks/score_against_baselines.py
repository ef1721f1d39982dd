"""Does careful fine-tuning beat TF-IDF and a linear probe, and is it no worse than SetFit in the same minutes?

sib200_ko (train and dev, 800 rows): rounds that each seal another fifth as the test part, so that a row is judged by a
model that neither trained on it nor chose by it. 3i4k: 5,000 rows, one round with 1,000 sealed rows. The encoder is
e5-small for all. Intervals are bootstrapped over all judged rows, differences are paired. SetFit gets as
many seconds of training as Strop used for its stages and, having no checkpoint to choose, trains on the
validation rows too.

    python benchmarks/score_against_baselines.py            # about 75 minutes on 2 busy cores
    python benchmarks/score_against_baselines.py --quick    # one small round of sib200_ko
"""

import argparse
import csv
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold

from common_ground import model_folder, real_data, run_side, say_machine, say_result

Row = tuple[str, str, str]
N_FOLDS = 5
N_ROUNDS = {"sib200_ko": 3, "3i4k": 1}
SYSTEMS = ("strop", "majority", "tfidf", "linear_probe", "setfit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=["sib200_ko", "3i4k"])
    parser.add_argument("--ours", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.ours:
        run_ours(json.loads(asked.ours.read_text()))
        return
    say_machine(__doc__.splitlines()[0])
    names = [asked.only] if asked.only else ["sib200_ko"] if asked.quick else ["sib200_ko", "3i4k"]
    with tempfile.TemporaryDirectory() as work:
        results = [measure(name, Path(work), quick=asked.quick) for name in names]
    worst = min(results, key=lambda one: float(one["ratio"]))
    say_result(
        "score_against_baselines",
        ours=worst["ours"],
        peer=worst["peer"],
        ratio=worst["ratio"],
        goal=1.0,
        met=all(one["met"] for one in results),
        data=results,
    )


def measure(name: str, work: Path, *, quick: bool) -> dict[str, Any]:
    """All systems on one data set; every judged row has one answer of each."""
    answers: dict[str, dict[str, str]] = {system: {} for system in SYSTEMS}
    truth: dict[str, str] = {}
    seconds = 0.0
    for number, rows in enumerate(rounds(name, quick=quick)):
        data = work / f"{name}-{number}.csv"
        with data.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("id", "text", "label", "part"), *rows])
        truth.update({row_id: label for row_id, _, label, part in rows if part == "test"})
        request = work / "request.json"
        request.write_text(json.dumps({"data": str(data), "runs": str(work / "runs"), "name": f"{name}-{number}"}))
        ours = run_side(__file__, ["--ours", str(request)])
        seconds += ours["seconds"]
        for system, found in ours["answers"].items():
            answers[system].update(found)
        script = str(Path(__file__).with_name("setfit_script.py"))
        arguments = ["--data", str(data), "--model", str(model_folder("e5-small")), "--prefix", "query: "]
        peer = run_side(script, [*arguments, "--seconds", str(ours["seconds"]), "--work", str(work / "setfit")])
        answers["setfit"].update(peer["answers"])
        print(f"  {name}, round {number}: ours {ours['seconds']:.0f} s, SetFit {peer['seconds']:.0f} s", flush=True)
    return judged(name, answers, truth, seconds)


def judged(name: str, answers: dict[str, dict[str, str]], truth: dict[str, str], seconds: float) -> dict[str, Any]:
    """Scores with intervals, and paired differences from Strop."""
    from strop.evaluation.compare import compare_runs
    from strop.recipe.sections import Evaluation

    labels = tuple(sorted(set(truth.values())))
    predictions = {system: hard_predictions(found, labels) for system, found in answers.items()}
    evaluation = Evaluation()
    compared = compare_runs(predictions, dict.fromkeys(SYSTEMS, truth), evaluation=evaluation, seed=0)
    print(f"{name}, {len(truth)} judged rows, {seconds / 60:.1f} minutes of training")
    for line in compared.lines():
        if "strop" in line or (" and " not in line and "better than" not in line):
            print(f"  {line}")
    ours, setfit = compared.scores["strop"].value, compared.scores["setfit"].value
    probe = compared.scores["linear_probe"].value
    is_worse = any(pair.one == "setfit" and pair.other == "strop" and pair.is_clear for pair in compared.pairs)
    peer = max(setfit, probe, compared.scores["tfidf"].value)
    return {
        "data": name,
        "n_rows": len(truth),
        "ours": round(ours, 4),
        "peer": round(peer, 4),
        "ratio": round(ours / peer, 4),
        "scores": {
            system: [round(value, 4) for value in (score.value, score.low or 0.0, score.high or 0.0)]
            for system, score in compared.scores.items()
        },
        "minutes": round(seconds / 60, 1),
        "met": ours > probe and ours > compared.scores["tfidf"].value and not is_worse,
    }


def hard_predictions(found: dict[str, str], labels: Sequence[str]) -> Any:
    """Answers as predictions that are sure of them."""
    from strop.records.dataset import strings
    from strop.records.predictions import Predictions

    ids = sorted(found)
    logits = np.zeros((len(ids), len(labels)), dtype=np.float32)
    for row, row_id in enumerate(ids):
        logits[row, labels.index(found[row_id])] = 10.0
    n_rows = len(ids)
    return Predictions(
        strings(ids),
        tuple(labels),
        logits,
        strings(["test"] * n_rows),
        np.zeros(n_rows, dtype=np.bool_),
        np.full(n_rows, -1, dtype=np.int64),
    )


def rounds(name: str, *, quick: bool) -> Iterator[list[tuple[str, str, str, str]]]:
    """Rows with their part; over all rounds every judged row is in the test part once."""
    rows = sib_rows() if name == "sib200_ko" else intent_rows()
    target = np.array([label for _, _, label in rows])
    folds = list(StratifiedKFold(N_FOLDS, shuffle=True, random_state=0).split(target, target))
    for number, (rest, test) in enumerate(folds[: 1 if quick else N_ROUNDS[name]]):
        rest_target = target[rest]
        splits = StratifiedKFold(7, shuffle=True, random_state=number).split(rest_target, rest_target)
        train, validation = next(iter(splits))
        parts = {int(at): "test" for at in (test[:40] if quick else test)}
        parts |= {int(rest[at]): "validation" for at in (validation[:30] if quick else validation)}
        parts |= {int(rest[at]): "train" for at in (train[:80] if quick else train)}
        yield [(*rows[at], part) for at, part in sorted(parts.items())]


def sib_rows() -> list[Row]:
    """Korean sentences and their topic."""
    rows = []
    for part in ("train", "dev"):
        with real_data(f"sib200_ko/{part}.tsv").open(newline="", encoding="utf-8") as file:
            read = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            rows += [(f"{part}-{row['index_id']}", row["text"], row["category"]) for row in read]
    return rows


def intent_rows(n_rows: int = 5000) -> list[Row]:
    """Korean utterances and their intent, without texts that stand there twice, drawn with a fixed seed."""
    lines = real_data("3i4k/fci_train_val.txt").read_text(encoding="utf-8").splitlines()
    by_text = {text.strip(): label for label, _, text in (line.partition("\t") for line in lines) if text.strip()}
    rows = [(f"row-{at}", text, label) for at, (text, label) in enumerate(by_text.items())]
    return [rows[at] for at in sorted(np.random.default_rng(0).permutation(len(rows))[:n_rows].tolist())]


def run_ours(request: dict[str, str]) -> None:
    """Strop's side: fit, then take the sealed rows' predictions; prints one JSON line."""
    from strop.recipe.load import parse_yaml
    from strop.records.dataset import Dataset
    from strop.records.predictions import Predictions
    from strop.runs.fit import fit

    recipe = parse_yaml(Path("recipes/korean-topics.yaml").read_text(encoding="utf-8"), "recipe")
    recipe["name"] = request["name"]
    recipe["data"] = {"path": request["data"], "text": ["text"], "target": "label", "id": "id", "part": "part"}
    recipe["split"] = {"near_duplicates": "ignore"}
    recipe["model"]["name"] = str(model_folder("e5-small"))
    run = fit(recipe, runs=request["runs"])
    answers = {}
    for system in ("model", "baseline-majority", "baseline-tfidf", "baseline-linear_probe"):
        found = Predictions.load(run.folder.predictions / f"{system}.test.sealed.arrow")
        name = "strop" if system == "model" else system.removeprefix("baseline-")
        answers[name] = dict(zip(found.ids.tolist(), found.best_R().tolist(), strict=True))
    assert Dataset.load(run.folder.sealed_data).n_rows == len(answers["strop"])
    print(json.dumps({"answers": answers, "seconds": run.folder.read_about()["seconds"]["train"]}))


if __name__ == "__main__":
    main()
