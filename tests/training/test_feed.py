"""What a stage trains on: windows weighed by row, in an order that the seed decides."""

from pathlib import Path

import numpy as np
import pytest
import torch

from strop.recipe.sections import Stage, Text, Windows
from strop.records.dataset import strings
from strop.text.tokenizer import TextTokenizer
from strop.text.windows import make_examples
from strop.training.feed import WindowFeed

TEXTS = ["the cat sat", "a dog ran home and the cat sat on the mat again and again", "the network failed"]


@pytest.fixture
def feed(tiny_encoder: Path) -> WindowFeed:
    text = Text(max_length_tokens=8, windows=Windows(stride_tokens=0))
    examples = make_examples(strings(["a", "b", "c"]), strings(TEXTS), TextTokenizer.from_folder(tiny_encoder), text)
    assert examples.n_windows > examples.n_rows
    return WindowFeed(
        Stage(batch_size=2),
        examples,
        np.array([1, 2]),
        np.array([0, 1, 0]),
        torch.device("cpu"),
        n_labels=2,
        pad_id=0,
        seed=7,
    )


def test_windows_of_a_row_share_its_weight(feed: WindowFeed) -> None:
    row_W = feed.examples.row_W[feed.windows_W]
    by_row = np.bincount(row_W, weights=feed.share_W, minlength=3)
    assert by_row[0] == 0.0
    np.testing.assert_allclose(by_row[1], by_row[2])
    np.testing.assert_allclose(feed.share_W.mean(), 1.0)


def test_every_window_to_train_on_comes_once_an_epoch(feed: WindowFeed) -> None:
    for epoch in range(3):
        batches = feed.plan(epoch)
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(feed.windows_W)))
        assert [batch.tolist() for batch in feed.plan(epoch)] == [batch.tolist() for batch in batches]
