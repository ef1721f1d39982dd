from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax
from sklearn import metrics as peer

from strop.ensembling.calibrate import cross_fitted_probabilities, fit_temperature
from strop.errors import DataError, RunError
from strop.evaluation.evaluate import score_predictions
from strop.metrics.probability import calibration_error
from strop.metrics.registry import METRICS
from strop.recipe.sections import Evaluation
from strop.records.dataset import strings
from strop.records.scores import Scores

QUICK = Evaluation(n_bootstrap=200)


@pytest.fixture
def scored(make_predictions, target):
    baselines = {"majority": make_predictions(strength=0, seed=7), "tfidf": make_predictions(strength=0.8, seed=8)}
    model = make_predictions(strength=2.0)
    return score_predictions(model, target(90), baselines=baselines, evaluation=QUICK, part="test", seed=0)


def test_what_is_scored_is_named(scored):
    assert (scored.part, scored.primary, scored.confidence) == ("test", "macro_f1", 0.95)
    assert scored.labels == ("code", "other", "theory")
    assert scored.ids[:2] == ("r0", "r1")
    assert [one.system for one in (scored.model, *scored.baselines)] == ["model", "majority", "tfidf"]
    assert scored.model.metrics.keys() == METRICS.keys()
    assert scored.caveats == ()


def test_scores_are_those_of_scikit_learn(make_predictions, scored):
    target_R, predicted_R = np.arange(90) % 3, make_predictions(strength=2.0).outputs_RL.argmax(axis=1)
    assert scored.primary_score.value == pytest.approx(peer.f1_score(target_R, predicted_R, average="macro"))
    report = peer.classification_report(target_R, predicted_R, target_names=scored.labels, output_dict=True)
    for one in scored.model.classes:
        theirs = report[one.label]
        assert (one.precision.value, one.recall.value, one.f1.value, one.n_rows) == pytest.approx(
            (theirs["precision"], theirs["recall"], theirs["f1-score"], theirs["support"])
        )
    assert np.array(scored.model.confusion).tolist() == peer.confusion_matrix(target_R, predicted_R).tolist()


def test_values_by_row_add_up_to_the_scores(scored):
    for system in (scored.model, *scored.baselines):
        assert np.mean(system.per_row["log_loss"]) == pytest.approx(system.metrics["log_loss"].value)
        assert np.mean(system.per_row["correct"]) == pytest.approx(system.metrics["accuracy"].value)
        assert sum(map(sum, system.confusion)) == len(system.per_row["correct"]) == 90


def test_every_interval_holds_its_value(scored):
    for system in (scored.model, *scored.baselines):
        of_classes = [score for one in system.classes for score in (one.precision, one.recall, one.f1)]
        for score in (*system.metrics.values(), *of_classes, *scored.calibrated.values()):
            assert score.low is not None
            assert score.high is not None
            assert score.low <= score.value <= score.high
    assert scored.primary_score.low < scored.primary_score.high


def test_differences_are_those_of_the_scores(scored):
    for difference, baseline in zip(scored.differences, scored.baselines, strict=True):
        assert (difference.other, difference.metric) == (baseline.system, "macro_f1")
        assert difference.value == pytest.approx(scored.primary_score.value - baseline.metrics["macro_f1"].value)
        assert difference.low < difference.value < difference.high
        assert difference.low > 0
        assert difference.p_value < 0.05


def test_a_difference_is_signed_so_that_positive_favours_the_model(make_predictions, target):
    model, worse = make_predictions(strength=2.0), make_predictions(strength=0.2, seed=3)
    by_loss = Evaluation(n_bootstrap=100, primary_metric="log_loss")
    scores = score_predictions(model, target(90), baselines={"b": worse}, evaluation=by_loss, part="test", seed=0)
    difference = scores.differences[0]
    assert scores.baselines[0].metrics["log_loss"].value > scores.primary_score.value
    assert 0 < difference.low < difference.value < difference.high


def test_a_paired_interval_is_narrower_than_the_scores_own(make_predictions, target):
    model = make_predictions(strength=1.0)
    logits_RL = model.outputs_RL.copy()
    logits_RL[:5] = logits_RL[:5, [1, 2, 0]]
    nearly = replace(model, outputs_RL=logits_RL)
    scores = score_predictions(model, target(90), baselines={"b": nearly}, evaluation=QUICK, part="test", seed=0)
    own, paired = scores.primary_score, scores.differences[0]
    assert paired.high - paired.low < 0.6 * (own.high - own.low)


def test_the_temperature_is_of_all_rows_and_its_scores_are_cross_fitted(make_predictions, target):
    model, target_R = make_predictions(strength=1.5), np.arange(90) % 3
    sure = replace(model, outputs_RL=6 * model.outputs_RL)
    scores = score_predictions(sure, target(90), baselines={}, evaluation=QUICK, part="validation", seed=5)
    assert scores.temperature == fit_temperature(sure.outputs_RL, target_R)
    expected_RL = cross_fitted_probabilities(sure.outputs_RL, target_R, seed=5)
    assert scores.calibrated["log_loss"].value == pytest.approx(METRICS["log_loss"].value(target_R, expected_RL))
    assert scores.calibrated["log_loss"].value < scores.model.metrics["log_loss"].value
    assert scores.calibrated["calibration_error"].value < scores.model.metrics["calibration_error"].value


