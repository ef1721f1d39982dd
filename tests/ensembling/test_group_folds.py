import numpy as np
import pytest

from strop.ensembling.group_folds import held_folds, numbered_groups


def test_every_row_is_held_once_and_groups_are_whole():
    group_R = np.repeat([7, 3, 9, 4, 1], [1, 4, 2, 2, 3])
    held = np.array(list(held_folds(group_R, 3, seed=0)))
    assert held.shape == (3, 12)
    assert (held.sum(axis=0) == 1).all()
    for group in np.unique(group_R):
        assert len(np.unique(held.argmax(axis=0)[group_R == group])) == 1


def test_there_are_no_more_folds_than_groups():
    assert len(list(held_folds(np.array([0, 0, 1]), 5, seed=0))) == 2


def test_the_seed_decides():
    group_R = np.arange(20)
    first, again, other = (np.array(list(held_folds(group_R, 4, seed))) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_two_groups_and_two_folds_are_needed():
    with pytest.raises(ValueError, match="at least 2 groups, came 1"):
        list(held_folds(np.zeros(4, dtype=int), 2, seed=0))
    with pytest.raises(ValueError, match="at least 2 folds, came 1"):
        list(held_folds(np.arange(4), 1, seed=0))


def test_rows_are_their_own_groups_where_they_have_none():
    assert numbered_groups(None, 3).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"groups must have shape \(3,\) as the rows have, came \(2,\)"):
        numbered_groups(np.zeros(2, dtype=int), 3)
