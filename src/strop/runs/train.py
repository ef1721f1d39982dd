"""The stations that load a language model: train every fold, predict held-out and sealed rows, fit the baselines."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from numpy.typing import NDArray

from strop.data.metadata import MetadataEncoder
from strop.ensembling.out_of_fold import average_folds, gather_folds
from strop.evidence.augment import TrainingRows, split_labels, with_pieces
from strop.inference.predict import mean_by_row, predict_from_features, predict_logits
from strop.models.load import build_network, count_parameters, load_body
from strop.models.network import Inputs, Network
from strop.models.trained import ABOUT, load_trained, save_trained
from strop.recipe.sections import Recipe, Stage
from strop.records.dataset import Strings, strings
from strop.records.ledger import Entry
from strop.records.predictions import Predictions
from strop.records.run_folder import RunFolder
from strop.records.split import Fold
from strop.runs.predict import outputs_of
from strop.runs.prepare import Prepared
from strop.tasks.task import BaselineRows, Task
from strop.text.parts import segments
from strop.training.features import body_features
from strop.training.feed import Feed, WindowFeed
from strop.training.stage import Evaluated, StageJob, train_stage
from strop.training.watch import Watcher

NATIVE_HEAD = (
    "pooling came to 'native': this head reads token states, so that a stage that trains the head alone runs the whole "
    "body in every epoch; model.pooling=mean, first or last would train on cached features"
)


def fold_seed(recipe: Recipe, fold: Fold, stage: int) -> int:
    """A seed for every fold and stage, all from the recipe's."""
    number = 0 if fold.number is None else fold.number + 1
    return int(np.random.SeedSequence([recipe.seed, number, stage]).generate_state(1)[0])


@dataclass(frozen=True)
class FoldState:
    """What is fitted on the training rows of a fold before the network is.

    Attributes:
        task: The task with what it learnt.
        encoder: Turns metadata into numbers, None without metadata.
        metadata_RM: Encoded metadata of all rows, None without metadata.
    """

    task: Task
    encoder: MetadataEncoder | None
    metadata_RM: NDArray[np.float32] | None

    def inputs(self, recipe: Recipe) -> Inputs:
        """What the network is given beside token ids."""
        return Inputs(
            segments=segments(recipe.text, recipe.data.text) if recipe.text.parts is not None else (),
            n_metadata=0 if self.encoder is None else len(self.encoder.names),
            is_regression=self.task.is_regression,
        )


def fit_fold_state(recipe: Recipe, prepared: Prepared, fold: Fold) -> FoldState:
    """Fit ranges and metadata encoding on the training rows of a fold."""
    rows = prepared.dataset.rows_of(fold.train)
    task = prepared.task.fitted_on(rows)
    if not prepared.dataset.categories and not prepared.dataset.numbers:
        return FoldState(task, None, None)
    encoder = MetadataEncoder.fit(prepared.dataset, rows, recipe.data.max_categories)
    return FoldState(task, encoder, encoder.encode(prepared.dataset))


def train_fold(
    recipe: Recipe, prepared: Prepared, fold: Fold, folder: RunFolder, accelerator: Accelerator, watcher: Watcher
) -> None:
    """Train all stages of one fold and write its model; return at once where the model stands already."""
    if (folder.model(fold.name) / ABOUT).exists():
        return
    watcher.station_began(f"training{'' if fold.number is None else f' fold {fold.number}'}")
    state = fit_fold_state(recipe, prepared, fold)
    network = build_network(
        recipe.model,
        prepared.located,
        state.task.names,
        pad_id=prepared.pad_id,
        device=accelerator.device,
        seed=fold_seed(recipe, fold, 0),
        inputs=state.inputs(recipe),
    )
    reached: float | None = None
    chosen: dict[str, object] = {}
    if network.head is None and any(stage.trainable == "head" for stage in recipe.stages):
        folder.ledger.write(Entry("note", "training", NATIVE_HEAD))
    folder.ledger.write_all(_unlearnt(state, prepared, fold))
    for job in _stage_jobs(recipe, prepared, state, fold, folder, accelerator, watcher):
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
        labels=state.task.names,
        pad_id=prepared.pad_id,
        preprocessing={
            "targets": dict(state.task.saved()),
            "metadata": None if state.encoder is None else state.encoder.to_json(),
        },
    )


def _unlearnt(state: FoldState, prepared: Prepared, fold: Fold) -> list[Entry]:
    """Targets that vary, of which the training rows of a fold know one value or none: its model predicts them too."""
    if not state.task.is_regression:
        return []
    where = "the training rows" if fold.number is None else f"the training rows of fold {fold.number}"
    # As they stand in the data: the fold's own scale may make one value of several.
    target_RT = prepared.dataset.target_matrix()
    of_fold = target_RT[prepared.dataset.rows_of(fold.train)]
    entries = []
    for name, target_R, known_R in zip(state.task.names, target_RT.T, of_fold.T, strict=True):
        n_values, n_of_fold = (len(np.unique(one[~np.isnan(one)])) for one in (target_R, known_R))
        if n_of_fold < 2 <= n_values:
            known = f"{where} know {'one value' if n_of_fold else 'no value'} of the target '{name}'"
            what = f"{known}: its model cannot learn it, and predicts it all the same"
            entries.append(Entry("note", "training", what))
    return entries


