"""Load a pretrained model as a network with a new head, plain, with adapters, or with adapters on a 4-bit base."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification
from transformers.utils import logging as transformers_logging

from strop.errors import MachineError, ModelError, Problem
from strop.models.adapters import add_adapter, keep_4bit_weights_unpacked, quantization
from strop.models.attention import use_fast_attention
from strop.models.locate import LocatedModel
from strop.models.network import Inputs, Network, PooledHead, Pooling
from strop.models.precision import choose_precision
from strop.recipe.sections import Model

DROPOUT_OF_ATTENTION = ("attention_probs_dropout_prob", "attention_dropout")
DROPOUT_OF_STATES = ("hidden_dropout_prob", "hidden_dropout", "dropout", "resid_pdrop", "embd_pdrop")
# Texts read as one, and labels.
PLAIN = Inputs()


@dataclass(frozen=True)
class ModelCounts:
    """How large a network is.

    Attributes:
        n_parameters: All weights.
        n_body: Weights of the body without adapters.
        n_head: Weights of the head.
        n_adapter: Weights of adapters.
    """

    n_parameters: int
    n_body: int
    n_head: int
    n_adapter: int


def resolve_pooling(model: Model, located: LocatedModel, inputs: Inputs = PLAIN) -> Pooling:
    """Resolve `model.pooling`.

    `auto` takes parts where there are parts, else what a sentence-embedding model declares, else the native head;
    metadata and hidden layers need pooled states instead: the mean, or the last token of a causal model.
    """
    if model.pooling != "auto":
        return model.pooling
    if inputs.n_parts:
        return "parts"
    if located.declared_pooling is None and (inputs.n_metadata or model.head_hidden):
        return "last" if located.is_causal else "mean"
    return located.declared_pooling or "native"


def build_network(
    model: Model,
    located: LocatedModel,
    labels: Sequence[str],
    *,
    pad_id: int,
    device: torch.device,
    seed: int,
    inputs: Inputs = PLAIN,
) -> Network:
    """Load the pretrained weights and put a freshly initialised head on them.

    Args:
        model: The recipe's section.
        located: Where the model lies.
        labels: Names of the labels or targets, in the order of the logits.
        pad_id: Token id that fills short windows.
        device: Where the model will run.
        seed: Seeds the head and the adapters.
        inputs: What the network is given beside token ids.

    Raises:
        ModelError: The folder holds a model that cannot be loaded so.
        MachineError: bitsandbytes is needed and missing.
    """
    torch.manual_seed(seed)
    pooling = resolve_pooling(model, located, inputs)
    transformer, fresh = load_transformer(model, located, labels, pooling, pad_id, device, inputs)
    head_modules = _head_modules(transformer, fresh) if pooling == "native" else ()
    head = None if pooling == "native" else new_head(model, transformer, pooling, len(labels), inputs)
    if model.adapter is not None:
        keep_4bit_weights_unpacked(transformer)
        transformer = add_adapter(transformer, model.adapter, "native" if pooling == "native" else "body", head_modules)
        transformer.get_base_model().config._name_or_path = located.name
    network = Network(transformer, head, pooling, head_modules, inputs)
    return ready_to_train(network, model, device)


def ready_to_train(network: Network, model: Model, device: torch.device) -> Network:
    """Set up gradient checkpointing, hold what is trained in float32, and move the network to its device."""
    if model.gradient_checkpointing:
        transformer: Any = network.transformer
        transformer.activation_checkpointing_enable({"use_reentrant": False})
        transformer.config.use_cache = False
    _keep_trained_weights_exact(network, device, model)
    return network.to(device)


def new_head(model: Model, transformer: Any, pooling: Pooling, n_outputs: int, inputs: Inputs) -> PooledHead:
    """A freshly initialised head for pooled states of this width, and for metadata beside them."""
    n_vectors = 1 + inputs.n_parts if pooling == "parts" else 1
    return PooledHead(
        n_vectors * hidden_size(transformer),
        n_outputs,
        model.head_dropout,
        hidden=model.head_hidden,
        n_metadata=inputs.n_metadata,
    )


def load_body(
    model: Model, located: LocatedModel, *, pad_id: int, device: torch.device, inputs: Inputs = PLAIN
) -> Network:
    """Load the pretrained body as it is, for frozen features, pooled by the mean unless the model says otherwise."""
    pooling = resolve_pooling(model, located, inputs)
    if pooling == "native":
        pooling = "last" if located.is_causal else "mean"
    transformer, _ = load_transformer(model, located, (), pooling, pad_id, device)
    keep_4bit_weights_unpacked(transformer)
    return Network(transformer, None, pooling, (), inputs).to(device)


def count_parameters(network: Network) -> ModelCounts:
    """Count weights by what they belong to; 4-bit weights count as the weights they stand for."""
    head = adapter = body = 0
    for name, parameter in network.named_parameters():
        n_weights = _n_weights(parameter)
        if network.is_adapter(name):
            adapter += n_weights
        elif network.is_head(name):
            # PEFT keeps the untouched original of a trained module beside its copy.
            head += 0 if ".original_module." in name else n_weights
        else:
            body += n_weights
    return ModelCounts(body + head + adapter, body, head, adapter)


def _n_weights(parameter: nn.Parameter) -> int:
    state = getattr(parameter, "quant_state", None)
    return int(state.shape.numel()) if state is not None else parameter.numel()


def load_transformer(
    model: Model,
    located: LocatedModel,
    labels: Sequence[str],
    pooling: Pooling,
    pad_id: int,
    device: torch.device,
    inputs: Inputs = PLAIN,
) -> tuple[Any, list[str]]:
    """Load a bare body, or with pooling "native" a classifier, through the Auto classes of transformers.

    Returns:
        The model, and the names of weights that the folder does not hold.

    Raises:
        ModelError: transformers cannot load the folder so.
        MachineError: The model does not fit the device.
    """
    auto = AutoModelForSequenceClassification if pooling == "native" else AutoModel

    def prepare(config: Any) -> list[str]:
        config.pad_token_id = pad_id
        if pooling != "native":
            return []
        config.num_labels = len(labels)
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: at for at, label in enumerate(labels)}
        # A sigmoid an output is what transformers calls several labels at once.
        several = "multi_label_classification"
        config.problem_type = several if inputs.is_regression else "single_label_classification"
        in_4bit = model.adapter is not None and model.adapter.base_in_4bit
        return _head_names_of_family(config, auto) if in_4bit else []

    return load_pretrained(
        auto,
        model,
        located,
        device,
        prepare,
        kind=f"with pooling '{pooling}'",
        else_do="; a family without a classification head works with model.pooling=mean or last",
    )


def load_pretrained(
    auto: Any,
    model: Model,
    located: LocatedModel,
    device: torch.device,
    prepare: Callable[[Any], Sequence[str]],
    *,
    kind: str,
    else_do: str = "",
) -> tuple[Any, list[str]]:
    """Load a folder through an Auto class of transformers, on a 4-bit base if asked for.

    Args:
        auto: The Auto class.
        model: The recipe's section.
        located: Where the model lies.
        device: Where the model will run.
        prepare: Changes the config; gives the names of modules that are kept out of quantization.
        kind: What the model is loaded as, for an error's words.
        else_do: What else can be done where that is impossible, for an error's words.

    Returns:
        The model, and the names of weights that the folder does not hold.

    Raises:
        ModelError: transformers cannot load the folder so.
        MachineError: The model does not fit the device, or bitsandbytes is needed and missing.
    """
    trust = model.trust_remote_code
    settings: dict[str, Any] = {"dtype": weights_dtype(model, device)}
    transformers_logging.disable_progress_bar()
    verbosity = transformers_logging.get_verbosity()
    # The report of missing weights is meant for people who load by hand; a new head is missing by design.
    transformers_logging.set_verbosity_error()
    try:
        config = AutoConfig.from_pretrained(located.folder, trust_remote_code=trust)
        _set_dropout(config, model)
        kept_out = prepare(config)
        if model.adapter is not None and model.adapter.base_in_4bit:
            settings["quantization_config"] = quantization(kept_out, device)
        transformer, info = auto.from_pretrained(
            located.folder, config=config, trust_remote_code=trust, output_loading_info=True, **settings
        )
    except torch.OutOfMemoryError as error:
        raise MachineError(_no_memory(located, error)) from error
    except (ValueError, OSError, RuntimeError, KeyError) as error:
        problem = Problem(
            where=str(located.folder),
            must=f"transformers must be able to load the model {kind}",
            came=str(error).strip().splitlines()[0],
            do="check that the folder is complete and its model type is supported by the installed transformers"
            + else_do,
        )
        raise ModelError(problem) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    use_fast_attention(transformer, device)
    return transformer, list(info["missing_keys"])


def _no_memory(located: LocatedModel, error: BaseException) -> Problem:
    return Problem(
        where=str(located.folder),
        must="the model must fit the memory of the device",
        came=str(error).splitlines()[0],
        do="use a smaller model, or model.adapter with base_in_4bit=true",
    )


def weights_dtype(model: Model, device: torch.device) -> torch.dtype:
    """Weights that are trained stay float32; a frozen base may be held in the format it is computed in."""
    if model.adapter is None:
        return torch.float32
    by_name = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    return by_name[choose_precision(model.precision, device)]


def _keep_trained_weights_exact(network: Network, device: torch.device, model: Model) -> None:
    """Hold head and adapters in float32 on a base of lower precision, so that small updates are not lost."""
    if weights_dtype(model, device) == torch.float32:
        return
    for name, parameter in network.named_parameters():
        if parameter.is_floating_point() and (network.is_head(name) or network.is_adapter(name)):
            parameter.data = parameter.data.float()


def _set_dropout(config: Any, model: Model) -> None:
    for name in DROPOUT_OF_ATTENTION:
        if hasattr(config, name):
            setattr(config, name, model.attention_dropout)
    if model.hidden_dropout is not None:
        for name in DROPOUT_OF_STATES:
            if hasattr(config, name):
                setattr(config, name, model.hidden_dropout)


def hidden_size(transformer: Any) -> int:
    """Width of the token states."""
    config = transformer.config
    return int(getattr(config, "hidden_size", None) or config.get_text_config().hidden_size)


def _head_modules(transformer: Any, missing: Sequence[str]) -> tuple[str, ...]:
    """Modules of a native classifier that are its head: all outside the body, and those of the body that are new.

    A body without a pretrained pooler gets a fresh one, which has to be trained as the head is.
    """
    body = transformer.base_model_prefix
    outside = {
        name for name, module in transformer.named_children() if name != body and any(True for _ in module.parameters())
    }
    fresh = {name.removeprefix(f"{body}.").split(".")[0] for name in missing if name.startswith(f"{body}.")}
    return tuple(sorted(outside | fresh))


def _head_names_of_family(config: Any, auto: Any) -> list[str]:
    """Names of the head's modules, found on a model without weights, so that they can be kept out of quantization."""
    with torch.device("meta"):
        empty = auto.from_config(config)
    body = empty.base_model_prefix
    outside = [name for name, _ in empty.named_children() if name != body]
    pooler = ["pooler"] if hasattr(getattr(empty, body, None), "pooler") else []
    return outside + pooler