def test_groups_are_held_out_of_the_temperature_whole(make_predictions, target):
    model, target_R, group_R = make_predictions(strength=1.5), np.arange(90) % 3, np.arange(90) // 9
    groups = strings([f"g{number}" for number in group_R])
    found = score_predictions(
        model, target(90), baselines={}, evaluation=QUICK, part="validation", seed=5, groups=groups
    )
    expected_RL = cross_fitted_probabilities(model.outputs_RL, target_R, seed=5, group_R=group_R)
    assert found.calibrated["log_loss"].value == pytest.approx(
        METRICS["log_loss"].value(target_R, expected_RL), abs=1e-12
    )


def test_a_temperature_of_other_rows_is_applied_as_it_is(make_predictions, target):
    model, target_R = make_predictions(strength=1.5), np.arange(90) % 3
    scores = score_predictions(model, target(90), baselines={}, evaluation=QUICK, part="test", seed=0, temperature=2.5)
    assert scores.temperature == 2.5
    expected = METRICS["log_loss"].value(target_R, softmax(model.outputs_RL.astype(float) / 2.5, axis=1))
    assert scores.calibrated["log_loss"].value == pytest.approx(expected)


def test_the_recipe_says_how_many_bins(make_predictions, target):
    model, target_R = make_predictions(), np.arange(90) % 3
    few = Evaluation(n_bootstrap=100, calibration_bins=3)
    found = score_predictions(model, target(90), baselines={}, evaluation=few, part="test", seed=0)
    expected = calibration_error(target_R, model.probabilities_RL(), np.ones((1, 90)), n_bins=3)[0]
    assert found.model.metrics["calibration_error"].value == pytest.approx(expected)


def test_the_same_seed_gives_the_same_scores(make_predictions, target, scored):
    baselines = {"majority": make_predictions(strength=0, seed=7), "tfidf": make_predictions(strength=0.8, seed=8)}
    model = make_predictions(strength=2.0)
    again, other = (
        score_predictions(model, target(90), baselines=baselines, evaluation=QUICK, part="test", seed=seed)
        for seed in (0, 1)
    )
    assert again == scored
    assert other.primary_score.low != scored.primary_score.low
    assert other.primary_score.value == scored.primary_score.value


def test_scores_are_read_back_as_written(tmp_path: Path, scored):
    scored.save(tmp_path / "test.json")
    assert Scores.load(tmp_path / "test.json") == scored


def test_groups_widen_the_interval(make_predictions, target):
    model = make_predictions(n_rows=90)
    thirty = model.take(np.repeat(np.arange(30), 3))
    repeated = replace(thirty, ids=model.ids)
    labels = target(90)[np.repeat(np.arange(30), 3)]
    groups = strings([f"g{at // 3}" for at in range(90)])
    alone, grouped = (
        score_predictions(
            repeated, labels, baselines={}, evaluation=QUICK, part="test", seed=0, groups=one
        ).primary_score
        for one in (None, groups)
    )
    assert grouped.value == alone.value
    assert grouped.high - grouped.low > 1.3 * (alone.high - alone.low)


def test_groups_are_kept_whole_in_differences(make_predictions, target):
    model, worse = make_predictions(strength=2.0), make_predictions(strength=0.2, seed=3)
    groups = strings(["all"] * 90)
    scores = score_predictions(
        model, target(90), baselines={"b": worse}, evaluation=QUICK, part="test", seed=0, groups=groups
    )
    difference = scores.differences[0]
    # A single group: no resample differs, and a swap of everything tells nothing.
    assert difference.low == difference.high == pytest.approx(difference.value)
    assert difference.p_value == 1.0
    assert "1 group(s) only" in scores.caveats[0]


def test_a_class_without_rows_is_named_and_has_scores(make_predictions):
    labels = strings(["code", "other"] * 15)
    model = make_predictions(n_rows=30)
    scores = score_predictions(
        model, labels, baselines={}, evaluation=QUICK, part="test", seed=0, caveats=("the first",)
    )
    assert scores.caveats[0] == "the first"
    assert "no row here has the label 'theory'" in scores.caveats[1]
    theory = scores.model.classes[2]
    assert (theory.n_rows, theory.recall.value, theory.f1.value) == (0, 0.0, 0.0)


def test_one_row_can_be_judged(make_predictions, target):
    scores = score_predictions(
        make_predictions(n_rows=1), target(1), baselines={}, evaluation=QUICK, part="test", seed=0
    )
    assert scores.primary_score.value in (0.0, 1.0)
    assert "all rows here have the label 'code'" in scores.caveats[0]


def test_rows_that_were_trained_on_are_refused(make_predictions, target):
    seen = replace(make_predictions(n_rows=3), seen_R=np.array([False, True, False]))
    with pytest.raises(RunError, match="1 of 3 rows were trained on"):
        score_predictions(seen, target(3), baselines={}, evaluation=QUICK, part="test", seed=0)


def test_an_unknown_label_is_refused(make_predictions):
    with pytest.raises(DataError, match="came: 'theroy'\n  do:   did you mean 'theory'"):
        score_predictions(
            make_predictions(n_rows=2),
            strings(["code", "theroy"]),
            baselines={},
            evaluation=QUICK,
            part="test",
            seed=0,
        )


def test_a_target_of_other_rows_is_refused(make_predictions, target):
    with pytest.raises(ValueError, match="probabilities must have 4 rows as the target has, came 5"):
        score_predictions(make_predictions(n_rows=5), target(4), baselines={}, evaluation=QUICK, part="test", seed=0)
