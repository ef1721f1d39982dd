"""Which prompts go into which training batch, and which of them stand behind one copy of their shared beginning.

Dimensions: P prompts of `Completions`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from strop.records.completions import Completions
from strop.text.batches import BATCHES_SORTED_TOGETHER

# Every token of a pack meets every other one in attention, also those it may not see. So many meetings cost as much as
# the rest of a layer on one token: about 6 hidden sizes; this is the size of the smallest models that write.
MEETINGS_A_TOKEN = 4096
# A batch looks among so many contexts, ordered by length, for one that fits whole into the room it has left.
CONTEXTS_LOOKED_AT = 64
# Packs share a rectangle while less than this share of it is padding.
MAX_PADDED_FRACTION = 0.1
# Logits are the largest tensor of a pass where the vocabulary is large: 512 of 262,144 tokens take 0.5 GiB in float32.
MAX_ANSWER_TOKENS = 512
# Tokens of a pass, padding included. A CPU computes as fast on few and holds less; a GPU wants many.
PASS_TOKENS: Mapping[str, int] = {"cpu": 512, "mps": 4096, "cuda": 16384}

Positions = NDArray[np.intp]


@dataclass(frozen=True)
class Pack:
    """Prompts behind one copy of what they begin with.

    Attributes:
        prompts: Positions in `Completions`.
        n_shared: How many first tokens are the same for all of them and stand there once; 0 for a single prompt.
        n_tokens: Tokens that the model reads: the last one of every answer is only predicted.
        n_answer_tokens: Tokens of all answers, each of which is predicted.
    """

    prompts: tuple[int, ...]
    n_shared: int
    n_tokens: int
    n_answer_tokens: int


def make_pack(completions: Completions, prompts: Sequence[int]) -> Pack:
    """Put prompts of one context behind one copy of what they share.

    Raises:
        ValueError: They do not begin with the tokens they are said to share.
    """
    n_shared = min(int(completions.shared_P[at]) for at in prompts) if len(prompts) > 1 else 0
    first = completions.prompts[prompts[0]][:n_shared]
    for at in prompts[1:]:
        if not np.array_equal(completions.prompts[at][:n_shared], first):
            raise ValueError(f"prompts {prompts[0]} and {at} must begin with the same {n_shared} tokens")
    n_tokens = n_shared + sum(_n_read(completions, at) - n_shared for at in prompts)
    return Pack(tuple(prompts), n_shared, n_tokens, sum(len(completions.answers[at]) for at in prompts))


def plan_packs(
    completions: Completions,
    prompts: Positions,
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    share_context: bool,
) -> list[list[Pack]]:
    """Divide prompts into training batches of packs; a pure function of its arguments.

    Contexts are shuffled, cut into stretches of 50 batches, and sorted by length inside each. Every batch is full, but
    for one, so that all epochs have as many steps; of a context that does not fit whole, a part goes to the next batch.
    The batches are shuffled at the end.

    Args:
        completions: All prompts.
        prompts: Positions of those to train on.
        batch_size: Prompts in a batch; one batch may have fewer.
        seed: The recipe's seed.
        epoch: Counted from 0; every epoch has its own order.
        share_context: Whether prompts of one context share a pack; otherwise every pack has one prompt.

    Returns:
        The packs of every batch; each prompt is in exactly one.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, came {batch_size}")
    generator = np.random.default_rng([seed, epoch])
    groups = _groups(completions, generator.permutation(prompts), share_context=share_context)
    batches: list[list[Pack]] = []
    for stretch in _stretches(groups, batch_size * BATCHES_SORTED_TOGETHER):
        stretch.sort(key=lambda group: -_longest(completions, group))
        filled = _fill(stretch, batch_size)
        batches += [[pack for group in batch for pack in _packs(completions, sorted(group))] for batch in filled]
    return [batches[number] for number in generator.permutation(len(batches))]


