"""Estimate what training will need in memory, from the model's config and file headers alone.

Dimensions: T tokens of a padded batch (windows times their length), h hidden size, a width of all query heads, k width
of all key heads, i width of the feed-forward layer, n norms of a layer, w summed input width of a layer's adapted
matrices, c bytes of a number in the matrix products (4, or 2 in half precision).

Activations are counted as Korthikanti et al. do (2022, Reducing Activation Recomputation in Large Transformer Models,
section 4): what every operation of a layer keeps for the backward pass. Their 34 s b h is for half precision, one shape
of layer and unfused attention; here the count follows the model's own widths. One layer keeps

    trained in full    T (c (2h + 2a + 2k + 2i) + 4 n h); 4i where the feed-forward layer is gated, 2n for RMSNorm
    with adapters      T (c (2a + 2k + i) + 4 n h + (c + 4) w); 3i where it is gated; 4 w is the adapters' dropout

and T c h for each of two dropouts on hidden states. Fused attention keeps no matrix of scores; attention dropout on a
CPU does: 3 c bytes a score.

Measured against torch 2.13 on a CPU: bytes kept for the backward pass per token, layer and hidden unit, counted with
`saved_tensors_hooks`, MiniLM (6 layers of 384) in full 74 (formula 72), with adapters 119 (120), in half precision 79
(82); SmolLM2 (30 layers of 576) in full 78 (77), with adapters 121 (120), in half precision 84 (81). What the process
then holds at its peak is more, because the C library's allocator cannot reuse every gap: see `ALLOCATOR`. Peak memory
of three steps as planned against as measured, both models, batches of 2,048 to 8,192 tokens: ratios of 0.85 to 1.3.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from strop.models.locate import LocatedModel
from strop.models.weight_files import TensorInfo
from strop.recipe.sections import Adapter, Recipe, Stage
from strop.text.packs import MAX_ANSWER_TOKENS, PASS_TOKENS

GIB = 2**30
FLOAT32_BYTES = 4
# 4 bits and the twice quantized constants of blocks of 64 (Dettmers et al. 2023, QLoRA, section 3: 0.127 bits each).
NF4_BYTES = 4.127 / 8
# Peak over counted activations on a CPU, eight measurements: 1.3 to 1.5 in full, 1.7 to 2.5 with adapters, whose many
# short-lived blocks leave gaps. A GPU's caching allocator wastes less.
ALLOCATOR = {("cpu", "full"): 1.4, ("cpu", "adapter"): 2.1, ("gpu", "full"): 1.15, ("gpu", "adapter"): 1.15}
# Python with torch, transformers and peft; on a GPU the context of the driver.
RUNTIME_GIB = 0.6
LAYER_NUMBER = re.compile(r"\.\d+\.")
OUTPUT_MATRICES = ("lm_head.", "cls.")
GATES = ("gate_proj", "gate_up_proj", ".wi_0.", "mlp.wi.", ".w1.")
HIDDEN_DROPOUTS = ("hidden_dropout_prob", "hidden_dropout", "resid_pdrop", "dropout")
DROPOUTS_PER_LAYER = 2


@dataclass(frozen=True)
class MemoryPlan:
    """What training will need at its peak, in GiB; good to about a quarter.

    Attributes:
        weights_gib: The model's weights, with the copies that mixed precision makes of them.
        gradients_gib: Gradients of what is trained.
        optimizer_gib: The two moments of AdamW, the best weights so far, and the moving average.
        activations_gib: What the forward pass keeps for the backward pass, with what the allocator wastes.
        logits_gib: Logits and their gradients; a classifier has none over the vocabulary.
        runtime_gib: Python and its libraries.
        available_gib: What is free, None where that is unknown.
        advice: Where it does not fit: changes of the recipe that need less, each with what it needs.
    """

    weights_gib: float
    gradients_gib: float
    optimizer_gib: float
    activations_gib: float
    logits_gib: float
    runtime_gib: float
    available_gib: float | None
    advice: tuple[str, ...] = ()

    @property
    def total_gib(self) -> float:
        """All of it."""
        training = self.weights_gib + self.gradients_gib + self.optimizer_gib + self.activations_gib
        return training + self.logits_gib + self.runtime_gib

    @property
    def fits(self) -> bool:
        """Whether it is no more than what is free; true where that is unknown."""
        return self.available_gib is None or self.total_gib <= self.available_gib


@dataclass(frozen=True)
class _Conditions:
    """What the estimate depends on besides the recipe."""

    located: LocatedModel
    longest_tokens: int
    n_labels: int
    half_precision: bool
    on_cpu: bool
    writes: bool


def plan_memory(
    located: LocatedModel,
    recipe: Recipe,
    *,
    longest_tokens: int,
    n_labels: int,
    available_gib: float | None,
    half_precision: bool | None = None,
    on_cpu: bool = True,
) -> MemoryPlan:
    """Estimate the memory of a recipe's most demanding stage, for a batch of the longest windows.

    Args:
        located: The model.
        recipe: What is asked for.
        longest_tokens: The longest window, special tokens included.
        n_labels: How many classes there are; 0 for a model that writes.
        available_gib: What is free where the model will run; None if unknown.
        half_precision: Whether matrix products run in 16 bits. Without a value: what `model.precision` says, and for
            `auto` the larger figure, that of 32 bits.
        on_cpu: Whether the model runs on a CPU.

    Returns:
        The plan; a dense transformer is assumed, experts count as if all were used.
    """
    if half_precision is None:
        half_precision = recipe.model.precision in ("bfloat16", "float16")
    given = _Conditions(located, longest_tokens, n_labels, half_precision, on_cpu, recipe.writes)
    plan = _plan(given, recipe, available_gib)
    if plan.fits:
        return plan
    advice = tuple(_advice(given, recipe, plan))
    return replace(plan, advice=advice)


def _plan(given: _Conditions, recipe: Recipe, available_gib: float | None) -> MemoryPlan:
    plans = [_plan_stage(given, recipe, stage, available_gib) for stage in recipe.stages]
    return max(plans, key=lambda plan: plan.total_gib)


def _plan_stage(given: _Conditions, recipe: Recipe, stage: Stage, available_gib: float | None) -> MemoryPlan:
    n_trained = _n_trained(given, recipe, stage)
    weights = _weights_bytes(given, recipe, stage) + FLOAT32_BYTES * _n_added(given, recipe)
    copies = 2 + (1 if given.on_cpu else 0) + (1 if stage.weight_average else 0)
    return MemoryPlan(
        weights_gib=weights / GIB,
        gradients_gib=FLOAT32_BYTES * n_trained / GIB,
        optimizer_gib=FLOAT32_BYTES * n_trained * copies / GIB,
        activations_gib=_activation_bytes(given, recipe, stage) / GIB,
        logits_gib=_logit_bytes(given, recipe, stage) / GIB,
        runtime_gib=RUNTIME_GIB,
        available_gib=available_gib,
    )


def _body(given: _Conditions) -> Iterator[tuple[str, TensorInfo]]:
    """Weights of the model; the matrix that predicts words only where the model writes: a classifier has none."""
    for name, tensor in given.located.tensors.items():
        if tensor.is_floating_point and (given.writes or not name.startswith(OUTPUT_MATRICES)):
            yield name, tensor


def _matrices(given: _Conditions) -> Iterator[tuple[str, TensorInfo]]:
    """Matrices of the layers: what adapters are put on and what is held in 4 bits."""
    for name, tensor in _body(given):
        if len(tensor.shape) == 2 and LAYER_NUMBER.search(name):
            yield name, tensor


def _adapted(given: _Conditions, adapter: Adapter) -> Iterator[TensorInfo]:
    for name, tensor in _matrices(given):
        targets = adapter.target_modules
        if targets == "all-linear" or any(f".{name}".endswith(f".{target}.weight") for target in targets):
            yield tensor


def _n_added(given: _Conditions, recipe: Recipe) -> int:
    """Weights of the head and of adapters."""
    head = given.n_labels * int(given.located.text_config.get("hidden_size") or 0)
    adapter = recipe.model.adapter
    if adapter is None:
        return head
    return head + sum(adapter.rank * sum(tensor.shape) for tensor in _adapted(given, adapter))


def _n_trained(given: _Conditions, recipe: Recipe, stage: Stage) -> int:
    """Weights that a stage trains."""
    if stage.trainable == "head":
        return given.n_labels * int(given.located.text_config.get("hidden_size") or 0)
    added = _n_added(given, recipe)
    if stage.trainable == "adapter":
        return added
    kept = (tensor for name, tensor in _body(given) if not any(part in name for part in stage.frozen))
    return added + sum(tensor.n_elements for tensor in kept)


def _weights_bytes(given: _Conditions, recipe: Recipe, stage: Stage) -> float:
    n_all = sum(tensor.n_elements for _, tensor in _body(given))
    n_matrices = sum(tensor.n_elements for _, tensor in _matrices(given))
    adapter = recipe.model.adapter
    if adapter is not None:
        each = 2 if given.half_precision else FLOAT32_BYTES
        return (n_all - n_matrices) * each + n_matrices * (NF4_BYTES if adapter.base_in_4bit else each)
    # Autocast keeps a 16-bit copy of every trained matrix until the backward pass.
    copies = 2 * n_matrices if given.half_precision and stage.trainable == "all" else 0
    return FLOAT32_BYTES * n_all + copies


def _activation_bytes(given: _Conditions, recipe: Recipe, stage: Stage) -> float:
    config = given.located.text_config
    n_layers = int(config.get("num_hidden_layers") or config.get("n_layer") or 1)
    hidden = int(config.get("hidden_size") or config.get("n_embd") or 0)
    n_tokens = stage.batch_size * given.longest_tokens
    if given.writes:
        # Rows of a step go through the model in passes of so many tokens, padding included.
        n_tokens = min(n_tokens, max(given.longest_tokens, PASS_TOKENS["cpu" if given.on_cpu else "cuda"]))
    layer = n_tokens * _bytes_per_token(given, recipe, n_layers, hidden) + _score_bytes(given, recipe, stage)
    # Embeddings, the last states and their gradients.
    ends = n_tokens * FLOAT32_BYTES * hidden * 4
    if stage.trainable == "head":
        # Nothing is kept below the head: one layer at a time.
        kept = layer + ends
    elif recipe.model.gradient_checkpointing:
        kept = n_layers * n_tokens * FLOAT32_BYTES * hidden + 2 * layer + ends
    else:
        kept = n_layers * layer + ends
    how = "adapter" if stage.trainable == "adapter" else "full"
    return kept * ALLOCATOR["cpu" if given.on_cpu else "gpu", how]


def _bytes_per_token(given: _Conditions, recipe: Recipe, n_layers: int, hidden: int) -> float:
    """What one layer keeps of one token for the backward pass; the formula of the module's docstring."""
    config = given.located.text_config
    n_heads = int(config.get("num_attention_heads") or config.get("n_head") or 1)
    head_width = int(config.get("head_dim") or hidden // n_heads)
    queries, keys = n_heads * head_width, int(config.get("num_key_value_heads") or n_heads) * head_width
    inner = int(config.get("intermediate_size") or config.get("n_inner") or 4 * hidden)
    names = list(given.located.tensors)
    is_gated = any(gate in name.lower() for name in names for gate in GATES)
    n_norms = sum("norm" in name.lower() and name.endswith("weight") for name in names if LAYER_NUMBER.search(name))
    norms = max(n_norms / n_layers, 2)
    number = 2 if given.half_precision else FLOAT32_BYTES
    n_dropouts = DROPOUTS_PER_LAYER if _hidden_dropout(given, recipe) else 0
    dropout = n_dropouts * hidden * (number if given.on_cpu else 1)
    adapter = recipe.model.adapter
    if adapter is None:
        is_rms = "rms_norm_eps" in config
        states = number * (2 * hidden + 2 * queries + 2 * keys + (4 if is_gated else 2) * inner)
        return states + FLOAT32_BYTES * (2 if is_rms else 1) * norms * hidden + dropout
    states = number * (2 * queries + 2 * keys + (3 if is_gated else 1) * inner)
    inputs = sum(tensor.shape[1] for tensor in _adapted(given, adapter)) / n_layers
    mask = (FLOAT32_BYTES if given.on_cpu else 1) if adapter.dropout else 0
    return states + FLOAT32_BYTES * norms * hidden + dropout + inputs * (number + mask)


def _score_bytes(given: _Conditions, recipe: Recipe, stage: Stage) -> float:
    """Attention scores of one layer, their dropout and their product: kept only by attention that is not fused."""
    if not (given.on_cpu and recipe.model.attention_dropout):
        return 0.0
    config = given.located.text_config
    n_heads = int(config.get("num_attention_heads") or config.get("n_head") or 1)
    number = 2 if given.half_precision else FLOAT32_BYTES
    return 3.0 * number * stage.batch_size * n_heads * given.longest_tokens**2


def _hidden_dropout(given: _Conditions, recipe: Recipe) -> float:
    if recipe.model.hidden_dropout is not None:
        return recipe.model.hidden_dropout
    config = given.located.text_config
    return float(next((config[key] for key in HIDDEN_DROPOUTS if config.get(key) is not None), 0.0))


def _logit_bytes(given: _Conditions, recipe: Recipe, stage: Stage) -> float:
    """The native head of a causal model scores every token before it takes the last one's logits.

    A model that writes has logits of answer tokens alone, over all its words: as they come, in float32, and their
    gradient.
    """
    if given.writes:
        words = int(given.located.text_config.get("vocab_size") or 0)
        return 3.0 * FLOAT32_BYTES * min(MAX_ANSWER_TOKENS, stage.batch_size * given.longest_tokens) * words
    pooling = given.located.declared_pooling if recipe.model.pooling == "auto" else recipe.model.pooling
    scores_every_token = given.located.is_causal and pooling in (None, "native")
    n_scored = stage.batch_size * (given.longest_tokens if scores_every_token else 1)
    return 2.0 * FLOAT32_BYTES * n_scored * given.n_labels


def _advice(given: _Conditions, recipe: Recipe, plan: MemoryPlan) -> Iterator[str]:
    """Changes of the recipe that need clearly less, in the order of what they cost."""
    for words, changed, tokens in _changes(given, recipe, plan):
        conditions = replace(given, longest_tokens=tokens)
        less = _plan(conditions, changed, plan.available_gib)
        if less.total_gib < 0.95 * plan.total_gib:
            yield f"{words}: about {less.total_gib:.1f} GiB" + (", which fits" if less.fits else ", still too much")


def _changes(given: _Conditions, recipe: Recipe, plan: MemoryPlan) -> Iterator[tuple[str, Recipe, int]]:
    tokens = given.longest_tokens
    factor = 1
    for factor in _halvings(max(stage.batch_size for stage in recipe.stages)):
        smaller = _with_smaller_batches(recipe, factor)
        if _plan(given, smaller, plan.available_gib).fits:
            break
    if factor > 1:
        words = f"divide batch_size by {factor} and multiply gradient_accumulation by {factor} (the same steps)"
        yield words, _with_smaller_batches(recipe, factor), tokens
    if not recipe.model.gradient_checkpointing:
        model = recipe.model.model_copy(update={"gradient_checkpointing": True})
        words = "set model.gradient_checkpointing=true (a third more time)"
        yield words, recipe.model_copy(update={"model": model}), tokens
    if recipe.model.adapter is None:
        words = "train adapters: model.adapter={} and trainable: adapter in every stage"
        yield words, _with_adapter(recipe, Adapter()), tokens
    if recipe.model.adapter is None or not recipe.model.adapter.base_in_4bit:
        adapter = (recipe.model.adapter or Adapter()).model_copy(update={"base_in_4bit": True})
        words = "train adapters on a 4-bit base: model.adapter.base_in_4bit=true and trainable: adapter"
        yield words, _with_adapter(recipe, adapter), tokens
    if tokens >= 128:
        words = f"read shorter texts: text.max_length_tokens={tokens // 2}, with text.windows if nothing may be cut"
        yield words, recipe, tokens // 2


def _halvings(batch_size: int) -> Iterator[int]:
    factor = 2
    while factor <= batch_size:
        yield factor
        factor *= 2


def _with_smaller_batches(recipe: Recipe, factor: int) -> Recipe:
    stages = [
        stage.model_copy(
            update={
                "batch_size": max(1, stage.batch_size // factor),
                "gradient_accumulation": stage.gradient_accumulation * factor,
            }
        )
        for stage in recipe.stages
    ]
    return recipe.model_copy(update={"stages": stages})


def _with_adapter(recipe: Recipe, adapter: Adapter) -> Recipe:
    stages = [
        stage if stage.trainable == "head" else stage.model_copy(update={"trainable": "adapter"})
        for stage in recipe.stages
    ]
    model = recipe.model.model_copy(update={"adapter": adapter})
    return recipe.model_copy(update={"model": model, "stages": stages})
