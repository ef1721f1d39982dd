"""`strop check`: what can be known before anything runs, without torch."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from strop.data.read import read_dataset
from strop.data.sealing import without_sealed_ids
from strop.data.split import make_split, must_learn_two_classes
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
    """

    audit: Audit
    split: Split
    label_of: Mapping[str, str]
    entries: tuple[Entry, ...]
    located: LocatedModel
    memory: MemoryPlan


def check_recipe(recipe: Recipe) -> Checked:
    """Read, split and tokenize as a fit would, but write nothing and load no model.

    Raises:
        StropError: With what would stop a fit.
    """
    located = locate_model(recipe.model)
    check_length(recipe.text, located.max_positions)
    must_be_trainable(recipe, located)
    read = read_dataset(
        recipe.data,
        normalize=recipe.text.normalize,
        seed=recipe.seed,
        keeps_unanswerable=recipe.keeps_unanswerable,
    )
    result = make_split(read.dataset, recipe.split, recipe.seed)
    must_learn_two_classes(read.dataset, result.split)
    tokenizer = TextTokenizer.from_folder(located.folder, trust_remote_code=recipe.model.trust_remote_code)
    of_rows = None if recipe.evidence is None else evidence_at_hand(recipe, read.dataset)
    about_evidence = () if recipe.evidence is None else documents_at_hand(recipe, read.dataset)
    tokenized = tokenize(recipe, read.dataset, tokenizer, of_rows)
    examples = tokenized.examples
    audit = audit_rows(read.dataset, result.clusters, result.split, examples.n_tokens_R)
    open_rows = read.dataset.select(result.split.open_ids)
    label_of = dict(zip(open_rows.ids.tolist(), _labels(open_rows), strict=True))
    gpu_gib = free_gpu_gib()
    memory = plan_memory(
        located,
        recipe,
        longest_tokens=int(examples.length_W.max()),
        n_labels=len(read.dataset.targets) or len(read.dataset.labels()),
        available_gib=_free_gib() if gpu_gib is None else gpu_gib,
        on_cpu=gpu_gib is None,
    )
    entries = without_sealed_ids((*read.entries, *result.entries), result.split)
    entries += (*about_evidence, *tokenized.entries)
    return Checked(audit, result.split, label_of, entries, located, memory)


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
