"""The stations before training of the task `answer`: rows become prompts and answers in tokens."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from strop.models.locate import LocatedModel, locate_model
from strop.recipe.sections import Recipe
from strop.records.completions import Completions
from strop.records.dataset import Dataset, Strings, strings
from strop.records.files import read_json, write_json
from strop.records.run_folder import TEXTS_READ, RunFolder
from strop.records.split import Fold, Split
from strop.runs.prepare import audit_data, data_and_split, reading_key
from strop.text.prompts import Prompted, make_completions
from strop.text.tokenizer import TextTokenizer
from strop.training.watch import Watcher

TRAINING, ASKING = "training.arrow", "asking.arrow"


@dataclass(frozen=True)
class PreparedAnswers:
    """What training begins with.

    Attributes:
        dataset: All rows, the sealed ones last. Accepted answers of sealed rows are there only because the file has
            them.
        split: Which row is in which part.
        training: Prompts and answers of rows that may be trained on: not sealed, with an answer, and not too long.
        asking: Prompts of every row of `dataset` as they are asked at prediction.
        texts: What the model reads of every prompt of `asking`, in words, shape (P,).
        end_ids: Token ids that end an answer, the learnt one first.
        located: The pretrained model.
        tokenizer: Its tokenizer.
    """

    dataset: Dataset
    split: Split
    training: Completions
    asking: Completions
    texts: Strings
    end_ids: tuple[int, ...]
    located: LocatedModel
    tokenizer: TextTokenizer


def prepare_answers(recipe: Recipe, folder: RunFolder, watcher: Watcher) -> PreparedAnswers:
    """Bring the data to the point where training can begin.

    Raises:
        DataError: The data cannot be used.
        RecipeError: The recipe does not fit data or model.
        ModelError: The pretrained model cannot be used.
        RunError: The data file changed since the run began.
    """
    watcher.station_began("locating the model")
    located = locate_model(recipe.model)
    tokenizer = TextTokenizer.from_folder(located.folder, trust_remote_code=recipe.model.trust_remote_code)
    dataset, split = data_and_split(recipe, folder, watcher)
    place = folder.examples / reading_key(recipe, dataset, None, located)
    if not (place / TEXTS_READ).exists():
        watcher.station_began("tokenizing")
        training, asking = prompts_of(recipe, dataset, split, tokenizer, located)
        folder.ledger.write_all([*training.entries, *(one for one in asking.entries if one not in training.entries)])
        _save(training, asking, place)
    about = read_json(place / TEXTS_READ)
    asking_completions = Completions.load(place / ASKING)
    audit_data(recipe, folder, dataset, split, asking_completions.n_tokens_R, watcher)
    return PreparedAnswers(
        dataset=dataset,
        split=split,
        training=Completions.load(place / TRAINING),
        asking=asking_completions,
        texts=strings(about["texts"]),
        end_ids=tuple(about["end_ids"]),
        located=located,
        tokenizer=tokenizer,
    )


def prompts_of(
    recipe: Recipe, dataset: Dataset, split: Split, tokenizer: TextTokenizer, located: LocatedModel
) -> tuple[Prompted, Prompted]:
    """Prompts with answers of the rows that are not sealed, and prompts of all rows as they are asked.

    Raises:
        RecipeError: The recipe does not fit data or model.
        ModelError: The model's chat template is damaged, or it has no end token.
    """

    def made(rows: Dataset, purpose: str) -> Prompted:
        return make_completions(
            rows,
            tokenizer,
            located.folder,
            recipe,
            purpose="train" if purpose == "train" else "predict",
            max_positions=located.max_positions,
        )

    return made(dataset.select(split.open_ids), "train"), made(dataset, "predict")


def few_shot_prompts(recipe: Recipe, prepared: PreparedAnswers, fold: Fold, rows: Dataset) -> Prompted:
    """Prompts of rows behind a few training rows of the fold with their answers, fewer where not all fit."""
    known = prepared.training.ids[np.isin(prepared.training.ids, fold.train)]
    drawn = np.random.default_rng(recipe.seed).permutation(len(known))[: recipe.evaluation.few_shot_rows]
    return make_completions(
        rows,
        prepared.tokenizer,
        prepared.located.folder,
        recipe,
        purpose="predict",
        examples=prepared.dataset.select(known[drawn]),
        max_positions=prepared.located.max_positions,
    )


def _save(training: Prompted, asking: Prompted, place: Path) -> None:
    training.completions.save(place / TRAINING)
    asking.completions.save(place / ASKING)
    # Written last: where it stands the others stand too. One text a prompt: a row that is read in windows has several.
    about = {
        "ids": asking.completions.ids[asking.completions.row_P].tolist(),
        "texts": asking.prompt_texts.tolist(),
        "end_ids": list(asking.end_ids),
    }
    write_json(place / TEXTS_READ, about)
