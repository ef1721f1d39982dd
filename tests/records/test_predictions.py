"""What a model said about rows."""

import numpy as np
import pytest
from scipy.special import softmax

from strop.records.dataset import strings
from strop.records.predictions import Predictions, concatenate

LOGITS = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1e4, 0.1, 1e4]], dtype=np.float32)
THREE = Predictions(
    ids=strings(["a", "b", "c"]),
    labels=("code", "web", "기타"),
    outputs_RL=LOGITS,
    part=strings(["train", "test", "test"]),
    seen_R=np.array([True, False, False]),
    fold_R=np.array([-1, 0, 1]),
    made_by={"stage": "0", "model": "tiny"},
)


def same(one: Predictions, other: Predictions) -> bool:
    return (
        one.ids.tolist() == other.ids.tolist()
        and one.labels == other.labels
        and np.array_equal(one.outputs_RL, other.outputs_RL)
        and one.part.tolist() == other.part.tolist()
        and one.seen_R.tolist() == other.seen_R.tolist()
        and one.fold_R.tolist() == other.fold_R.tolist()
        and one.made_by == other.made_by
    )


@pytest.mark.parametrize("rows", [[0, 1, 2], [1], []], ids=["three", "one", "none"])
def test_saved_predictions_are_loaded_again_the_same(tmp_path, rows):
    predictions = THREE.take(rows)
    predictions.save(tmp_path / "one.arrow")
    loaded = Predictions.load(tmp_path / "one.arrow")
    assert same(loaded, predictions)
    assert (loaded.outputs_RL.dtype, loaded.outputs_RL.shape) == (np.float32, (len(rows), 3))
    loaded.save(tmp_path / "two.arrow")
    assert (tmp_path / "one.arrow").read_bytes() == (tmp_path / "two.arrow").read_bytes()


def test_the_order_in_which_makers_are_named_and_memory_layout_leave_the_bytes_alone(tmp_path):
    other = Predictions(
        THREE.ids,
        THREE.labels,
        np.asfortranarray(LOGITS),
        THREE.part,
        THREE.seen_R,
        THREE.fold_R,
        {"model": "tiny", "stage": "0"},
    )
    THREE.save(tmp_path / "one.arrow")
    other.save(tmp_path / "two.arrow")
    assert (tmp_path / "one.arrow").read_bytes() == (tmp_path / "two.arrow").read_bytes()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_probabilities_are_the_softmax_and_never_overflow(temperature):
    probabilities_RL = THREE.probabilities_RL(temperature)
    np.testing.assert_allclose(probabilities_RL, softmax(LOGITS.astype(np.float64) / temperature, axis=1), rtol=1e-12)
    np.testing.assert_allclose(probabilities_RL.sum(axis=1), 1.0)


def test_the_likeliest_label_is_the_first_in_a_tie():
    assert THREE.best_R().tolist() == ["code", "code", "기타"]


def test_rows_are_taken_by_id():
    chosen = THREE.select(["c", "a"])
    assert (chosen.ids.tolist(), chosen.fold_R.tolist()) == (["c", "a"], [1, -1])
    assert chosen.seen_R.tolist() == [False, True]
    with pytest.raises(KeyError, match="zz"):
        THREE.select(["zz"])


def test_parts_put_together_are_the_whole():
    whole = concatenate([THREE.take([0]), THREE.take([1, 2])], THREE.made_by)
    assert same(whole, THREE)


def test_parts_with_other_labels_are_not_put_together():
    other = Predictions(
        strings(["d"]), ("x", "y", "z"), LOGITS[:1], strings(["new"]), np.array([False]), np.array([-1])
    )
    with pytest.raises(ValueError, match="must have the same labels in the same order"):
        concatenate([THREE, other], {})


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"outputs must have shape \(rows, labels\) = \(3, 2\), came \(3, 3\)"):
        Predictions(THREE.ids, ("a", "b"), LOGITS, THREE.part, THREE.seen_R, THREE.fold_R)
    with pytest.raises(ValueError, match="every column must have one value a row"):
        Predictions(THREE.ids, THREE.labels, LOGITS, THREE.part[:2], THREE.seen_R, THREE.fold_R)