def training_rows(recipe: Recipe, prepared: Prepared, fold: Fold) -> tuple[TrainingRows, NDArray[np.intp]]:
    """What a fold trains on: its rows, and pieces of those whose evidence is split.

    Returns:
        Rows with their token ids, and which of them are trained on.
    """
    rows, pieces = prepared.dataset.rows_of(fold.train), prepared.tokenized.pieces
    asked = None if recipe.evidence is None else recipe.evidence.augmentation
    if asked is None or pieces is None:
        # All rows: features of a body that no fold changes are shared by the folds.
        return TrainingRows(prepared.examples, np.arange(prepared.examples.n_rows)), rows
    is_split_R = np.ones(len(rows), dtype=np.bool_)
    if prepared.dataset.target is not None:
        target_R = prepared.dataset.target[rows]
        is_split_R = np.isin(target_R.astype(str), list(split_labels(asked, target_R)))
    training = with_pieces(prepared.examples, pieces, rows, is_split_R, asked)
    return training, np.arange(training.examples.n_rows)


def _stage_jobs(
    recipe: Recipe,
    prepared: Prepared,
    state: FoldState,
    fold: Fold,
    folder: RunFolder,
    accelerator: Accelerator,
    watcher: Watcher,
) -> Iterator[StageJob]:
    """The jobs of a fold's stages, in their order."""
    training, rows = training_rows(recipe, prepared, fold)
    features = partial(
        body_features,
        examples=training.examples,
        accelerator=accelerator,
        folder=folder.features,
        pad_id=prepared.pad_id,
        watcher=watcher,
    )
    for number, stage in enumerate(recipe.stages):
        seed = fold_seed(recipe, fold, number + 1)

        def feed(network: Network, stage: Stage = stage, seed: int = seed) -> WindowFeed:
            # A native head reads token states: for it the body runs in every epoch.
            has_features = stage.trainable == "head" and network.head is not None
            return WindowFeed(
                stage,
                training.examples,
                rows,
                state.task.targets[training.row_of_R],
                accelerator.device,
                n_labels=len(state.task.names),
                pad_id=prepared.pad_id,
                seed=seed,
                metadata_RM=None if state.metadata_RM is None else state.metadata_RM[training.row_of_R],
                features_WF=features(network) if has_features else None,
            )

        yield StageJob(
            name=stage_name(recipe, fold, number),
            number=number,
            stage=stage,
            feed=feed,
            evaluate=_evaluation(prepared, state, fold, number, accelerator),
            higher_is_better=state.task.higher_is_better,
            start=None,
            folder=folder.stage(fold.name, number, stage.objective),
            seed=seed,
            note=folder.ledger.write,
        )


def _evaluation(
    prepared: Prepared, state: FoldState, fold: Fold, stage: int, accelerator: Accelerator
) -> Callable[[Network, Feed], Evaluated]:
    """What a stage calls to be evaluated: predict the rows that the fold holds out, and score them."""
    held, is_augmented = prepared.dataset.rows_of(fold.validation), prepared.tokenized.pieces is not None
    examples, windows = prepared.examples.take(held), prepared.examples.windows_in_order(held)
    metadata_RM = None if state.metadata_RM is None else state.metadata_RM[held]
    made_by = {"system": "model", "fold": fold.name, "stage": str(stage)}

    def evaluate(network: Network, feed: Feed) -> Evaluated:
        features_WF = feed.features_WF if isinstance(feed, WindowFeed) else None
        # Where the training part is augmented the features are those of its own windows.
        if features_WF is None or is_augmented:
            outputs_RL = predict_logits(network, examples, accelerator, pad_id=prepared.pad_id, metadata_RM=metadata_RM)
        else:
            outputs_RL = predict_from_features(
                network, examples, features_WF[windows], accelerator, metadata_RM=metadata_RM
            )
        outputs_RL = state.task.predictions_of(outputs_RL)
        predictions = unseen_predictions(outputs_RL, examples.ids, state.task, fold, "validation", made_by)
        metrics = state.task.score(held, predictions)
        return Evaluated(metrics[state.task.primary], metrics, predictions)

    return evaluate


