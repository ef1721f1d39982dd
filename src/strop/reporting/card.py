"""The model card: a README.md that says what the model is for, how good it is, and how to load it."""

import re
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from strop import __version__
from strop.metrics.answer_failures import FAILURES
from strop.recipe.answer import Cleaning
from strop.recipe.data import Data
from strop.records.files import write_text
from strop.records.run_folder import RunFolder
from strop.reporting import sentences, tables
from strop.reporting.answer_report import run_decoding
from strop.reporting.facts import making_facts
from strop.reporting.folds import folds_words
from strop.reporting.history import trained_words
from strop.reporting.material import Material, read_material
from strop.reporting.report import caveats

HUB_NAME = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
HUB_METRICS = {
    "macro_f1": "f1",
    "weighted_f1": "f1",
    "mcc": "matthews_correlation",
    "auroc": "roc_auc",
    "spearman": "spearmanr",
    "pearson": "pearsonr",
    "rouge_l": "rouge",
}
PIPELINES = {"classify": "text-classification", "regress": "text-classification", "answer": "text-generation"}
TAGS = {"classify": "text-classification", "regress": "text-regression", "answer": "question-answering"}


def write_card(folder: RunFolder) -> Path:
    """Write the model card from what stands in the run folder. It holds no text of the data.

    Args:
        folder: The run.

    Returns:
        The card's path.

    Raises:
        RunError: The folder holds no run, or a file in it is damaged.
        MachineError: The card cannot be written.
    """
    material = read_material(folder)
    # A card is Markdown, where HTML escaping would show: the filter `cell` escapes what comes from the data.
    environment = Environment(  # noqa: S701
        loader=PackageLoader("strop.reporting"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        cell=cell,
        count=sentences.count,
        counted=sentences.counted,
        percent=sentences.percent,
        score_text=sentences.score_text,
        metric_name=sentences.metric_name,
        system_name=sentences.system_name,
        part_name=sentences.part_name,
        verdict=sentences.verdict,
        number=sentences.number,
        folds_words=folds_words,
        differences_lines=sentences.differences_lines,
    )
    template = environment.get_template("answer_card.md.j2" if material.answers_in_words else "card.md.j2")
    write_text(folder.card, template.render(_context(material)))
    return folder.card


def _new_row(data: Data) -> str:
    """A row as `Run.predict` takes it, in Python: a text, or a mapping where the model reads more than one column."""
    columns = [*data.text, *(data.categorical or []), *(data.numeric or [])]
    return '"a text"' if len(columns) == 1 else f"{{{', '.join(f'{name!r}: ...' for name in columns)}}}"


def cell(words: str) -> str:
    """Escape words of the data for a Markdown table: no markup, no HTML, one line."""
    line = " ".join(words.split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#!~$])", r"\\\1", line)


def _context(material: Material) -> dict[str, Any]:
    recipe = material.recipe
    pooling = str(dict(material.about.get("model") or {}).get("pooling") or recipe.model.pooling)
    return {
        "version": __version__,
        "front_matter": yaml.safe_dump(_front_matter(material), sort_keys=False, allow_unicode=True).strip(),
        "material": material,
        "recipe": recipe,
        "base": base_model(material) or Path(recipe.model.name).name,
        "headline": material.headline,
        "caveats": caveats(material),
        "labels": tables.label_counts(material),
        "targets": () if material.audit is None else material.audit.targets,
        "n_outputs": _n_outputs(material),
        "stages": [(stage, trained_words(stage.trainable)) for stage in recipe.stages],
        "metadata": ", ".join(recipe.data.metadata_columns),
        "new_row": _new_row(recipe.data),
        "split": tables.split_table(material),
        "making": making_facts(material),
        "pooling": pooling,
        "decoding": run_decoding(material) if material.answers_in_words else "",
        "cleans": recipe.answer is not None and recipe.answer.cleaning != Cleaning(),
        "loads_with_peft": recipe.model.adapter is not None,
        # What a network for values gives are logits, which its reader has to stretch over the targets' ranges.
        "loads_plainly": not material.answers_in_words
        and recipe.model.adapter is None
        and pooling == "native"
        and recipe.split.folds is None
        and not material.predicts_values,
    }


def _n_outputs(material: Material) -> int | None:
    """How many classes or targets there are, None where nobody knows yet."""
    if material.dataset is None:
        return None
    if material.predicts_values:
        return len(material.dataset.targets) or None
    return len(tables.label_counts(material)) or None


def base_model(material: Material) -> str | None:
    """The pretrained model's name on the hub; None where it was a folder or a package."""
    name = material.recipe.model.name
    source = dict(material.about.get("model") or {}).get("source")
    return name if source in ("hub", None) and HUB_NAME.match(name) and not Path(name).exists() else None


def _front_matter(material: Material) -> dict[str, Any]:
    """Metadata in the form that the Hugging Face hub reads."""
    recipe, headline = material.recipe, material.headline
    base = base_model(material)
    matter: dict[str, Any] = {} if base is None else {"base_model": base}
    matter |= {
        "library_name": "peft" if recipe.model.adapter is not None else "transformers",
        "pipeline_tag": PIPELINES[recipe.task],
        "tags": [
            TAGS[recipe.task],
            "strop",
            *(["lora"] if recipe.model.adapter is not None else []),
        ],
    }
    if headline is not None:
        # How answers fail is no metric that the hub knows.
        metrics = [score for name, score in headline.model.metrics.items() if name not in FAILURES]
        matter["metrics"] = sorted({HUB_METRICS.get(score.metric, score.metric) for score in metrics})
        results = [
            {
                "type": HUB_METRICS.get(score.metric, score.metric),
                "name": sentences.metric_name(score.metric),
                "value": round(score.value, 4),
            }
            for score in metrics
        ]
        task = {"type": PIPELINES[recipe.task], "name": TAGS[recipe.task].replace("-", " ").capitalize()}
        data = {"type": "private", "name": f"{recipe.name}, {headline.part}"}
        matter["model-index"] = [
            {"name": recipe.name, "results": [{"task": task, "dataset": data, "metrics": results}]}
        ]
    return matter
