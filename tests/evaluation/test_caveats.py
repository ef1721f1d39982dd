import numpy as np

from strop.evaluation.caveats import caveats_of_rows

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
