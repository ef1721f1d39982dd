"""Candidates that are scored together have the log-likelihood that each has alone."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from strop.inference import branches as branch_scores
from strop.inference import likelihood, prompt_cache
from strop.inference.branches import why_no_branches
from strop.inference.likelihood import candidate_log_likelihoods
from strop.models.network import Network
from strop.models.precision import make_accelerator
from strop.records.completions import Completions, TokenIds


def ids(*tokens: int) -> TokenIds:
    return np.asarray(tokens, dtype=np.int32)


def alone(network: Network, prompt: TokenIds, candidate: TokenIds) -> float:
    with torch.no_grad():
        token_T = torch.from_numpy(np.concatenate([prompt, candidate]).astype(np.int64))
        log_probability_TV = network.transformer.eval()(token_T.unsqueeze(0)).logits[0].log_softmax(-1)
    at = torch.arange(len(prompt), len(token_T))
    return float(log_probability_TV[at - 1, token_T[at]].sum())


@pytest.mark.parametrize("branches", [True, False])
@pytest.mark.parametrize(("rows_per_batch", "logits_at_once", "branch_tokens"), [(32, 2**26, 256), (3, 2000, 20)])
def test_scores_are_those_of_each_candidate_alone(
    network: Network,
    completions: Completions,
    branches: bool,
    rows_per_batch: int,
    logits_at_once: int,
    branch_tokens: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prompt_cache, "ROWS_PER_BATCH", rows_per_batch)
    monkeypatch.setattr(likelihood, "BRANCH_TOKENS", branch_tokens)
    for module in (likelihood, branch_scores):
        monkeypatch.setattr(module, "LOGITS_AT_ONCE", logits_at_once)
    assert why_no_branches(network.transformer) == ""
    if not branches:
        monkeypatch.setattr(branch_scores, "BRANCHING_ATTENTION", ())
    # The second goes on where the first ends, the third leaves it half-way, the last is longer than a window of 16.
    several = [ids(7, 8), ids(7, 8, 9), ids(7, 5, 3), ids(200), ids(*range(50, 75))]
    given = [several[: 2 + at % 4] for at in range(completions.n_prompts)]
    told: list[tuple[int, int]] = []
    said: list[str] = []
    found_PK = candidate_log_likelihoods(
        network,
        completions,
        given,
        make_accelerator("float32"),
        done=lambda done, of: told.append((done, of)),
        note=said.append,
    )
    family = network.transformer.config.model_type
    words = f"a model of the family '{family}' scores every candidate from a copy of its prompt: its attention (sdpa)"
    assert said == ([] if branches else [f"{words} takes no mask of one's own"])
    assert found_PK.shape == (completions.n_prompts, 5)
    for prompt, own, found_K in zip(completions.prompts, given, found_PK, strict=True):
        expected = [alone(network, prompt, candidate) for candidate in own]
        np.testing.assert_allclose(found_K[: len(own)], expected, rtol=1e-4, atol=1e-4)
        assert np.isnan(found_K[len(own) :]).all()
    assert told[-1] == (completions.n_prompts, completions.n_prompts)


def test_scores_behind_what_all_prompts_begin_with(network: Network, draw_prompts: Callable[..., Completions]) -> None:
    prompts = draw_prompts([(9, [5, 3])], [6, 1], common=24)
    labels = [ids(7, 8), ids(200)]
    found_PK = candidate_log_likelihoods(network, prompts, [labels] * 4, make_accelerator("float32"))
    expected = [[alone(network, prompt, label) for label in labels] for prompt in prompts.prompts]
    np.testing.assert_allclose(found_PK, expected, rtol=1e-4, atol=1e-4)


def test_a_model_without_keys_and_values_reads_prompts_whole_and_says_so(
    network_without_cache: Network, draw_prompts: Callable[..., Completions]
) -> None:
    prompts = draw_prompts([(20, [4, 3])], [8])
    labels = [ids(7, 8), ids(200)]
    told: list[str] = []
    found_PK = candidate_log_likelihoods(
        network_without_cache, prompts, [labels] * 3, make_accelerator("float32"), note=told.append
    )
    expected = [[alone(network_without_cache, prompt, label) for label in labels] for prompt in prompts.prompts]
    np.testing.assert_allclose(found_PK, expected, rtol=1e-4, atol=1e-4)
    (words,) = told
    family = network_without_cache.transformer.config.model_type
    assert words.startswith(f"a model of the family '{family}' reads every prompt from its first token on: ")


def test_probabilities_of_all_tokens_sum_to_one(network: Network, completions: Completions) -> None:
    every = [ids(token) for token in range(network.transformer.config.vocab_size)]
    one = completions.take(np.asarray([0]))
    found_PK = candidate_log_likelihoods(network, one, [every], make_accelerator("float32"))
    assert np.exp(found_PK[0]).sum() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("candidates", [[], [ids()], [ids(3), ids()]])
def test_a_prompt_without_candidates_is_refused(
    network: Network, completions: Completions, candidates: list[TokenIds]
) -> None:
    one = completions.take(np.asarray([0]))
    with pytest.raises(ValueError, match="every prompt must have a candidate, and every candidate a token"):
        candidate_log_likelihoods(network, one, [candidates], make_accelerator("float32"))
    with pytest.raises(ValueError, match="every prompt must have candidates: 1, 10 prompts"):
        candidate_log_likelihoods(network, completions, [[ids(3)]], make_accelerator("float32"))
