"""How much faster are answers learnt when a context is read once for all its questions, and is anything changed by it?

Equality: loss and adapter gradients of one batch, in float32, with contexts shared against every row read alone, for
smollm2 and a tiny Llama.

Speed: LoRA of rank 8 on all linear layers, bfloat16, the same rows, batch size and greatest length, against TRL's
SFTTrainer (prompts and completions, loss on completions alone), each side in a process of its own. Questions of KorQuAD
are read by gemma3-270m, those of XQuAD by smollm2. The clock runs from the end of the first step to the end of the
last. The sides take turns, and the quickest time of each counts, since other work on the machine only ever slows one
down; seconds of the processor stand beside it.

TRL is installed beside the project, and its folder named by an environment variable:

    pip install --target /tmp/trl --no-deps trl==1.16.0
    STROP_TRL=/tmp/trl python benchmarks/shared_context.py            # about half an hour on one core
    STROP_TRL=/tmp/trl python benchmarks/shared_context.py --quick    # fewer rows; ratios are rougher
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from common_ground import model_folder, real_data, run_side, say_machine, say_result

GOAL = 2.5
MOST_APART = 1e-4
DATA = {"xquad_en": "xquad_en/xquad.en.json", "korquad": "korquad/articles.json"}
MODELS = {"xquad_en": "smollm2", "korquad": "gemma3-270m"}
BATCH_SIZE, MAX_LENGTH, LEARNING_RATE = 8, 512, 2e-4
ADAPTER = {"rank": 8, "alpha": 16.0, "dropout": 0.05}
N_ROWS, N_QUICK, ROUNDS = 120, 40, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=[*DATA, "equality"])
    parser.add_argument("--rows", type=int, help="questions of each data set")
    parser.add_argument("--side", choices=["ours", "equality"], help=argparse.SUPPRESS)
    parser.add_argument("--request", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        sides = {"ours": train_ours, "equality": compare_gradients}
        print(json.dumps(sides[asked.side](json.loads(asked.request.read_text(encoding="utf-8")))))
        return
    needs_trl(asked.only)
    say_machine(__doc__.splitlines()[0])
    n_rows = asked.rows or (N_QUICK if asked.quick else N_ROWS)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        apart = equality(work) if asked.only in (None, "equality") else {}
        names = list(DATA) if asked.only is None else [asked.only] if asked.only in DATA else []
        pairs = [speed(name, work, n_rows, 1 if asked.quick else ROUNDS) for name in names]
    is_equal = all(value <= MOST_APART for one in apart.values() for value in one.values())
    worst = min(pairs, key=lambda pair: pair["ratio"], default={"ours": 0.0, "peer": 0.0, "ratio": 0.0})
    say_result(
        "shared_context",
        ours=worst["ours"],
        peer=worst["peer"],
        ratio=worst["ratio"],
        goal=GOAL,
        met=is_equal and all(pair["met"] for pair in pairs),
        pairs=pairs,
        apart=apart,
    )


def needs_trl(only: str | None) -> None:
    """Stop before anything is computed where TRL is missing."""
    if only != "equality" and not Path(os.environ.get("STROP_TRL", ""), "trl").is_dir():
        install = __doc__.partition("variable:\n\n")[2]
        raise SystemExit(f"this benchmark needs TRL; install it and set STROP_TRL to its folder:\n{install}")


def side(script: str, name: str, work: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run one side with what it needs to know."""
    file = work / "request.json"
    file.write_text(json.dumps(request), encoding="utf-8")
    return run_side(script, [*(["--side", name] if name else []), "--request", str(file)])


def equality(work: Path) -> dict[str, dict[str, float]]:
    """How far losses and gradients lie apart, by model."""
    from strop.testing.tiny_models import make_tiny_causal

    folders = {"smollm2": model_folder("smollm2"), "tiny Llama": make_tiny_causal(work / "llama")}
    found = {}
    for name, folder in folders.items():
        # Tiny models have a token for every byte, and few positions.
        rows = rows_of("xquad_en", folder, BATCH_SIZE, MAX_LENGTH, n_characters=None if name == "smollm2" else 200)
        result = side(__file__, "equality", work, {"model": str(folder), "rows": rows})
        found[name] = {key: result[key] for key in ("loss", "gradients")}
        print(f"  {name}, float32: loss apart {result['loss']:.1e}, adapter gradients {result['gradients']:.1e}")
    return found


