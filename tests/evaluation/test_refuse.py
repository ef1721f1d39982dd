from dataclasses import replace

import numpy as np
import pytest

from strop.errors import RunError
from strop.evaluation.refuse import refuse_broken_outputs, refuse_unfair_rows


def test_fair_rows_pass(make_predictions):
    model = make_predictions()
    refuse_unfair_rows(model, {"tfidf": make_predictions(seed=1)}, "test")
    refuse_broken_outputs({"a": model})


def test_rows_that_a_model_was_trained_on_are_counted(make_predictions):
    model = make_predictions(n_rows=6)
    seen = replace(model, seen_R=np.array([True, False, True, False, False, False]))
    with pytest.raises(RunError) as caught:
        refuse_unfair_rows(seen, {"tfidf": seen}, "validation")
    first, second = caught.value.problems
    assert first.where == "predictions of the model for the part 'validation'"
    assert first.must == "no row may be judged by a model that was trained on it"
    assert first.came == "2 of 6 rows were trained on"
    assert first.do == "judge validation, out-of-fold or test rows"
    assert second.where == "predictions of the baseline 'tfidf' for the part 'validation'"


def test_there_must_be_rows(make_predictions):
    with pytest.raises(RunError, match="there must be rows to judge") as caught:
        refuse_unfair_rows(make_predictions(n_rows=0), {}, "validation")
    assert "data.part, split.validation_fraction or split.test_fraction" in caught.value.problems[0].do


def test_logits_must_be_finite(make_predictions):
    model = make_predictions(n_rows=6)
    logits_RL = model.outputs_RL.copy()
    logits_RL[[2, 4], 1] = np.nan
    broken = replace(model, outputs_RL=logits_RL)
    with pytest.raises(RunError) as caught:
        refuse_unfair_rows(broken, {}, "test")
    assert caught.value.problems[0].came == "NaN or infinity in 2 of 6 rows, for example in 'r2'"
    assert "the training has diverged" in caught.value.problems[0].do
    with pytest.raises(RunError, match="predictions of b: every logit must be a finite number"):
        refuse_broken_outputs({"a": model, "b": broken})


def test_baselines_must_have_predicted_the_same_rows_and_labels(make_predictions):
    model = make_predictions(n_rows=6)
    fewer, others = model.take([0, 1, 2]), replace(model, labels=("a", "b", "c"))
    with pytest.raises(RunError) as caught:
        refuse_unfair_rows(model, {"tfidf": fewer, "majority": others}, "test")
    rows, labels = caught.value.problems
    assert rows.where == "predictions of the baseline 'tfidf'"
    assert rows.came == "3 rows, 3 of them among the model's 6"
    assert "the rows that the model predicted, in the same order" in rows.must
    assert "remove the folder predictions/" in rows.do
    assert labels.must == "a baseline must know the model's labels, ['code', 'other', 'theory']"
    assert labels.came == "['a', 'b', 'c']"
