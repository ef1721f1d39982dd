"""Predict new rows with the models of a run."""

from collections.abc import Callable

import numpy as np

from strop.ensembling.out_of_fold import average_folds
from strop.inference.predict import predict_logits
from strop.models.precision import make_accelerator
from strop.models.trained import TrainedModel, load_trained
from strop.records.dataset import Dataset, strings
from strop.records.predictions import Predictions
from strop.records.run_folder import RunFolder
from strop.records.split import Split
from strop.text.template import render_texts
from strop.text.tokenizer import TextTokenizer
from strop.text.windows import make_examples


def predict_rows(
    folder: RunFolder,
    split: Split,
    models: dict[str, TrainedModel],
    rows: Dataset,
    rows_done: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Predict rows with every fold's model and average the folds.

    Args:
        folder: A finished run.
        split: Its split.
        models: Models by fold that are loaded already; those loaded now are added.
        rows: New rows.
        rows_done: Told how many of how many windows are done.

    Raises:
        ModelError: A model folder is damaged.
    """
    by_fold = []
    for fold in split.folds():
        if fold.name not in models:
            accelerator = make_accelerator("auto")
            models[fold.name] = load_trained(folder.model(fold.name), accelerator.device)
        trained = models[fold.name]
        accelerator = make_accelerator(trained.recipe.model.precision)
        texts = render_texts(rows, trained.recipe.text.template)
        tokenizer = TextTokenizer.from_folder(trained.folder)
        examples = make_examples(rows.ids, texts, tokenizer, trained.recipe.text)
        logits_RL = predict_logits(trained.network, examples, accelerator, pad_id=trained.pad_id, rows_done=rows_done)
        by_fold.append(
            Predictions(
                ids=rows.ids,
                labels=trained.labels,
                logits_RL=logits_RL,
                part=strings(["new"] * rows.n_rows),
                seen_R=np.zeros(rows.n_rows, dtype=np.bool_),
                fold_R=np.full(rows.n_rows, -1, dtype=np.int64),
                made_by={"system": "model", "fold": fold.name},
            )
        )
    return by_fold[0] if len(by_fold) == 1 else average_folds(by_fold, {"system": "model"})