def speed(name: str, work: Path, n_rows: int, n_rounds: int) -> dict[str, Any]:
    """Both sides on one data set."""
    folder = model_folder(MODELS[name])
    request = {
        "model": str(folder),
        "rows": rows_of(name, folder, n_rows, MAX_LENGTH),
        "adapter": ADAPTER,
        "batch_size": BATCH_SIZE,
        "max_length": MAX_LENGTH,
        "learning_rate": LEARNING_RATE,
        "work": str(work / "trl"),
    }
    peer_script = str(Path(__file__).with_name("sft_script.py"))
    rounds: list[dict[str, dict[str, Any]]] = []
    for _ in range(n_rounds):
        rounds.append({})
        for who, script in (("ours", __file__), ("peer", peer_script)):
            one = rounds[-1][who] = side(script, "ours" if who == "ours" else "", work, request)
            print(
                f"  {name}, {who}: {one['n_rows']} questions in {one['seconds']:.1f} s "
                f"({one['cpu_seconds']:.1f} s of CPU), mean loss {one['mean_loss']:.3f}, peak {one['peak_gib']} GiB",
                flush=True,
            )

    def best(who: str, key: str) -> float:
        return float(min(one[who][key] / one[who]["n_rows"] for one in rounds))

    ratio = best("peer", "seconds") / best("ours", "seconds")
    peaks = {who: min(one[who]["peak_gib"] for one in rounds) for who in ("ours", "peer")}
    return {
        "pair": f"{name}: questions a second, {MODELS[name]}",
        "ours": round(1 / best("ours", "seconds"), 3),
        "peer": round(1 / best("peer", "seconds"), 3),
        "ratio": round(ratio, 2),
        "goal": GOAL,
        "met": ratio >= GOAL and peaks["ours"] <= peaks["peer"],
        "ratio_of_cpu_seconds": round(best("peer", "cpu_seconds") / best("ours", "cpu_seconds"), 2),
        "peak_gib": peaks,
        "tokens_read": rounds[0]["ours"]["n_read"],
        "tokens_alone": rounds[0]["ours"]["n_alone"],
    }


