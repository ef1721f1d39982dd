from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from strop.errors import RunError
from strop.evaluation.evaluate_values import score_values
from strop.recipe.sections import Evaluation
from strop.records.dataset import strings
from strop.records.scores import Scores

QUICK = Evaluation(primary_metric="spearman", baselines=["mean"], n_bootstrap=300)


@pytest.fixture
def truth(make_values):
    return make_values.truth_RT


@pytest.fixture
def scored(make_values, truth) -> Scores:
    return score_values(
        make_values(0.6),
        truth,
        baselines={"mean": make_values(0.0, constant=True), "tfidf_ridge": make_values(0.2, seed=5)},
        evaluation=QUICK,
        part="validation",
        seed=1,
        treated={"snapped": make_values(0.6, steps=4)},
        caveats=("these rows also chose the checkpoint",),
    )


def test_scores_are_those_of_scipy(make_values, truth, scored):
    values_RT = make_values(0.6).outputs_RL
    spearman = [stats.spearmanr(truth[:, at], values_RT[:, at]).statistic for at in range(3)]
    pearson = [stats.pearsonr(truth[:, at], values_RT[:, at]).statistic for at in range(3)]
    assert scored.primary == "spearman"
    assert scored.primary_score.value == pytest.approx(np.mean(spearman))
    assert scored.model.metrics["pearson"].value == pytest.approx(np.mean(pearson))
    assert scored.model.metrics["mae"].value == pytest.approx(np.abs(truth - values_RT).mean())
    assert [one.target for one in scored.model.targets] == ["clear", "helpful", "short"]
    for at, one in enumerate(scored.model.targets):
        score = one.metrics["spearman"]
        assert score.value == pytest.approx(spearman[at])
        assert score.low < score.value < score.high
        assert one.n_rows == 80


def test_what_names_the_scores(scored):
    assert (scored.part, scored.confidence, scored.labels) == ("validation", 0.95, ("clear", "helpful", "short"))
    assert scored.caveats == ("these rows also chose the checkpoint",)
    assert (scored.temperature, scored.calibrated, scored.model.classes) == (None, {}, ())
    assert [one.system for one in scored.baselines] == ["mean", "tfidf_ridge"]
    assert not scored.model.metrics["mae"].higher_is_better


def test_a_constant_baseline_ranks_nothing(scored):
    mean = scored.baselines[0]
    assert (mean.metrics["spearman"].value, mean.metrics["spearman"].low, mean.metrics["spearman"].high) == (0, 0, 0)
    assert [one.metrics["spearman"].value for one in mean.targets] == [0, 0, 0]
    difference = scored.differences[0]
    own = scored.primary_score
    assert (difference.other, difference.value) == ("mean", pytest.approx(own.value))
    assert (difference.low, difference.high) == (pytest.approx(own.low), pytest.approx(own.high))
    assert difference.p_value == pytest.approx(2 / 301)


def test_treatments_stand_beside_the_model_as_it_was(scored):
    (snapped,) = scored.treated
    assert snapped.treatment == snapped.scores.system == "snapped"
    change = snapped.scores.metrics["spearman"].value - scored.primary_score.value
    assert (snapped.gain.other, snapped.gain.value) == ("model", pytest.approx(change))
    assert snapped.gain.low <= change <= snapped.gain.high


def test_equal_seeds_give_equal_scores_and_they_are_read_back(tmp_path, make_values, truth, scored):
    again = score_values(make_values(0.6), truth, baselines={}, evaluation=QUICK, part="validation", seed=1)
    assert again.model == scored.model
    scored.save(tmp_path / "scores.json")
    assert Scores.load(tmp_path / "scores.json") == scored


def test_a_baseline_and_a_treatment_may_bear_one_name(make_values, truth):
    model = make_values(0.6)
    scores = score_values(
        model,
        truth,
        baselines={"model": make_values(0.1)},
        evaluation=QUICK,
        part="test",
        seed=0,
        treated={"model": model},
    )
    assert scores.treated[0].gain.value == 0
    assert scores.treated[0].gain.p_value == 1
    assert scores.differences[0].value > 0


