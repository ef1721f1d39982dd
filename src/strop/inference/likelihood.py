"""How likely a model finds given candidates behind every prompt, such as the labels of a class.

A prompt is read once: its last token's logits score the first token of all candidates. The other tokens of all
candidates are laid behind the prompt as branches, and a mask lets each see the prompt and itself alone; for a model
whose attention takes no such mask every candidate goes on from a copy of the prompt's cache.

Dimensions: P prompts, N prompts in a batch, K candidates, M candidates of a batch, T columns, V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from transformers import DynamicCache

from strop.inference.branches import log_probability, score_branches, takes_branches
from strop.inference.prompt_cache import PromptBatch, PromptReader, align_right, chosen_rows, feed, plan_prompts
from strop.inference.weights import ready_to_write
from strop.models.network import Network
from strop.records.completions import Completions, TokenIds

# Logits that are held at once: 256 MiB in float32.
LOGITS_AT_ONCE = 2**26


def candidate_log_likelihoods(
    network: Network,
    completions: Completions,
    candidates_by_prompt: Sequence[Sequence[TokenIds]],
    accelerator: Accelerator,
    *,
    done: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Log-probability of every candidate's tokens together behind its prompt, shape (P, K); 0 is certain.

    Args:
        network: A network whose transformer is a causal model.
        completions: The prompts; their answers play no part.
        candidates_by_prompt: For every prompt the token ids of its candidates, the end token included where it is to
            count; a prompt with fewer than K has NaN for the others.
        accelerator: Device and precision.
        done: Told how many of how many prompts are done.

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
    longest = max(len(candidate) for candidates in candidates_by_prompt for candidate in candidates)
    found_PK = np.full((completions.n_prompts, n_candidates), np.nan, dtype=np.float32)
    n_done = 0
    with ready_to_write(network, accelerator) as model:
        reader = PromptReader(model, completions, accelerator.device)
        for prompts in plan_prompts(completions, 1, longest):
            candidates = [candidates_by_prompt[at] for at in prompts]
            for at, scores in zip(prompts, score_behind(reader, reader.begin(prompts), candidates), strict=True):
                found_PK[at, : len(scores)] = scores
            n_done += len(prompts)
            if done is not None:
                done(n_done, completions.n_prompts)
    return found_PK


def score_behind(
    reader: PromptReader, batch: PromptBatch, candidates: Sequence[Sequence[TokenIds]]
) -> list[NDArray[np.float32]]:
    """Log-likelihood of candidates behind the prompts of a batch, one array a prompt; the batch is read to its end.

    Args:
        reader: What read the batch so far.
        batch: N prompts, of which at least the last token is not read yet.
        candidates: For every prompt the token ids of its candidates.
    """
    row_M = np.repeat(np.arange(len(candidates)), [len(own) for own in candidates])
    flat = [candidate for own in candidates for candidate in own]
    if reader.why_whole:
        total_M = _score_whole(reader, batch, flat, row_M)
    else:
        logits_NV = reader.read_on(batch, batch.n_columns)
        if logits_NV is None or batch.cache is None:
            raise ValueError("the last token of a prompt must not be read before its candidates are scored")
        exact_NV, first_M = logits_NV.float(), np.asarray([candidate[0] for candidate in flat])
        total_M = (exact_NV[row_M, first_M] - exact_NV.logsumexp(dim=-1)[row_M]).cpu().numpy()
        longer = np.asarray([at for at, candidate in enumerate(flat) if len(candidate) > 1], dtype=np.intp)
        score = score_branches if takes_branches(reader.model) else _score_copies
        for part in _parts(longer, row_M, [len(candidate) for candidate in flat], logits_NV.shape[-1]):
            total_M[part] += score(reader.model, batch, batch.cache, [flat[at] for at in part], row_M[part])
    return np.split(total_M, np.cumsum([len(own) for own in candidates])[:-1])


def _parts(
    at_M: NDArray[np.intp], row_M: NDArray[np.intp], length_M: Sequence[int], n_vocabulary: int
) -> Iterator[NDArray[np.intp]]:
    """Cut candidates into stretches of whole prompts, as many as may be held at once; a single one always may."""
    most = LOGITS_AT_ONCE // n_vocabulary
    start, widest = 0, 0
    by_prompt = np.split(at_M, np.flatnonzero(np.diff(row_M[at_M])) + 1) if len(at_M) else []
    for number, own in enumerate(by_prompt):
        width = sum(length_M[at] for at in own)
        if number > start and max(widest, width) * (number + 1 - start) > most:
            yield np.concatenate(by_prompt[start:number])
            start, widest = number, 0
        widest = max(widest, width)
    if by_prompt:
        yield np.concatenate(by_prompt[start:])


def _score_copies(
    model: Any, batch: PromptBatch, cache: DynamicCache, candidates: Sequence[TokenIds], row_M: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Log-likelihood of all tokens but the first, shape (M,), from copies of the prompts' cache."""
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
    """Log-likelihood of all tokens, shape (M,), for a model that has to read every prompt with every candidate."""
    prompts = [
        ids[mask == 1] for ids, mask in zip(batch.input_ids_NT.cpu().numpy(), batch.mask_NT.cpu().numpy(), strict=True)
    ]
    total_M = np.zeros(len(candidates), dtype=np.float32)
    for start in range(0, len(candidates), len(prompts)):
        own = candidates[start : start + len(prompts)]
        rows = [np.concatenate([prompts[row], ids]) for row, ids in zip(row_M[start:], own, strict=False)]
        token_MT, mask_MT = align_right(rows, batch.mask_NT.device)
        longest = max(map(len, own))
        logits_MTV = feed(reader.model, token_MT, mask_MT, None, longest + 1)[:, :-1]
        log_probability_MT = log_probability(logits_MTV, token_MT[:, -longest:]).cpu().numpy()
        total_M[start : start + len(own)] = [
            values[longest - len(ids) :].sum() for values, ids in zip(log_probability_MT, own, strict=True)
        ]
    return total_M