def cut_passes(packs: Sequence[Pack], max_tokens: int) -> list[list[Pack]]:
    """Divide a batch into passes through the model: rectangles with little padding.

    Packs of several prompts and single prompts never share a pass, since single prompts need no mask of their own.

    Args:
        packs: The packs of one batch.
        max_tokens: Tokens that a pass may have, padding included; a longer pack stands alone.

    Returns:
        The packs of every pass, the longest first; each pack is in exactly one.
    """
    passes: list[list[Pack]] = []
    for pack in sorted(packs, key=lambda pack: (len(pack.prompts) == 1, -pack.n_tokens, pack.prompts)):
        if passes and _fits(passes[-1], pack, max_tokens):
            passes[-1].append(pack)
        else:
            passes.append([pack])
    return passes


def _fits(packs: Sequence[Pack], pack: Pack, max_tokens: int) -> bool:
    area = packs[0].n_tokens * (len(packs) + 1)
    n_tokens = sum(one.n_tokens for one in packs) + pack.n_tokens
    return (
        (len(packs[0].prompts) == 1) == (len(pack.prompts) == 1)
        and area <= max_tokens
        and n_tokens >= area * (1 - MAX_PADDED_FRACTION)
        and sum(one.n_answer_tokens for one in packs) + pack.n_answer_tokens <= MAX_ANSWER_TOKENS
    )


def _n_read(completions: Completions, prompt: int) -> int:
    return len(completions.prompts[prompt]) + max(0, len(completions.answers[prompt]) - 1)


def _longest(completions: Completions, group: Sequence[int]) -> int:
    return max(_n_read(completions, at) for at in group)


def _groups(completions: Completions, order: Positions, *, share_context: bool) -> list[list[int]]:
    """Prompts of one context, in the order in which contexts first come; prompts that share nothing stand alone."""
    groups: dict[int, list[int]] = {}
    for at in order.tolist():
        shares = share_context and completions.shared_P[at] > 0
        # Numbers of contexts are not negative.
        groups.setdefault(int(completions.context_P[at]) if shares else -1 - at, []).append(at)
    return list(groups.values())


def _stretches(groups: Sequence[list[int]], n_prompts: int) -> Iterator[list[list[int]]]:
    """Cut the row of groups after every so many prompts, through a group where need be."""
    stretch: list[list[int]] = []
    room = n_prompts
    for group in groups:
        rest = group
        while len(rest) >= room:
            yield [*stretch, rest[:room]]
            rest, stretch, room = rest[room:], [], n_prompts
        if rest:
            stretch.append(rest)
            room -= len(rest)
    if stretch:
        yield stretch


def _fill(groups: list[list[int]], batch_size: int) -> Iterator[list[list[int]]]:
    """Full batches: the largest group near the front that fits, else a part of the first one."""
    waiting = list(groups)
    while waiting:
        batch: list[list[int]] = []
        room = batch_size
        while room and waiting:
            sizes = [len(group) if len(group) <= room else 0 for group in waiting[:CONTEXTS_LOOKED_AT]]
            at = int(np.argmax(sizes))
            taken, left = waiting[at][:room], waiting[at][room:]
            batch.append(taken)
            waiting[at : at + 1] = [left] if left else []
            room -= len(taken)
        yield batch


def _packs(completions: Completions, group: Sequence[int]) -> list[Pack]:
    """One pack where sharing pays, else several, each with a copy of the context."""
    n_shared = min(int(completions.shared_P[at]) for at in group)
    packs: list[list[int]] = []
    length = 0
    for at in group:
        n_read = _n_read(completions, at)
        n_longer = length + n_read - n_shared
        if packs and _cost(n_longer) - _cost(length) <= _cost(n_read):
            packs[-1].append(at)
            length = n_longer
        else:
            packs.append([at])
            length = n_read
    return [make_pack(completions, pack) for pack in packs]


def _cost(n_tokens: int) -> float:
    """Of a pass over one row, in tokens."""
    return n_tokens + n_tokens**2 / MEETINGS_A_TOKEN
