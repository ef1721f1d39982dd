"""Are answers written faster when every context, and every prompt, is read once?

Three questions, each with the rows per second of both sides, in one process a side:

1. `labels`: how likely are K given answers behind every prompt? The peer writes an answer for one prompt after the
   other with `model.generate` (as is done to classify with a language model) and gets no probabilities for it.
2. `samples`: eight samples behind every prompt. The peer calls `model.generate` with num_return_sequences=8 for one
   prompt after the other.
3. `greedy`: greedy answers. The peers are the text-generation `pipeline` of transformers with its own batch_size=1, and
   with batch_size=16. Answers must be the same; in bfloat16 sums of another order let some differ, which is counted.

Rows are questions of XQuAD (English) in the order of the file, contexts of mixed lengths; both sides are given the same
prompts as token ids, the same number format and the same longest answer.

    python benchmarks/generation.py [--quick] [--precision float32] [--question greedy]

Goals: labels and samples 3 times the rows per second, greedy 2 times, answers equal in float32. `ratio_cpu` compares
seconds of the processor, which other programs on the machine disturb less.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common_ground import model_folder, real_data, run_side, say_machine, say_result

N_SAMPLES = 8
PIPELINE_BATCH = 16
LABELS = (" yes", " no", " a person", " a place", " a date", " a number")
GOALS = {"labels": 3.0, "samples": 3.0, "greedy": 2.0}
SIDES = {"labels": ("ours", "peer"), "samples": ("ours", "peer"), "greedy": ("ours", "peer1", "peer16")}


def texts(n_rows: int) -> tuple[list[str], list[int]]:
    """Prompts as text, and the number of the context that each is about."""
    prompts, contexts = [], []
    number = 0
    for article in json.loads((real_data("xquad_en") / "xquad.en.json").read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                prompts.append(f"{paragraph['context']}\n\nQuestion: {question['question']}\nAnswer:")
                contexts.append(number)
            number += 1
    return prompts[:n_rows], contexts[:n_rows]


class Side:
    """What both sides are given.

    Args:
        arguments: Of the command line.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = model_folder(arguments.model)
        self.dtype = getattr(torch, arguments.precision)
        self.arguments = arguments
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=self.dtype).eval()
        self.prompts, self.contexts = texts(arguments.rows)
        self.token_ids = [self.tokenizer(prompt)["input_ids"] for prompt in self.prompts]
        self.end_id = int(self.tokenizer.eos_token_id)

    def labels(self) -> list[list[int]]:
        """Token ids of the candidates, the end token behind them."""
        return [[*self.tokenizer(label, add_special_tokens=False)["input_ids"], self.end_id] for label in LABELS]

    def completions(self) -> Any:
        """The prompts as our records hold them."""
        from strop.records.completions import Completions
        from strop.records.dataset import strings
        from strop.text.shared import shared_tokens

        n_rows = len(self.token_ids)
        prompts = [np.asarray(ids, dtype=np.int32) for ids in self.token_ids]
        context_P = np.asarray(self.contexts, dtype=np.int64)
        return Completions(
            ids=strings([str(row) for row in range(n_rows)]),
            row_P=np.arange(n_rows),
            prompts=prompts,
            answers=[np.asarray([], dtype=np.int32)] * n_rows,
            context_P=context_P,
            shared_P=shared_tokens(prompts, context_P),
            n_tokens_R=np.asarray([len(prompt) for prompt in prompts]),
            n_cut_R=np.zeros(n_rows, dtype=np.int64),
        )


def ours(side: Side, question: str) -> Callable[[], list[Any]]:
    """Our way to answer a question."""
    from strop.inference.generate import generate
    from strop.inference.likelihood import candidate_log_likelihoods
    from strop.models.network import Network
    from strop.models.precision import make_accelerator
    from strop.recipe.answer import Decoding

    network, accelerator = Network(side.model, None, "native", ()), make_accelerator(side.arguments.precision)
    completions = side.completions()
    if question == "labels":
        labels = [np.asarray(label, dtype=np.int32) for label in side.labels()]
        return lambda: candidate_log_likelihoods(
            network, completions, [labels] * completions.n_prompts, accelerator
        ).tolist()
    decoding = Decoding() if question == "greedy" else Decoding(method="sample", n_candidates=N_SAMPLES)

    def write() -> list[Any]:
        found = generate(
            network,
            completions,
            decoding,
            accelerator,
            pad_id=side.end_id,
            end_ids=[side.end_id],
            max_answer_tokens=side.arguments.answer_tokens,
            seed=0,
            decode=side.tokenizer.decode,
        )
        return [[ids.tolist() for ids in own] for own in found.token_ids]

    return write


