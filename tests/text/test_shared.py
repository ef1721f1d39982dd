import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from strop.text.shared import context_numbers, shared_tokens


def prompts_of(*lists: list[int]) -> list[np.ndarray]:
    return [np.array(one, dtype=np.int32) for one in lists]


def test_contexts_are_numbered_in_their_order() -> None:
    assert context_numbers(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]
    assert context_numbers([]).tolist() == []


def test_by_hand() -> None:
    prompts = prompts_of([1, 2, 3, 4], [9, 9], [1, 2, 5], [7, 1, 2, 3], [7, 1, 2, 3])
    # The two prompts of the last context are equal: one token stays to each.
    assert shared_tokens(prompts, np.array([0, 1, 0, 2, 2])).tolist() == [2, 0, 2, 3, 3]


def test_the_shortest_prompt_keeps_a_token() -> None:
    assert shared_tokens(prompts_of([1, 2], [1, 2, 3]), np.array([4, 4])).tolist() == [1, 1]
    assert shared_tokens(prompts_of([1], [1, 2, 3]), np.array([0, 0])).tolist() == [0, 0]


@given(st.lists(st.tuples(st.integers(0, 2), st.lists(st.integers(0, 2), min_size=1, max_size=6)), max_size=12))
def test_it_is_the_common_beginning(drawn: list[tuple[int, list[int]]]) -> None:
    prompts = prompts_of(*(ids for _, ids in drawn))
    context_P = np.array([context for context, _ in drawn], dtype=np.int64)
    for at, shared in enumerate(shared_tokens(prompts, context_P).tolist()):
        members = [ids for context, ids in drawn if context == context_P[at]]
        longest = min(map(len, members)) - 1
        common = max(n for n in range(longest + 1) if len({tuple(ids[:n]) for ids in members}) == 1)
        assert shared == (common if len(members) > 1 else 0)
