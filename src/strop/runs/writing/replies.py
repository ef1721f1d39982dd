"""What a model that writes is asked for: an answer in words, or how likely it finds the words of every label.

Dimensions: P prompts, R rows, L labels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from accelerate import Accelerator
from numpy.typing import NDArray

from strop.ensembling.answer_vote import voted
from strop.ensembling.out_of_fold import average_folds, gather_folds
from strop.evaluation.answer_intervals import means, measured_by_row
from strop.inference.cleaning import clean_answers
from strop.inference.engines import Asked
from strop.inference.likelihood import candidate_log_likelihoods
from strop.metrics.answers import ANSWER_METRICS
from strop.models.network import Network
from strop.recipe.sections import Recipe
from strop.records.answers import Answers
from strop.records.completions import Completions, TokenIds
from strop.records.dataset import strings
from strop.records.ledger import Note
from strop.records.predictions import Predictions
from strop.runs.judge import accepted_of, answering_of
from strop.runs.writing.ask import Asker, concatenated
from strop.runs.writing.prepare import LabelWords, PreparedAnswers
from strop.tasks.task import Task

Done = Callable[[int, int], None]
Outputs = Answers | Predictions


class Replies(Protocol):
    """How rows are asked and judged in a run."""

    @property
    def higher_is_better(self) -> bool:
        """Direction of the primary metric."""

    def reply(
        self,
        network: Network,
        completions: Completions,
        *,
        part: str,
        made_by: Mapping[str, str],
        fold: int | None,
        done: Done | None = None,
    ) -> Outputs:
        """What a network says of rows that it was not trained on."""

    def measure(self, outputs: Any) -> Mapping[str, float]:
        """The metrics that are watched in training, the primary one first."""

    def gather(self, by_fold: Sequence[Any]) -> Outputs:
        """Held-out rows of all folds, in the run's order."""

    def together(self, by_fold: Mapping[str, Any]) -> Outputs:
        """Sealed rows by all folds' models together."""


@dataclass(frozen=True)
class AnswerReplies:
    """Answers in words."""

    recipe: Recipe
    prepared: PreparedAnswers
    accelerator: Accelerator
    note: Note

    @property
    def higher_is_better(self) -> bool:
        """Direction of the primary metric."""
        return ANSWER_METRICS[self.recipe.evaluation.primary_metric].higher_is_better

    def reply(
        self,
        network: Network,
        completions: Completions,
        *,
        part: str,
        made_by: Mapping[str, str],
        fold: int | None,
        done: Done | None = None,
    ) -> Answers:
        """Answers as the network writes them."""
        prepared, answering = self.prepared, answering_of(self.recipe)
        rules = self.recipe.evaluation.answer_rules
        asker = Asker(answering, prepared.tokenizer, prepared.end_ids, self.recipe.seed, rules)
        engine = asker.local(network, self.accelerator)
        return asker.ask(engine, Asked(completions), part=part, made_by=made_by, fold=fold, done=done, note=self.note)

    def measure(self, outputs: Answers) -> Mapping[str, float]:
        """Metrics of answers after cleaning, and the shares of those that failed."""
        evaluation, answering = self.recipe.evaluation, answering_of(self.recipe)
        accepted = accepted_of(self.prepared.dataset.select(outputs.ids))
        cleaned, _ = clean_answers(outputs, answering.cleaning)
        measured = means(measured_by_row(cleaned, accepted, evaluation.answer_rules, answering.prompt.no_answer))
        return {evaluation.primary_metric: measured[evaluation.primary_metric], **measured}

    def gather(self, by_fold: Sequence[Answers]) -> Answers:
        """Held-out rows of all folds, in the run's order."""
        made_by = {**by_fold[0].made_by, "fold": "all"} if len(by_fold) > 1 else by_fold[0].made_by
        return concatenated(list(by_fold), self.prepared.split.held_out_ids.tolist(), made_by)

    def together(self, by_fold: Mapping[str, Answers]) -> Answers:
        """Sealed rows by a vote of the folds' models."""
        return voted(by_fold, self.recipe.evaluation.answer_rules)