def rows_of(
    name: str, model: Path, n_rows: int, max_length: int, n_characters: int | None = None
) -> list[dict[str, Any]]:
    """Questions of whole paragraphs, drawn with a fixed seed; what is longer than the greatest length is left out."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    articles = json.loads(real_data(DATA[name]).read_text(encoding="utf-8"))["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    rows: list[dict[str, Any]] = []
    for at in np.random.default_rng(0).permutation(len(paragraphs)).tolist():
        beginning = f"{paragraphs[at]['context'][:n_characters]}\n\nQuestion: "
        for question in paragraphs[at]["qas"]:
            prompt, answer = f"{beginning}{question['question']}\nAnswer:", f" {question['answers'][0]['text']}"
            if len(tokenizer(prompt + answer)["input_ids"]) < max_length and len(rows) < n_rows:
                rows.append({"prompt": prompt, "answer": answer, "context": at})
    return rows


def completions_of(rows: Sequence[Mapping[str, Any]], model: Path) -> tuple[Any, int]:
    """Prompts and answers as token ids, and the token that fills short packs."""
    from transformers import AutoTokenizer

    from strop.records.completions import Completions
    from strop.records.dataset import strings

    tokenizer = AutoTokenizer.from_pretrained(model)
    prompts = [np.asarray(tokenizer(row["prompt"])["input_ids"], dtype=np.int32) for row in rows]
    ends = [tokenizer.eos_token_id]
    answers = [tokenizer(row["answer"], add_special_tokens=False)["input_ids"] + ends for row in rows]
    shared = [
        min(n_common(prompts[at], prompts[other]) for other in range(len(rows)) if rows[other]["context"] == context)
        for at, context in enumerate(row["context"] for row in rows)
    ]
    completions = Completions(
        ids=strings([str(at) for at in range(len(rows))]),
        row_P=np.arange(len(rows)),
        prompts=prompts,
        answers=[np.asarray(answer, dtype=np.int32) for answer in answers],
        context_P=np.asarray([row["context"] for row in rows], dtype=np.int64),
        shared_P=np.asarray(shared, dtype=np.int64),
        n_tokens_R=np.asarray([len(prompt) for prompt in prompts], dtype=np.int64),
        n_cut_R=np.zeros(len(rows), dtype=np.int64),
    )
    return completions, tokenizer.pad_token_id or 0


def n_common(left: Any, right: Any) -> int:
    """How many first tokens two prompts share, the last one of the shorter left out."""
    most = min(len(left), len(right)) - 1
    return int(np.argmin(np.append(left[:most] == right[:most], False)))


def train_ours(request: Mapping[str, Any]) -> dict[str, Any]:
    """Strop's side: an epoch, step by step as a stage takes them."""
    import torch
    from transformers import get_scheduler

    from strop.models.causal import load_causal
    from strop.models.locate import locate_model
    from strop.models.precision import make_accelerator
    from strop.recipe.sections import Adapter, Model, Stage
    from strop.training.objectives.complete import CompletionFeed
    from strop.training.parameters import build_optimizer, choose_trainable

    model = Model(name=request["model"], adapter=Adapter(**request["adapter"]), precision="bfloat16")
    stage = Stage(
        objective="complete",
        trainable="adapter",
        epochs=1,
        learning_rate=request["learning_rate"],
        batch_size=request["batch_size"],
    )
    completions, pad_id = completions_of(request["rows"], Path(request["model"]))
    accelerator = make_accelerator("bfloat16")
    network = load_causal(model, locate_model(model), accelerator.device)
    feed = CompletionFeed.of_stage(stage, completions, np.arange(completions.n_rows), pad_id=pad_id, seed=0)
    feed, entries = feed.proven(network, accelerator)
    assert not entries, entries
    chosen = choose_trainable(network, stage, 0)
    optimizer = build_optimizer(network, chosen, stage)
    schedule = get_scheduler("linear", optimizer, num_warmup_steps=0, num_training_steps=feed.n_batches)
    network.train()
    losses, clock, batches = [], [], feed.plan(0)
    for batch in batches:
        total = 0.0
        for one in feed.passes([batch], accelerator.device):
            loss = feed.loss(network, one, accelerator)
            accelerator.backward(loss)
            total += loss.item()
        torch.nn.utils.clip_grad_norm_([parameter for _, parameter in chosen], 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(total)
        clock.append((time.monotonic(), time.process_time()))
    return {
        "n_rows": sum(len(pack.prompts) for batch in batches[1:] for pack in batch),
        "seconds": clock[-1][0] - clock[0][0],
        "cpu_seconds": clock[-1][1] - clock[0][1],
        "mean_loss": float(np.mean(losses)),
        "n_read": sum(pack.n_tokens for batch in batches for pack in batch),
        "n_alone": int((completions.prompt_tokens_P + completions.answer_tokens_P - 1).sum()),
    }


def compare_gradients(request: Mapping[str, Any]) -> dict[str, float]:
    """One batch with contexts shared and one with every row alone: differences, relative to the latter."""
    import torch

    from strop.models.causal import load_causal
    from strop.models.locate import locate_model
    from strop.models.precision import make_accelerator
    from strop.recipe.sections import Adapter, Model
    from strop.training.objectives.complete import CompletionFeed

    model = Model(name=request["model"], adapter=Adapter(rank=8, dropout=0.0), precision="float32")
    accelerator = make_accelerator("float32")
    network = load_causal(model, locate_model(model), accelerator.device).train()
    adapters = [(name, one) for name, one in network.named_parameters() if network.is_adapter(name)]
    for name, parameter in adapters:
        # New adapters change nothing, and their first matrices get no gradient.
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, std=0.02)
    completions, pad_id = completions_of(request["rows"], Path(request["model"]))
    feed = CompletionFeed(completions, np.arange(completions.n_prompts), completions.n_prompts, 0, pad_id)
    found = []
    for one_feed in (feed, replace(feed, share_context=False)):
        network.zero_grad()
        losses = []
        for one in one_feed.passes(one_feed.plan(0), accelerator.device):
            part = one_feed.loss(network, one, accelerator)
            accelerator.backward(part)
            losses.append(part.item())
        found.append((sum(losses), [parameter.grad.clone() for _, parameter in adapters if parameter.grad is not None]))
    (loss, gradients), (expected, gradients_alone) = found
    assert len(gradients) == len(gradients_alone) == len(adapters)
    apart = [
        ((left - right).norm() / right.norm()).item() for left, right in zip(gradients, gradients_alone, strict=True)
    ]
    return {"loss": abs(loss - expected) / expected, "gradients": max(apart)}


if __name__ == "__main__":
    main()
