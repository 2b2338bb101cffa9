"""The likeliest tokens that a grammar allows: as many of them as the filters can tell from all.

A look at the whole vocabulary costs most of a token's time, so the grammar is asked about the likeliest first, and
about more until what is left out cannot change what the filters keep. What is drawn then is what would be drawn from
all.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from runtime.values import Sampling

    Floats = NDArray[np.floating[Any]]
    Tokens = NDArray[np.integer[Any]]
    Mask = NDArray[np.bool_]

FIRST, GROWTH = 128, 8  # tokens in the first look, and how many times more in each further one


def likeliest_allowed(
    tokens: Tokens, logits: Floats, allowed: Callable[[Tokens], Mask], sampling: Sampling, *, greedy: bool
) -> tuple[Tokens, Floats]:
    """Of the tokens (n,) with their logits (n,), those that are allowed, likeliest first, and their logits.

    Raises `EngineError` when there is none.
    """
    weights = np.exp(logits.astype(np.float64) - logits.max(initial=0.0))
    left = float(weights.sum())
    found: list[Tokens] = []
    for chosen in _descending(logits):
        left -= float(weights[chosen].sum())
        found.append(chosen[allowed(tokens[chosen])])
        kept = np.concatenate(found)
        if len(kept) and (greedy or _are_enough(weights[kept], left, float(weights[chosen[-1]]), sampling)):
            break
    else:
        kept = np.concatenate(found) if found else np.zeros(0, np.int64)
    if not len(kept):
        raise EngineError("The grammar allows no token of this model's vocabulary.")
    return tokens[kept], logits[kept]


def _descending(logits: Floats) -> Iterator[NDArray[np.intp]]:
    """All places of `logits`, the highest first, in groups that grow."""
    left, size = np.arange(len(logits)), FIRST
    while len(left) > size:
        places = np.argpartition(logits[left], len(left) - size)
        top, left = left[places[-size:]], left[places[:-size]]
        yield top[np.argsort(-logits[top], kind="stable")]
        size *= GROWTH
    if len(left):
        yield left[np.argsort(-logits[left], kind="stable")]


def _are_enough(weights: Floats, left: float, last: float, sampling: Sampling) -> bool:
    """Do the filters keep of these weights (n,), the highest first, what they would keep beside others, which weigh
    `left` together and at most `last` each?"""
    if sampling.top_k is not None and len(weights) >= sampling.top_k:
        return True
    if sampling.top_p < 1:
        return _has_nucleus(weights, left, sampling.top_p)
    return sampling.min_p > 0 and last < sampling.min_p * float(weights[0])


def _has_nucleus(weights: Floats, left: float, top_p: float) -> bool:
    """Is the smallest set with the share `top_p` the same, whether none or all of what is left is allowed?"""
    sums = np.cumsum(weights)
    if left <= 1e-12 * sums[-1]:
        return True
    low, high = np.searchsorted(sums, [top_p * sums[-1], top_p * (sums[-1] + left)])
    return bool(low == high < len(weights) and math.isfinite(left))
