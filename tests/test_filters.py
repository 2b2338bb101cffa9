"""What top_k and top_p keep, against sorting everything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.engine.filters import kept
from runtime.values import Sampling


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.sampled_from([1, 2, 60, 5000]),
    spread=st.sampled_from([0.0, 0.01, 1.0, 5.0, 60.0]),
    top_k=st.none() | st.integers(1, 50),
    top_p=st.sampled_from([0.0, 0.3, 0.9, 0.999, 1.0, 2.0]),
)
def test_what_is_kept_is_what_sorting_all_would_keep(
    seed: int, n: int, spread: float, top_k: int | None, top_p: float
) -> None:
    logits = np.random.default_rng(seed).normal(0, spread, n).astype(np.float32)
    order = np.argsort(-logits, kind="stable")[:top_k]
    if top_p < 1:
        sums = np.cumsum(np.exp(logits[order] - logits.max(), dtype=np.float64))
        order = order[: np.searchsorted(sums, top_p * sums[-1]) + 1]
    places = kept(logits, Sampling(top_k=top_k, top_p=top_p))
    assert len(set(places.tolist())) == len(places)
    if spread:
        edge = np.sort(logits[places])[0]
        # A rounding error may decide about the last one.
        assert set(order[:-1].tolist()) <= set(places.tolist())
        assert len(places) <= len(order) + 1
        assert edge <= logits[order].min() or len(places) == len(order) - 1


def test_of_equal_ones_at_the_edge_all_are_kept() -> None:
    assert sorted(kept(np.zeros(5, np.float32), Sampling(top_p=0.5))) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("top_p", [0.0, 0.4])
def test_the_likeliest_is_always_kept(top_p: float) -> None:
    assert list(kept(np.array([1.0, 9.0, 2.0], np.float32), Sampling(top_p=top_p))) == [1]
