"""Write answers with a causal model: greedy, beams or samples, in batches, each context read once.

Dimensions: P prompts, N prompts in a batch, M rows in a batch (N times copies), C candidates, T columns, V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, RepetitionPenaltyLogitsProcessor

from strop.inference.branches import log_probability
from strop.inference.cache import chosen_rows, empty_cache
from strop.inference.generated import Generated
from strop.inference.likelihood import score_behind
from strop.inference.prompt_cache import PromptBatch, PromptReader, plan_prompts
from strop.inference.weights import ready_to_write
from strop.models.network import Network
from strop.recipe.answer import Decoding
from strop.records.completions import Completions, TokenIds

USUAL_BEAMS = 4
# A batch's candidates, one list a prompt, each with its log-likelihood.
_Candidates = list[list[tuple[TokenIds, float]]]


def generate(
    network: Network,
    completions: Completions,
    decoding: Decoding,
    accelerator: Accelerator,
    *,
    pad_id: int,
    end_ids: Sequence[int],
    max_answer_tokens: int,
    seed: int,
    decode: Callable[[list[int]], str],
    done: Callable[[int, int], None] | None = None,
) -> Generated:
    """Write candidates behind every prompt.

    What prompts of a context share is read once, and a prompt of several candidates is read once. In float32 greedy
    answers are those of `model.generate` for each prompt alone.

    Args:
        network: A network whose transformer is a causal model, plain or under PEFT.
        completions: The prompts; their answers play no part.
        decoding: How tokens are chosen. Settings that the model's folder brings along play no part.
        accelerator: Device and precision.
        pad_id: Token id that fills rows which have ended.
        end_ids: Token ids that end an answer.
        max_answer_tokens: Longest answer, its end token included.
        seed: Draws samples; equal prompts in equal order give equal ones.
        decode: Turns token ids into text; it is given no end token.
        done: Told how many of how many prompts are done.
    """
    if completions.n_prompts == 0 or not end_ids:
        raise ValueError("there must be at least one prompt and one end token")
    config = generation_config(decoding, pad_id=pad_id, end_ids=end_ids, max_answer_tokens=max_answer_tokens)
    copies = max(config.num_beams, config.num_return_sequences)
    found: dict[int, list[tuple[TokenIds, float]]] = {}
    with ready_to_write(network, accelerator) as model, _own_settings(model), _seeded(seed, accelerator.device):
        reader = PromptReader(model, completions, accelerator.device)
        for prompts in plan_prompts(completions, copies, max_answer_tokens, read_whole=bool(reader.why_whole)):
            batch = reader.begin(prompts)
            found.update(zip(prompts.tolist(), _write(reader, batch, config, decoding), strict=True))
            if done is not None:
                done(len(found), completions.n_prompts)
    return _collect([found[at] for at in range(completions.n_prompts)], frozenset(end_ids), decode, reader)


def generation_config(
    decoding: Decoding, *, pad_id: int, end_ids: Sequence[int], max_answer_tokens: int
) -> GenerationConfig:
    """A decoding in the words of transformers; penalties are not in it, see `_write`."""
    settings: dict[str, Any] = {}
    if decoding.method == "sample":
        settings = {
            "temperature": decoding.temperature or 1.0,
            "top_k": decoding.top_k or 0,
            "top_p": decoding.top_p or 1.0,
            "min_p": decoding.min_p,
        }
    if decoding.method == "beams":
        penalty = decoding.length_penalty
        settings = {"num_beams": decoding.n_beams or USUAL_BEAMS, "length_penalty": 1.0 if penalty is None else penalty}
    return GenerationConfig(
        **{"num_beams": 1, **settings},
        do_sample=decoding.method == "sample",
        num_return_sequences=decoding.n_candidates,
        max_new_tokens=max_answer_tokens,
        pad_token_id=pad_id,
        eos_token_id=list(end_ids),
        use_cache=True,
    )


class _Recorder(LogitsProcessor):  # type: ignore[misc]
    """Sees the logits before anything changes them, and notes the log-probability of each token that was chosen."""

    def __init__(self) -> None:
        self._logits_MV: Tensor | None = None
        self._noted: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self._note(input_ids[:, -1])
        self._logits_MV = scores
        return scores

    def _note(self, chosen_M: Tensor) -> None:
        if self._logits_MV is not None:
            self._noted.append(log_probability(self._logits_MV, chosen_M))

    def log_probability_MT(self, written_MT: Tensor) -> Tensor:
        """Of all tokens that were written."""
        if len(self._noted) < written_MT.shape[1]:
            self._note(written_MT[:, -1])
        return torch.stack(self._noted[: written_MT.shape[1]], dim=1)


def _write(reader: PromptReader, batch: PromptBatch, config: GenerationConfig, decoding: Decoding) -> _Candidates:
    """Candidates of every prompt of a batch."""
    copies = max(config.num_beams, config.num_return_sequences)
    given: dict[str, Any] = {}
    if copies > 1 and not reader.why_whole:
        reader.read_on(batch, batch.n_columns - 1)
    if not reader.why_whole and batch.cache is None:
        given["past_key_values"] = empty_cache()
    elif batch.cache is not None:
        rows = torch.arange(len(batch.prompts), device=batch.mask_NT.device).repeat_interleave(copies)
        # transformers repeats prompts by itself, but no cache that it is given.
        given["past_key_values"] = chosen_rows(batch.cache, rows) if copies > 1 else batch.cache
    recorder = _Recorder()
    # In this order: penalties of the configuration would come before the recorder.
    processors = LogitsProcessorList([recorder] if config.num_beams == 1 else [])
    if decoding.repetition_penalty != 1.0:
        processors.append(RepetitionPenaltyLogitsProcessor(decoding.repetition_penalty))
    sequences_MT: Tensor = reader.model.generate(
        batch.input_ids_NT,
        attention_mask=batch.mask_NT,
        generation_config=config,
        logits_processor=processors,
        **given,
    )
    written_MT = sequences_MT[:, batch.n_columns :]
    token_ids = [_until_end(row, config.eos_token_id) for row in written_MT.cpu().numpy()]
    n_candidates = config.num_return_sequences
    by_prompt = [token_ids[start : start + n_candidates] for start in range(0, len(token_ids), n_candidates)]
    if config.num_beams > 1:
        scores = score_behind(reader, batch, by_prompt)
        return [list(zip(own, map(float, found), strict=True)) for own, found in zip(by_prompt, scores, strict=True)]
    noted_MT = recorder.log_probability_MT(written_MT).double().cpu().numpy()
    totals = iter([float(noted[: len(ids)].sum()) for noted, ids in zip(noted_MT, token_ids, strict=True)])
    return [[(ids, next(totals)) for ids in own] for own in by_prompt]


def _until_end(written: TokenIds, end_ids: Sequence[int]) -> TokenIds:
    """Token ids up to the first end token, which is kept."""
    ends = np.flatnonzero(np.isin(written, end_ids))
    return written[: ends[0] + 1 if len(ends) else None].astype(np.int32)


@contextmanager
def _own_settings(model: Any) -> Iterator[None]:
    """Keep transformers from filling up a configuration with what the model's folder says about decoding."""
    given = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = given


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw by a seed, and leave the caller's generators as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _collect(
    found: _Candidates, end_ids: frozenset[int], decode: Callable[[list[int]], str], reader: PromptReader
) -> Generated:
    def text(ids: TokenIds) -> str:
        return decode([int(token) for token in ids if int(token) not in end_ids])

    texts = [[text(ids) for ids, _ in own] for own in found]
    return Generated(
        text_PC=np.asarray(texts, dtype=object),
        log_likelihood_PC=np.asarray([[total for _, total in own] for own in found], dtype=np.float32),
        n_tokens_PC=np.asarray([[len(ids) for ids, _ in own] for own in found], dtype=np.int64),
        ended_PC=np.asarray([[int(ids[-1]) in end_ids for ids, _ in own] for own in found], dtype=np.bool_),
        token_ids=[[ids for ids, _ in own] for own in found],
        n_tokens_read=reader.n_tokens_read,
        note=reader.why_whole,
    )
