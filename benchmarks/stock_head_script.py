"""The peer of the head benchmark: a frozen encoder under a linear head in transformers' Trainer, as people write it.

Mean pooling, binary cross-entropy over all targets, dynamic padding, batch 8, the rate as asked. The body runs
in every epoch. Prints one JSON line: seconds of training, and predictions of the validation rows.
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
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--work", required=True)
    asked = parser.parse_args()

    import torch
    from datasets import Dataset
    from torch import nn
    from transformers import AutoModel, AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments

    with asked.data.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    targets = [name for name in rows[0] if name.startswith("y_")]
    tokenizer = AutoTokenizer.from_pretrained(asked.model)

    class FrozenBody(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = AutoModel.from_pretrained(asked.model)
            self.body.requires_grad_(requires_grad=False)
            self.head = nn.Linear(self.body.config.hidden_size, len(targets))

        def forward(self, input_ids: Any, attention_mask: Any, labels: Any, **_: Any) -> dict[str, Any]:
            states = self.body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            weights = attention_mask.unsqueeze(-1).to(states.dtype)
            logits = self.head((states * weights).sum(dim=1) / weights.sum(dim=1))
            return {"loss": nn.functional.binary_cross_entropy_with_logits(logits, labels), "logits": logits}

    def encode(part: str) -> Any:
        chosen = [row for row in rows if row["part"] == part]
        tokens = tokenizer([row["text"] for row in chosen], truncation=True, max_length=asked.tokens)
        labels = [[float(row[name]) for name in targets] for row in chosen]
        return Dataset.from_dict({**tokens, "labels": labels})

    train, validation = encode("train"), encode("validation")
    torch.manual_seed(0)
    trainer = Trainer(
        model=FrozenBody(),
        args=TrainingArguments(
            output_dir=asked.work,
            num_train_epochs=asked.epochs,
            per_device_train_batch_size=8,
            learning_rate=asked.rate,
            save_strategy="no",
            report_to=[],
            use_cpu=not torch.cuda.is_available(),
            disable_tqdm=True,
        ),
        train_dataset=train,
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    began = time.monotonic()
    trainer.train()
    seconds = time.monotonic() - began
    logits = np.asarray(trainer.predict(validation).predictions)
    print(json.dumps({"seconds": seconds, "n_rows": len(train), "values": logits.tolist()}))


if __name__ == "__main__":
    main()
