"""Answer new rows with the models of a run."""

from collections.abc import Callable
from typing import Any

from strop.ensembling.answer_vote import voted
from strop.inference.engines import Asked
from strop.models.precision import make_accelerator
from strop.models.trained import TrainedModel, load_trained
from strop.recipe.answer import Decoding
from strop.records.answers import Answers
from strop.records.dataset import Dataset
from strop.records.run_folder import RunFolder
from strop.records.split import Split
from strop.runs.ask import Asker
from strop.runs.train_answers import answering_of
from strop.text.prompts import make_completions
from strop.text.tokenizer import TextTokenizer


def answer_rows(
    folder: RunFolder,
    split: Split,
    models: dict[str, TrainedModel],
    rows: Dataset,
    rows_done: Callable[[int, int], None] | None = None,
) -> Answers:
    """Answer rows in words with every fold's model, as the model writes, and let the folds vote.

    The decoding is the one that `strop decode` stored with the model, else the recipe's.

    Args:
        folder: A finished run of the task `answer`.
        split: Its split.
        models: Models by fold that are loaded already; those loaded now are added.
        rows: New rows.
        rows_done: Told how many of how many prompts are done.

    Raises:
        ModelError: A model folder is damaged.
        MachineError: A server did not answer every row.
    """
    by_fold: dict[str, Answers] = {}
    for fold in split.folds():
        if fold.name not in models:
            models[fold.name] = load_trained(folder.model(fold.name), make_accelerator("auto").device)
        trained = models[fold.name]
        recipe, accelerator = trained.recipe, make_accelerator(trained.recipe.model.precision)
        tokenizer = TextTokenizer.from_folder(trained.folder, trust_remote_code=recipe.model.trust_remote_code)
        config: Any = trained.network.transformer.config
        prompted = make_completions(
            rows,
            tokenizer,
            trained.folder,
            recipe,
            purpose="predict",
            max_positions=getattr(config.get_text_config(), "max_position_embeddings", None),
        )
        asker = Asker(answering_of(recipe), tokenizer, prompted.end_ids, accelerator, recipe.seed)
        stored = trained.preprocessing.get("decoding")
        by_fold[fold.name] = asker.ask(
            asker.local(trained.network),
            Asked(prompted.completions),
            part="new",
            made_by={"system": "model", "fold": fold.name},
            decoding=None if stored is None else Decoding.model_validate(stored),
            done=rows_done,
        )
    return voted(by_fold, trained.recipe.evaluation.answer_rules)
