"""The stations that load a model that writes: train every fold, ask about held-out and sealed rows."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from numpy.typing import NDArray

from strop.models.causal import load_causal
from strop.models.load import count_parameters
from strop.models.network import Network
from strop.models.trained import ABOUT, load_trained, save_trained
from strop.models.vllm import vllm_command, vllm_problems
from strop.recipe.answer import Decoding, stored_decoding
from strop.recipe.sections import Recipe, Stage
from strop.records.completions import Completions
from strop.records.dataset import Strings
from strop.records.ledger import Entry
from strop.records.predictions import Predictions
from strop.records.run_folder import RunFolder
from strop.records.split import Fold
from strop.runs.judge import answering_of, load_outputs
from strop.runs.train import fold_predictions, fold_seed, stage_name, unseen_predictions
from strop.runs.writing.ask import in_order_of, noted_in
from strop.runs.writing.prepare import PreparedAnswers, few_shot_prompts, with_few_shot_prior
from strop.runs.writing.replies import Outputs, Replies, replies_of
from strop.tasks.task import BaselineRows
from strop.training.feed import Feed
from strop.training.objectives.complete import CompletionFeed
from strop.training.stage import Evaluated, StageJob, train_stage
from strop.training.watch import Watcher


def train_fold(
    recipe: Recipe,
    prepared: PreparedAnswers,
    fold: Fold,
    folder: RunFolder,
    accelerator: Accelerator,
    watcher: Watcher,
) -> None:
    """Train all stages of one fold and write its model; return at once where the model stands already."""
    if (folder.model(fold.name) / ABOUT).exists():
        return
    watcher.station_began(f"training{'' if fold.number is None else f' fold {fold.number}'}")
    network = load_causal(recipe.model, prepared.located, accelerator.device, seed=fold_seed(recipe, fold, 0))
    reached: float | None = None
    chosen: dict[str, object] = {}
    for job in _stage_jobs(recipe, prepared, fold, folder, accelerator):
        progress = train_stage(replace(job, start=reached), network, accelerator, watcher)
        if progress.best_step > 0:
            chosen = {"stage": job.number, "step": progress.best_step, "score": progress.best_score}
        reached = progress.best_score
    about, counts = folder.read_about(), count_parameters(network)
    folder.update_about(
        chosen={**about.get("chosen", {}), fold.name: chosen},
        model={
            "name": prepared.located.name,
            "source": prepared.located.source,
            "pooling": "none: it writes",
            "precision": accelerator.mixed_precision,
            "n_parameters": counts.n_parameters,
            "n_head": counts.n_head,
            "n_adapter": counts.n_adapter,
        },
    )
    save_trained(
        network,
        folder.model(fold.name),
        recipe=recipe,
        located=prepared.located,
        labels=() if prepared.task is None else prepared.task.names,
        pad_id=prepared.tokenizer.pad_id,
        preprocessing={
            "end_ids": list(prepared.end_ids),
            # A model that is made again, after its folder was lost, keeps what `strop decode` chose.
            **({"decoding": about["decoding"]} if "decoding" in about else {}),
        },
    )
    if recipe.model.adapter is not None and fold.number is None:
        folder.ledger.write(_on_serving(recipe, folder.model()))


def _on_serving(recipe: Recipe, model: Path) -> Entry:
    """How vLLM serves the adapter, or why it cannot."""
    problems = vllm_problems(model)
    in_4bit = recipe.model.adapter is not None and recipe.model.adapter.base_in_4bit
    if not problems:
        command = vllm_command(model, recipe.name, base_in_4bit=in_4bit)
        only = "; its answers are those that were judged only on the same base in 4 bits (NF4)" if in_4bit else ""
        return Entry("note", "serving", f"vLLM serves this model by: {command}{only}")
    reasons = "; ".join(f"{problem.must}, came {problem.came}" for problem in problems)
    return Entry("note", "serving", f"vLLM cannot serve this adapter: {reasons}")


def _stage_jobs(
    recipe: Recipe, prepared: PreparedAnswers, fold: Fold, folder: RunFolder, accelerator: Accelerator
) -> Iterator[StageJob]:
    """The jobs of a fold's stages, in their order."""
    rows = np.flatnonzero(np.isin(prepared.training.ids, fold.train))
    replies = replies_of(recipe, prepared, accelerator, noted_in(folder))
    for number, stage in enumerate(recipe.stages):
        seed = fold_seed(recipe, fold, number + 1)

        def feed(network: Network, stage: Stage = stage, seed: int = seed) -> Feed:
            whole = CompletionFeed.of_stage(stage, prepared.training, rows, pad_id=prepared.tokenizer.pad_id, seed=seed)
            proven, entries = whole.proven(network, accelerator)
            folder.ledger.write_all(entries)
            return proven

        yield StageJob(
            name=stage_name(recipe, fold, number),
            number=number,
            stage=stage,
            feed=feed,
            evaluate=_evaluation(recipe, prepared, fold, number, replies),
            higher_is_better=replies.higher_is_better,
            start=None,
            folder=folder.stage(fold.name, number, stage.objective),
            seed=seed,
            note=folder.ledger.write,
        )


