"""The stations that load a language model: train every fold, predict held-out and sealed rows, fit the baselines."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from numpy.typing import NDArray

from strop.ensembling.out_of_fold import average_folds, gather_folds
from strop.inference.predict import pooled_features, predict_logits
from strop.metrics.registry import METRICS
from strop.models.load import build_network, count_parameters, load_body
from strop.models.network import Network
from strop.models.trained import ABOUT, load_trained, save_trained
from strop.recipe.sections import Recipe
from strop.records.files import read_arrow, write_arrow
from strop.records.ledger import Entry
from strop.records.predictions import Predictions
from strop.records.run_folder import RunFolder
from strop.records.split import Fold
from strop.runs.prepare import Prepared
from strop.tasks.classify import BaselineRows, baseline_logits, build_evaluation, held_out_predictions
from strop.training.stage import StageJob, train_stage
from strop.training.watch import Watcher


def fold_seed(recipe: Recipe, fold: Fold, stage: int) -> int:
    """A seed for every fold and stage, all from the recipe's."""
    number = 0 if fold.number is None else fold.number + 1
    return int(np.random.SeedSequence([recipe.seed, number, stage]).generate_state(1)[0])


def train_fold(
    recipe: Recipe, prepared: Prepared, fold: Fold, folder: RunFolder, accelerator: Accelerator, watcher: Watcher
) -> None:
    """Train all stages of one fold and write its model; return at once where the model stands already."""
    if (folder.model(fold.name) / ABOUT).exists():
        return
    watcher.station_began(f"training{'' if fold.number is None else f' fold {fold.number}'}")
    network = build_network(
        recipe.model,
        prepared.located,
        prepared.labels,
        pad_id=prepared.pad_id,
        device=accelerator.device,
        seed=fold_seed(recipe, fold, 0),
    )
    reached: float | None = None
    chosen: dict[str, object] = {}
    for job in _stage_jobs(recipe, prepared, fold, folder, accelerator):
        progress = train_stage(replace(job, start=reached), network, accelerator, watcher)
        if progress.best_step > 0:
            chosen = {"stage": job.number, "step": progress.best_step, "score": progress.best_score}
        reached = progress.best_score
    about = folder.read_about()
    folder.update_about(
        chosen={**about.get("chosen", {}), fold.name: chosen},
        model=_about_model(prepared, network, accelerator),
    )
    save_trained(
        network,
        folder.model(fold.name),
        recipe=recipe,
        located=prepared.located,
        labels=prepared.labels,
        pad_id=prepared.pad_id,
    )


def _stage_jobs(
    recipe: Recipe, prepared: Prepared, fold: Fold, folder: RunFolder, accelerator: Accelerator
) -> Iterator[StageJob]:
    """The jobs of a fold's stages, in their order."""
    held = prepared.dataset.rows_of(fold.validation)
    evaluate = build_evaluation(
        prepared.examples.take(held),
        prepared.target_R[held],
        prepared.labels,
        accelerator,
        primary=recipe.evaluation.primary_metric,
        fold=fold,
        pad_id=prepared.pad_id,
    )
    for number, stage in enumerate(recipe.stages):
        yield StageJob(
            name=_stage_name(recipe, fold, number),
            number=number,
            stage=stage,
            examples=prepared.examples,
            rows=prepared.dataset.rows_of(fold.train),
            target_R=prepared.target_R,
            n_labels=len(prepared.labels),
            pad_id=prepared.pad_id,
            evaluate=evaluate,
            higher_is_better=METRICS[recipe.evaluation.primary_metric].higher_is_better,
            start=None,
            folder=folder.stage(fold.name, number, stage.objective),
            seed=fold_seed(recipe, fold, number + 1),
            note=folder.ledger.write,
        )


def _about_model(prepared: Prepared, network: Network, accelerator: Accelerator) -> dict[str, object]:
    counts = count_parameters(network)
    return {
        "name": prepared.located.name,
        "source": prepared.located.source,
        "pooling": network.pooling,
        "precision": accelerator.mixed_precision,
        "n_parameters": counts.n_parameters,
        "n_head": counts.n_head,
        "n_adapter": counts.n_adapter,
    }


def _stage_name(recipe: Recipe, fold: Fold, number: int) -> str:
    stage = recipe.stages[number]
    of_fold = "" if fold.number is None else f"fold {fold.number}, "
    return f"{of_fold}stage {number}: {stage.objective} on {stage.trainable}"