@dataclass(frozen=True)
class LabelReplies:
    """Labels by the likelihood of their words."""

    recipe: Recipe
    prepared: PreparedAnswers
    accelerator: Accelerator
    task: Task
    words: LabelWords
    note: Note

    @property
    def higher_is_better(self) -> bool:
        """Direction of the primary metric."""
        return self.task.higher_is_better

    def reply(
        self,
        network: Network,
        completions: Completions,
        *,
        part: str,
        made_by: Mapping[str, str],
        fold: int | None,
        done: Done | None = None,
    ) -> Predictions:
        """Log-likelihood of every label's words as its logit."""
        n_rows = completions.n_rows
        return Predictions(
            ids=completions.ids,
            labels=self.task.names,
            outputs_RL=label_logits(network, completions, self.words, self.accelerator, done, self.note),
            part=strings([part] * n_rows),
            seen_R=np.zeros(n_rows, dtype=np.bool_),
            fold_R=np.full(n_rows, -1 if fold is None else fold, dtype=np.int64),
            made_by=made_by,
        )

    def measure(self, outputs: Predictions) -> Mapping[str, float]:
        """The primary metric, and the few that are watched."""
        return self.task.score(self.prepared.dataset.rows_of(outputs.ids), outputs)

    def gather(self, by_fold: Sequence[Predictions]) -> Predictions:
        """Held-out rows of all folds, in the run's order."""
        made_by = {"system": by_fold[0].made_by["system"]}
        return gather_folds(by_fold, self.prepared.split.held_out_ids, made_by)

    def together(self, by_fold: Mapping[str, Predictions]) -> Predictions:
        """Sealed rows by the average of the folds' models."""
        first = next(iter(by_fold.values()))
        if len(by_fold) == 1:
            return replace(first, fold_R=np.full(first.n_rows, -1, dtype=np.int64))
        return average_folds(list(by_fold.values()), {"system": first.made_by["system"]})


def label_logits(
    network: Network,
    completions: Completions,
    words: LabelWords,
    accelerator: Accelerator,
    done: Done | None = None,
    note: Note | None = None,
) -> NDArray[np.float32]:
    """Logits of labels, shape (R, L): the log-likelihood of their words, the mean over a row's prompts.

    Where the recipe calibrates, the log-likelihood behind a prompt without texts is taken off (Zhao et al. 2021,
    Calibrate Before Use, with a diagonal W of 1 / p): what the model would say of nothing counts for no label.

    Args:
        network: A causal network.
        completions: Prompts of the rows.
        words: The labels' words as tokens.
        accelerator: Device and precision.
        done: Told how many of how many prompts are done.
        note: Told what a reader should know about how the prompts were read.
    """
    logits_PL = _log_likelihoods(network, completions, words.token_ids, accelerator, done, note)
    if words.blank is not None:
        logits_PL = logits_PL - _log_likelihoods(network, words.blank, words.token_ids, accelerator)
    sum_RL = np.zeros((completions.n_rows, logits_PL.shape[1]))
    np.add.at(sum_RL, completions.row_P, logits_PL)
    n_prompts_R = np.bincount(completions.row_P, minlength=completions.n_rows)
    return (sum_RL / n_prompts_R[:, None]).astype(np.float32)


def _log_likelihoods(
    network: Network,
    completions: Completions,
    token_ids: Sequence[TokenIds],
    accelerator: Accelerator,
    done: Done | None = None,
    note: Note | None = None,
) -> NDArray[np.float32]:
    candidates = [list(token_ids)] * completions.n_prompts
    return candidate_log_likelihoods(network, completions, candidates, accelerator, done=done, note=note)


def replies_of(recipe: Recipe, prepared: PreparedAnswers, accelerator: Accelerator, note: Note) -> Replies:
    """What the recipe's task asks a model that writes for; `note` is told what a reader should know."""
    if prepared.task is not None and prepared.words is not None:
        return LabelReplies(recipe, prepared, accelerator, prepared.task, prepared.words, note)
    return AnswerReplies(recipe, prepared, accelerator, note)