def _evaluation(
    recipe: Recipe, prepared: PreparedAnswers, fold: Fold, stage: int, replies: Replies
) -> Callable[[Network, Feed], Evaluated]:
    """What a stage calls to be evaluated: ask about the rows that the fold holds out, and score the replies."""
    asking = in_order_of(prepared.asking, fold.validation.tolist())
    made_by = {"system": "model", "fold": fold.name, "stage": str(stage)}

    def evaluate(network: Network, feed: Feed) -> Evaluated:
        del feed
        outputs = replies.reply(network, asking, part="validation", made_by=made_by, fold=fold.number)
        metrics = replies.measure(outputs)
        return Evaluated(metrics[recipe.evaluation.primary_metric], metrics, outputs)

    return evaluate


def predict_fold(
    recipe: Recipe,
    prepared: PreparedAnswers,
    fold: Fold,
    folder: RunFolder,
    accelerator: Accelerator,
    watcher: Watcher,
) -> None:
    """Answer held-out and sealed rows with the model as it lies on the disk, so that it is what is judged."""
    wanted = [
        (part, ids, path)
        for (part, ids), path in zip(parts_of(prepared, fold), fold_predictions(folder, "model", fold), strict=True)
        if len(ids) and not path.exists()
    ]
    if not wanted:
        return
    watcher.station_began("answering")
    trained = load_trained(folder.model(fold.name), accelerator.device)
    replies = replies_of(by_own_decoding(recipe, folder), prepared, accelerator, noted_in(folder))
    chosen = folder.read_about()["chosen"].get(fold.name, {})
    made_by = {"system": "model", "fold": fold.name, **{key: str(chosen[key]) for key in ("stage", "step") if chosen}}
    for part, ids, path in wanted:
        asking = in_order_of(prepared.asking, ids.tolist())
        outputs = replies.reply(
            trained.network, asking, part=part, made_by=made_by, fold=fold.number, done=watcher.rows_done
        )
        outputs.save(path)


def predict_baselines(
    recipe: Recipe, prepared: PreparedAnswers, folder: RunFolder, accelerator: Accelerator, watcher: Watcher
) -> None:
    """Ask the untrained model what the trained one is asked, as it is asked; fit the other baselines."""

    def places(name: str, fold: Fold) -> tuple[Path, Path]:
        return fold_predictions(folder, f"baseline-{name}", fold)

    ask_baselines(by_own_decoding(recipe, folder), prepared, folder, accelerator, watcher, places)


