from dataclasses import replace

import numpy as np
import pytest

from strop.errors import RunError
from strop.evaluation.clarity import holm
from strop.evaluation.compare_values import compare_values
from strop.evaluation.evaluate_values import score_values
from strop.recipe.sections import Evaluation

QUICK = Evaluation(primary_metric="spearman", baselines=["mean"], n_bootstrap=300)


@pytest.fixture
def targets(make_values):
    def make(*names: str) -> dict[str, dict[str, np.ndarray]]:
        ids = make_values(0.5).ids.tolist()
        return {name: dict(zip(ids, make_values.truth_RT, strict=True)) for name in names}

    return make


def test_the_better_system_stands_first(make_values, targets):
    good, poor = make_values(0.8), make_values(0.1, seed=2)
    found = compare_values({"poor": poor, "good": good}, targets("poor", "good"), evaluation=QUICK, seed=0)
    assert list(found.scores) == ["good", "poor"]
    assert (found.metric, found.n_rows) == ("spearman", 80)
    (pair,) = found.pairs
    assert (pair.one, pair.other, pair.is_clear) == ("good", "poor", True)


def test_scores_and_pairs_are_those_of_the_scores_record(make_values, targets):
    good, poor = make_values(0.5), make_values(0.3, seed=2)
    found = compare_values({"a": good, "b": poor}, targets("a", "b"), evaluation=QUICK, seed=4)
    scores = score_values(good, make_values.truth_RT, baselines={"b": poor}, evaluation=QUICK, part="test", seed=4)
    (pair,), (difference,) = found.pairs, scores.differences
    assert found.scores["a"] == scores.primary_score
    assert (pair.value, pair.low, pair.high) == (
        pytest.approx(difference.value),
        pytest.approx(difference.low),
        pytest.approx(difference.high),
    )
    assert pair.p_value == difference.p_value


def test_a_target_that_every_fold_predicts_by_a_constant_is_not_ranked_by_its_folds(make_values, targets):
    good, level = make_values(0.5), make_values(0.5)
    fold_R = np.arange(80) % 2
    values_RT = level.outputs_RL.copy()
    # The folds' constants happen to follow the truth.
    is_high_R = make_values.truth_RT[:, 0] > 0.5
    values_RT[:, 0] = np.where(is_high_R, 0.6, 0.4)
    collapsed = replace(level, outputs_RL=values_RT, fold_R=np.where(is_high_R, 1, 0))
    found = compare_values({"a": good, "b": collapsed}, targets("a", "b"), evaluation=QUICK, seed=0)
    scores = score_values(
        collapsed, make_values.truth_RT, baselines={"a": good}, evaluation=QUICK, part="out of fold", seed=0
    )
    assert scores.model.targets[0].metrics["spearman"].value == 0.0
    assert found.scores["b"] == scores.primary_score
    ranked = replace(collapsed, fold_R=fold_R)
    assert compare_values({"a": good, "b": ranked}, targets("a", "b"), evaluation=QUICK, seed=0).scores["b"].value > (
        found.scores["b"].value
    )


def test_several_pairs_are_corrected(make_values, targets):
    runs = {"a": make_values(0.5), "b": make_values(0.4, seed=2), "c": make_values(0.3, seed=3)}
    found = compare_values(runs, targets(*runs), evaluation=QUICK, seed=0)
    alone = [
        compare_values({name: runs[name] for name in (pair.one, pair.other)}, targets(*runs), evaluation=QUICK, seed=0)
        .pairs[0]
        .p_value
        for pair in found.pairs
    ]
    assert [pair.p_value for pair in found.pairs] == holm(np.array(alone)).tolist()


def test_rows_that_a_model_was_trained_on_are_left_out(make_values, targets):
    one = make_values(0.5)
    seen = replace(one, seen_R=np.arange(80) < 20)
    found = compare_values({"a": one, "b": seen}, targets("a", "b"), evaluation=QUICK, seed=0)
    assert (found.n_rows, found.n_seen, found.n_not_shared) == (60, {"a": 0, "b": 20}, {"a": 20, "b": 0})
    assert found.pairs[0].p_value == 1


def test_a_single_group_tells_nothing(make_values, targets):
    runs = {"a": make_values(0.8), "b": make_values(0.1, seed=2)}
    groups = dict.fromkeys(runs["a"].ids, "all")
    found = compare_values(runs, targets("a", "b"), evaluation=QUICK, seed=0, groups=groups)
    assert (found.pairs[0].p_value, found.pairs[0].is_clear) == (1, False)


def test_missing_values_agree_and_others_must(make_values, targets):
    runs = {"a": make_values(0.5), "b": make_values(0.3, seed=2)}
    true = targets("a", "b")
    for name in runs:
        true[name]["r3"] = np.array([np.nan, 0.5, 0.5])
    assert compare_values(runs, true, evaluation=QUICK, seed=0).n_rows == 80
    true["b"]["r5"] = np.array([0.0, 0.0, 9.0])
    with pytest.raises(RunError) as caught:
        compare_values(runs, true, evaluation=QUICK, seed=0)
    (values,) = caught.value.problems
    assert values.must == "runs must agree on the true values of every shared row"
    assert values.came == "1 rows differ, for example r5"
    # Where the targets differ, that their values do says nothing more.
    other = {**runs, "b": replace(runs["b"], labels=("clear", "short", "helpful"))}
    with pytest.raises(RunError) as caught:
        compare_values(other, true, evaluation=QUICK, seed=0)
    (names,) = caught.value.problems
    assert names.must == "runs must know the same targets"
    assert names.came == "the same in another order"
    foreign = {**runs, "b": replace(runs["b"], labels=("clear", "short", "kind"))}
    with pytest.raises(RunError, match="only in a: helpful; only in b: kind"):
        compare_values(foreign, true, evaluation=QUICK, seed=0)


def test_what_cannot_be_compared_is_refused(make_values, targets):
    one = make_values(0.5)
    with pytest.raises(ValueError, match="at least two systems to compare, came 1"):
        compare_values({"a": one}, targets("a"), evaluation=QUICK, seed=0)
    constant = {name: dict.fromkeys(one.ids, np.full(3, 0.5)) for name in ("a", "b")}
    with pytest.raises(RunError, match="some target must vary in the shared rows, so that spearman can be measured"):
        compare_values({"a": one, "b": one}, constant, evaluation=QUICK, seed=0)
    broken = replace(one, outputs_RL=np.full_like(one.outputs_RL, np.nan))
    with pytest.raises(RunError, match="predictions of b: every value must be a finite number"):
        compare_values({"a": one, "b": broken}, targets("a", "b"), evaluation=QUICK, seed=0)
