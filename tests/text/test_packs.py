from collections import Counter

import numpy as np
import pytest

from strop.records.completions import Completions
from strop.records.dataset import strings
from strop.text.packs import MAX_ANSWER_TOKENS, Pack, cut_passes, make_pack, plan_packs


def made(sizes: list[int], n_shared: int = 40, n_own: int = 5, n_answer: int = 3) -> Completions:
    """Contexts with so many prompts each; every context and every prompt has tokens of its own."""
    prompts, answers, contexts = [], [], []
    for context, size in enumerate(sizes):
        for number in range(size):
            own = [1000 + number] * (n_own + number % 3)
            prompts.append(np.asarray([context] * n_shared + own, dtype=np.int32))
            answers.append(np.full(n_answer, 7, dtype=np.int32))
            contexts.append(context)
    n = len(prompts)
    return Completions(
        ids=strings([f"r{at}" for at in range(n)]),
        row_P=np.arange(n),
        prompts=prompts,
        answers=answers,
        context_P=np.asarray(contexts, dtype=np.int64),
        shared_P=np.full(n, n_shared),
        n_tokens_R=np.asarray([len(prompt) + n_answer for prompt in prompts]),
        n_cut_R=np.zeros(n, dtype=np.int64),
    )


def planned(completions: Completions, batch_size: int, epoch: int = 0, *, share: bool = True) -> list[list[Pack]]:
    every = np.arange(completions.n_prompts)
    return plan_packs(completions, every, batch_size, seed=3, epoch=epoch, share_context=share)


def test_a_pack_reads_the_shared_tokens_once_and_no_last_answer_token() -> None:
    completions = made([3], n_shared=40, n_own=5, n_answer=3)
    # Own tokens 5, 6, 7; of three answer tokens two are read.
    assert make_pack(completions, [0, 1, 2]) == Pack((0, 1, 2), 40, 40 + (5 + 2) + (6 + 2) + (7 + 2), 9)
    assert make_pack(completions, [1]) == Pack((1,), 0, 46 + 2, 3)


def test_prompts_that_share_less_than_they_are_said_to_are_refused() -> None:
    completions = made([2])
    completions.prompts[1][7] = 99
    with pytest.raises(ValueError, match="prompts 0 and 1 must begin with the same 40 tokens"):
        make_pack(completions, [0, 1])


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("batch_size", [1, 4, 8, 64])
def test_every_prompt_stands_in_one_batch_and_all_batches_but_one_are_full(batch_size: int, share: bool) -> None:
    generator = np.random.default_rng(0)
    completions = made(generator.integers(1, 12, size=120).tolist())
    for epoch in range(3):
        batches = planned(completions, batch_size, epoch, share=share)
        found = Counter(at for batch in batches for pack in batch for at in pack.prompts)
        assert found == dict.fromkeys(range(completions.n_prompts), 1)
        assert len(batches) == -(-completions.n_prompts // batch_size)
        sizes = sorted(sum(len(pack.prompts) for pack in batch) for batch in batches)
        assert sizes[1:] == [batch_size] * (len(batches) - 1)
        if not share:
            assert all(len(pack.prompts) == 1 for batch in batches for pack in batch)


def test_a_plan_follows_from_its_arguments_and_epochs_differ() -> None:
    completions = made([5] * 40)
    assert planned(completions, 8, 1) == planned(completions, 8, 1)
    assert planned(completions, 8, 0) != planned(completions, 8, 1)


def test_contexts_that_fit_into_batches_are_not_taken_apart() -> None:
    completions = made([5, 3] * 40)
    packs = [pack for batch in planned(completions, 8) for pack in batch]
    assert len(packs) == 80
    assert all(len({completions.context_P[at] for at in pack.prompts}) == 1 for pack in packs)


def test_a_large_context_goes_through_several_batches() -> None:
    sizes = sorted(len(pack.prompts) for batch in planned(made([10]), 4) for pack in batch)
    assert sizes == [2, 4, 4]


def test_prompts_stand_apart_where_sharing_costs_more_than_it_saves() -> None:
    # Two rows of 2,002 tokens that share 10: together (3994 + 3994^2 / 4096) more than (2002 + 2002^2 / 4096) twice.
    assert all(len(pack.prompts) == 1 for batch in planned(made([2], 10, 1990), 2) for pack in batch)
    assert [len(batch) for batch in planned(made([2], 1900, 100), 2)] == [1]


def test_what_is_not_to_be_trained_on_is_left_out() -> None:
    batches = plan_packs(made([4, 4]), np.asarray([1, 2, 6]), 2, seed=0, epoch=0, share_context=True)
    assert sorted(at for batch in batches for pack in batch for at in pack.prompts) == [1, 2, 6]


def test_a_batch_size_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, came 0"):
        planned(made([2]), 0)


def test_passes_hold_alike_packs_with_little_padding() -> None:
    several = [Pack((at, at + 1), 5, n_tokens, 4) for at, n_tokens in ((0, 100), (2, 96), (4, 60))]
    single = [Pack((6,), 0, 99, 2)]
    found = [[pack.n_tokens for pack in one] for one in cut_passes([*single, *reversed(several)], 1000)]
    assert found == [[100, 96], [60], [99]]
    assert [[pack.n_tokens for pack in one] for one in cut_passes(several, 150)] == [[100], [96], [60]]


def test_passes_hold_few_answer_tokens() -> None:
    half = MAX_ANSWER_TOKENS // 2
    packs = [Pack((at,), 0, 1000, half) for at in range(5)]
    assert [len(one) for one in cut_passes(packs, 100_000)] == [2, 2, 1]
