"""The scikit-learn face: what it promises, and scikit-learn's own checks where text input allows."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.utils import estimator_checks

import strop

TEXTS = ["the cat sat on the mat", "a network failed again"] * 20
LABELS = np.array([0, 1] * 20)
STAGES = [{"epochs": 12, "learning_rate": 3e-3, "batch_size": 8}]
# Texts of this little test repeat; without this they would all be one cluster of duplicates.
REPEATED = {"split.near_duplicates": "ignore", "model.precision": "float32"}


def classifier(model: Path, **changes: Any) -> strop.TextClassifier:
    return strop.TextClassifier(str(model), stages=STAGES, max_length_tokens=24, recipe=REPEATED, **changes)


@pytest.fixture(scope="module")
def fitted(tiny_encoder: Path) -> strop.TextClassifier:
    return classifier(tiny_encoder).fit(TEXTS, LABELS)


def test_it_learns_and_answers_in_the_labels_it_was_given(fitted: strop.TextClassifier) -> None:
    assert fitted.predict(TEXTS[:4]).tolist() == [0, 1, 0, 1]
    assert fitted.classes_.tolist() == [0, 1]
    assert fitted.score(TEXTS, LABELS) == 1.0
    probabilities = fitted.predict_proba(TEXTS[:3])
    assert probabilities.shape == (3, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)


def test_labels_that_sort_differently_as_text_keep_their_columns(tiny_encoder: Path) -> None:
    labels = np.array([2, 10] * 20)
    fitted = classifier(tiny_encoder).fit(TEXTS, labels)
    assert fitted.classes_.tolist() == [2, 10]
    assert fitted.predict(TEXTS[:2]).tolist() == [2, 10]
    assert fitted.predict_proba(TEXTS[:1])[0, 0] > 0.5


def test_labels_that_cleaning_would_change_come_back_as_they_were(tiny_encoder: Path) -> None:
    labels = np.array(["code ", ""] * 20)
    fitted = classifier(tiny_encoder).fit(TEXTS, labels)
    assert fitted.predict(TEXTS[:2]).tolist() == ["code ", ""]


def test_it_can_be_cloned_cross_validated_and_pickled(tiny_encoder: Path, fitted: strop.TextClassifier) -> None:
    assert clone(fitted).get_params()["model"] == str(tiny_encoder)
    assert cross_val_score(classifier(tiny_encoder), TEXTS, LABELS, cv=2).shape == (2,)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_allclose(again.predict_proba(TEXTS[:2]), fitted.predict_proba(TEXTS[:2]), atol=1e-6)


def test_a_pickled_estimator_outlives_the_folder_of_the_first(tiny_encoder: Path) -> None:
    fitted = classifier(tiny_encoder).fit(TEXTS, LABELS)
    expected, packed = fitted.predict_proba(TEXTS[:2]), pickle.dumps(fitted)
    del fitted
    again = pickle.loads(packed)
    np.testing.assert_allclose(again.predict_proba(TEXTS[:2]), expected, atol=1e-6)


def test_a_named_folder_keeps_the_run(tmp_path: Path, tiny_encoder: Path) -> None:
    fitted = classifier(tiny_encoder, runs=str(tmp_path / "kept")).fit(TEXTS, LABELS)
    (first,) = (tmp_path / "kept").glob("text-classifier-*/report.html")
    fitted.fit(TEXTS, 1 - LABELS)
    assert fitted.predict(TEXTS[:2]).tolist() == [1, 0]
    assert first.exists()
    assert fitted.run_.scores.part == "validation"


def test_a_temporary_run_is_removed_with_its_estimator(tiny_encoder: Path) -> None:
    fitted = classifier(tiny_encoder).fit(TEXTS, LABELS)
    folder = fitted.run_.folder.path
    assert folder.exists()
    del fitted
    assert not folder.exists()


@pytest.mark.parametrize(
    ("texts", "labels", "words"),
    [
        ("one text", [0], "X must be a sequence of texts, came one string"),
        ([["a"], ["b"]], [0, 1], r"one-dimensional sequence of texts, came shape \(2, 1\)"),
        ([1, 2], [0, 1], "X must hold strings, came int"),
        ([], [], "at least one text"),
        (["a", "b"], [0], "inconsistent numbers of samples"),
        (["a", "b"], [0.5, 1.7], "Unknown label type"),
    ],
)
def test_what_is_not_text_and_labels_is_refused(tiny_encoder: Path, texts: Any, labels: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        classifier(tiny_encoder).fit(texts, labels)


def test_predicting_before_fitting_is_refused(tiny_encoder: Path) -> None:
    with pytest.raises(NotFittedError):
        classifier(tiny_encoder).predict(["a"])


# scikit-learn runs none of its checks on estimators that take text alone; these are those that need no numbers.
CHECKS_WITHOUT_NUMBERS = (
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_estimator_tags_renamed,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_mixin_order,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_set_params,
    estimator_checks.check_valid_tag_types,
)


@pytest.mark.parametrize("check", CHECKS_WITHOUT_NUMBERS, ids=lambda check: check.__name__)
def test_scikit_learns_own_checks(tiny_encoder: Path, check: Any) -> None:
    check("TextClassifier", classifier(tiny_encoder))


def test_predicting_changes_nothing_and_fitting_again_gives_the_same(fitted: strop.TextClassifier) -> None:
    before = dict(vars(fitted))
    first = fitted.predict_proba(TEXTS[:4])
    assert dict(vars(fitted)) == before
    again = clone(fitted).fit(TEXTS, LABELS)
    np.testing.assert_allclose(again.predict_proba(TEXTS[:4]), first, atol=1e-6)
    one_by_one = np.concatenate([fitted.predict_proba([text]) for text in TEXTS[:4]])
    np.testing.assert_allclose(one_by_one, first, atol=1e-5)
