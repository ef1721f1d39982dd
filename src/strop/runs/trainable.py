"""What training would refuse, found before it: missing libraries, and words of the recipe that name no weights."""

from collections.abc import Collection, Iterator, Mapping
from importlib.util import find_spec

from strop.errors import MachineError, Problem, RecipeError, did_you_mean
from strop.models.locate import LocatedModel
from strop.recipe.sections import Recipe, Stage
from strop.runs.trackers import trackers_must_be_installed

# What may stand before a weight's name as the files have it: the network's own names, PEFT's, and those of families.
PREFIXES = frozenset({"transformer", "base_model", "model", "language_model"})
# What is made when the model is loaded, and so is in no file: Strop's own head by its names, the families' heads and
# poolers and PEFT's modules by words in them.
OWN_HEAD = ("head.hidden.0.weight", "head.hidden.0.bias", "head.linear.weight", "head.linear.bias")
MADE_AT_LOADING = ("head", "classifier", "score", "pooler")
MADE_BY_PEFT = ("lora_", "default.", "modules_to_save", "original_module")
# Weights with two dimensions that are no linear modules of the body.
NOT_LINEAR = ("embeddings", "embed_tokens", "wte", "wpe", "lm_head")


def must_be_trainable(recipe: Recipe, located: LocatedModel) -> None:
    """Check what can be known of training without loading the model; torch is not needed.

    Names are those of the weight files. The loaded model's may have more before them, so a word counts as unknown only
    where it cannot name a weight; training itself is strict.

    Args:
        recipe: The recipe.
        located: Its pretrained model.

    Raises:
        RecipeError: Words of stages or of the adapter match no weights; with all other problems.
        MachineError: A library that the recipe needs is not installed.
    """
    unknown = [*_unknown_weights(recipe, located), *_unknown_modules(recipe, located)]
    missing = [*_missing_trackers(recipe), *_missing_bitsandbytes(recipe)]
    if unknown:
        raise RecipeError(*unknown, *missing)
    if missing:
        raise MachineError(*missing)


def _missing_trackers(recipe: Recipe) -> tuple[Problem, ...]:
    try:
        trackers_must_be_installed(recipe)
    except MachineError as error:
        return error.problems
    return ()


def _missing_bitsandbytes(recipe: Recipe) -> Iterator[Problem]:
    if find_spec("bitsandbytes") is not None:
        return
    came, install = "it is not installed", "install it with `pip install 'strop[qlora]'`"
    if recipe.model.adapter is not None and recipe.model.adapter.base_in_4bit:
        must = "a 4-bit base needs the library bitsandbytes"
        yield Problem("model.adapter.base_in_4bit", must, came, f"{install}, or set base_in_4bit=false")
    eight_bit = [number for number, stage in enumerate(recipe.stages) if stage.optimizer == "adamw_8bit"]
    if eight_bit:
        must = "the 8-bit optimiser needs the library bitsandbytes"
        yield Problem(f"stages.{eight_bit[0]}.optimizer", must, came, f"{install}, or set optimizer=adamw")


def _unknown_weights(recipe: Recipe, located: LocatedModel) -> Iterator[Problem]:
    """Words of stages that are part of no weight's name; one that several stages have is said once."""
    if _renames_weights(located):
        return
    names = [*(f"transformer.{_current(name)}" for name in located.tensors), *OWN_HEAD]
    made = MADE_AT_LOADING + (() if recipe.model.adapter is None else MADE_BY_PEFT)
    words = {word for name in names for word in name.split(".") if not word.isdigit()}
    said = set()
    for number, stage in enumerate(recipe.stages):
        for key, patterns in _patterns(stage).items():
            for pattern in patterns:
                is_made = any(word in pattern for word in made)
                if not is_made and (key, pattern) not in said and not _may_name_a_weight(pattern, names, located):
                    said.add((key, pattern))
                    where, must = f"stages.{number}.{key}", "every entry must be part of a parameter's name"
                    yield Problem(where, must, f"'{pattern}'", did_you_mean(pattern, words))


def _patterns(stage: Stage) -> Mapping[str, Collection[str]]:
    trainable = stage.trainable if isinstance(stage.trainable, list) else []
    return {"trainable": trainable, "frozen": stage.frozen, "learning_rates": stage.learning_rates}


def _may_name_a_weight(pattern: str, names: Collection[str], located: LocatedModel) -> bool:
    family = _letters(str(located.text_config.get("model_type")))
    pattern = pattern.replace("base_layer.", "")
    while not any(pattern in name for name in names):
        first, _, rest = pattern.partition(".")
        if not first or not rest or (first not in PREFIXES and _letters(first) not in family):
            return False
        pattern = rest
    return True


def _unknown_modules(recipe: Recipe, located: LocatedModel) -> Iterator[Problem]:
    adapter = recipe.model.adapter
    if adapter is None or adapter.target_modules == "all-linear" or _renames_weights(located):
        return
    weights = [name.removesuffix(".weight") for name, tensor in located.tensors.items() if len(tensor.shape) == 2]
    modules = [name for name in weights if not name.endswith(NOT_LINEAR)]
    for target in adapter.target_modules:
        # The loaded model's names may begin with more.
        if not any(f".{name}".endswith(f".{target}") or f".{target}".endswith(f".{name}") for name in modules):
            must = "every entry must name linear modules of the model's body"
            do = did_you_mean(target, {name.split(".")[-1] for name in modules})
            yield Problem("model.adapter.target_modules", must, f"'{target}'", do)


def _renames_weights(located: LocatedModel) -> bool:
    """Whether the model is a mixture of experts: transformers joins the experts' weights under other names."""
    return any("expert" in key for key in located.text_config)


def _current(name: str) -> str:
    """The name that transformers gives a weight today; old BERT files name those of norms otherwise."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _letters(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
