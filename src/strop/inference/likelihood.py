"""How likely a model finds given candidates behind every prompt, such as the labels of a class.

What prompts of a context share is read once. The rest of every prompt, and its candidates behind it, are branches that
go on from there, kept apart by a mask. For a model whose attention takes no such mask prompts are read in batches, and
every candidate goes on from a copy of its prompt's cache.

Dimensions: P prompts, N prompts in a batch, K candidates, M candidates of a batch, T columns, V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from transformers import DynamicCache

from strop.inference.branches import (
    LEAST_FILLED,
    LOGITS_AT_ONCE,
    Branches,
    log_probability,
    score_branches,
    why_no_branches,
)
from strop.inference.cache import chosen_rows
from strop.inference.prompt_cache import (
    PromptBatch,
    PromptReader,
    feed,
    plan_prompts,
    prompts_by_beginning,
    rows_at_once,
    why_read_whole,
)
from strop.inference.weights import ready_to_write
from strop.models.network import Network
from strop.records.completions import Completions, TokenIds

# Longest row of branches: each of them computes attention to all others, masked or not.
BRANCH_TOKENS = 256

# Prompt numbers, and for each the log-likelihood of its candidates.
_Scored = tuple[list[int], list[NDArray[np.float32]]]


def candidate_log_likelihoods(
    network: Network,
    completions: Completions,
    candidates_by_prompt: Sequence[Sequence[TokenIds]],
    accelerator: Accelerator,
    *,
    done: Callable[[int, int], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> NDArray[np.float32]:
    """Log-probability of every candidate's tokens together behind its prompt, shape (P, K); 0 is certain.

    Args:
        network: A network whose transformer is a causal model.
        completions: The prompts; their answers play no part.
        candidates_by_prompt: For every prompt the token ids of its candidates, the end token included where it is to
            count; a prompt with fewer than K has NaN for the others.
        accelerator: Device and precision.
        done: Told how many of how many prompts are done.
        note: Told why prompts, or candidates, are read more than once with this model.

    Raises:
        ValueError: A prompt has no candidates, or a candidate has no tokens.
    """
    if len(candidates_by_prompt) != completions.n_prompts or completions.n_prompts == 0:
        raise ValueError(
            f"every prompt must have candidates: {len(candidates_by_prompt)}, {completions.n_prompts} prompts"
        )
    if any(not candidates or not all(map(len, candidates)) for candidates in candidates_by_prompt):
        raise ValueError("every prompt must have a candidate, and every candidate a token")
    n_candidates = max(map(len, candidates_by_prompt))
    found_PK = np.full((completions.n_prompts, n_candidates), np.nan, dtype=np.float32)
    n_done = 0
    with ready_to_write(network, accelerator) as model:
        why_apart = why_read_whole(model) or why_no_branches(model)
        if why_apart and note is not None:
            note(why_apart)
        score = _score_by_prompt if why_apart else _score_by_context
        for prompts, scores in score(model, completions, candidates_by_prompt, accelerator.device):
            for at, scores_K in zip(prompts, scores, strict=True):
                found_PK[at, : len(scores_K)] = scores_K
            n_done += len(prompts)
            if done is not None:
                done(n_done, completions.n_prompts)
    return found_PK


def _score_by_context(
    model: Any, completions: Completions, candidates_by_prompt: Sequence[Sequence[TokenIds]], device: torch.device
) -> Iterator[_Scored]:
    """Read what prompts share once, all else as branches behind it; a prompt alone shares all but its last token."""
    reader = PromptReader(model, completions, device)
    for rows in _alike(prompts_by_beginning(completions)):
        branches, prompts = [], []
        for row, (n_shared, members) in enumerate(rows):
            for part in _narrow(members, completions, n_shared, candidates_by_prompt):
                rests = [completions.prompts[at][n_shared:] for at in part]
                branches.append(Branches(row, rests, [candidates_by_prompt[at] for at in part]))
                prompts += part
        # Prompts of one token have no beginning: a token that is masked stands for it.
        texts = [completions.prompts[members[0]][: max(n_shared, 1)] for n_shared, members in rows]
        cache, mask_GT = reader.read(texts)
        mask_GT *= torch.tensor([[n_shared > 0] for n_shared, _ in rows], device=device)
        yield prompts, [scores_K for own in score_branches(model, cache, mask_GT, branches) for scores_K in own]


def _alike(shares: Sequence[tuple[int, list[int]]]) -> Iterator[Sequence[tuple[int, list[int]]]]:
    """Divide beginnings, the longest first, so that those which are read together are of similar length."""
    start = 0
    for at, (n_shared, _) in enumerate(shares):
        longest = shares[start][0]
        if at - start == rows_at_once(longest) or n_shared < LEAST_FILLED * longest:
            yield shares[start:at]
            start = at
    yield shares[start:]


def _narrow(
    members: Sequence[int],
    completions: Completions,
    n_shared: int,
    candidates_by_prompt: Sequence[Sequence[TokenIds]],
) -> Iterator[list[int]]:
    """Divide prompts so that each part's branches fill a row of at most `BRANCH_TOKENS`; a single prompt always may."""
    part: list[int] = []
    n_tokens = 0
    for at in members:
        n_own = len(completions.prompts[at]) - n_shared + sum(len(one) - 1 for one in candidates_by_prompt[at])
        if part and n_tokens + n_own > BRANCH_TOKENS:
            yield part
            part, n_tokens = [], 0
        part.append(at)
        n_tokens += n_own
    yield part


