"""The likeliest allowed tokens, against a look at the whole vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.engine.widening import FIRST, likeliest_allowed
from runtime.errors import EngineError
from runtime.values import Sampling

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOKENS = np.arange(10_000, 15_000)


class Grammar:
    """Allows these tokens, and counts those it was asked about."""

    def __init__(self, allowed: NDArray[Any]) -> None:
        self._allowed, self.asked = allowed, 0

    def __call__(self, tokens: NDArray[Any]) -> NDArray[np.bool_]:
        self.asked += len(tokens)
        return np.isin(tokens, self._allowed)


def kept(weights: NDArray[Any], sampling: Sampling) -> int:
    """How many of the weights, the highest first, the filters keep: llama.cpp's top_k, top_p, then min_p."""
    weights = weights[: sampling.top_k]
    if sampling.top_p < 1:
        weights = weights[: np.searchsorted(np.cumsum(weights), sampling.top_p * weights.sum()) + 1]
    return int((weights >= sampling.min_p * weights[0]).sum())


@given(
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from([0.5, 2.0, 6.0]),
    share=st.sampled_from([0.001, 0.05, 0.5, 1.0]),
    sampling=st.builds(
        Sampling,
        top_k=st.none() | st.integers(1, 50),
        top_p=st.sampled_from([0.1, 0.9, 1.0]),
        min_p=st.sampled_from([0.0, 0.1]),
    ),
)
def test_what_the_filters_keep_is_what_they_would_keep_of_all(
    seed: int, spread: float, share: float, sampling: Sampling
) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(0, spread, len(TOKENS)).astype(np.float32)
    allowed = random.choice(TOKENS, max(1, int(share * len(TOKENS))), replace=False)
    tokens, found = likeliest_allowed(TOKENS, logits, Grammar(allowed), sampling, greedy=False)
    everything = np.sort(logits[allowed - TOKENS[0]])[::-1]
    n = kept(np.exp(everything.astype(np.float64)), sampling)
    # Logits and not tokens are compared, since some are equal.
    assert list(found[:n]) == list(everything[:n])
    assert list(logits[tokens - TOKENS[0]]) == list(found)
    assert set(tokens.tolist()) <= set(allowed.tolist())
    assert kept(np.exp(found.astype(np.float64)), sampling) == n


def test_greedy_needs_one() -> None:
    logits = np.linspace(5, 0, len(TOKENS), dtype=np.float32)
    grammar = Grammar(TOKENS[[3, 2000]])
    tokens, found = likeliest_allowed(TOKENS, logits, grammar, Sampling(), greedy=True)
    assert (list(tokens), list(found), grammar.asked) == ([TOKENS[3]], [logits[3]], FIRST)


def test_of_a_clear_distribution_few_are_asked_about() -> None:
    logits = np.linspace(0, -500, len(TOKENS), dtype=np.float32)
    grammar = Grammar(TOKENS[1::2])
    likeliest_allowed(TOKENS, logits, grammar, Sampling(top_p=0.9), greedy=False)
    assert grammar.asked == FIRST


def test_no_allowed_token_is_an_error() -> None:
    with pytest.raises(EngineError, match="allows no token"):
        likeliest_allowed(TOKENS, np.zeros(len(TOKENS), np.float32), Grammar(np.array([])), Sampling(), greedy=True)


def test_no_token_at_all_is_an_error() -> None:
    with pytest.raises(EngineError, match="allows no token"):
        likeliest_allowed(TOKENS[:0], np.zeros(0, np.float32), Grammar(TOKENS), Sampling(), greedy=True)
