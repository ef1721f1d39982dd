"""The stations before training: read, audit, split, tokenize. Each is loaded instead where the run has it already."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strop.data.audit import audit_dataset
from strop.data.read import read_dataset
from strop.data.sealing import without_sealed_ids
from strop.data.several import files_of
from strop.data.split import make_split, must_learn_two_classes
from strop.data.targets import targets_must_be_known
from strop.errors import Problem, RunError
from strop.evidence.prompt import RowEvidence
from strop.models.locate import LocatedModel, locate_model
from strop.recipe.load import differing_keys, dump_recipe, read_recipe
from strop.recipe.sections import Recipe
from strop.records.audit import Audit
from strop.records.dataset import Dataset, Strings
from strop.records.examples import Examples
from strop.records.files import write_text
from strop.records.run_folder import TEXTS_READ, RunFolder
from strop.records.split import Split
from strop.runs.gather_evidence import gather_evidence
from strop.runs.tokenize import Tokenized, load_tokenized, save_tokenized, tokenize
from strop.tasks import TASKS
from strop.tasks.task import Task
from strop.text.coverage import token_coverage
from strop.text.tokenizer import TextTokenizer
from strop.text.windows import check_length
from strop.training.watch import Watcher

# What a run may be continued with in another way: it has no influence on what is learnt.
CHANGES_NOTHING = re.compile(r"report_to|stages\.\d+\.checkpoint_seconds|evidence\.fetch\..*")
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".h5", ".onnx", ".msgpack", ".gguf")


@dataclass(frozen=True)
class Prepared:
    """What training begins with.

    Attributes:
        dataset: All rows, the sealed ones last. Targets of sealed rows are there only because the file has them.
        split: Which row is in which part.
        task: The task on the rows of `dataset`; the targets of sealed rows are masked.
        tokenized: Every row of `dataset` as the model reads it.
        located: The pretrained model.
        pad_id: Token id that fills short windows.
    """

    dataset: Dataset
    split: Split
    task: Task
    tokenized: Tokenized
    located: LocatedModel
    pad_id: int

    @property
    def examples(self) -> Examples:
        """Token ids of every row of `dataset`."""
        return self.tokenized.examples


def claim_folder(recipe: Recipe, folder: RunFolder) -> None:
    """Write the recipe into a new run folder, or check that the run there is of the same recipe and data.

    A run that never came past its split holds nothing that the recipe could contradict: it is begun anew.

    Raises:
        RunError: The run there was made by another recipe, or the data file has changed since.
    """
    if not (folder.split / "split.json").exists():
        folder.ledger.path.unlink(missing_ok=True)
        write_text(folder.recipe, dump_recipe(recipe))
        return
    differences = [
        difference
        for difference in differing_keys(read_recipe(folder.recipe), recipe)
        if not CHANGES_NOTHING.match(difference)
    ]
    if differences:
        problem = Problem(
            where=str(folder.path),
            must="a run is continued by the recipe that began it",
            came="it differs at " + "; ".join(differences[:8]),
            do="give the new run a name of its own (name=...), or take the recipe from the run folder",
        )
        raise RunError(problem)
    digest, before = _file_digest(recipe.data.path), folder.read_about().get("data_sha256")
    if digest is not None and before is not None and digest != before:
        problem = Problem(
            where=recipe.data.path,
            must="the data must stay as they were when the run began",
            came="the file has changed since",
            do="give the new run a name of its own (name=...)",
        )
        raise RunError(problem)


def prepare(recipe: Recipe, folder: RunFolder, watcher: Watcher) -> Prepared:
    """Bring the data to the point where training can begin.

    Raises:
        DataError: The data cannot be used.
        RecipeError: The recipe does not fit data or model.
        ModelError: The pretrained model cannot be used.
        RunError: The data file changed since the run began.
    """
    watcher.station_began("locating the model")
    located = locate_model(recipe.model)
    check_length(recipe.text, located.max_positions)
    tokenizer = TextTokenizer.from_folder(located.folder, trust_remote_code=recipe.model.trust_remote_code)
    dataset, split = data_and_split(recipe, folder, watcher)
    tokenized = _tokenized(recipe, folder, dataset, tokenizer, located, watcher)
    audit_data(recipe, folder, dataset, split, tokenized.examples.n_tokens_R, watcher)
    task = TASKS[recipe.task].of(recipe, dataset, dataset.rows_of(split.test))
    return Prepared(dataset, split, task, tokenized, located, tokenizer.pad_id)


def data_and_split(recipe: Recipe, folder: RunFolder, watcher: Watcher) -> tuple[Dataset, Split]:
    """Rows, the sealed ones last, and their split; loaded where the run has them.

    The split is written last, so that where it stands the rows stand too.

    Raises:
        DataError: The data cannot be used.
    """
    if (folder.split / "split.json").exists():
        split = Split.load(folder.split)
        return _together(Dataset.load(folder.open_data), Dataset.load(folder.sealed_data)), split
    watcher.station_began("reading the data")
    read = read_dataset(
        recipe.data,
        normalize=recipe.text.normalize,
        seed=recipe.seed,
        keeps_unanswerable=recipe.keeps_unanswerable,
    )
    watcher.station_began("splitting")
    result = make_split(read.dataset, recipe.split, recipe.seed)
    split = result.split
    must_learn_two_classes(read.dataset, split)
    targets_must_be_known(read.dataset, split)
    folder.ledger.write_all(without_sealed_ids([*read.entries, *result.entries], split))
    folder.update_about(data_sha256=_file_digest(recipe.data.path), data_fingerprint=read.dataset.fingerprint)
    open_rows, sealed_rows = read.dataset.select(split.open_ids), read.dataset.select(split.test)
    open_rows.save(folder.open_data)
    sealed_rows.save(folder.sealed_data)
    split.save(folder.split)
    return _together(open_rows, sealed_rows), split


def _file_digest(data_path: str) -> str | None:
    """A digest of the data file, or of all of several; None for a folder that `datasets` saved."""
    files = files_of(Path(data_path))
    if files is None:
        files = [Path(data_path)] if Path(data_path).is_file() else []
    digests = []
    for path in files:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest() if digests else None


def _together(first: Dataset, second: Dataset) -> Dataset:
    """Rows of both, the second's after the first's."""

    def joined(one: Strings | None, other: Strings | None) -> Strings | None:
        return None if one is None or other is None else np.concatenate([one, other])

    def columns(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
        return {name: np.concatenate([column, other[name]]) for name, column in one.items()}

    return Dataset(
        ids=np.concatenate([first.ids, second.ids]),
        texts=columns(first.texts, second.texts),
        targets=columns(first.targets, second.targets),
        categories=columns(first.categories, second.categories),
        numbers=columns(first.numbers, second.numbers),
        target=joined(first.target, second.target),
        groups=joined(first.groups, second.groups),
        parts=joined(first.parts, second.parts),
        documents=joined(first.documents, second.documents),
        snippets=joined(first.snippets, second.snippets),
        answers=joined(first.answers, second.answers),
    )


def _tokenized(
    recipe: Recipe,
    folder: RunFolder,
    dataset: Dataset,
    tokenizer: TextTokenizer,
    located: LocatedModel,
    watcher: Watcher,
) -> Tokenized:
    """Token ids, cached under a key of everything they depend on."""
    of_rows = None
    if recipe.evidence is not None:
        of_rows = gather_evidence(recipe, folder, dataset, tokenizer, watcher)
    place = folder.examples / reading_key(recipe, dataset, of_rows, located)
    if (place / TEXTS_READ).exists():
        return load_tokenized(place)
    watcher.station_began("tokenizing")
    tokenized = tokenize(recipe, dataset, tokenizer, of_rows)
    folder.ledger.write_all(list(tokenized.entries))
    save_tokenized(tokenized, place)
    return tokenized


def reading_key(recipe: Recipe, dataset: Dataset, of_rows: Sequence[RowEvidence] | None, located: LocatedModel) -> str:
    """A digest of everything that decides which tokens a model reads of the rows."""
    key = hashlib.sha256()
    key.update(dataset.fingerprint.encode())
    key.update(recipe.text.model_dump_json().encode())
    if recipe.evidence is not None:
        key.update(recipe.evidence.model_dump_json().encode())
        key.update(repr(of_rows).encode())
    if recipe.answer is not None:
        key.update(recipe.answer.prompt.model_dump_json().encode())
        key.update(str((recipe.data.context, recipe.data.messages, recipe.answer.label_words)).encode())
    # Tokenizers come in many files; all that lies beside the weights may have a say.
    for file in sorted(located.folder.iterdir()):
        if file.is_file() and file.suffix not in WEIGHT_SUFFIXES:
            key.update(file.read_bytes())
    return key.hexdigest()[:16]


def audit_data(
    recipe: Recipe,
    folder: RunFolder,
    dataset: Dataset,
    split: Split,
    n_tokens_R: NDArray[np.int64],
    watcher: Watcher,
) -> None:
    """Audit the rows of a run, unless that was done."""
    if folder.audit.exists():
        return
    watcher.station_began("auditing")
    from strop.data.duplicates import near_duplicate_clusters

    clusters = near_duplicate_clusters(dataset.joined_texts(), recipe.split.near_duplicate_similarity, recipe.seed)
    audit_rows(dataset, clusters, split, n_tokens_R).save(folder.audit)


def audit_rows(dataset: Dataset, clusters: NDArray[np.int64], split: Split, n_tokens_R: NDArray[np.int64]) -> Audit:
    """Audit rows together with their lengths in tokens.

    Args:
        dataset: The rows.
        clusters: The near-duplicate cluster of every row.
        split: Their division.
        n_tokens_R: Length of each row before anything was cut.
    """
    coverage = token_coverage(n_tokens_R)
    fitting = {str(limit): fraction for limit, fraction in coverage.fitting.items()}
    quantiles = {f"{share:g}": float(length) for share, length in coverage.quantiles.items()}
    return audit_dataset(dataset, clusters, split, fitting, quantiles)