def loop(side: Side, question: str) -> Callable[[], list[Any]]:
    """`model.generate` for one prompt after the other."""
    import torch

    longest = max(map(len, side.labels())) if question == "labels" else side.arguments.answer_tokens
    drawn = {"do_sample": True, "top_k": 0, "num_return_sequences": N_SAMPLES} if question == "samples" else {}

    def write() -> list[Any]:
        found = []
        torch.manual_seed(0)
        for ids in side.token_ids:
            given = torch.tensor([ids])
            with torch.no_grad():
                rows = side.model.generate(
                    given,
                    attention_mask=torch.ones_like(given),
                    max_new_tokens=longest,
                    pad_token_id=side.end_id,
                    **{"do_sample": False, **drawn},
                )
            found.append([row[len(ids) :].tolist() for row in rows])
        return found

    return write


def pipeline(side: Side, batch_size: int) -> Callable[[], list[Any]]:
    """The text-generation pipeline of transformers, as its documentation uses it."""
    from transformers import pipeline as make_pipeline

    side.tokenizer.pad_token = side.tokenizer.pad_token or side.tokenizer.eos_token
    side.tokenizer.padding_side = "left"
    made = make_pipeline("text-generation", model=side.model, tokenizer=side.tokenizer)

    def write() -> list[Any]:
        settings = {"max_new_tokens": side.arguments.answer_tokens, "do_sample": False}
        found = made(side.prompts, batch_size=batch_size, return_tensors=True, **settings)
        answers = []
        for ids, (one,) in zip(side.token_ids, found, strict=True):
            start = _first_token(one["generated_token_ids"], ids)
            answers.append([one["generated_token_ids"][start + len(ids) :]])
        return answers

    return write


def _first_token(row: Sequence[int], prompt: Sequence[int]) -> int:
    """Where the prompt begins behind its padding."""
    return next(at for at in range(len(row)) if list(row[at : at + len(prompt)]) == list(prompt))


def run(arguments: argparse.Namespace) -> None:
    """One side: time it, and print what it found as the last line."""
    warnings.filterwarnings("ignore")
    side = Side(arguments)
    if arguments.side == "ours":
        work = ours(side, arguments.question)
    elif arguments.question == "greedy":
        work = pipeline(side, 1 if arguments.side == "peer1" else PIPELINE_BATCH)
    else:
        work = loop(side, arguments.question)
    began, began_cpu = time.perf_counter(), time.process_time()
    found = work()
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - began_cpu
    end = side.end_id
    if arguments.question != "labels":
        found = [[_until(end, ids) for ids in own] for own in found]
    print(json.dumps({"rows_per_second": len(found) / seconds, "cpu_seconds": cpu_seconds, "found": found}))


def _until(end_id: int, ids: Sequence[int]) -> list[int]:
    return list(ids[: ids.index(end_id)] if end_id in ids else ids)


def compare(question: str, arguments: argparse.Namespace) -> None:
    """Run the sides of a question and print its line."""
    given = [f"--rows={arguments.rows}", f"--model={arguments.model}", f"--precision={arguments.precision}"]
    given += [f"--answer-tokens={arguments.answer_tokens}", f"--question={question}"]
    sides = {name: run_side(__file__, [*given, f"--side={name}"]) for name in SIDES[question]}
    for name, side in sides.items():
        print(f"{question} {name}: {side['rows_per_second']:.3f} rows/s, peak {side['peak_gib']} GiB")
    mine = sides["ours"]
    more: dict[str, Any] = {"precision": arguments.precision, "n_rows": arguments.rows}
    equal = 1.0
    if question == "greedy":
        shares = {
            name: float(np.mean([a == b for a, b in zip(mine["found"], side["found"], strict=True)]))
            for name, side in sides.items()
        }
        more["same_answers"] = {name: round(share, 4) for name, share in shares.items() if name != "ours"}
        equal = min(shares.values())
    for name in SIDES[question][1:]:
        peer = sides[name]["rows_per_second"]
        ratio = mine["rows_per_second"] / peer
        is_met = ratio >= GOALS[question] and (equal == 1.0 or arguments.precision != "float32")
        say_result(
            f"generation_{question}_{name}",
            ours=round(mine["rows_per_second"], 3),
            peer=round(peer, 3),
            ratio=round(ratio, 2),
            goal=GOALS[question],
            met=is_met,
            ratio_cpu=round(sides[name]["cpu_seconds"] / mine["cpu_seconds"], 2),
            **more,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Writing answers: ours against transformers alone.")
    parser.add_argument("--quick", action="store_true", help="32 rows and short answers")
    parser.add_argument("--rows", type=int, default=240)
    parser.add_argument("--answer-tokens", type=int, default=24)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--question", choices=tuple(GOALS), help="one question alone")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rows, arguments.answer_tokens = 32, 12
    if arguments.side:
        run(arguments)
        return
    say_machine(f"{Path(__file__).name}: is what prompts share read once, and does that pay?")
    for question in [arguments.question] if arguments.question else list(GOALS):
        compare(question, arguments)


if __name__ == "__main__":
    main()
