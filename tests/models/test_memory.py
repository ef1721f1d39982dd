import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from strop.models.locate import LocatedModel, locate_model
from strop.models.memory import ALLOCATOR, RUNTIME_GIB, MemoryPlan, plan_memory
from strop.recipe.load import resolve
from strop.recipe.sections import Model, Recipe

GIB = 2**30
SHAPES = {
    # A Llama of one layer: hidden 64, 4 query heads and 2 key heads of 16, feed-forward 128, 1,000 words.
    "model.embed_tokens.weight": (1000, 64),
    "model.layers.0.self_attn.q_proj.weight": (64, 64),
    "model.layers.0.self_attn.k_proj.weight": (32, 64),
    "model.layers.0.self_attn.v_proj.weight": (32, 64),
    "model.layers.0.self_attn.o_proj.weight": (64, 64),
    "model.layers.0.mlp.gate_proj.weight": (128, 64),
    "model.layers.0.mlp.up_proj.weight": (128, 64),
    "model.layers.0.mlp.down_proj.weight": (64, 128),
    "model.layers.0.input_layernorm.weight": (64,),
    "model.layers.0.post_attention_layernorm.weight": (64,),
    "model.norm.weight": (64,),
    "lm_head.weight": (1000, 64),
}
N_MATRICES = 64 * 64 * 2 + 32 * 64 * 2 + 128 * 64 * 3
N_BODY = 1000 * 64 + N_MATRICES + 3 * 64
CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
    "rms_norm_eps": 1e-6,
}


@pytest.fixture
def llama(tmp_path: Path) -> LocatedModel:
    """A model of which only the header of its weight file exists: nothing else may be read."""
    header, end = {}, 0
    for name, shape in SHAPES.items():
        n_bytes = 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + n_bytes]}
        end += n_bytes
    text = json.dumps(header).encode()
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return LocatedModel("m", tmp_path, "folder", CONFIG, None)


def recipe(model: dict[str, Any] | None = None, *stages: dict[str, Any]) -> Recipe:
    return resolve(
        {
            "name": "r",
            "data": {"path": "d.csv", "text": "text", "target": "label"},
            "model": {"name": "m", "precision": "float32", **(model or {})},
            "stages": list(stages) or [{"batch_size": 8}],
        }
    )


def plan(located: LocatedModel, asked: Recipe, available_gib: float | None = None, **settings: Any) -> MemoryPlan:
    return plan_memory(
        located, asked, **{"longest_tokens": 100, "n_labels": 5, "available_gib": available_gib, **settings}
    )


def test_full_training_by_hand(llama: LocatedModel) -> None:
    needs = plan(llama, recipe())
    trained = N_BODY + 5 * 64
    assert needs.weights_gib * GIB == pytest.approx(4 * trained)
    assert needs.gradients_gib * GIB == pytest.approx(4 * trained)
    # Two moments and the best weights so far.
    assert needs.optimizer_gib * GIB == pytest.approx(12 * trained)
    # 2h + 2a + 2k + 4i, and two RMSNorms that keep two states each; no dropout in a Llama.
    layer = 800 * (4 * (128 + 128 + 64 + 512) + 4 * 2 * 2 * 64)
    ends = 800 * 4 * 64 * 4
    assert needs.activations_gib * GIB == pytest.approx((layer + ends) * ALLOCATOR["cpu", "full"])
    # The native head of a causal model scores all 800 tokens; there are no logits over 1,000 words.
    assert needs.logits_gib * GIB == pytest.approx(2 * 4 * 800 * 5)
    assert needs.runtime_gib == RUNTIME_GIB
    assert needs.fits
    assert needs.advice == ()


