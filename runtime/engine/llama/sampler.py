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

_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class Candidates:
    """The whole vocabulary as llama.cpp's samplers want it. One buffer serves all sequences, one after the other."""

    def __init__(self, n_vocab: int) -> None:
        self.n_vocab = n_vocab
        self._ids = np.arange(n_vocab, dtype=np.int32)
        self._data = np.zeros(n_vocab, _CANDIDATE)
        self._pointer = ctypes.cast(self._data.ctypes.data, ctypes.POINTER(c.llama_token_data))
        self.struct = c.llama_token_data_array()

    def fill(self, logits: NDArray[np.float32]) -> None:
        """Take the logits (n_vocab,) of one position. Raises `EngineError` when one is NaN or infinitely likely."""
        highest = float(logits.max())  # NaN if any is
        if not math.isfinite(highest):
            raise EngineError(
                f"The model's logits are not finite ({highest}).", "Its file may be damaged: fetch it again."
            )
        self._data["id"] = self._ids
        self._data["logit"] = logits
        self.struct.data, self.struct.size, self.struct.selected, self.struct.sorted = (
            self._pointer,
            self.n_vocab,
            -1,
            False,
        )


def _logit_bias(n_vocab: int, pairs: Sequence[tuple[int, float]]) -> Any:
    biases = (c.llama_logit_bias * len(pairs))(*(c.llama_logit_bias(token, bias) for token, bias in pairs))
    return c.llama_sampler_init_logit_bias(n_vocab, len(pairs), biases)


def _penalties(n_vocab: int, window: int, repeat: float, frequency: float, presence: float) -> Any:
    return c.llama_sampler_init_penalties(n_vocab, min(window, MAX_PENALTY_WINDOW), repeat, frequency, presence)


_STAGES: dict[str, Callable[..., Any]] = {
    "logit_bias": _logit_bias,
    "penalties": _penalties,
    "top_k": lambda _, k: c.llama_sampler_init_top_k(k),
    "top_p": lambda _, p: c.llama_sampler_init_top_p(p, 1),
    "min_p": lambda _, p: c.llama_sampler_init_min_p(p, 1),
    "temperature": lambda _, t: c.llama_sampler_init_temp(t),
    "distribution": lambda _, seed: c.llama_sampler_init_dist(seed),
    "greedy": lambda _: c.llama_sampler_init_greedy(),
}


class Chain:
    """A llama.cpp sampler chain for one sequence. The last stage must be one that selects: distribution or greedy."""

    def __init__(self, n_vocab: int, stages: Sequence[Stage]) -> None:
        if not stages or stages[-1][0] not in ("distribution", "greedy"):
            raise EngineError("A sampler chain must end in a stage that selects a token.")
        for name, *arguments in stages:
            if any(isinstance(value, float) and not math.isfinite(value) for value in arguments):
                raise EngineError(f"Sampler stage {name} got a number that is not finite: {arguments}.")
        self._n_vocab = n_vocab
        self._chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
        self._stages = [_STAGES[name](n_vocab, *arguments) for name, *arguments in stages]
        for stage in self._stages:
            c.llama_sampler_chain_add(self._chain, stage)

    def remember(self, index: int, tokens: Iterable[int]) -> None:
        """Let the penalties of one stage know these tokens too, as if it had chosen them."""
        for token in tokens:
            if not 0 <= token < self._n_vocab:
                raise EngineError(f"Token {token} is outside of the vocabulary of {self._n_vocab}.")
            c.llama_sampler_accept(self._stages[index], token)

    def choose(self, candidates: Candidates) -> int:
        """The token that the chain selects among freshly filled candidates; its penalties remember it."""
        array = candidates.struct
        c.llama_sampler_apply(self._chain, ctypes.byref(array))
        if not 0 <= array.selected < array.size:
            raise EngineError(f"The sampler selected candidate {array.selected} of {array.size}.")
        token = int(array.data[array.selected].id)
        c.llama_sampler_accept(self._chain, token)
        return token

    def free(self) -> None:
        if self._chain:
            c.llama_sampler_free(self._chain)
            self._chain = None