def predict_fold(prepared: Prepared, fold: Fold, folder: RunFolder, accelerator: Accelerator, watcher: Watcher) -> None:
    """Predict held-out and sealed rows with the model as it lies on the disk, so that it is what is judged."""
    held_path, sealed_path = fold_predictions(folder, "model", fold)
    if held_path.exists() and (sealed_path.exists() or len(prepared.split.test) == 0):
        return
    watcher.station_began("predicting")
    trained = load_trained(folder.model(fold.name), accelerator.device)
    for part, ids, path in (("validation", fold.validation, held_path), ("test", prepared.split.test, sealed_path)):
        if len(ids) == 0:
            continue
        examples = prepared.examples.take(prepared.dataset.rows_of(ids))
        logits_RL = predict_logits(
            trained.network, examples, accelerator, pad_id=trained.pad_id, rows_done=watcher.rows_done
        )
        held_out_predictions(logits_RL, ids, prepared.labels, fold, part, {"system": "model", "fold": fold.name}).save(
            path
        )


def fold_predictions(folder: RunFolder, system: str, fold: Fold) -> tuple[Path, Path]:
    """Where a fold's predictions of held-out rows and of sealed rows lie."""
    place = folder.predictions / "folds" / fold.name
    return place / f"{system}.arrow", place / f"{system}.test.sealed.arrow"


def predict_baselines(
    recipe: Recipe, prepared: Prepared, folder: RunFolder, accelerator: Accelerator, watcher: Watcher
) -> None:
    """Fit every baseline on each fold's training rows; predict what the model predicts."""
    features_RH = _frozen_features(recipe, prepared, folder, accelerator, watcher)
    for name in recipe.evaluation.baselines:
        for fold in prepared.split.folds():
            held_path, sealed_path = fold_predictions(folder, f"baseline-{name}", fold)
            if held_path.exists() and (sealed_path.exists() or len(prepared.split.test) == 0):
                continue
            watcher.station_began(f"baseline {name}")
            train = prepared.dataset.rows_of(fold.train)
            held, sealed = prepared.dataset.rows_of(fold.validation), prepared.dataset.rows_of(prepared.split.test)
            asked = np.concatenate([held, sealed])
            logits_RL = baseline_logits(
                name,
                _baseline_rows(prepared, features_RH, train),
                prepared.target_R[train],
                _baseline_rows(prepared, features_RH, asked),
                n_labels=len(prepared.labels),
                seed=recipe.seed,
            )
            made_by = {"system": name, "fold": fold.name}
            parts = [("validation", fold.validation, held_path, logits_RL[: len(held)])]
            if len(sealed):
                parts.append(("test", prepared.split.test, sealed_path, logits_RL[len(held) :]))
            for part, ids, path, logits in parts:
                held_out_predictions(logits, ids, prepared.labels, fold, part, made_by).save(path)


def _baseline_rows(prepared: Prepared, features_RH: NDArray[np.float32] | None, rows: NDArray[np.intp]) -> BaselineRows:
    return BaselineRows(prepared.dataset.joined_texts()[rows], None if features_RH is None else features_RH[rows])


def _frozen_features(
    recipe: Recipe, prepared: Prepared, folder: RunFolder, accelerator: Accelerator, watcher: Watcher
) -> NDArray[np.float32] | None:
    """Pooled states of the pretrained body for all rows, computed once and kept in the run folder."""
    if "linear_probe" not in recipe.evaluation.baselines:
        return None
    import pyarrow as pa

    path = folder.path / "features" / "pretrained.arrow"
    if not path.exists():
        watcher.station_began("features of the frozen body")
        body = load_body(recipe.model, prepared.located, pad_id=prepared.pad_id, device=accelerator.device)
        features_RH = pooled_features(body, prepared.examples, accelerator, pad_id=prepared.pad_id)
        column = pa.FixedSizeListArray.from_arrays(pa.array(features_RH.reshape(-1)), features_RH.shape[1])
        write_arrow(path, pa.table({"features": column}), {"width": features_RH.shape[1]})
    table, notes = read_arrow(path)
    flat = table.column("features").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat.reshape(-1, notes["width"]))


def gather_predictions(recipe: Recipe, prepared: Prepared, folder: RunFolder) -> None:
    """Put the folds' predictions together: every held-out row once, sealed rows averaged over the folds' models."""
    for system in ["model", *(f"baseline-{name}" for name in recipe.evaluation.baselines)]:
        held, sealed = [], []
        for fold in prepared.split.folds():
            held_path, sealed_path = fold_predictions(folder, system, fold)
            held.append(Predictions.load(held_path))
            if len(prepared.split.test):
                sealed.append(Predictions.load(sealed_path))
        made_by = {"system": system}
        gather_folds(held, prepared.split.held_out_ids, made_by).save(folder.predictions / f"{system}.arrow")
        if sealed:
            average_folds(sealed, made_by).save(folder.predictions / f"{system}.test.sealed.arrow")


def checkpoint_note(folder: RunFolder, recipe: Recipe) -> Entry:
    """The ledger's line on which checkpoints were chosen, and by what."""
    chosen = folder.read_about()["chosen"]
    what = f"checkpoints chosen by {recipe.evaluation.primary_metric} on held-out rows"
    return Entry("note", "training", what, details=chosen)