def _score_by_prompt(
    model: Any, completions: Completions, candidates_by_prompt: Sequence[Sequence[TokenIds]], device: torch.device
) -> Iterator[_Scored]:
    """Read prompts in batches, and let candidates go on from copies of their caches."""
    longest = max(len(candidate) for candidates in candidates_by_prompt for candidate in candidates)
    reader = PromptReader(model, completions, device)
    for prompts in plan_prompts(completions, 1, longest, read_whole=bool(reader.why_whole)):
        candidates = [candidates_by_prompt[at] for at in prompts]
        yield prompts.tolist(), score_behind(reader, reader.begin(prompts), candidates)


def score_behind(
    reader: PromptReader, batch: PromptBatch, candidates: Sequence[Sequence[TokenIds]]
) -> list[NDArray[np.float32]]:
    """Log-likelihood of candidates behind the prompts of a batch, one array a prompt; the batch is read to its end.

    Args:
        reader: What read the batch so far.
        batch: N prompts, of which at least the last token is not read yet.
        candidates: For every prompt the token ids of its candidates.
    """
    if reader.why_whole or why_no_branches(reader.model):
        row_M = np.repeat(np.arange(len(candidates)), [len(own) for own in candidates])
        flat = [candidate for own in candidates for candidate in own]
        total_M = (_score_whole if reader.why_whole else _score_copies)(reader, batch, flat, row_M)
        return np.split(total_M, np.cumsum([len(own) for own in candidates])[:-1])
    reader.read_on(batch, batch.n_columns - 1)
    n_known = batch.n_cached
    texts = zip(batch.input_ids_NT.cpu().numpy(), batch.mask_NT.cpu().numpy() == 1, strict=True)
    branches = [
        Branches(row, [ids_T[n_known:][is_token_T[n_known:]].astype(np.int32)], [candidates[row]])
        for row, (ids_T, is_token_T) in enumerate(texts)
    ]
    found = score_branches(reader.model, batch.cache, batch.mask_NT[:, :n_known], branches)
    return [scores_K for (scores_K,) in found]


def _score_copies(
    reader: PromptReader, batch: PromptBatch, candidates: list[TokenIds], row_M: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Log-likelihood of all tokens, shape (M,), from copies of the prompts' cache."""
    logits_NV = reader.read_on(batch, batch.n_columns)
    if logits_NV is None or batch.cache is None:
        raise ValueError("the last token of a prompt must not be read before its candidates are scored")
    exact_NV, first_M = logits_NV.float(), np.asarray([candidate[0] for candidate in candidates])
    total_M: NDArray[np.float32] = (exact_NV[row_M, first_M] - exact_NV.logsumexp(dim=-1)[row_M]).cpu().numpy()
    longer_M = np.flatnonzero([len(candidate) > 1 for candidate in candidates])
    longest = max(map(len, candidates))
    at_once = max(1, LOGITS_AT_ONCE // (longest * logits_NV.shape[-1]))
    for part in np.split(longer_M, range(at_once, len(longer_M), at_once)):
        if len(part):
            total_M[part] += _score_rests(
                reader.model, batch, batch.cache, [candidates[at] for at in part], row_M[part]
            )
    return total_M


def _score_rests(
    model: Any, batch: PromptBatch, cache: DynamicCache, candidates: Sequence[TokenIds], row_M: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Log-likelihood of all tokens but the first, shape (M,)."""
    device = batch.mask_NT.device
    rows = torch.from_numpy(row_M).to(device)
    n_fed = max(map(len, candidates)) - 1
    # Filled up at the right: no token looks that far ahead.
    padded = np.stack([np.pad(candidate, (0, n_fed + 1 - len(candidate)), mode="edge") for candidate in candidates])
    token_MT = torch.from_numpy(padded.astype(np.int64)).to(device)
    mask_MT = torch.nn.functional.pad(batch.mask_NT[rows], (0, n_fed), value=1)
    logits_MTV = feed(model, token_MT[:, :-1], mask_MT, chosen_rows(cache, rows), n_fed)
    found_MT = log_probability(logits_MTV, token_MT[:, 1:]).cpu().numpy()
    is_own_MT = np.arange(1, n_fed + 1) < np.asarray([[len(candidate)] for candidate in candidates])
    total_M: NDArray[np.float32] = found_MT.sum(axis=1, where=is_own_MT)
    return total_M


def _score_whole(
    reader: PromptReader, batch: PromptBatch, candidates: list[TokenIds], row_M: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Log-likelihood of all tokens, shape (M,), for a model that has to read every prompt with every candidate.

    The prompts are of equal length, and candidates are filled up at the right: no token looks that far ahead.
    """
    total_M = np.zeros(len(candidates), dtype=np.float32)
    n_rows = len(batch.prompts)
    for start in range(0, len(candidates), n_rows):
        own = candidates[start : start + n_rows]
        longest = max(map(len, own))
        padded = np.stack([np.pad(ids, (0, longest - len(ids)), mode="edge") for ids in own]).astype(np.int64)
        written_MT = torch.from_numpy(padded).to(batch.mask_NT.device)
        prompt_MT = batch.input_ids_NT[torch.from_numpy(row_M[start : start + n_rows]).to(batch.mask_NT.device)]
        token_MT = torch.cat([prompt_MT, written_MT], dim=1)
        logits_MTV = feed(reader.model, token_MT, torch.ones_like(token_MT), None, longest + 1)[:, :-1]
        log_probability_MT = log_probability(logits_MTV, written_MT).cpu().numpy()
        total_M[start : start + len(own)] = [
            values[: len(ids)].sum() for values, ids in zip(log_probability_MT, own, strict=True)
        ]
    return total_M