def unseen_predictions(
    outputs_RL: NDArray[np.float32], ids: Strings, task: Task, fold: Fold, part: str, made_by: Mapping[str, str]
) -> Predictions:
    """Predictions of rows that no model of the fold was trained on."""
    n_rows = len(ids)
    return Predictions(
        ids=ids,
        labels=task.names,
        outputs_RL=outputs_RL,
        part=strings([part] * n_rows),
        seen_R=np.zeros(n_rows, dtype=np.bool_),
        fold_R=np.full(n_rows, -1 if fold.number is None else fold.number, dtype=np.int64),
        made_by=made_by,
        kind="values" if task.is_regression else "logits",
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


def stage_name(recipe: Recipe, fold: Fold, number: int) -> str:
    """What to call a stage of a fold to a person."""
    stage = recipe.stages[number]
    of_fold = "" if fold.number is None else f"fold {fold.number}, "
    return f"{of_fold}stage {number}: {stage.objective} on {stage.trainable}"


def predict_fold(
    recipe: Recipe, prepared: Prepared, fold: Fold, folder: RunFolder, accelerator: Accelerator, watcher: Watcher
) -> None:
    """Predict held-out and sealed rows with the model as it lies on the disk, so that it is what is judged."""
    del recipe
    held_path, sealed_path = fold_predictions(folder, "model", fold)
    if held_path.exists() and (sealed_path.exists() or len(prepared.split.test) == 0):
        return
    watcher.station_began("predicting")
    trained = load_trained(folder.model(fold.name), accelerator.device)
    chosen = folder.read_about()["chosen"].get(fold.name, {})
    made_by = {"system": "model", "fold": fold.name, **{key: str(chosen[key]) for key in ("stage", "step") if chosen}}
    for part, ids, path in (("validation", fold.validation, held_path), ("test", prepared.split.test, sealed_path)):
        if len(ids) == 0:
            continue
        rows = prepared.dataset.rows_of(ids)
        outputs_RL = outputs_of(
            trained, prepared.dataset.take(rows), prepared.examples.take(rows), accelerator, watcher.rows_done
        )
        unseen_predictions(outputs_RL, ids, prepared.task, fold, part, made_by).save(path)


def fold_predictions(folder: RunFolder, system: str, fold: Fold) -> tuple[Path, Path]:
    """Where a fold's predictions of held-out rows and of sealed rows lie."""
    place = folder.predictions / "folds" / fold.name
    return place / f"{system}.arrow", place / f"{system}.test.sealed.arrow"


def predict_baselines(
    recipe: Recipe, prepared: Prepared, folder: RunFolder, accelerator: Accelerator, watcher: Watcher
) -> None:
    """Fit every baseline on each fold's training rows; predict what the model predicts."""
    features_RH = _frozen_features(recipe, prepared, folder, accelerator, watcher)
    texts = prepared.tokenized.texts
    for fold in prepared.split.folds():
        state = fit_fold_state(recipe, prepared, fold)
        for name in recipe.evaluation.baselines:
            held_path, sealed_path = fold_predictions(folder, f"baseline-{name}", fold)
            if held_path.exists() and (sealed_path.exists() or len(prepared.split.test) == 0):
                continue
            watcher.station_began(f"baseline {name}")
            train = prepared.dataset.rows_of(fold.train)
            held, sealed = prepared.dataset.rows_of(fold.validation), prepared.dataset.rows_of(prepared.split.test)

            def seen_of(rows: NDArray[np.intp], state: FoldState = state) -> BaselineRows:
                return BaselineRows(
                    texts[rows],
                    None if features_RH is None else features_RH[rows],
                    None if state.metadata_RM is None else state.metadata_RM[rows],
                    None if prepared.dataset.groups is None else prepared.dataset.groups[rows],
                )

            asked = seen_of(np.concatenate([held, sealed]))
            outputs_RL = state.task.baseline(name, seen_of(train), train, asked, seed=recipe.seed)
            parts = [("validation", fold.validation, held_path, outputs_RL[: len(held)])]
            if len(sealed):
                parts.append(("test", prepared.split.test, sealed_path, outputs_RL[len(held) :]))
            for part, ids, path, outputs in parts:
                made_by = {"system": name, "fold": fold.name}
                unseen_predictions(outputs, ids, prepared.task, fold, part, made_by).save(path)


def _frozen_features(
    recipe: Recipe, prepared: Prepared, folder: RunFolder, accelerator: Accelerator, watcher: Watcher
) -> NDArray[np.float32] | None:
    """Pooled states of the pretrained body for all rows, shape (R, H), where a baseline needs them."""
    if "linear_probe" not in recipe.evaluation.baselines:
        return None
    body = load_body(recipe.model, prepared.located, pad_id=prepared.pad_id, device=accelerator.device)
    features_WF = body_features(
        body, prepared.examples, accelerator, folder.features, pad_id=prepared.pad_id, watcher=watcher
    )
    return mean_by_row(prepared.examples, features_WF)


def gather_predictions(recipe: Recipe, prepared: Prepared, folder: RunFolder, accelerator: Accelerator) -> None:
    """Put the folds' predictions together: every held-out row once, sealed rows averaged over the folds' models."""
    del accelerator
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
