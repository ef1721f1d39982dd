"""Trees of tokens behind what prompts share."""

import numpy as np
import pytest

from strop.inference.branches import Branches, Layout, alike
from strop.records.completions import TokenIds


def ids(*tokens: int) -> TokenIds:
    return np.asarray(tokens, dtype=np.int32)


def test_candidates_share_what_they_begin_with() -> None:
    tree = Branches(0, [ids(1, 2)], [[ids(5, 6, 9), ids(5, 7, 9), ids(8)]])
    # Fed are the rest 1 2, the 5 of two candidates once, 6 and 7; of every candidate the last token is only scored.
    assert tree.tokens == [1, 2, 5, 6, 7]
    assert tree.parents == [-1, 0, 1, 2, 2]
    assert tree.has_logits == [False, True, True, True, True]
    assert tree.scored == [(1, 5, 0), (2, 6, 0), (3, 9, 0), (1, 5, 1), (2, 7, 1), (4, 9, 1), (1, 8, 2)]


def test_a_token_sees_the_tokens_on_its_own_way_alone() -> None:
    layout = Layout([Branches(0, [ids(1, 2), ids(3)], [[ids(5, 6), ids(7, 6)], [ids(5, 6)]])])
    # Columns: 1, then with logits 2, 5 and 7 behind it, 3, 5 behind it.
    assert layout.input_ids_NS.tolist() == [[1, 2, 5, 7, 3, 5]]
    assert layout.offset_NS.tolist() == [[0, 1, 2, 2, 0, 1]]
    assert layout.sees_NSS[0].astype(int).tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 0, 1, 0, 0],
        [0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1, 1],
    ]
    assert layout.n_scoring == 5
    # Row, column of logits, token, candidate.
    assert layout.scored_Q4.tolist() == [
        [0, 0, 5, 0],
        [0, 1, 6, 0],
        [0, 0, 7, 1],
        [0, 2, 6, 1],
        [0, 3, 5, 2],
        [0, 4, 6, 2],
    ]


def test_padding_sees_itself_and_candidates_are_counted_through_rows() -> None:
    layout = Layout([Branches(0, [ids(1)], [[ids(5)]]), Branches(1, [ids(2)], [[ids(5, 6)]])])
    assert layout.input_ids_NS.tolist() == [[1, 0], [2, 5]]
    assert layout.sees_NSS.astype(int).tolist() == [[[1, 0], [0, 1]], [[1, 0], [1, 1]]]
    assert layout.scored_Q4[:, 3].tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("widths", "n_vocabulary", "expected"),
    [
        ([10, 9, 8], 10, [[0, 1, 2]]),
        ([5, 10, 9], 10, [[1, 2], [0]]),
        ([10, 10, 10], 2**22, [[0], [1], [2]]),
        ([4, 4, 4], 2**23, [[0, 1], [2]]),
        ([9000, 8000], 1, [[0], [1]]),
    ],
)
def test_rows_go_together_while_they_are_alike_and_their_logits_fit(
    widths: list[int], n_vocabulary: int, expected: list[list[int]]
) -> None:
    trees = [Branches(0, [ids(1)] * width, [[ids(5)]] * width) for width in widths]
    assert list(alike(trees, n_vocabulary)) == expected
