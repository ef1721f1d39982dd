"""`strop check`: what can be known before anything runs, without torch."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import psutil
from numpy.typing import NDArray

from strop.data.read import read_dataset
from strop.data.sealing import without_sealed_ids
from strop.data.split import make_split, must_learn_two_classes
from strop.data.targets import targets_must_be_known
from strop.errors import MachineError, Problem
from strop.models.locate import LocatedModel, locate_model
from strop.models.memory import MemoryPlan, plan_memory
from strop.recipe.sections import Recipe
from strop.records.audit import Audit
from strop.records.dataset import Dataset
from strop.records.ledger import Entry
from strop.records.split import Split
from strop.runs.gather_evidence import documents_at_hand, evidence_at_hand
from strop.runs.prepare import audit_rows
from strop.runs.tokenize import tokenize
from strop.runs.trainable import must_be_trainable
from strop.runs.writing.prepare import prompts_of
from strop.text.prompts import Prompted
from strop.text.tokenizer import TextTokenizer
from strop.text.windows import check_length


@dataclass(frozen=True)
class Checked:
    """What `strop check` found.

    Attributes:
        audit: The state of the data.
        split: Which rows would be in which part.
        label_of: The label of every row that is not sealed, by id; "" for a task without labels.
        entries: What a fit would write to the ledger.
        located: The pretrained model.
        memory: What training would need.
        prompted: For the task `answer`, prompts of rows that may be trained on, with their answers.
        tokenizer: The model's tokenizer.
    """

    audit: Audit
    split: Split
    label_of: Mapping[str, str]
    entries: tuple[Entry, ...]
    located: LocatedModel
    memory: MemoryPlan
    prompted: Prompted | None
    tokenizer: TextTokenizer


def check_recipe(recipe: Recipe) -> Checked:
    """Read, split and tokenize as a fit would, but write nothing and load no model.

    Raises:
        StropError: With what would stop a fit.
    """
    located = locate_model(recipe.model)
    check_length(recipe.text, located.max_positions)
    must_be_trainable(recipe, located)
    gpu_gib = free_gpu_gib()
    _must_have_gpu_if_needed(recipe, has_gpu=gpu_gib is not None)
    read = read_dataset(
        recipe.data,
        normalize=recipe.text.normalize,
        seed=recipe.seed,
        keeps_unanswerable=recipe.keeps_unanswerable,
    )
    result = make_split(read.dataset, recipe.split, recipe.seed)
    must_learn_two_classes(read.dataset, result.split)
    targets_must_be_known(read.dataset, result.split)
    tokenizer = TextTokenizer.from_folder(located.folder, trust_remote_code=recipe.model.trust_remote_code)
    seen = _reading_of(recipe, read.dataset, result.split, tokenizer, located)
    open_rows = read.dataset.select(result.split.open_ids)
    memory = plan_memory(
        located,
        recipe,
        longest_tokens=seen.longest_tokens,
        n_labels=len(read.dataset.targets) or (0 if read.dataset.target is None else len(read.dataset.labels())),
        available_gib=_free_gib() if gpu_gib is None else gpu_gib,
        on_cpu=gpu_gib is None,
    )
    return Checked(
        audit=audit_rows(read.dataset, result.clusters, result.split, seen.n_tokens_R),
        split=result.split,
        label_of=dict(zip(open_rows.ids.tolist(), _labels(open_rows), strict=True)),
        entries=(*without_sealed_ids((*read.entries, *result.entries), result.split), *seen.entries),
        located=located,
        memory=memory,
        prompted=seen.prompted,
        tokenizer=tokenizer,
    )


@dataclass(frozen=True)
class _Reading:
    """What a model would read of the rows: lengths, what there is to say, and for the task `answer` the prompts."""

    n_tokens_R: NDArray[np.int64]
    longest_tokens: int
    entries: tuple[Entry, ...]
    prompted: Prompted | None = None


def _reading_of(
    recipe: Recipe, dataset: Dataset, split: Split, tokenizer: TextTokenizer, located: LocatedModel
) -> _Reading:
    if recipe.writes:
        training, asking = prompts_of(recipe, dataset, split, tokenizer, located)
        of_training = training.completions
        longest = int((of_training.prompt_tokens_P + of_training.answer_tokens_P).max())
        entries = (*training.entries, *(one for one in asking.entries if one not in training.entries))
        return _Reading(asking.completions.n_tokens_R, longest, entries, training)
    of_rows = None if recipe.evidence is None else evidence_at_hand(recipe, dataset)
    about_evidence = () if recipe.evidence is None else documents_at_hand(recipe, dataset)
    tokenized = tokenize(recipe, dataset, tokenizer, of_rows)
    examples = tokenized.examples
    return _Reading(examples.n_tokens_R, int(examples.length_W.max()), (*about_evidence, *tokenized.entries))


def _must_have_gpu_if_needed(recipe: Recipe, *, has_gpu: bool) -> None:
    """Check that an 8-bit optimiser has what it runs on.

    Raises:
        MachineError: There is no GPU.
    """
    eight_bit = [number for number, stage in enumerate(recipe.stages) if stage.optimizer == "adamw_8bit"]
    if eight_bit and not has_gpu:
        where, must = f"stages.{eight_bit[0]}.optimizer", "the 8-bit optimiser runs on a GPU"
        raise MachineError(Problem(where, must, "no GPU on this machine", "set optimizer=adamw"))


def free_gpu_gib() -> float | None:
    """Free memory of the first GPU as its driver's tool tells it, None where there is none; torch is not loaded."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    asked = [tool, "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603 (a fixed command)
    first = told.stdout.strip().splitlines()[:1]
    return int(first[0]) / 2**10 if told.returncode == 0 and first and first[0].strip().isdigit() else None


def _free_gib() -> float:
    return float(psutil.virtual_memory().available / 2**30)


def _labels(rows: Dataset) -> list[str]:
    if rows.target is None:
        return [""] * rows.n_rows
    return [str(label) for label in rows.target.tolist()]
