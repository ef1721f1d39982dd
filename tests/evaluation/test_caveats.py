import numpy as np

from strop.evaluation.caveats import (
    caveats_of_few_rows,
    caveats_of_rare_targets,
    caveats_of_resamples,
    caveats_of_rows,
    caveats_of_targets,
)

LABELS = ("code", "other", "theory")


def test_rows_of_every_class_need_none():
    assert caveats_of_rows(np.array([0, 1, 2]), LABELS, None) == ()


def test_absent_classes_are_named():
    assert caveats_of_rows(np.array([0, 1, 1]), LABELS, None) == (
        "no row here has the label 'theory': its recall and F1 are 0 by convention, and auroc leaves it out",
    )


def test_a_lone_class_is_named():
    assert caveats_of_rows(np.array([1, 1]), LABELS, None) == (
        "all rows here have the label 'other': auroc cannot be measured and stands at 0.5",
    )


def test_few_groups_are_counted():
    caveats = caveats_of_rows(np.array([0, 1, 2] * 5), LABELS, np.array([0, 1, 2] * 5))
    assert caveats == ("the rows come from 3 group(s) only: intervals over so few groups are rough",)
    assert caveats_of_rows(np.array([0, 1, 2] * 5), LABELS, np.arange(15)) == ()


def test_targets_that_are_measured_need_none():
    target_RT = np.array([[0.0, 1.0], [0.5, np.nan], [1.0, 0.5]])
    assert caveats_of_targets(target_RT, target_RT[::-1], ("a", "b"), None) == ()
    assert caveats_of_targets(target_RT, np.nan_to_num(target_RT), ("a", "b"), np.zeros(3)) == (
        "the rows come from 1 group(s) only: intervals over so few groups are rough",
    )


def test_a_model_that_predicts_a_constant_is_said_to():
    target_RT = np.array([[0.0, 1.0], [0.5, np.nan], [1.0, 0.5]])
    values_RT = np.array([[0.5, 0.1], [0.5, 0.7], [0.5, 0.2]])
    assert caveats_of_targets(target_RT, values_RT, ("a", "b"), None) == (
        "the model predicts one value only for the target 'a': its correlation counts as 0",
    )


def test_many_targets_are_named_in_part():
    names = tuple("abcdefghij")
    first, second, *_ = caveats_of_targets(np.full((3, 10), 0.5), np.arange(30.0).reshape(3, 10), names, None)
    assert first.startswith("in these rows one value only stands in the targets 'a', 'b',")
    assert "'h' and 2 more: no correlation" in first
    assert second == "no target varies in these rows: spearman and pearson cannot be measured and stand at 0"


def test_too_few_resamples_are_said_to_be():
    assert caveats_of_resamples(2000, 3, 0.95) == ()
    assert caveats_of_resamples(100, 0, 0.95) == ()
    assert caveats_of_resamples(100, 3, 0.95) == (
        "100 resamples are too few to call a difference to one of 3 baselines clear: raise evaluation.n_bootstrap",
    )


def test_intervals_over_few_rows_are_said_to_be_too_narrow() -> None:
    assert caveats_of_few_rows(30) == ()
    assert caveats_of_few_rows(13) == (
        "13 row(s) are judged: bootstrap intervals over so few are too narrow, and one without width says nothing",
    )


def test_targets_that_many_resamples_cannot_measure_are_named():
    by_target_BT = np.full((100, 4), 0.5)
    by_target_BT[:, 3] = np.nan
    by_target_BT[:5, 0] = np.nan
    assert caveats_of_rare_targets(by_target_BT, "abcd") == ()
    by_target_BT[:20, 1] = np.nan
    words = (
        "the target 'b' hardly varies in these rows: 20% of the resamples cannot measure it, and are left out of the "
    )
    assert caveats_of_rare_targets(by_target_BT, "abcd") == (f"{words}intervals of means",)
    by_target_BT[10:30, 2] = np.nan
    (caveat,) = caveats_of_rare_targets(by_target_BT, "abcd")
    assert caveat.startswith(
        "the targets 'b', 'c' hardly vary in these rows: 30% of the resamples cannot measure them all"
    )
