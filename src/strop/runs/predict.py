"""Predict new rows with the models of a run."""

from collections.abc import Callable

import numpy as np
from accelerate import Accelerator
from numpy.typing import NDArray

from strop.data.metadata import MetadataEncoder
from strop.ensembling.out_of_fold import average_folds
from strop.inference.predict import predict_logits
from strop.models.precision import make_accelerator
from strop.models.trained import TrainedModel, load_trained
from strop.records.dataset import Dataset, strings
from strop.records.examples import Examples
from strop.records.ledger import Note, unsaid
from strop.records.predictions import Predictions
from strop.records.run_folder import RunFolder
from strop.records.split import Split
from strop.runs.gather_evidence import evidence_of_new_rows
from strop.runs.tokenize import tokenize
from strop.tasks.target_scale import TargetScale
from strop.text.tokenizer import TextTokenizer
from strop.training.watch import Watchers


def predict_rows(
    folder: RunFolder,
    split: Split,
    models: dict[str, TrainedModel],
    rows: Dataset,
    rows_done: Callable[[int, int], None] | None = None,
    temperature: float = 1.0,
    note: Note = unsaid,
) -> Predictions:
    """Predict rows with every fold's model and average the folds.

    Args:
        folder: A finished run.
        split: Its split.
        models: Models by fold that are loaded already; those loaded now are added.
        rows: New rows.
        rows_done: Told how many of how many windows are done.
        temperature: Divides every model's logits.
        note: Told what a reader should know, for example which texts were cut.

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
        outputs_RL = _outputs_of_new(trained, folder, rows, accelerator, rows_done, note)
        by_fold.append(
            Predictions(
                ids=rows.ids,
                labels=trained.labels,
                outputs_RL=outputs_RL,
                part=strings(["new"] * rows.n_rows),
                seen_R=np.zeros(rows.n_rows, dtype=np.bool_),
                fold_R=np.full(rows.n_rows, -1, dtype=np.int64),
                made_by={"system": "model", "fold": fold.name},
                kind="values" if trained.network.inputs.is_regression else "logits",
            )
        )
    if len(by_fold) == 1 and temperature == 1.0:
        return by_fold[0]
    return average_folds(by_fold, {"system": "model"}, temperature=temperature)


def _outputs_of_new(
    trained: TrainedModel,
    folder: RunFolder,
    rows: Dataset,
    accelerator: Accelerator,
    rows_done: Callable[[int, int], None] | None,
    note: Note,
) -> NDArray[np.float32]:
    """What a trained model says of rows outside the run, shape (R, L)."""
    recipe = trained.recipe
    tokenizer = TextTokenizer.from_folder(trained.folder, trust_remote_code=recipe.model.trust_remote_code)
    if recipe.writes:
        from strop.runs.writing.predict import label_outputs_of

        return label_outputs_of(trained, tokenizer, rows, accelerator, rows_done, note)
    of_rows = None
    if recipe.evidence is not None:
        of_rows = evidence_of_new_rows(recipe, folder, rows, tokenizer, Watchers())
    tokenized = tokenize(recipe, rows, tokenizer, of_rows)
    for entry in tokenized.entries:
        note(entry.what)
    return outputs_of(trained, rows, tokenized.examples, accelerator, rows_done)


def outputs_of(
    trained: TrainedModel,
    rows: Dataset,
    examples: Examples,
    accelerator: Accelerator,
    rows_done: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """What a trained model says of rows, shape (R, L): logits of labels, or values of targets.

    Args:
        trained: A model as `load_trained` gives it.
        rows: The rows, with their metadata where the model reads any.
        examples: Their token ids.
        accelerator: Device and precision.
        rows_done: Told how many of how many windows are done.
    """
    metadata_RM = None
    if trained.preprocessing.get("metadata") is not None:
        metadata_RM = MetadataEncoder.from_json(trained.preprocessing["metadata"]).encode(rows)
    outputs_RL = predict_logits(
        trained.network, examples, accelerator, pad_id=trained.pad_id, metadata_RM=metadata_RM, rows_done=rows_done
    )
    if not trained.network.inputs.is_regression:
        return outputs_RL
    return TargetScale.from_saved(trained.preprocessing["targets"]).decode(outputs_RL)
