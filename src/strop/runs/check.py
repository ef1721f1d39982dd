"""`strop check`: what can be known before anything runs, without torch."""

from dataclasses import dataclass

import psutil

from strop.data.audit import audit_dataset
from strop.data.read import read_dataset
from strop.data.split import make_split
from strop.models.locate import LocatedModel, locate_model
from strop.models.memory import MemoryPlan, plan_memory
from strop.recipe.sections import Recipe
from strop.records.audit import Audit
from strop.records.ledger import Entry
from strop.records.split import Split
from strop.text.coverage import token_coverage
from strop.text.template import render_texts
from strop.text.tokenizer import TextTokenizer
from strop.text.windows import check_length, cut_entries, make_examples


@dataclass(frozen=True)
class Checked:
    """What `strop check` found.

    Attributes:
        audit: The state of the data.
        split: Which rows would be in which part.
        labels: Names of the labels.
        entries: What a fit would write to the ledger.
        located: The pretrained model.
        memory: What training would need.
    """

    audit: Audit
    split: Split
    labels: tuple[str, ...]
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
    read = read_dataset(recipe.data, normalize=recipe.text.normalize, seed=recipe.seed)
    result = make_split(read.dataset, recipe.split, recipe.seed)
    tokenizer = TextTokenizer.from_folder(located.folder, trust_remote_code=recipe.model.trust_remote_code)
    texts = render_texts(read.dataset, recipe.text.template)
    examples = make_examples(read.dataset.ids, texts, tokenizer, recipe.text)
    audit = audit_dataset(read.dataset, result.clusters, result.split, token_coverage(examples.n_tokens_R))
    labels = read.dataset.labels()
    memory = plan_memory(
        located,
        recipe,
        longest_tokens=int(examples.length_W.max()),
        n_labels=len(labels),
        available_gib=psutil.virtual_memory().available / 2**30,
    )
    entries = (*read.entries, *result.entries, *cut_entries(examples, recipe.text))
    return Checked(audit, result.split, labels, entries, located, memory)
