"""Score candidates behind prompts as branches of a tree: each token is read once, and a mask keeps branches apart.

Behind a row of a cache stands a tree of tokens: the rests of some prompts, and behind each rest its candidates, which
have in common what they begin with. A token sees the cached beginning, the tokens on its own way to it, and itself:

    [cached beginning][rests of prompts without last tokens][last token, its candidates][last token, its candidates]...

Logits are computed for the columns from the first last token on.

Dimensions: G rows of a cache, N rows of branches, S columns of branches, L columns with logits, T columns of the cache
and of branches, Q tokens that are scored, M candidates, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from inspect import signature
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache

from strop.inference.cache import chosen_rows
from strop.inference.prompt_cache import feed, rows_at_once
from strop.models.attention import NAME as SHORT_IN_FLOAT32
from strop.models.shared_context import MASKED_LAYERS, layer_kinds
from strop.records.completions import TokenIds

# Attention that takes a mask of booleans.
BRANCHING_ATTENTION = ("sdpa", SHORT_IN_FLOAT32)
# Logits that are held at once: 256 MiB in float32.
LOGITS_AT_ONCE = 2**26
# Rows go together as long as each fills so much of the widest.
LEAST_FILLED = 0.8


class Branches:
    """The tree behind one row of a cache.

    Args:
        row: The row of the cache.
        rests: For every prompt the tokens behind its cached beginning, at least one.
        candidates: For every prompt the token ids of its candidates.

    Attributes:
        row: The row of the cache.
        tokens: Tokens that are fed: those of rests, and of a candidate all but its last.
        parents: For each the place of the token before it in this list, -1 for the beginning.
        has_logits: Whether its logits are wanted.
        scored: Place of the token whose logits score, the scored token, and the number of its candidate.
        n_by_prompt: How many candidates every prompt has.
    """

    def __init__(self, row: int, rests: Sequence[TokenIds], candidates: Sequence[Sequence[TokenIds]]) -> None:
        self.row = row
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.has_logits: list[bool] = []
        self.scored: list[tuple[int, int, int]] = []
        self.n_by_prompt = [len(own) for own in candidates]
        n_candidates = 0
        for rest, own in zip(rests, candidates, strict=True):
            last = -1
            for number, token in enumerate(rest.tolist(), 1):
                last = self._grow(token, last, has_logits=number == len(rest))
            grown: dict[tuple[int, int], int] = {}
            for candidate in own:
                self._add(candidate.tolist(), last, grown, n_candidates)
                n_candidates += 1

    @property
    def n_scoring(self) -> int:
        """Tokens whose logits are wanted."""
        return sum(self.has_logits)

    def _grow(self, token: int, parent: int, *, has_logits: bool) -> int:
        self.tokens.append(token)
        self.parents.append(parent)
        self.has_logits.append(has_logits)
        return len(self.tokens) - 1

    def _add(self, candidate: list[int], at: int, grown: dict[tuple[int, int], int], number: int) -> None:
        """Score a candidate behind a token; where another one has grown the same way it is shared."""
        for place, token in enumerate(candidate, 1):
            self.scored.append((at, token, number))
            if place < len(candidate):
                if (at, token) not in grown:
                    grown[at, token] = self._grow(token, at, has_logits=True)
                at = grown[at, token]


class Layout:
    """Trees in one rectangle.

    Args:
        branches: The trees, one a row.

    Attributes:
        input_ids_NS: Tokens that are fed.
        offset_NS: How many tokens stand between the beginning and each.
        sees_NSS: Whether the token of the second axis sees that of the third.
        n_scoring: L; these are the last columns.
        scored_Q4: For every scored token its row, the column of L whose logits score it, the token, and its candidate,
            counted through all rows.
    """

    def __init__(self, branches: Sequence[Branches]) -> None:
        self.n_scoring = max(one.n_scoring for one in branches)
        self._n_reading = max(len(one.tokens) - one.n_scoring for one in branches)
        shape = (len(branches), self._n_reading + self.n_scoring)
        self.input_ids_NS, self.offset_NS = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        # Padding sees itself, so that no row of the mask is empty.
        self.sees_NSS = np.tile(np.eye(shape[1], dtype=np.bool_), (shape[0], 1, 1))
        first_N = np.cumsum([0, *(sum(one.n_by_prompt) for one in branches)])
        self.scored_Q4 = np.concatenate(
            [self._lay_out(row, one, first) for row, (one, first) in enumerate(zip(branches, first_N, strict=False))]
        )

    def _lay_out(self, row: int, one: Branches, first_candidate: int) -> NDArray[np.intp]:
        has_logits = np.asarray(one.has_logits)
        column_of = np.where(has_logits, self._n_reading + np.cumsum(has_logits), np.cumsum(~has_logits)) - 1
        offset, sees = self.offset_NS[row], self.sees_NSS[row]
        self.input_ids_NS[row, column_of] = one.tokens
        for column, parent in zip(column_of, one.parents, strict=True):
            if parent >= 0:
                offset[column] = offset[column_of[parent]] + 1
                sees[column] |= sees[column_of[parent]]
        place_Q, token_Q, candidate_Q = np.asarray(one.scored, dtype=np.intp).T
        column_Q = column_of[place_Q] - self._n_reading
        return np.column_stack([np.full(len(place_Q), row), column_Q, token_Q, first_candidate + candidate_Q])


def why_no_branches(model: Any) -> str:
    """Why candidates cannot be branches behind a prompt; "" where a mask of one's own keeps them apart.

    Args:
        model: A causal model of transformers.
    """
    config = model.config.get_text_config(decoder=True)
    others = sorted(set(layer_kinds(config)) - set(MASKED_LAYERS))
    if config._attn_implementation not in BRANCHING_ATTENTION:
        why = f"its attention ({config._attn_implementation}) takes no mask of one's own"
    elif others:
        why = f"it has layers of another kind ({', '.join(others)})"
    elif "position_ids" not in signature(model.forward).parameters or getattr(config, "alibi", False):
        why = "it counts positions by itself"
    else:
        return ""
    return f"a model of the family '{model.config.model_type}' scores every candidate from a copy of its prompt: {why}"


def log_probability(logits: Tensor, chosen: Tensor) -> Tensor:
    """Log-probability of chosen tokens in float32: `logits` has the shape of `chosen` and V behind it."""
    exact = logits.float()
    return exact.gather(-1, chosen.unsqueeze(-1)).squeeze(-1) - exact.logsumexp(dim=-1)


def score_branches(
    model: Any, cache: DynamicCache | None, mask_GT: Tensor, branches: Sequence[Branches]
) -> list[list[NDArray[np.float32]]]:
    """Log-likelihood of all candidates: for every entry of `branches`, for every prompt, one number a candidate.

    Args:
        model: A causal model; `why_no_branches` finds nothing.
        cache: Keys and values of the beginnings, which stays as it is; None where these are empty.
        mask_GT: The mask of its columns.
        branches: What stands behind its rows; several may stand behind the same.
    """
    found: dict[int, list[NDArray[np.float32]]] = {}
    for part in alike(branches, model.config.get_text_config(decoder=True).vocab_size):
        total_M = _score_rows(model, cache, mask_GT, [branches[at] for at in part])
        ends = np.cumsum([n_candidates for at in part for n_candidates in branches[at].n_by_prompt])
        by_prompt = iter(np.split(total_M, ends[:-1]))
        for at in part:
            found[at] = [next(by_prompt) for _ in branches[at].n_by_prompt]
    return [found[at] for at in range(len(branches))]


def alike(branches: Sequence[Branches], n_vocabulary: int) -> Iterator[list[int]]:
    """Divide trees into passes: alike in size, no more tokens or logits than are held at once; a single one always may.

    Args:
        branches: The trees.
        n_vocabulary: V.

    Returns:
        Their places, the largest first.
    """
    n_tokens = [len(one.tokens) for one in branches]
    part: list[int] = []
    for at in sorted(range(len(branches)), key=lambda at: -n_tokens[at]):
        if part:
            n_logits = (len(part) + 1) * max(branches[one].n_scoring for one in (*part, at)) * n_vocabulary
            widest = n_tokens[part[0]]
            is_full = n_logits > LOGITS_AT_ONCE or len(part) == rows_at_once(widest)
            if is_full or n_tokens[at] < LEAST_FILLED * widest:
                yield part
                part = []
        part.append(at)
    if part:
        yield part


def _score_rows(
    model: Any, cache: DynamicCache | None, mask_GT: Tensor, branches: Sequence[Branches]
) -> NDArray[np.float32]:
    """Log-likelihood of all candidates of one pass, in their order."""
    device, config = mask_GT.device, model.config.get_text_config(decoder=True)
    layout = Layout(branches)
    input_ids_NS, offset_NS, sees_NSS = (
        torch.from_numpy(array).to(device) for array in (layout.input_ids_NS, layout.offset_NS, layout.sees_NSS)
    )
    rows = torch.tensor([one.row for one in branches], device=device)
    mask_NT, n_columns = mask_GT[rows], input_ids_NS.shape[1]
    position_NS = mask_NT.sum(dim=1, keepdim=True) + offset_NS
    position_NT = torch.cat([(mask_NT.cumsum(dim=1) - 1).clamp(min=0), position_NS], dim=1)
    sees_NST = torch.cat([mask_NT.bool()[:, None].expand(-1, n_columns, -1), sees_NSS], dim=2)
    seen = {}
    for kind in layer_kinds(config):
        is_near = True
        if kind == "sliding_attention":
            is_near = position_NS[:, :, None] - position_NT[:, None, :] < config.sliding_window
        seen[kind] = (sees_NST & is_near)[:, None]
    logits_NLV = feed(
        model,
        input_ids_NS,
        mask_NT,
        None if cache is None else chosen_rows(cache, rows),
        layout.n_scoring,
        position_NS=position_NS,
        seen=seen if len(seen) > 1 else next(iter(seen.values())),
    ).float()
    all_NL = logits_NLV.logsumexp(dim=-1)
    row_Q, column_Q, token_Q, candidate_Q = layout.scored_Q4.T
    found_Q = (logits_NLV[row_Q, column_Q, token_Q] - all_NL[row_Q, column_Q]).double().cpu().numpy()
    return np.bincount(candidate_Q, weights=found_Q).astype(np.float32)
