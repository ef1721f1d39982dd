"""Windows of a row are averaged; order and batch do not matter."""

from pathlib import Path

import numpy as np
import pytest
import torch

from strop.inference.predict import predict_logits, window_features
from strop.models.load import build_network, load_body
from strop.models.locate import locate_model
from strop.models.precision import make_accelerator
from strop.recipe.sections import Model, Text, Windows
from strop.records.dataset import strings
from strop.text.tokenizer import TextTokenizer
from strop.text.windows import make_examples

TEXTS = ["the cat sat on the mat and the dog ran home " * 4, "a dog", "", "학생 질문 하나"]


def test_logits_are_the_mean_over_windows(tiny_encoder: Path) -> None:
    model = Model(name=str(tiny_encoder), precision="float32")
    located, accelerator = locate_model(model), make_accelerator("float32")
    tokenizer = TextTokenizer.from_folder(located.folder)
    text = Text(max_length_tokens=12, windows=Windows(stride_tokens=3, max_windows=20))
    examples = make_examples(strings(["a", "b", "c", "d"]), strings(TEXTS), tokenizer, text)
    assert examples.n_windows > examples.n_rows
    network = build_network(model, located, ("x", "y"), pad_id=tokenizer.pad_id, device=accelerator.device, seed=0)
    found = predict_logits(network, examples, accelerator, pad_id=tokenizer.pad_id)
    for row in range(4):
        by_window = []
        for window in np.flatnonzero(examples.row_W == row):
            ids = torch.from_numpy(examples.window(window).astype(np.int64)).unsqueeze(0)
            with torch.no_grad():
                by_window.append(network.eval()(ids, torch.ones_like(ids)).numpy()[0])
        np.testing.assert_allclose(found[row], np.mean(by_window, axis=0), atol=1e-5)


def test_progress_is_told_and_the_mode_is_put_back(tiny_encoder: Path) -> None:
    model = Model(name=str(tiny_encoder), precision="float32")
    located, accelerator = locate_model(model), make_accelerator("float32")
    tokenizer = TextTokenizer.from_folder(located.folder)
    examples = make_examples(strings(["a", "b", "c", "d"]), strings(TEXTS), tokenizer, Text(max_length_tokens=12))
    network = build_network(model, located, ("x", "y"), pad_id=tokenizer.pad_id, device=accelerator.device, seed=0)
    network.train()
    told: list[tuple[int, int]] = []
    predict_logits(
        network, examples, accelerator, pad_id=tokenizer.pad_id, rows_done=lambda done, of: told.append((done, of))
    )
    assert told[-1] == (4, 4)
    assert network.training
    assert torch.is_grad_enabled()


def test_features_are_pooled_states_of_the_pretrained_body(tiny_encoder: Path) -> None:
    from transformers import AutoModel

    model = Model(name=str(tiny_encoder), precision="float32")
    located, accelerator = locate_model(model), make_accelerator("float32")
    tokenizer = TextTokenizer.from_folder(located.folder)
    examples = make_examples(strings(["a", "b", "c", "d"]), strings(TEXTS), tokenizer, Text(max_length_tokens=64))
    body = load_body(model, located, pad_id=tokenizer.pad_id, device=accelerator.device)
    found = window_features(body, examples, accelerator, pad_id=tokenizer.pad_id)
    plain = AutoModel.from_pretrained(tiny_encoder).eval()
    ids = torch.from_numpy(examples.window(0).astype(np.int64)).unsqueeze(0)
    with torch.no_grad():
        expected = plain(input_ids=ids).last_hidden_state.mean(dim=1).numpy()[0]
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_no_rows_are_refused(tiny_encoder: Path) -> None:
    model = Model(name=str(tiny_encoder), precision="float32")
    located, accelerator = locate_model(model), make_accelerator("float32")
    tokenizer = TextTokenizer.from_folder(located.folder)
    examples = make_examples(strings([]), strings([]), tokenizer, Text(max_length_tokens=12))
    network = build_network(model, located, ("x", "y"), pad_id=tokenizer.pad_id, device=accelerator.device, seed=0)
    with pytest.raises(ValueError, match="at least one row"):
        predict_logits(network, examples, accelerator, pad_id=tokenizer.pad_id)
