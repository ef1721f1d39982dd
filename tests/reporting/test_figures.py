from dataclasses import replace
from xml.etree import ElementTree

import numpy as np

from strop.recipe.load import read_recipe
from strop.records.run_folder import RunFolder
from strop.reporting.figures import VARIABLES, reliability_figure, training_figure
from strop.reporting.history import StageHistory, read_histories
from strop.reporting.reliability import Reliability


def history_of(run: RunFolder) -> StageHistory:
    return read_histories(run, read_recipe(run.recipe), run.read_about())[0]


def words_in(svg: str) -> set[str]:
    root = ElementTree.fromstring(svg.replace("xlink:href", "href"))  # noqa: S314 (our own)
    return {(text.text or "").strip() for text in root.iter("text")}


def test_a_training_figure_keeps_its_words_as_text(run: RunFolder) -> None:
    svg = training_figure(history_of(run), "macro_f1", "one")
    assert {"Loss", "Validation Macro F1", "Learning rate", "training", "validation", "epoch"} <= words_in(svg)
    assert "The chosen checkpoint stands at epoch 3." in svg


def test_panels_without_numbers_are_left_out(run: RunFolder) -> None:
    history = history_of(run)
    only_loss = replace(
        history, checks=(), chosen=None, steps=tuple(replace(step, learning_rate=None) for step in history.steps)
    )
    words = words_in(training_figure(only_loss, "macro_f1", "one"))
    assert "Loss" in words
    assert not {"Validation Macro F1", "Learning rate", "validation"} & words
    words_in(training_figure(replace(only_loss, steps=()), "macro_f1", "two"))


def test_colours_come_from_the_page_and_ids_from_the_name(run: RunFolder) -> None:
    one = training_figure(history_of(run), "macro_f1", "one")
    assert not any(colour in one for colour in VARIABLES)
    assert "var(--second)" in one
    assert 'id="one-figure_1"' in one
    assert one == training_figure(history_of(run), "macro_f1", "one")


def test_reliability_is_drawn_with_and_without_a_temperature() -> None:
    bins = Reliability(10, np.array([0.85]), np.array([0.83]), np.array([0.9]), np.array([12]))
    assert "after temperature" not in words_in(reliability_figure(bins, None, "a"))
    assert "after temperature" in words_in(reliability_figure(bins, bins, "b"))