def test_adapters_by_hand(llama: LocatedModel) -> None:
    needs = plan(llama, recipe({"adapter": {"rank": 4}, "pooling": "last"}, {"trainable": "adapter", "batch_size": 8}))
    # rank (in + out) of q, k, v, o, gate, up, down.
    adapter = 4 * (128 + 96 + 96 + 128 + 192 + 192 + 192)
    trained = adapter + 5 * 64
    assert needs.gradients_gib * GIB == pytest.approx(4 * trained)
    assert needs.weights_gib * GIB == pytest.approx(4 * (N_BODY + trained))
    inputs = 64 * 6 + 128
    layer = 800 * (4 * (128 + 64 + 3 * 128) + 4 * 2 * 64 + inputs * (4 + 4))
    ends = 800 * 4 * 64 * 4
    assert needs.activations_gib * GIB == pytest.approx((layer + ends) * ALLOCATOR["cpu", "adapter"])
    assert needs.logits_gib * GIB == pytest.approx(2 * 4 * 8 * 5)


def test_chosen_modules_have_adapters_of_their_own(llama: LocatedModel) -> None:
    adapter = {"rank": 4, "target_modules": ["q_proj", "mlp.down_proj"]}
    needs = plan(llama, recipe({"adapter": adapter}, {"trainable": "adapter"}))
    assert needs.gradients_gib * GIB == pytest.approx(4 * (4 * (128 + 192) + 5 * 64))


def test_a_4bit_base_holds_matrices_in_4_bits_and_the_rest_in_16(llama: LocatedModel) -> None:
    asked = recipe({"adapter": {"rank": 4, "base_in_4bit": True}, "precision": "bfloat16"}, {"trainable": "adapter"})
    added = 4 * 1024 + 5 * 64
    expected = 2 * (N_BODY - N_MATRICES) + N_MATRICES * 4.127 / 8 + 4 * added
    assert plan(llama, asked).weights_gib * GIB == pytest.approx(expected)


def test_half_precision_keeps_copies_of_trained_matrices(llama: LocatedModel) -> None:
    half, whole = plan(llama, recipe({"precision": "bfloat16"})), plan(llama, recipe())
    assert (half.weights_gib - whole.weights_gib) * GIB == pytest.approx(2 * N_MATRICES)
    assert half.activations_gib < 0.7 * whole.activations_gib
    assert plan(llama, recipe({"precision": "auto"}), half_precision=True) == half


def test_frozen_embeddings_need_neither_gradients_nor_moments(llama: LocatedModel) -> None:
    needs = plan(llama, recipe(None, {"frozen": ["embed_tokens"]}))
    assert needs.gradients_gib * GIB == pytest.approx(4 * (N_BODY - 64_000 + 5 * 64))


def test_a_head_alone_needs_little(llama: LocatedModel) -> None:
    needs = plan(llama, recipe(None, {"trainable": "head"}))
    assert needs.gradients_gib * GIB == pytest.approx(4 * 5 * 64)
    assert needs.weights_gib == plan(llama, recipe()).weights_gib


def test_the_most_demanding_stage_counts(llama: LocatedModel) -> None:
    head, full = {"trainable": "head", "batch_size": 1}, {"trainable": "all", "batch_size": 8}
    assert plan(llama, recipe(None, head, full)) == plan(llama, recipe(None, full))


def test_a_moving_average_is_one_more_copy(llama: LocatedModel) -> None:
    needs = plan(llama, recipe(None, {"weight_average": 0.9, "batch_size": 8}))
    assert needs.optimizer_gib == pytest.approx(plan(llama, recipe()).optimizer_gib * 4 / 3)


def test_attention_dropout_keeps_scores_on_a_cpu_alone(llama: LocatedModel) -> None:
    with_dropout = recipe({"attention_dropout": 0.1})
    more = plan(llama, with_dropout).activations_gib - plan(llama, recipe()).activations_gib
    assert more * GIB == pytest.approx(3 * 4 * 8 * 4 * 100**2 * ALLOCATOR["cpu", "full"])
    on_gpu = plan(llama, with_dropout, on_cpu=False)
    assert on_gpu.activations_gib == plan(llama, recipe(), on_cpu=False).activations_gib


def test_a_multimodal_config_is_read_from_its_text_part(llama: LocatedModel) -> None:
    nested = LocatedModel("m", llama.folder, "folder", {"model_type": "llama4", "text_config": CONFIG}, None)
    assert plan(nested, recipe()).activations_gib == plan(llama, recipe()).activations_gib


