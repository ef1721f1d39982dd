"""Training rows split into pieces, counted by hand."""

import numpy as np
import pytest

from strop.errors import RecipeError
from strop.evidence.augment import PieceExamples, split_labels, with_pieces
from strop.recipe.evidence import Augmentation
from strop.records.dataset import strings
from strop.records.examples import Examples


def examples(*rows: list[int]) -> Examples:
    lengths = np.array([len(row) for row in rows])
    return Examples(
        ids=strings([f"r{at}" for at in range(len(rows))]),
        row_W=np.arange(len(rows)),
        tokens_T=np.array([token for row in rows for token in row], dtype=np.int32),
        start_W1=np.concatenate([[0], np.cumsum(lengths)]),
        n_tokens_R=lengths,
        n_cut_R=np.zeros(len(rows), dtype=np.int64),
    )


WHOLE = examples([1, 2], [3, 4], [5])
PIECES = PieceExamples(examples([1], [2], [3], [4], [5]), np.array([0, 0, 1, 1, 2]))


def texts(found: Examples) -> list[list[int]]:
    return [found.window(number).tolist() for number in range(found.n_windows)]


def test_pieces_of_split_rows_stand_beside_the_whole_rows() -> None:
    found = with_pieces(WHOLE, PIECES, np.array([2, 0, 1]), [True, True, False], Augmentation())
    assert texts(found.examples) == [[5], [1, 2], [3, 4], [1], [2]]
    assert found.row_of_R.tolist() == [2, 0, 1, 0, 0]
    assert found.examples.row_W.tolist() == [0, 1, 2, 3, 4]


def test_pieces_can_take_the_place_of_the_whole_row() -> None:
    found = with_pieces(WHOLE, PIECES, np.array([0, 1, 2]), [True] * 3, Augmentation(keep_whole=False))
    assert texts(found.examples) == [[5], [1], [2], [3], [4]]
    assert found.row_of_R.tolist() == [2, 0, 0, 1, 1]


def test_rows_outside_of_the_training_part_are_never_among_them() -> None:
    found = with_pieces(WHOLE, PIECES, np.array([1]), [True], Augmentation())
    assert set(found.row_of_R.tolist()) == {1}


def test_which_labels_are_split() -> None:
    target = strings(["yes", "no", "yes", "maybe", "no", "yes"])
    assert split_labels(Augmentation(), target) == {"maybe"}
    assert split_labels(Augmentation(labels="all"), target) == {"yes", "no", "maybe"}
    assert split_labels(Augmentation(labels=["no"]), target) == {"no"}
    with pytest.raises(RecipeError, match="every label must have training rows") as caught:
        split_labels(Augmentation(labels=["no", "never"]), target)
    assert "came: 'never'" in str(caught.value)
    assert "do:   name some of maybe, no, yes, or write rare or all" in str(caught.value)


def test_pieces_become_windows_of_their_row() -> None:
    together = PIECES.examples.regrouped(PIECES.row_of_P, WHOLE.ids)
    assert together.row_W.tolist() == [0, 0, 1, 1, 2]
    assert together.n_tokens_R.tolist() == [2, 2, 1]
    assert [together.window(at).tolist() for at in together.windows_of_rows(np.array([1]))] == [[3], [4]]
