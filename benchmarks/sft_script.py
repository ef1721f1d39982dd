"""The peer of the benchmark of shared contexts: what people write after reading the documentation of TRL's SFTTrainer.

Prompts and completions, LoRA on all linear layers, loss on completions alone, every row read by itself. Number format
and gradient checkpointing are set, since TRL's defaults (bf16, with checkpointing) are not those of the library.
Prints one JSON line: seconds from the end of the first step to the end of the last, and the rows of that time.
"""

import argparse
import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--request", type=Path, required=True)
    asked = json.loads(parser.parse_args().request.read_text(encoding="utf-8"))

    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

    sys.path.append(os.environ["STROP_TRL"])
    trl: Any = import_module("trl")
    clock: list[tuple[float, float]] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.append((time.monotonic(), time.process_time()))

    adapter = asked["adapter"]
    trainer = trl.SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(asked["model"], dtype=torch.bfloat16),
        processing_class=AutoTokenizer.from_pretrained(asked["model"]),
        args=trl.SFTConfig(
            output_dir=asked["work"],
            num_train_epochs=1,
            per_device_train_batch_size=asked["batch_size"],
            learning_rate=asked["learning_rate"],
            max_length=asked["max_length"],
            bf16=True,
            gradient_checkpointing=False,
            save_strategy="no",
            logging_steps=1,
            report_to=[],
            use_cpu=not torch.cuda.is_available(),
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(
            [{"prompt": row["prompt"], "completion": row["answer"]} for row in asked["rows"]]
        ),
        peft_config=LoraConfig(
            r=adapter["rank"],
            lora_alpha=adapter["alpha"],
            lora_dropout=adapter["dropout"],
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
        callbacks=[Clock()],
    )
    trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    (began, began_cpu), (ended, ended_cpu) = clock[0], clock[-1]
    result = {
        "n_rows": len(asked["rows"]) - asked["batch_size"],
        "seconds": ended - began,
        "cpu_seconds": ended_cpu - began_cpu,
        "mean_loss": sum(losses) / len(losses),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
