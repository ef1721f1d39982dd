"""The stations before training of a model that writes: rows become prompts and answers in tokens."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from strop.errors import Problem, RecipeError, did_you_mean
from strop.models.locate import LocatedModel, locate_model
from strop.recipe.sections import Recipe
from strop.records.completions import Completions, TokenIds
from strop.records.dataset import Dataset, Strings, strings, tuples
from strop.records.files import read_json, write_json
from strop.records.run_folder import TEXTS_READ, RunFolder
from strop.records.split import Fold, Split
from strop.runs.prepare import audit_data, data_and_split, reading_key
from strop.tasks import TASKS
from strop.tasks.task import Task
from strop.text.prompts import Prompted, make_completions
from strop.text.tokenizer import TextTokenizer
from strop.training.watch import Watcher

TRAINING, ASKING = "training.arrow", "asking.arrow"


@dataclass(frozen=True)
class LabelWords:
    """The words that stand for labels.

    Attributes:
        token_ids: For every label the token ids of its words, end token included.
        blank: A prompt without texts, where what the model says of nothing is to be taken off; else None.
    """

    token_ids: tuple[TokenIds, ...]
    blank: Completions | None


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
        task: For the task `classify`, the task on the rows of `dataset`; the labels of sealed rows are masked.
        words: For the task `classify`, the words of its labels.
    """

    dataset: Dataset
    split: Split
    training: Completions
    asking: Completions
    texts: Strings
    end_ids: tuple[int, ...]
    located: LocatedModel
    tokenizer: TextTokenizer
    task: Task | None = None
    words: LabelWords | None = None


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
    task = words = None
    if recipe.task == "classify":
        task = TASKS[recipe.task].of(recipe, dataset, dataset.rows_of(split.test))
        words = label_words(recipe, dataset, task.names, tokenizer, located.folder, located.max_positions)
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
        task=task,
        words=words,
    )


def prompts_of(
    recipe: Recipe, dataset: Dataset, split: Split, tokenizer: TextTokenizer, located: LocatedModel
) -> tuple[Prompted, Prompted]:
    """Prompts with answers of the rows that are not sealed, and prompts of all rows as they are asked.

    Raises:
        RecipeError: The recipe does not fit data or model.
        ModelError: The model's chat template is damaged, or it has no end token.
    """
    if dataset.target is not None:
        dataset = with_label_words(recipe, dataset)

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
    examples = prepared.dataset if prepared.task is None else with_label_words(recipe, prepared.dataset)
    known = prepared.training.ids[np.isin(prepared.training.ids, fold.train)]
    drawn = np.random.default_rng(recipe.seed).permutation(len(known))[: recipe.evaluation.few_shot_rows]
    return make_completions(
        rows,
        prepared.tokenizer,
        prepared.located.folder,
        recipe,
        purpose="predict",
        examples=examples.select(known[drawn]),
        max_positions=prepared.located.max_positions,
    )


def with_few_shot_prior(recipe: Recipe, prepared: PreparedAnswers, fold: Fold) -> PreparedAnswers:
    """The same, with the blank prompt of label words behind the examples of `few_shot_prompts`, where there is one.

    What the model says of nothing is taken off as it stands behind the same examples (Zhao et al. 2021).
    """
    if prepared.words is None or prepared.words.blank is None:
        return prepared
    blank = few_shot_prompts(recipe, prepared, fold, _nothing(prepared.dataset)).completions
    return replace(prepared, words=replace(prepared.words, blank=blank))


def _nothing(dataset: Dataset) -> Dataset:
    """One row without texts."""
    return Dataset(ids=strings(["nothing"]), texts={name: strings([""]) for name in dataset.texts})


def with_label_words(recipe: Recipe, dataset: Dataset) -> Dataset:
    """Rows whose label's words are their answer.

    Raises:
        RecipeError: Words are given for labels that no row has, or two labels have the same.
    """
    given = {} if recipe.answer is None else recipe.answer.label_words
    labels = dataset.labels()
    unknown = [label for label in given if label not in labels]
    words = [given.get(label, label).strip() for label in labels]
    twice = sorted({word for word in words if words.count(word) > 1 or not word})
    where = "answer.label_words"
    problems = [
        Problem(f"{where}.{label}", "words are given for labels of the rows", label, did_you_mean(label, labels))
        for label in unknown
    ]
    if twice:
        came = ", ".join(repr(word) for word in twice)
        problems.append(Problem(where, "every label must have words of its own", came, "give each label other words"))
    if problems:
        raise RecipeError(*problems)
    if dataset.target is None:
        raise ValueError("the rows must have labels")
    by_label = dict(zip(labels, words, strict=True))
    return replace(dataset, answers=tuples([(by_label[label],) for label in dataset.target]))


def label_words(
    recipe: Recipe,
    dataset: Dataset,
    labels: Sequence[str],
    tokenizer: TextTokenizer,
    folder: Path,
    max_positions: int | None,
) -> LabelWords:
    """The token ids of every label's words behind a prompt, as they are learnt there.

    Args:
        recipe: A recipe of the task `classify` with the section `answer`.
        dataset: Rows, at least one.
        labels: Names of the labels, in the order of the logits.
        tokenizer: The model's tokenizer.
        folder: The model's folder.
        max_positions: Positions the model has, None where it has no limit.
    """
    given = {} if recipe.answer is None else recipe.answer.label_words
    shortest = int(np.argmin([len(text) for text in dataset.joined_texts()]))
    asked = Dataset(
        ids=strings([f"label {number}" for number in range(len(labels))]),
        texts={name: strings([texts[shortest]] * len(labels)) for name, texts in dataset.texts.items()},
        answers=tuples([(given.get(label, label).strip(),) for label in labels]),
    )
    learnt = make_completions(asked, tokenizer, folder, recipe, purpose="train", max_positions=max_positions)
    if learnt.completions.n_rows != len(labels):
        must = "the words of every label must fit into answer.prompt.max_answer_tokens"
        raise RecipeError(Problem("answer.label_words", must, "longer words", "shorten them, or raise that number"))
    blank = None
    if recipe.answer is not None and recipe.answer.calibrate_by_prior:
        blank = make_completions(_nothing(dataset), tokenizer, folder, recipe, purpose="predict").completions
    return LabelWords(tuple(learnt.completions.answers), blank)


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
