"""Sampler chains: from logits to one token."""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.engine.llama.binding import c
from runtime.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

Stage = tuple[Any, ...]  # a name of _STAGES and its arguments

MAX_PENALTY_WINDOW = 4096  # tokens to look back on; llama.cpp allocates the whole window at once

CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def candidate_array(data: NDArray[Any]) -> Any:
    """llama.cpp's array of the candidates (n,), which must outlive it."""
    pointer = ctypes.cast(data.ctypes.data, ctypes.POINTER(c.llama_token_data))
    return c.llama_token_data_array(data=pointer, size=len(data), selected=-1, sorted=False)


class Candidates:
    """Tokens and logits as llama.cpp's samplers want them. One buffer serves all sequences, one after the other."""

    def __init__(self, n_vocab: int) -> None:
        self.n_vocab = n_vocab
        self._ids = np.arange(n_vocab, dtype=np.int32)
        self._data = np.zeros(n_vocab, CANDIDATE)
        self.struct = candidate_array(self._data)

    @property
    def logits(self) -> NDArray[np.float32]:
        """What the samplers have made of the logits (size,), in the order they were filled in unless they sorted."""
        logits: NDArray[np.float32] = self._data["logit"][: self.struct.size]
        return logits

    def fill(self, tokens: NDArray[np.integer[Any]] | None, logits: NDArray[np.floating[Any]]) -> None:
        """Some tokens (n,) of the vocabulary, each once, or with None the whole of it, and their logits (n,)."""
        size = len(logits)
        if not 0 < size <= self.n_vocab:
            raise EngineError(f"{size} candidates, of a vocabulary of {self.n_vocab}.")
        self._data["id"][:size] = self._ids[:size] if tokens is None else tokens
        self._data["logit"][:size] = logits
        self.struct.size, self.struct.selected, self.struct.sorted = size, -1, False


def _logit_bias(n_vocab: int, pairs: Sequence[tuple[int, float]]) -> Any:
    biases = (c.llama_logit_bias * len(pairs))(*(c.llama_logit_bias(token, bias) for token, bias in pairs))
    return c.llama_sampler_init_logit_bias(n_vocab, len(pairs), biases)


def _penalties(n_vocab: int, window: int, repeat: float, frequency: float, presence: float) -> Any:
    return c.llama_sampler_init_penalties(n_vocab, min(window, MAX_PENALTY_WINDOW), repeat, frequency, presence)


_STAGES: dict[str, Callable[..., Any]] = {
    "logit_bias": _logit_bias,
    "penalties": _penalties,
    "min_p": lambda _, p: c.llama_sampler_init_min_p(p, 1),
    "temperature": lambda _, t: c.llama_sampler_init_temp(t),
    "distribution": lambda _, seed: c.llama_sampler_init_dist(seed),
    "greedy": lambda _: c.llama_sampler_init_greedy(),
}


_SHAPING = ("logit_bias", "penalties")  # stages that change logits, token by token, and leave the order alone
# By stage, the least and the most that each number may be. On others llama.cpp does not fail: it chooses wrongly.
_HUGE = 1e6
_RANGES: dict[str, tuple[tuple[float, float], ...]] = {
    "penalties": ((0, _HUGE), (0, _HUGE), (-_HUGE, _HUGE), (-_HUGE, _HUGE)),
    "min_p": ((0, 1),),
    "temperature": ((1e-6, _HUGE),),
    "distribution": ((0, 2**32 - 1),),
    "greedy": (),
}


def _check_stage(n_vocab: int, name: str, arguments: Sequence[Any]) -> None:
    """Raises `EngineError` for a stage that there is none of, and for numbers that it has no use for."""
    if name == "logit_bias":
        (pairs,) = arguments
        if not all(0 <= token < n_vocab and abs(bias) <= _HUGE for token, bias in pairs):  # NaN is not
            raise EngineError(f"A logit bias is no finite number, or of no token of {n_vocab}.")
    elif name not in _RANGES or len(arguments) != len(_RANGES[name]):
        raise EngineError(f"There is no sampler stage {name!r} of {len(arguments)} numbers.")
    elif not all(low <= value <= high for value, (low, high) in zip(arguments, _RANGES[name], strict=True)):
        raise EngineError(f"Sampler stage {name} got a number that is not finite, or out of bounds: {arguments}.")


class Chain:
    """A llama.cpp sampler chain for one sequence: stages that shape logits, then those that select.

    The last stage must be one that selects: distribution or greedy.
    """

    def __init__(self, n_vocab: int, stages: Sequence[Stage]) -> None:
        names = [name for name, *_ in stages]
        if not names or names[-1] not in ("distribution", "greedy"):
            raise EngineError("A sampler chain must end in a stage that selects a token.")
        for name, *arguments in stages:
            _check_stage(n_vocab, name, arguments)
        self._n_vocab = n_vocab
        self._shaping = sum(name in _SHAPING for name in names)
        self._stages = [_STAGES[name](n_vocab, *arguments) for name, *arguments in stages]

    def remember(self, index: int, tokens: Iterable[int]) -> None:
        """Let the penalties of one stage know these tokens too, as if it had chosen them."""
        for token in tokens:
            self._check(token)
            c.llama_sampler_accept(self._stages[index], token)

    @property
    def shapes(self) -> bool:
        """Whether bias or penalties change the logits."""
        return self._shaping > 0

    def shape(self, candidates: Candidates) -> None:
        """Bias and penalties: the candidates keep their order."""
        for stage in self._stages[: self._shaping]:
            c.llama_sampler_apply(stage, ctypes.byref(candidates.struct))

    def select(self, candidates: Candidates) -> int:
        """Filter the candidates, and draw one."""
        array = candidates.struct
        array.selected = -1
        for stage in self._stages[self._shaping :]:
            c.llama_sampler_apply(stage, ctypes.byref(array))
        if not 0 <= array.selected < array.size:
            raise EngineError(f"The sampler selected candidate {array.selected} of {array.size}.")
        chosen = array.data[array.selected]
        if not math.isfinite(chosen.logit):
            raise EngineError(f"The sampler selected a token whose logit is {chosen.logit}.")
        return int(chosen.id)

    def accept(self, token: int) -> None:
        """The token was written: the penalties remember it."""
        self._check(token)
        for stage in self._stages:
            c.llama_sampler_accept(stage, token)

    def _check(self, token: int) -> None:
        if not 0 <= token < self._n_vocab:
            raise EngineError(f"Token {token} is outside of the vocabulary of {self._n_vocab}.")

    def free(self) -> None:
        for stage in self._stages:
            c.llama_sampler_free(stage)
        self._stages.clear()
