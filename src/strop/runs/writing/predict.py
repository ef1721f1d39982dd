"""Answer new rows with the models of a run, in this process or on a server that has loaded the run's model."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from numpy.typing import NDArray

from strop.ensembling.answer_vote import voted
from strop.errors import Problem, RunError
from strop.inference.engines import Asked
from strop.inference.engines.server import ServerEngine
from strop.models.precision import make_accelerator
from strop.models.trained import ABOUT, TrainedModel, load_trained, weights_digest
from strop.recipe.answer import Decoding, Server, stored_decoding
from strop.recipe.load import read_recipe
from strop.recipe.sections import Recipe
from strop.records.answers import Answers
from strop.records.dataset import Dataset
from strop.records.files import read_json
from strop.records.ledger import Note, unsaid
from strop.records.run_folder import RunFolder
from strop.records.split import Split
from strop.runs.judge import answering_of
from strop.runs.writing.ask import Asker
from strop.runs.writing.prepare import label_words
from strop.runs.writing.replies import label_logits
from strop.text.prompts import Prompted, make_completions
from strop.text.tokenizer import TextTokenizer

Done = Callable[[int, int], None]


def answer_rows(
    folder: RunFolder,
    split: Split,
    models: dict[str, TrainedModel],
    rows: Dataset,
    rows_done: Done | None = None,
    *,
    decoding: Decoding | None = None,
    note: Note = unsaid,
) -> Answers:
    """Answer rows in words with every fold's model, as the model writes, and let the folds vote.

    Args:
        folder: A finished run of the task `answer`.
        split: Its split.
        models: Models by fold that are loaded already; those loaded now are added.
        rows: New rows.
        rows_done: Told how many of how many prompts are done.
        decoding: How tokens are chosen; None for the one that `strop decode` stored with the model, else the recipe's.
        note: Told what a reader should know.

    Raises:
        ModelError: A model folder is damaged.
    """
    by_fold: dict[str, Answers] = {}
    for fold in split.folds():
        if fold.name not in models:
            models[fold.name] = load_trained(folder.model(fold.name), make_accelerator("auto").device)
        trained = models[fold.name]
        if decoding is not None:
            _note_another(decoding, trained.preprocessing, trained.recipe, note)
        (by_fold[fold.name],) = answers_of_model(trained, fold.name, rows, [decoding], rows_done, note)
    return voted(by_fold, trained.recipe.evaluation.answer_rules)


def answers_of_model(
    trained: TrainedModel,
    fold: str,
    rows: Dataset,
    decodings: Sequence[Decoding | None],
    rows_done: Done | None = None,
    note: Note = unsaid,
) -> list[Answers]:
    """Answers of one model to rows, as it writes them, by one decoding after the other.

    Args:
        trained: A model as `load_trained` gives it.
        fold: Name of its fold.
        rows: New rows.
        decodings: None stands for the one that `strop decode` stored with the model, else the recipe's.
        rows_done: Told how many of how many prompts are done.
        note: Told what a reader should know.
    """
    accelerator, config = make_accelerator(trained.recipe.model.precision), trained.network.transformer.config
    asker, prompted = _prompts(trained.folder, trained.recipe, rows, config, note)
    engine = asker.local(trained.network, accelerator)
    return [
        asker.ask(
            engine,
            Asked(prompted.completions),
            part="new",
            made_by={"system": "model", "fold": fold},
            decoding=decoding or stored_decoding(trained.preprocessing),
            done=rows_done,
            note=note,
        )
        for decoding in decodings
    ]


def answer_rows_by_server(
    folder: RunFolder,
    split: Split,
    rows: Dataset,
    server: Server,
    kept: Path,
    rows_done: Done | None = None,
    *,
    decoding: Decoding | None = None,
    note: Note = unsaid,
) -> Answers:
    """Answer rows in words through a server that has loaded the run's model; none is loaded here.

    Args:
        folder: A finished run of the task `answer`.
        split: Its split.
        rows: New rows.
        server: Which server, and what it calls the model.
        kept: The file that answers are written to as they come, so that a command that was killed goes on. Answers of
            another server, or by other weights of the run, are not taken from it.
        rows_done: Told how many of how many prompts are done.
        decoding: How tokens are chosen; None for the one that `strop decode` stored with the model, else the recipe's.
        note: Told what a reader should know.

    Raises:
        RunError: The run has folds: a server has one model.
        MachineError: httpx is not installed, or the server did not answer every row.
    """
    if split.held_out:
        must, do = "a server answers for one model", "predict without a server, or serve a run without folds"
        raise RunError(Problem(str(folder.path), must, f"a run of {len(split.held_out)} folds", do))
    model, about = folder.model(), read_json(folder.model() / ABOUT)
    recipe = read_recipe(model / "recipe.yaml")
    asker, prompted = _prompts(model, recipe, rows, None, note)
    if decoding is not None:
        _note_another(decoding, about["preprocessing"], recipe, note)
    return asker.ask(
        ServerEngine(server, kept, f"{about['base_model']['digest']} {weights_digest(model)}"),
        Asked(prompted.completions, prompted.prompt_texts.tolist(), prompted.messages),
        part="new",
        made_by={"system": "model", "server": server.model},
        decoding=decoding or stored_decoding(about["preprocessing"]),
        done=rows_done,
        note=note,
    )


def label_outputs_of(
    trained: TrainedModel,
    tokenizer: TextTokenizer,
    rows: Dataset,
    accelerator: Accelerator,
    rows_done: Done | None = None,
    note: Note = unsaid,
) -> NDArray[np.float32]:
    """Logits of labels by the likelihood of their words, shape (R, L), for a classifier that writes.

    Args:
        trained: A model as `load_trained` gives it.
        tokenizer: Its tokenizer.
        rows: New rows.
        accelerator: Device and precision.
        rows_done: Told how many of how many prompts are done.
        note: Told what a reader should know.
    """
    recipe, config = trained.recipe, trained.network.transformer.config
    if rows.n_rows == 0:
        return np.zeros((0, len(trained.labels)), dtype=np.float32)
    _, prompted = _prompts(trained.folder, recipe, rows, config, note)
    words = label_words(recipe, rows, trained.labels, tokenizer, trained.folder, _longest(config))
    return label_logits(trained.network, prompted.completions, words, accelerator, rows_done, note)


def _longest(config: Any) -> int | None:
    return None if config is None else getattr(config.get_text_config(), "max_position_embeddings", None)


def _prompts(model: Path, recipe: Recipe, rows: Dataset, config: Any, note: Note) -> tuple[Asker, Prompted]:
    """How the rows are asked, and their prompts; with the model's config, no prompt is longer than it can read."""
    tokenizer = TextTokenizer.from_folder(model, trust_remote_code=recipe.model.trust_remote_code)
    prompted = make_completions(rows, tokenizer, model, recipe, purpose="predict", max_positions=_longest(config))
    for entry in prompted.entries:
        note(entry.what)
    rules = recipe.evaluation.answer_rules
    return Asker(answering_of(recipe), tokenizer, prompted.end_ids, recipe.seed, rules), prompted


def _note_another(given: Decoding, preprocessing: Mapping[str, Any], recipe: Recipe, note: Note) -> None:
    own = stored_decoding(preprocessing) or answering_of(recipe).decoding
    if given != own:
        note(f"the answers are by the decoding '{given.name}'; the run was judged by '{own.name}'")
