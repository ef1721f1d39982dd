"""The peer of the speed benchmark: what people write after reading the documentation of transformers' Trainer.

Batch 8, learning rate, dropout, precision and schedule as the library has them; every text padded to 512 tokens, or
with `--dynamic` to the longest of its batch. Prints one JSON line: when which validation macro F1 was reached.
"""

import argparse
import csv
import json
import time
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--epochs", type=float, required=True)
    parser.add_argument("--dynamic", action="store_true")
    parser.add_argument("--work", required=True)
    asked = parser.parse_args()

    import torch
    from datasets import Dataset
    from sklearn.metrics import f1_score
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    began = time.monotonic()
    with asked.data.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labels = sorted({row["label"] for row in rows})
    tokenizer = AutoTokenizer.from_pretrained(asked.model)

    def encode(part: str) -> Any:
        chosen = [row for row in rows if row["part"] == part]
        tokens = tokenizer(
            [row["text"] for row in chosen],
            truncation=True,
            max_length=512,
            padding=False if asked.dynamic else "max_length",
        )
        return Dataset.from_dict({**tokens, "labels": [labels.index(row["label"]) for row in chosen]})

    reached: list[tuple[float, float]] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_evaluate(self, *_: Any, metrics: dict[str, float], **__: Any) -> None:
            reached.append((time.monotonic() - began, metrics["eval_macro_f1"]))

    def scores(found: Any) -> dict[str, float]:
        best = np.argmax(found.predictions, axis=1)
        return {"macro_f1": float(f1_score(found.label_ids, best, average="macro"))}

    trainer = Trainer(
        model=AutoModelForSequenceClassification.from_pretrained(asked.model, num_labels=len(labels)),
        args=TrainingArguments(
            output_dir=asked.work,
            num_train_epochs=asked.epochs,
            per_device_train_batch_size=8,
            eval_strategy="epoch",
            save_strategy="no",
            report_to=[],
            use_cpu=not torch.cuda.is_available(),
            disable_tqdm=True,
        ),
        train_dataset=encode("train"),
        eval_dataset=encode("validation"),
        data_collator=DataCollatorWithPadding(tokenizer) if asked.dynamic else None,
        compute_metrics=scores,
        callbacks=[Clock()],
    )
    trainer.train()
    print(json.dumps({"reached": reached, "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main()
