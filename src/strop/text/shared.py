"""Which prompts are about one context, and how many first tokens these have in common.

P prompts.
"""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from strop.records.completions import TokenIds


def context_numbers(contexts: Sequence[Hashable]) -> NDArray[np.int64]:
    """Number contexts in the order in which they first come; equal ones share a number.

    Args:
        contexts: What every prompt is about, P of them.

    Returns:
        Numbers from 0, shape (P,).
    """
    numbers: dict[Hashable, int] = {}
    return np.asarray([numbers.setdefault(context, len(numbers)) for context in contexts], dtype=np.int64)


def shared_tokens(prompts: Sequence[TokenIds], context_P: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many first tokens a prompt has in common with all prompts of its context, shape (P,).

    It is always less than the shortest of these prompts has, so that each keeps a token of its own, and 0 where a
    prompt is alone with its context.

    Args:
        prompts: Token ids of every prompt, P arrays of at least one token.
        context_P: The number of its context, shape (P,).
    """
    shared_P = np.zeros(len(prompts), dtype=np.int64)
    order = np.argsort(context_P, kind="stable")
    starts = np.flatnonzero(np.diff(context_P[order], prepend=-1))
    for members in np.split(order, starts[1:]):
        if len(members) > 1:
            shared_P[members] = common_beginning([prompts[at] for at in members])
    return shared_P


def common_beginning(prompts: Sequence[TokenIds]) -> int:
    """How many first tokens all prompts have in common; always less than the shortest has."""
    longest = min(map(len, prompts)) - 1
    table = np.stack([prompt[:longest] for prompt in prompts])
    differs = (table != table[0]).any(axis=0)
    return int(differs.argmax()) if differs.any() else longest
