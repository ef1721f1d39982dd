from dataclasses import replace

import numpy as np
import pytest

from strop.ensembling.out_of_fold import average_folds, gather_folds
from strop.records.dataset import strings
from strop.records.predictions import Predictions


def predictions(ids: str, probabilities: list[list[float]], *, fold: int = 0, part: str = "validation") -> Predictions:
    n_rows = len(ids)
    return Predictions(
        ids=strings(list(ids)),
        labels=("no", "yes"),
        outputs_RL=np.log(np.array(probabilities, dtype=np.float32).reshape(n_rows, 2)),
        part=strings([part] * n_rows),
        seen_R=np.zeros(n_rows, dtype=np.bool_),
        fold_R=np.full(n_rows, fold),
        made_by={"fold": str(fold)},
    )


EVEN = [0.5, 0.5]
FIRST = predictions("ca", [[0.9, 0.1], [0.2, 0.8]], fold=0)
SECOND = predictions("b", [[0.4, 0.6]], fold=1)


def test_folds_are_put_together_in_the_order_asked_for():
    whole = gather_folds([FIRST, SECOND], strings(list("abc")), {"system": "model"})
    assert whole.ids.tolist() == ["a", "b", "c"]
    assert whole.fold_R.tolist() == [0, 1, 0]
    np.testing.assert_allclose(whole.probabilities_RL(), [[0.2, 0.8], [0.4, 0.6], [0.9, 0.1]], rtol=1e-6)
    assert whole.made_by == {"system": "model"}


@pytest.mark.parametrize(
    ("folds", "words"),
    [
        ([FIRST, SECOND, predictions("a", [EVEN], fold=2)], r"came 1 predicted by two folds: \['a'\]"),
        ([FIRST], r"came 1 by none: \['b'\]"),
        ([FIRST, SECOND, predictions("x", [EVEN], fold=2)], r"came 1 not held out: \['x'\]"),
        ([FIRST, replace(SECOND, seen_R=np.array([True]))], "must not be trained on, came 1 that were"),
        ([FIRST, replace(SECOND, labels=("yes", "no"))], "same labels in the same order"),
    ],
)
def test_every_row_is_predicted_once_by_a_model_that_has_not_seen_it(folds, words):
    with pytest.raises(ValueError, match=words):
        gather_folds(folds, strings(list("abc")), {})


def test_the_average_is_of_probabilities():
    one = predictions("ab", [[0.9, 0.1], [0.2, 0.8]], fold=0, part="test")
    other = predictions("ab", [[0.5, 0.5], [0.4, 0.6]], fold=1, part="test")
    mean = average_folds([one, other], {"system": "model"})
    np.testing.assert_allclose(mean.probabilities_RL(), [[0.7, 0.3], [0.3, 0.7]], rtol=1e-6)
    np.testing.assert_allclose(mean.outputs_RL, np.log([[0.7, 0.3], [0.3, 0.7]]), rtol=1e-6)
    assert mean.fold_R.tolist() == [-1, -1]
    assert mean.part.tolist() == ["test", "test"]
    assert mean.made_by == {"system": "model"}


def test_one_overconfident_model_does_not_outvote_the_others():
    sure = replace(predictions("a", [EVEN]), outputs_RL=np.array([[500.0, -500.0]], dtype=np.float32))
    mean = average_folds([sure, *[predictions("a", [[0.2, 0.8]])] * 2], {})
    np.testing.assert_allclose(mean.probabilities_RL(), [[1.4 / 3, 1.6 / 3]], rtol=1e-6)
    assert np.isfinite(average_folds([sure], {}).outputs_RL).all()


def test_a_row_that_one_model_has_seen_counts_as_seen():
    one = predictions("ab", [EVEN, EVEN])
    mean = average_folds([one, replace(one, seen_R=np.array([False, True]))], {})
    assert mean.seen_R.tolist() == [False, True]


def test_there_must_be_something_to_average():
    with pytest.raises(ValueError, match="there must be predictions to average"):
        average_folds([], {})


@pytest.mark.parametrize("other", [predictions("ba", [EVEN, EVEN]), predictions("a", [EVEN])])
def test_only_the_same_rows_are_averaged(other):
    with pytest.raises(ValueError, match="same rows and labels in the same order"):
        average_folds([predictions("ab", [EVEN, EVEN]), other], {})
