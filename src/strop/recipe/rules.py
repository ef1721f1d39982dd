"""What must hold between the entries of a recipe; every rule that is broken is reported, with its path."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from strop.errors import Problem
from strop.recipe.answer_rules import ANSWER_RULES
from strop.recipe.sections import TASK_DEFAULTS, Recipe, Stage

BASELINES = {
    "classify": ("majority", "tfidf", "linear_probe"),
    "regress": ("mean", "tfidf_ridge", "metadata_ridge"),
    "answer": ("zero_shot", "few_shot"),
}
# What is to be predicted: the entry of `data` that names it, and what that is.
TARGETS = {
    "classify": ("target", "the column that holds the label"),
    "regress": ("targets", "the columns that hold numbers"),
    "answer": ("answers", "the column of accepted answers"),
}
METRICS = {
    "classify": ("macro_f1", "accuracy", "mcc", "auroc", "weighted_f1", "log_loss"),
    "regress": ("spearman", "pearson", "mae"),
    "answer": ("f1", "exact_match", "rouge_l"),
}
# Entries of a stage that one objective alone reads, and what they are where nothing is asked.
ENTRIES_OF_OBJECTIVE: Mapping[str, Mapping[str, Any]] = {
    "cross_entropy": {"class_weights": "none", "rare_class_penalty": 1.0, "label_smoothing": 0.0},
    "complete": {"answer_weights": "tokens", "neftune_alpha": 0.0, "share_context": True},
}
OBJECTIVES = {"classify": ("cross_entropy",), "regress": ("bce", "mse", "pairwise_rank"), "answer": ("complete",)}


def broken_rules(recipe: Recipe) -> list[Problem]:
    """Every rule between entries that the recipe breaks."""
    rules: tuple[Callable[[Recipe], Iterator[Problem]], ...] = (
        _target,
        _roles,
        _task,
        _stages,
        _split,
        _text,
        _head,
        _evidence,
        _retrieval,
        *ANSWER_RULES,
    )
    return [problem for rule in rules for problem in rule(recipe)]


def missing_target(content: Mapping[str, Any]) -> Problem | None:
    """The problem of a recipe, given as a mapping, that does not say what is to be predicted."""
    task, data = content.get("task", "classify"), content.get("data")
    if task not in TARGETS or not isinstance(data, Mapping):
        return None
    wanted, what = TARGETS[task]
    # Of chat messages the last is the answer.
    if data.get(wanted) is not None or (wanted == "answers" and data.get("messages") is not None):
        return None
    return Problem(f"data.{wanted}", f"the task '{task}' needs {what}", "nothing", f"give data.{wanted}")


def _target(recipe: Recipe) -> Iterator[Problem]:
    data, (wanted, _) = recipe.data, TARGETS[recipe.task]
    missing = missing_target(recipe.model_dump(include={"task", "data"}))
    if missing is not None:
        yield missing
    for other in (name for name, _ in TARGETS.values() if name != wanted and getattr(data, name) is not None):
        must = f"the task '{recipe.task}' reads data.{wanted} alone"
        yield Problem(f"data.{other}", must, repr(getattr(data, other)), f"remove data.{other}, or change the task")
    declared = data.target_range
    ranges = declared if isinstance(declared, dict) else {} if declared is None else {"": declared}
    for name, (low, high) in ranges.items():
        if not low < high:
            where = f"data.target_range.{name}" if name else "data.target_range"
            must = "the lowest value must be below the highest"
            yield Problem(where, must, str([low, high]), "write it as [lowest, highest]")
    if declared is not None and recipe.task != "regress":
        yield Problem("data.target_range", "only numbers have a range", str(declared), "remove it")
    if data.target_scale != "range" and recipe.task != "regress":
        yield Problem("data.target_scale", "only numbers have a scale", data.target_scale, "remove it")


def _roles(recipe: Recipe) -> Iterator[Problem]:
    """What is to be predicted must not be read: it would be its own answer."""
    data = recipe.data
    targets = [name for name in (data.target, data.answers) if name is not None] + list(data.targets or [])
    readers = {"text": data.text, "categorical": data.categorical or [], "numeric": data.numeric or []}
    for role, columns in readers.items():
        for name in columns:
            if name in targets:
                must = "a column that is to be predicted must not be read by the model"
                yield Problem(f"data.{role}", must, name, f"remove it from data.{role}, or from the targets")
    for text, name in data.length_columns.items():
        for role in ("categorical", "numeric"):
            if name in readers[role]:
                must = f"with data.text_lengths this name is that of the length of the column '{text}'"
                yield Problem(f"data.{role}", must, name, "rename the column, or set data.text_lengths=false")


def _task(recipe: Recipe) -> Iterator[Problem]:
    metric = recipe.evaluation.primary_metric
    if metric not in METRICS[recipe.task]:
        do = f"for example {TASK_DEFAULTS[recipe.task]['evaluation']['primary_metric']}"
        yield Problem("evaluation.primary_metric", f"it must be a metric of the task '{recipe.task}'", metric, do)
    for number, name in enumerate(recipe.evaluation.baselines):
        if name == "metadata_ridge" and recipe.task == "regress" and not recipe.data.metadata_columns:
            must = "this baseline reads metadata"
            do = "give data.categorical, data.numeric or data.text_lengths, or remove it"
            yield Problem(f"evaluation.baselines.{number}", must, "no metadata columns", do)
        if name not in _baselines_of(recipe):
            must, do = f"it must be a baseline of the task '{recipe.task}'", ", ".join(_baselines_of(recipe))
            yield Problem(f"evaluation.baselines.{number}", must, name, f"choose among {do}")
    for number, stage in enumerate(recipe.stages):
        objectives = OBJECTIVES["answer" if recipe.writes else recipe.task]
        if stage.objective not in objectives:
            must, do = f"it must be an objective of the task '{recipe.task}'", ", ".join(objectives)
            yield Problem(f"stages.{number}.objective", must, stage.objective, f"choose among {do}")


def _baselines_of(recipe: Recipe) -> tuple[str, ...]:
    if recipe.task == "classify" and recipe.writes:
        # A body without a head is not loaded here.
        return ("majority", "tfidf", *BASELINES["answer"])
    return BASELINES[recipe.task]


def _stages(recipe: Recipe) -> Iterator[Problem]:
    has_adapter = recipe.model.adapter is not None
    for number, stage in enumerate(recipe.stages):
        if stage.objective == "pairwise_rank" and stage.batch_size < 2:
            must = "ranks are learnt from pairs of one batch"
            yield Problem(f"stages.{number}.batch_size", must, str(stage.batch_size), "set it to 8 or more")
        yield from _unused_entries(number, stage)
        where = f"stages.{number}.trainable"
        if stage.trainable == "adapter" and not has_adapter:
            must, do = "there must be an adapter to train", "add a section model.adapter, or say 'all' or 'head'"
            yield Problem(where, must, "adapter, without a section model.adapter", do)
        if stage.trainable == "all" and has_adapter:
            must = "with model.adapter the model's own weights stay as they are"
            yield Problem(where, must, "all", "say 'adapter' (adapters and head), or remove model.adapter")


def _unused_entries(number: int, stage: Stage) -> Iterator[Problem]:
    """Entries that only one objective reads, beside another."""
    for objective, entries in ENTRIES_OF_OBJECTIVE.items():
        for name, unused in entries.items():
            if stage.objective != objective and getattr(stage, name) != unused:
                must, came = f"it belongs to the objective '{objective}'", str(getattr(stage, name))
                do = f"remove this entry: the objective is '{stage.objective}'"
                yield Problem(f"stages.{number}.{name}", must, came, do)


def _split(recipe: Recipe) -> Iterator[Problem]:
    split, has_column = recipe.split, recipe.data.part is not None
    if has_column and split.folds is not None:
        must = "the parts come from a column or from folds, not from both"
        yield Problem("split.folds", must, f"{split.folds}, and data.part={recipe.data.part}", "remove one of them")
    has_validation = has_column or (recipe.data.part_by is not None and recipe.data.part_by.validation is not None)
    if not has_validation and split.folds is None and split.validation_fraction == 0.0:
        must = "there must be rows to choose the checkpoint by, unless there are folds or data.part gives the parts"
        yield Problem("split.validation_fraction", must, "0", "set it above 0, or set split.folds")
    # With folds every row that is not sealed is held out once: there is no validation part.
    validation = 0.0 if split.folds is not None else split.validation_fraction
    if split.test_fraction + validation >= 1.0:
        must = "split.test_fraction + split.validation_fraction must stay below 1: rows to train on must be left"
        came = f"{split.test_fraction:g} + {validation:g}"
        yield Problem("split.test_fraction", must, came, "lower one of them")


def _text(recipe: Recipe) -> Iterator[Problem]:
    parts, columns = recipe.text.parts, recipe.data.text
    if parts is None:
        return
    if list(parts) != list(columns):
        must = "it must have one entry for every column of data.text, in the same order"
        yield Problem("text.parts", must, ", ".join(parts) or "none", f"name {', '.join(columns)}")
    shares = [part.share for part in parts.values() if part.share is not None]
    if sum(shares) > 1.0 + 1e-9:
        must = "the shares must not add up to more than 1"
        yield Problem("text.parts", must, f"{sum(shares):g}", "lower some of them")
    if recipe.text.keep != "head":
        must, do = "every part has a `keep` of its own", "remove text.keep, and give text.parts.<column>.keep"
        yield Problem("text.keep", must, recipe.text.keep, do)
    for name in ("template", "windows"):
        if getattr(recipe.text, name) is not None:
            must = f"text.parts and text.{name} exclude each other"
            yield Problem(f"text.{name}", must, "both", "remove one of them")


def _head(recipe: Recipe) -> Iterator[Problem]:
    model, data = recipe.model, recipe.data
    if model.pooling == "parts" and recipe.text.parts is None:
        must, do = "pooling by parts needs text.parts", "give text.parts, or another pooling"
        yield Problem("model.pooling", must, "parts, without text.parts", do)
    if model.pooling == "native":
        for where, is_given in (
            ("data.categorical", data.categorical is not None),
            ("data.numeric", data.numeric is not None),
            ("data.text_lengths", data.text_lengths),
            ("model.head_hidden", bool(model.head_hidden)),
        ):
            if is_given:
                must = "it needs a head on pooled states, and pooling 'native' takes the model family's own head"
                yield Problem(where, must, "model.pooling=native", "set model.pooling=auto, mean, first or last")


def _evidence(recipe: Recipe) -> Iterator[Problem]:
    evidence, data = recipe.evidence, recipe.data
    if evidence is None:
        for name in ("documents", "snippets"):
            if getattr(data, name) is not None:
                must, do = "evidence is read only where the recipe says how", "add the section evidence, or remove this"
                yield Problem(f"data.{name}", must, getattr(data, name), do)
        return
    if data.documents is None and data.snippets is None:
        must, do = "a row's evidence must come from a column", "name the column in data.documents or data.snippets"
        yield Problem("evidence", must, "neither data.documents nor data.snippets", do)
    for name in ("parts", "template"):
        if getattr(recipe.text, name) is not None:
            must = "text and evidence are put together by evidence.prompt alone"
            yield Problem(f"text.{name}", must, f"text.{name} beside the section evidence", f"remove text.{name}")
    if evidence.predict == "pieces" and evidence.augmentation is None:
        must, do = "pieces must be described", "add evidence.augmentation, or set evidence.predict=whole"
        yield Problem("evidence.predict", must, "pieces, without evidence.augmentation", do)
    if evidence.augmentation is not None and recipe.task == "regress" and evidence.augmentation.labels != "all":
        must = "numbers have no labels"
        yield Problem("evidence.augmentation.labels", must, str(evidence.augmentation.labels), "set it to all")


def _retrieval(recipe: Recipe) -> Iterator[Problem]:
    data = recipe.data
    retrieval = None if recipe.evidence is None else recipe.evidence.retrieval
    if retrieval is None:
        return
    if retrieval.corpus == "documents" and data.documents is None:
        must, do = "documents to be searched must come from a column", "name it in data.documents, or search snippets"
        yield Problem("evidence.retrieval.corpus", must, "documents, without data.documents", do)
    if retrieval.corpus == "snippets" and (retrieval.source == "own" or not data.snippets):
        must = "snippets are searched across all rows: a row has its own anyway"
        came = f"source={retrieval.source}, data.snippets={data.snippets}"
        yield Problem("evidence.retrieval.source", must, came, "set source=all, and name the column in data.snippets")