def ask_baselines(
    recipe: Recipe,
    prepared: PreparedAnswers,
    folder: RunFolder,
    accelerator: Accelerator,
    watcher: Watcher,
    places: Callable[[str, Fold], tuple[Path, Path]],
) -> None:
    """Write what the baselines say of every fold's held-out and sealed rows, where it does not stand already.

    Args:
        recipe: The run's; its decoding is the one that is asked by.
        prepared: Prompts of the rows.
        folder: The run.
        accelerator: Device and precision.
        watcher: Receives news.
        places: Where the replies of a baseline to a fold's held-out rows and to sealed rows lie.
    """
    network: Network | None = None
    untrained = recipe.model.model_copy(update={"adapter": None})
    for fold in prepared.split.folds():
        for name in recipe.evaluation.baselines:
            judged = with_few_shot_prior(recipe, prepared, fold) if name == "few_shot" else prepared
            replies = replies_of(recipe, judged, accelerator, noted_in(folder))
            for (part, ids), path in zip(parts_of(prepared, fold), places(name, fold), strict=True):
                if len(ids) == 0 or path.exists():
                    continue
                watcher.station_began(f"baseline {name}")
                if name not in ("zero_shot", "few_shot"):
                    _fitted_baseline(recipe, prepared, fold, name, part, ids).save(path)
                    continue
                if network is None:
                    network = load_causal(untrained, prepared.located, accelerator.device)
                asking = _asking_of(recipe, prepared, fold, name, ids.tolist(), folder)
                made_by = {"system": name, "fold": fold.name}
                outputs = replies.reply(
                    network, asking, part=part, made_by=made_by, fold=fold.number, done=watcher.rows_done
                )
                outputs.save(path)


def by_own_decoding(recipe: Recipe, folder: RunFolder) -> Recipe:
    """The recipe with the decoding that `strop decode` made the run's own."""
    stored = stored_decoding(folder.read_about())
    return recipe if stored is None else by_decoding(recipe, stored)


def by_decoding(recipe: Recipe, decoding: Decoding) -> Recipe:
    """The recipe with another decoding."""
    return recipe.model_copy(update={"answer": answering_of(recipe).model_copy(update={"decoding": decoding})})


def _fitted_baseline(
    recipe: Recipe, prepared: PreparedAnswers, fold: Fold, name: str, part: str, ids: Strings
) -> Predictions:
    """A baseline of the task `classify` that reads the texts of rows."""
    task, dataset = prepared.task, prepared.dataset
    if task is None:
        raise ValueError(f"the task '{recipe.task}' has no baseline '{name}'")
    texts = dataset.joined_texts()

    def seen_of(rows: NDArray[np.intp]) -> BaselineRows:
        return BaselineRows(texts[rows], groups=None if dataset.groups is None else dataset.groups[rows])

    train = dataset.rows_of(fold.train)
    outputs_RL = task.baseline(name, seen_of(train), train, seen_of(dataset.rows_of(ids)), seed=recipe.seed)
    return unseen_predictions(outputs_RL, ids, task, fold, part, {"system": name, "fold": fold.name})


def _asking_of(
    recipe: Recipe, prepared: PreparedAnswers, fold: Fold, name: str, ids: list[str], folder: RunFolder
) -> Completions:
    if name != "few_shot":
        return in_order_of(prepared.asking, ids)
    prompted = few_shot_prompts(recipe, prepared, fold, prepared.dataset.select(ids))
    folder.ledger.write_all([replace(entry, station="baseline few_shot") for entry in prompted.entries])
    return prompted.completions


def gather_predictions(recipe: Recipe, prepared: PreparedAnswers, folder: RunFolder, accelerator: Accelerator) -> None:
    """Put the folds' replies together: every held-out row once, sealed rows by the folds' models together."""
    replies = replies_of(recipe, prepared, accelerator, noted_in(folder))
    for system in ["model", *(f"baseline-{name}" for name in recipe.evaluation.baselines)]:
        held: list[Outputs] = []
        sealed: dict[str, Outputs] = {}
        for fold in prepared.split.folds():
            held_path, sealed_path = fold_predictions(folder, system, fold)
            held.append(load_outputs(recipe, held_path))
            if len(prepared.split.test):
                sealed[fold.name] = load_outputs(recipe, sealed_path)
        replies.gather(held).save(folder.predictions / f"{system}.arrow")
        if sealed:
            replies.together(sealed).save(folder.predictions / f"{system}.test.sealed.arrow")


def parts_of(prepared: PreparedAnswers, fold: Fold) -> tuple[tuple[str, Strings], tuple[str, Strings]]:
    """The rows that a fold's model answers: those held out, and the sealed ones."""
    return ("validation", fold.validation), ("test", prepared.split.test)