def test_missing_targets_leave_rows_out_of_that_target(make_values, truth):
    holed = truth.copy()
    holed[:30, 1] = np.nan
    scores = score_values(make_values(0.6), holed, baselines={}, evaluation=QUICK, part="test", seed=0)
    one = scores.model.targets[1]
    expected = stats.spearmanr(truth[30:, 1], make_values(0.6).outputs_RL[30:, 1]).statistic
    assert (one.n_rows, one.metrics["spearman"].value) == (50, pytest.approx(expected))


def test_targets_that_cannot_be_measured_are_named_and_left_out(make_values, truth):
    holed = truth.copy()
    holed[:, 0], holed[:, 2] = 0.5, np.nan
    scores = score_values(make_values(0.6), holed, baselines={}, evaluation=QUICK, part="test", seed=0)
    constant, whole, empty = scores.model.targets
    assert constant.metrics["spearman"] is None
    assert constant.metrics["mae"] is not None
    assert set(empty.metrics.values()) == {None}
    assert scores.primary_score.value == whole.metrics["spearman"].value
    assert scores.caveats == (
        "no row here has a value of the target 'short': left out of all scores",
        (
            "in these rows one value only stands in the target 'clear': no correlation can be measured, and the means "
            "of spearman and pearson leave it out"
        ),
    )


def test_where_nothing_varies_the_correlations_stand_at_0(make_values, truth):
    scores = score_values(
        make_values(0.6),
        np.full_like(truth, 0.5),
        baselines={"mean": make_values(0, constant=True)},
        evaluation=QUICK,
        part="test",
        seed=0,
    )
    assert (scores.primary_score.value, scores.primary_score.low) == (0, None)
    assert scores.differences[0].p_value == 1
    assert "no target varies in these rows: spearman and pearson cannot be measured and stand at 0" in scores.caveats


def test_groups_are_drawn_whole(make_values, truth):
    model = make_values(0.6)
    groups = strings([f"g{at // 8}" for at in range(80)])
    doubled = score_values(model, truth, baselines={}, evaluation=QUICK, part="test", seed=0, groups=groups)
    assert doubled.primary_score.value == pytest.approx(
        score_values(model, truth, baselines={}, evaluation=QUICK, part="test", seed=0).primary_score.value
    )
    alone = score_values(
        model,
        truth,
        baselines={"mean": make_values(0, constant=True)},
        evaluation=QUICK,
        part="test",
        seed=0,
        groups=strings(["one"] * 80),
    )
    # A single group: nothing varies, and nothing can be told.
    assert alone.primary_score.low == alone.primary_score.high
    assert alone.differences[0].p_value == 1
    assert "the rows come from 1 group(s) only: intervals over so few groups are rough" in alone.caveats


def test_by_mae_a_smaller_error_is_a_positive_difference(make_values, truth):
    by_error = QUICK.model_copy(update={"primary_metric": "mae"})
    scores = score_values(
        make_values(0.8), truth, baselines={"b": make_values(0.1, seed=3)}, evaluation=by_error, part="test", seed=0
    )
    assert scores.primary_score.value < scores.baselines[0].metrics["mae"].value
    assert scores.differences[0].value > 0


def test_unfair_rows_are_refused(make_values, truth):
    model = make_values(0.6)
    other = replace(model.take(range(40)), labels=("a", "b", "c"))
    with pytest.raises(RunError) as caught:
        score_values(model, truth, baselines={}, evaluation=QUICK, part="test", seed=0, treated={"snapped": other})
    rows, targets = caught.value.problems
    assert rows.where == "predictions of the treatment 'snapped'"
    assert rows.must == "a treatment must have predicted the rows that the model predicted, in the same order"
    assert targets.must == "a treatment must know the model's targets, ['clear', 'helpful', 'short']"
    broken = replace(model, outputs_RL=np.where(model.outputs_RL > 0.5, np.nan, model.outputs_RL))
    with pytest.raises(RunError, match="every value must be a finite number"):
        score_values(broken, truth, baselines={}, evaluation=QUICK, part="test", seed=0)
    with pytest.raises(RunError, match="some row must have a value to be judged by") as caught:
        score_values(model, np.full_like(truth, np.nan), baselines={}, evaluation=QUICK, part="test", seed=0)
    assert caught.value.problems[0].came == "80 rows without any value"
    with pytest.raises(ValueError, match=r"targets must have shape \(80, 3\), came \(80, 2\)"):
        score_values(model, truth[:, :2], baselines={}, evaluation=QUICK, part="test", seed=0)
