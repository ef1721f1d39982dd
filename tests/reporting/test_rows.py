import numpy as np
import pytest

from strop.records.dataset import Dataset, strings
from strop.records.predictions import Predictions
from strop.reporting.rows import MOST_CHARACTERS, conflicts, shown_text, with_evidence, worst_errors


def rows_of(texts: list[str], labels: list[str]) -> Dataset:
    return Dataset(strings([f"r{at}" for at in range(len(texts))]), {"text": strings(texts)}, strings(labels))


def test_a_short_text_is_shown_on_one_line() -> None:
    assert shown_text("one\n two").short == "one two"
    assert shown_text("one\n two").whole is None


def test_a_long_text_is_cut_at_a_word_and_kept_whole() -> None:
    text = "단어 " * 100
    shown = shown_text(text)
    assert shown.short.endswith("단어 …")
    assert len(shown.short) <= 183
    assert shown.whole == text
    assert shown.n_left_out == 0


def test_an_endless_text_is_cut_and_the_rest_counted() -> None:
    shown = shown_text("x" * (MOST_CHARACTERS + 5))
    assert shown.whole is not None
    assert len(shown.whole) == MOST_CHARACTERS
    assert shown.n_left_out == 5


def test_control_characters_become_visible() -> None:
    assert shown_text("a\x00b\x07c\ttab").short == "a\\x00b\\x07c tab"


def test_the_worst_errors_come_first() -> None:
    logits_RL = np.log(np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], dtype=np.float32))
    predictions = Predictions(
        strings(["r0", "r1", "r2", "r3"]),
        ("a", "b"),
        logits_RL,
        strings(["validation"] * 4),
        np.zeros(4, dtype=np.bool_),
        np.full(4, -1),
    )
    errors = worst_errors(predictions, rows_of(["t0", "t1", "t2", "t3"], ["b", "b", "b", "unknown"]), {}, most=2)
    assert [(error.row_id, error.truth, error.predicted) for error in errors] == [
        ("r3", "unknown", "a"),
        ("r1", "b", "a"),
    ]
    assert errors[0].p_truth == 0.0
    assert errors[1].log_loss == pytest.approx(-np.log(0.1), abs=1e-5)
    assert errors[1].p_predicted == pytest.approx(0.9, abs=1e-6)


def test_equal_texts_with_different_labels_are_conflicts() -> None:
    rows = rows_of(["same", "same", "other", "same", " ", " "], ["b", "a", "a", "b", "a", "b"])
    (conflict,) = conflicts(rows)
    assert conflict.labels == {"a": ["r1"], "b": ["r0", "r3"]}
    assert conflict.text.short == "same"


def test_rows_without_labels_have_no_conflicts() -> None:
    assert conflicts(Dataset(strings(["1", "2"]), {"text": strings(["x", "x"])})) == []


def test_an_error_shows_all_that_the_model_read() -> None:
    own = shown_text("is it so?")
    assert with_evidence(own, None) == own
    found = with_evidence(own, "is it so? it is not.")
    assert (found.short, found.whole, found.n_left_out) == ("is it so?", "is it so? it is not.", 0)
    assert with_evidence(own, "word " * 5000).n_left_out == 5000