def test_what_does_not_fit_comes_with_advice_that_needs_less(tiny_encoder: Path) -> None:
    located = locate_model(Model(name=str(tiny_encoder)))
    asked = recipe(None, {"batch_size": 64})
    needs = plan(located, asked, available_gib=RUNTIME_GIB + 0.06, longest_tokens=512)
    assert not needs.fits
    # 64 windows of 512 tokens keep 1,792 bytes a token in each of 2 layers, times 1.4 about 0.18 GiB beside the
    # libraries: 32 windows take 0.09, and 16 take 0.045, the first that fits in 0.06.
    assert needs.advice[0].startswith(
        "divide batch_size by 4 and multiply gradient_accumulation by 4 (the same steps): about 0.6 GiB, which fits"
    )
    # With two layers there is nothing to gain from keeping one of them.
    assert not any("model.gradient_checkpointing=true" in one for one in needs.advice)
    assert any(
        one.startswith("read shorter texts: text.max_length_tokens=256") and one.endswith("still too much")
        for one in needs.advice
    )


def test_checkpointing_keeps_the_inputs_of_layers_and_pays_in_deep_models(llama: LocatedModel) -> None:
    deep = LocatedModel("m", llama.folder, "folder", {**CONFIG, "num_hidden_layers": 20}, None)
    needs = plan(deep, recipe({"gradient_checkpointing": True}))
    layer = 800 * (4 * (128 + 128 + 64 + 512) + 4 * 2 * 2 * 64)
    inputs, ends = 20 * 800 * 4 * 64, 800 * 4 * 64 * 4
    assert needs.activations_gib * GIB == pytest.approx((inputs + 2 * layer + ends) * ALLOCATOR["cpu", "full"])
    without = plan(deep, recipe(), available_gib=RUNTIME_GIB + 0.03)
    assert any(
        one.startswith("set model.gradient_checkpointing=true (a third more time)") and one.endswith("which fits")
        for one in without.advice
    )


def test_advice_that_would_not_help_is_not_given(tiny_encoder: Path) -> None:
    located = locate_model(Model(name=str(tiny_encoder)))
    needs = plan(located, recipe(None, {"batch_size": 1}), available_gib=0.1, longest_tokens=16)
    assert not needs.fits
    assert needs.advice == ()


def test_unknown_free_memory_fits(llama: LocatedModel) -> None:
    assert plan(llama, recipe(), available_gib=None).fits
    assert not plan(llama, recipe(), available_gib=0.5).fits


@pytest.mark.parametrize("adapter", [None, {}])
def test_counted_activations_are_what_torch_keeps(tiny_encoder: Path, adapter: dict[str, Any] | None) -> None:
    import torch

    from strop.models.load import build_network

    trainable = "all" if adapter is None else "adapter"
    asked = recipe({"name": str(tiny_encoder), "pooling": "mean", "adapter": adapter}, {"trainable": trainable})
    located = locate_model(asked.model)
    network = build_network(asked.model, located, ["a", "b"], pad_id=0, device=torch.device("cpu"), seed=0).train()
    own = {parameter.data_ptr() for parameter in network.parameters()}
    kept: dict[int, tuple[int, torch.Tensor]] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = (tensor.untyped_storage().nbytes(), tensor)
        return tensor

    ids = torch.ones(16, 128, dtype=torch.int64)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(ids, torch.ones_like(ids))
    n_kept = sum(n_bytes for n_bytes, _ in kept.values())
    needs = plan(located, asked, longest_tokens=128)
    counted = needs.activations_gib * GIB / ALLOCATOR["cpu", "full" if adapter is None else "adapter"]
    assert counted == pytest.approx(n_kept, rel=0.25)


def test_planning_needs_no_torch(tiny_encoder: Path) -> None:
    code = (
        "import sys; from strop.models.locate import locate_model; from strop.models.memory import plan_memory; "
        "from strop.recipe.load import resolve; "
        "r = resolve({'name': 'r', 'data': {'path': 'd', 'text': 't', 'target': 'l'}, "
        f"'model': {{'name': {str(tiny_encoder)!r}}}}}); "
        "plan_memory(locate_model(r.model), r, longest_tokens=9, n_labels=2, available_gib=None); "
        "assert not {'torch', 'transformers'} & set(sys.modules), 'loaded'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
