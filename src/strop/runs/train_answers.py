"""The stations of the task `answer` that load a language model: train every fold, answer held-out and sealed rows."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from accelerate import Accelerator

from strop.ensembling.answer_vote import voted
from strop.evaluation.answer_intervals import means, measured_by_row
from strop.inference.cleaning import clean_answers
from strop.inference.engines import Asked
from strop.metrics.answers import ANSWER_METRICS
from strop.models.causal import load_causal
from strop.models.load import count_parameters
from strop.models.network import Network
from strop.models.trained import ABOUT, load_trained, save_trained
from strop.recipe.answer import Answering
from strop.recipe.sections import Recipe, Stage
from strop.records.answers import Answers
from strop.records.run_folder import RunFolder
from strop.records.split import Fold
from strop.runs.ask import Asker, concatenated, in_order_of
from strop.runs.judge import accepted_of
from strop.runs.prepare_answers import PreparedAnswers, few_shot_prompts
from strop.runs.train import fold_predictions, fold_seed, stage_name
from strop.training.feed import Feed
from strop.training.objectives.complete import CompletionFeed
from strop.training.stage import Evaluated, StageJob, train_stage
from strop.training.watch import Watcher


def answering_of(recipe: Recipe) -> Answering:
    """The recipe's section on answers.

    Raises:
        ValueError: It has none: the recipe is of another task.
    """
    if recipe.answer is None:
        raise ValueError(f"a recipe of the task '{recipe.task}' has no section 'answer'")
    return recipe.answer


def asker_of(recipe: Recipe, prepared: PreparedAnswers) -> Asker:
    """How the rows of a run are asked."""
    return Asker(answering_of(recipe), prepared.tokenizer, prepared.end_ids, recipe.seed)


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
        labels=(),
        pad_id=prepared.tokenizer.pad_id,
        preprocessing={"end_ids": list(prepared.end_ids)},
    )


def _stage_jobs(
    recipe: Recipe, prepared: PreparedAnswers, fold: Fold, folder: RunFolder, accelerator: Accelerator
) -> Iterator[StageJob]:
    """The jobs of a fold's stages, in their order."""
    rows = np.flatnonzero(np.isin(prepared.training.ids, fold.train))
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
            evaluate=_evaluation(recipe, prepared, fold, number, accelerator),
            higher_is_better=ANSWER_METRICS[recipe.evaluation.primary_metric].higher_is_better,
            start=None,
            folder=folder.stage(fold.name, number, stage.objective),
            seed=seed,
            note=folder.ledger.write,
        )


def _evaluation(
    recipe: Recipe, prepared: PreparedAnswers, fold: Fold, stage: int, accelerator: Accelerator
) -> Callable[[Network, Feed], Evaluated]:
    """What a stage calls to be evaluated: answer the rows that the fold holds out, and score the cleaned answers."""
    asker = asker_of(recipe, prepared)
    asking = asked_of(prepared, fold.validation.tolist())
    made_by = {"system": "model", "fold": fold.name, "stage": str(stage)}

    def evaluate(network: Network, feed: Feed) -> Evaluated:
        del feed
        answers = asker.ask(
            asker.local(network, accelerator), asking, part="validation", made_by=made_by, fold=fold.number
        )
        measured = measures(recipe, prepared, answers)
        primary = recipe.evaluation.primary_metric
        return Evaluated(measured[primary], {primary: measured[primary], **measured}, answers)

    return evaluate


def measures(recipe: Recipe, prepared: PreparedAnswers, answers: Answers) -> Mapping[str, float]:
    """Metrics of answers after cleaning, and the shares of those that failed, by name."""
    accepted, answering = accepted_of(prepared.dataset.select(answers.ids)), answering_of(recipe)
    cleaned, _ = clean_answers(answers, answering.cleaning)
    return means(measured_by_row(cleaned, accepted, recipe.evaluation.answer_rules, answering.prompt.no_answer))


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
    asker = asker_of(recipe, prepared)
    chosen = folder.read_about()["chosen"].get(fold.name, {})
    made_by = {"system": "model", "fold": fold.name, **{key: str(chosen[key]) for key in ("stage", "step") if chosen}}
    for part, ids, path in wanted:
        asking = asked_of(prepared, ids.tolist())
        answers = asker.ask(
            asker.local(trained.network, accelerator),
            asking,
            part=part,
            made_by=made_by,
            fold=fold.number,
            done=watcher.rows_done,
        )
        answers.save(path)


def predict_baselines(
    recipe: Recipe, prepared: PreparedAnswers, folder: RunFolder, accelerator: Accelerator, watcher: Watcher
) -> None:
    """Ask the untrained model what the trained one is asked, with and without examples."""
    network: Network | None = None
    asker = asker_of(recipe, prepared)
    untrained = recipe.model.model_copy(update={"adapter": None})
    for fold in prepared.split.folds():
        for name in recipe.evaluation.baselines:
            paths = fold_predictions(folder, f"baseline-{name}", fold)
            for (part, ids), path in zip(parts_of(prepared, fold), paths, strict=True):
                if len(ids) == 0 or path.exists():
                    continue
                watcher.station_began(f"baseline {name}")
                if network is None:
                    network = load_causal(untrained, prepared.located, accelerator.device)
                asking = _asking_of(recipe, prepared, fold, name, ids.tolist(), folder)
                made_by = {"system": name, "fold": fold.name}
                engine = asker.local(network, accelerator)
                answers = asker.ask(
                    engine, asking, part=part, made_by=made_by, fold=fold.number, done=watcher.rows_done
                )
                answers.save(path)


def _asking_of(
    recipe: Recipe, prepared: PreparedAnswers, fold: Fold, name: str, ids: list[str], folder: RunFolder
) -> Asked:
    if name != "few_shot":
        return asked_of(prepared, ids)
    prompted = few_shot_prompts(recipe, prepared, fold, prepared.dataset.select(ids))
    folder.ledger.write_all([replace(entry, station="baseline few_shot") for entry in prompted.entries])
    return Asked(prompted.completions)


def asked_of(prepared: PreparedAnswers, ids: list[str]) -> Asked:
    """The prompts of these rows, in this order."""
    return Asked(in_order_of(prepared.asking, ids))


def gather_predictions(recipe: Recipe, prepared: PreparedAnswers, folder: RunFolder) -> None:
    """Put the folds' answers together: every held-out row once, sealed rows by a vote of the folds' models."""
    systems = ["model", *(f"baseline-{name}" for name in recipe.evaluation.baselines)]
    for system in systems:
        held: list[Answers] = []
        sealed: dict[str, Answers] = {}
        for fold in prepared.split.folds():
            held_path, sealed_path = fold_predictions(folder, system, fold)
            held.append(Answers.load(held_path))
            if len(prepared.split.test):
                sealed[fold.name] = Answers.load(sealed_path)
        made_by = {**held[0].made_by, "fold": "all"} if len(held) > 1 else held[0].made_by
        ids = prepared.split.held_out_ids.tolist()
        concatenated(held, ids, made_by).save(folder.predictions / f"{system}.arrow")
        if sealed:
            together = voted(sealed, recipe.evaluation.answer_rules)
            together.save(folder.predictions / f"{system}.test.sealed.arrow")


def parts_of(prepared: PreparedAnswers, fold: Fold) -> tuple[tuple[str, np.ndarray], tuple[str, np.ndarray]]:
    """The rows that a fold's model answers: those held out, and the sealed ones."""
    return ("validation", fold.validation), ("test", prepared.split.test)
