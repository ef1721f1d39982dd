"""The peer of the score benchmark: SetFit with the same encoder, the same training rows and the same minutes.

Contrastive fine-tuning of the sentence encoder, then a logistic regression, with SetFit's own defaults; training stops
when the time is used up. Prints one JSON line: the predicted label of every test row.
"""

import argparse
import csv
import json
import time
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prefix", default="")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--work", required=True)
    asked = parser.parse_args()

    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, models
    from setfit import SetFitModel, Trainer, TrainingArguments
    from sklearn.linear_model import LogisticRegression
    from transformers import TrainerCallback

    with asked.data.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labels = sorted({row["label"] for row in rows})
    # SetFit chooses nothing by a validation part, so it may train on those rows too.
    train = [row for row in rows if row["part"] != "test"]
    test = [row for row in rows if row["part"] == "test"]
    transformer = models.Transformer(asked.model, max_seq_length=128)
    pooling = models.Pooling(transformer.get_word_embedding_dimension(), "mean")
    body = SentenceTransformer(modules=[transformer, pooling], device="cpu")

    class StopInTime(TrainerCallback):  # type: ignore[misc]
        began = time.monotonic()

        def on_step_end(self, _: Any, __: Any, control: Any, **___: Any) -> Any:
            control.should_training_stop |= time.monotonic() - self.began > asked.seconds
            return control

    trainer = Trainer(
        model=SetFitModel(model_body=body, model_head=LogisticRegression(max_iter=1000, class_weight="balanced")),
        args=TrainingArguments(
            output_dir=asked.work, batch_size=16, num_epochs=1, report_to="none", show_progress_bar=False
        ),
        train_dataset=Dataset.from_dict(
            {
                "text": [asked.prefix + row["text"] for row in train],
                "label": [labels.index(row["label"]) for row in train],
            }
        ),
        callbacks=[StopInTime()],
    )
    began = time.monotonic()
    trainer.train()
    seconds = time.monotonic() - began
    predicted = trainer.model.predict([asked.prefix + row["text"] for row in test]).tolist()
    answers = {row["id"]: labels[int(at)] for row, at in zip(test, predicted, strict=True)}
    print(json.dumps({"answers": answers, "seconds": seconds}))


if __name__ == "__main__":
    main()
