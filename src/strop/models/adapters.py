"""Low-rank adapters (LoRA), and the 4-bit base that QLoRA puts them on."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn

from strop.errors import MachineError, ModelError, Problem, did_you_mean
from strop.recipe.sections import Adapter

Kind = Literal["native", "body", "causal"]
# What PEFT calls them.
TASK_TYPES: Mapping[Kind, str] = {"native": "SEQ_CLS", "body": "FEATURE_EXTRACTION", "causal": "CAUSAL_LM"}


def quantization(kept_out: Sequence[str], device: torch.device) -> Any:
    """Settings for a 4-bit NF4 base with double quantization (Dettmers et al. 2023, QLoRA).

    Args:
        kept_out: Modules that stay as they are: the head, which is trained.
        device: Where the model will run.

    Raises:
        MachineError: bitsandbytes is not installed.
    """
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        problem = Problem(
            where="model.adapter.base_in_4bit",
            must="a 4-bit base needs the library bitsandbytes",
            came=str(error),
            do="install it with `pip install 'strop[qlora]'`, or set base_in_4bit=false",
        )
        raise MachineError(problem) from error
    from transformers import BitsAndBytesConfig

    from strop.models.precision import has_fast_bfloat16

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if has_fast_bfloat16(device) else torch.float32,
        llm_int8_skip_modules=list(kept_out) or ["strop_head_outside_of_the_model"],
    )


def keep_4bit_weights_unpacked(transformer: nn.Module) -> None:
    """Stop bitsandbytes from repacking 4-bit weights on the first forward pass without gradients.

    On CPUs with AVX512-BF16 it repacks in place; weights that were repacked cannot be merged, dequantized or compared
    with freshly loaded ones.
    """
    for module in transformer.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010 (not a declared attribute)


def add_adapter(transformer: Any, adapter: Adapter, kind: Kind, head_modules: Sequence[str] = ()) -> Any:
    """Put adapters on the linear modules of the body (Hu et al. 2021, LoRA); everything else is frozen.

    Args:
        transformer: A loaded model.
        adapter: The recipe's section.
        kind: What the transformer is: a classifier with a head of its own, a bare body, or a causal model, whose output
            matrix is left as it is.
        head_modules: Modules of a native classifier that are trained in full and saved with the adapter.

    Returns:
        A PEFT model.

    Raises:
        ModelError: No module has the names asked for.
    """
    from peft import LoraConfig, TaskType, get_peft_model, prepare_model_for_kbit_training

    outside, names = _linear_names(transformer, kind, head_modules)
    if adapter.base_in_4bit:
        transformer = prepare_model_for_kbit_training(transformer, use_gradient_checkpointing=False)
    config = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=_targets(adapter, names),
        exclude_modules=outside or None,
        modules_to_save=list(head_modules) or None,
        task_type=TaskType(TASK_TYPES[kind]),
    )
    with peft_warnings_left_out():
        return get_peft_model(transformer, config)


@contextmanager
def peft_warnings_left_out() -> Iterator[None]:
    """Leave out what is not a user's to mend: peft 0.21 asks for a name that transformers 5.23 calls deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        yield


@contextmanager
def casts_left_to_autocast(transformer: Any) -> Iterator[None]:
    """Keep PEFT from making the inputs of every adapter float32, only for autocast to make them half precision again.

    For use under autocast: a seventh less time in training on a CPU, and less memory, for the same numbers.

    Args:
        transformer: Under PEFT, or plain, which is left alone.
    """
    if not hasattr(transformer, "peft_config"):
        yield
        return
    from peft.helpers import disable_input_dtype_casting

    with disable_input_dtype_casting(transformer):
        yield


def _linear_names(transformer: Any, kind: Kind, head_modules: Sequence[str]) -> tuple[list[str], list[str]]:
    """Full names of the linear modules outside of the body, and of those in it."""
    linear = {name: module for name, module in transformer.named_modules() if isinstance(module, nn.Linear)}
    if kind == "causal":
        of_body = set(transformer.get_decoder().modules())
        outside = [name for name, module in linear.items() if module not in of_body]
    else:
        outside = [name for name in linear if any(part in head_modules for part in name.split("."))]
    return outside, [name for name in linear if name not in outside]


def _targets(adapter: Adapter, names: Sequence[str]) -> list[str]:
    leaves = sorted({name.split(".")[-1] for name in names})
    if adapter.target_modules == "all-linear":
        return leaves
    unknown = [
        target for target in adapter.target_modules if not any(f".{name}".endswith(f".{target}") for name in names)
    ]
    if unknown:
        problems = [
            Problem(
                where="model.adapter.target_modules",
                must="every entry must name linear modules of the model's body",
                came=f"'{target}'",
                do=did_you_mean(target, leaves),
            )
            for target in unknown
        ]
        raise ModelError(*problems)
    return list(adapter.target_modules)
