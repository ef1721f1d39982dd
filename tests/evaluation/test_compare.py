from dataclasses import replace

import numpy as np
import pytest

from strop.errors import RunError
from strop.evaluation.clarity import holm
from strop.evaluation.compare import compare_runs
from strop.evaluation.evaluate import score_predictions
from strop.recipe.sections import Evaluation

QUICK = Evaluation(n_bootstrap=300)


@pytest.fixture
def targets(target):
    """True labels by id, for runs of these names."""

    def make(*names: str, n_rows: int = 90) -> dict[str, dict[str, str]]:
        by_id = {f"r{at}": label for at, label in enumerate(target(n_rows))}
        return {name: dict(by_id) for name in names}

    return make


def test_a_comparison_agrees_with_the_scores_of_one_run(make_predictions, targets, target):
    good, poor = make_predictions(strength=2.0), make_predictions(strength=0.3, seed=1)
    found = compare_runs({"poor": poor, "good": good}, targets("poor", "good"), evaluation=QUICK, seed=0)
    scores = score_predictions(good, target(90), baselines={"poor": poor}, evaluation=QUICK, part="test", seed=0)
    assert list(found.scores) == ["good", "poor"]
    assert found.scores["good"] == scores.primary_score
    pair, difference = found.pairs[0], scores.differences[0]
    assert (pair.one, pair.other, pair.is_clear, pair.intervals_overlap) == ("good", "poor", True, False)
    assert (pair.value, pair.low, pair.high, pair.p_value) == pytest.approx(
        (difference.value, difference.low, difference.high, difference.p_value)
    )
    assert (found.metric, found.confidence, found.n_rows) == ("macro_f1", 0.95, 90)


def test_the_lower_loss_comes_first(make_predictions, targets):
    by_loss = Evaluation(n_bootstrap=100, primary_metric="log_loss")
    runs = {"poor": make_predictions(strength=0.3, seed=1), "good": make_predictions(strength=2.0)}
    found = compare_runs(runs, targets("poor", "good"), evaluation=by_loss, seed=0)
    assert list(found.scores) == ["good", "poor"]
    assert found.scores["good"].value < found.scores["poor"].value
    assert 0 < found.pairs[0].low < found.pairs[0].value < found.pairs[0].high


def test_only_shared_unseen_rows_are_compared(make_predictions, targets):
    a, b = make_predictions(n_rows=90), make_predictions(n_rows=60, seed=1)
    a = replace(a, seen_R=np.arange(90) < 10)
    b = replace(b, seen_R=np.arange(60) >= 55).take(np.arange(60)[::-1])
    found = compare_runs({"a": a, "b": b}, targets("a", "b"), evaluation=QUICK, seed=0)
    # Rows 10 to 54: a loses 10 it has seen and 35 more, b loses 5 it has seen and 10 more.
    assert found.n_rows == 45
    assert found.n_seen == {"a": 10, "b": 5}
    assert found.n_not_shared == {"a": 35, "b": 10}
    unseen = np.arange(10, 55)
    alone = compare_runs(
        {"a": a.take(unseen), "b": b.select(a.ids[unseen])}, targets("a", "b"), evaluation=QUICK, seed=0
    )
    assert (alone.scores, alone.pairs) == (found.scores, found.pairs)


def test_equal_runs_cannot_be_told_apart(make_predictions, targets):
    one = make_predictions()
    found = compare_runs({"a": one, "b": one}, targets("a", "b"), evaluation=QUICK, seed=0)
    pair = found.pairs[0]
    assert (pair.value, pair.low, pair.high, pair.p_value, pair.is_clear) == (0, 0, 0, 1, False)
    assert pair.intervals_overlap


def test_several_pairs_are_corrected(make_predictions, targets):
    runs = {
        "a": make_predictions(strength=1.4),
        "b": make_predictions(strength=0.9, seed=1),
        "c": make_predictions(strength=0.5, seed=2),
    }
    found = compare_runs(runs, targets(*runs), evaluation=QUICK, seed=0)
    assert len(found.pairs) == 3
    alone = [
        compare_runs(
            {name: runs[name] for name in (pair.one, pair.other)}, targets(*runs), evaluation=QUICK, seed=0
        ).pairs[0]
        for pair in found.pairs
    ]
    assert [pair.p_value for pair in found.pairs] == holm(np.array([pair.p_value for pair in alone])).tolist()
    for pair in found.pairs:
        assert pair.is_clear is ((pair.low > 0) and pair.p_value <= 0.05 + 1e-12)


def test_groups_are_kept_whole(make_predictions, targets):
    good, poor = make_predictions(strength=2.0), make_predictions(strength=0.3, seed=1)
    groups = dict.fromkeys(good.ids, "all")
    found = compare_runs({"a": good, "b": poor}, targets("a", "b"), evaluation=QUICK, seed=0, groups=groups)
    # A single group: nothing varies, and nothing can be told.
    assert found.scores["a"].low == found.scores["a"].high
    assert found.pairs[0].p_value == 1.0
    assert not found.pairs[0].is_clear


def test_runs_without_common_rows_are_refused(make_predictions, targets):
    whole = make_predictions(n_rows=6)
    a, b = whole.take([0, 1, 2]), whole.take([3, 4, 5])
    with pytest.raises(RunError) as caught:
        compare_runs({"a": a, "b": b}, targets("a", "b"), evaluation=QUICK, seed=0)
    problem = caught.value.problems[0]
    assert problem.must == "runs must have predicted some of the same rows, unseen in training"
    assert "a predicted 3 rows and was trained on 0 of them" in problem.came
    assert problem.do == "compare runs with the same data, ids and split (same seed)"


def test_runs_that_saw_every_row_are_refused(make_predictions, targets):
    one = make_predictions(n_rows=3)
    seen = replace(one, seen_R=np.ones(3, dtype=np.bool_))
    with pytest.raises(RunError, match="b predicted 3 rows and was trained on 3 of them"):
        compare_runs({"a": one, "b": seen}, targets("a", "b"), evaluation=QUICK, seed=0)


def test_every_disagreement_of_runs_is_named(make_predictions, targets):
    one = make_predictions(n_rows=6)
    other = replace(one, labels=("code", "other", "web"))
    known = targets("a", "b", n_rows=6)
    known["b"]["r1"] = known["b"]["r2"] = "web"
    with pytest.raises(RunError) as caught:
        compare_runs({"a": one, "b": other}, known, evaluation=QUICK, seed=0)
    labels_of_rows, labels = caught.value.problems
    assert labels_of_rows.where == labels.where == "a and b"
    assert labels_of_rows.must == "runs must agree on the true label of every shared row"
    assert labels_of_rows.came == "2 rows differ, for example r1, r2"
    assert labels.must == "runs must know the same labels"


def test_broken_logits_are_refused(make_predictions, targets):
    one = make_predictions(n_rows=6)
    broken = replace(one, outputs_RL=np.full_like(one.outputs_RL, np.nan))
    with pytest.raises(RunError, match="predictions of b: every logit must be a finite number"):
        compare_runs({"a": one, "b": broken}, targets("a", "b"), evaluation=QUICK, seed=0)


def test_a_single_run_is_no_comparison(make_predictions, targets):
    with pytest.raises(ValueError, match="at least two systems to compare, came 1"):
        compare_runs({"a": make_predictions()}, targets("a"), evaluation=QUICK, seed=0)
