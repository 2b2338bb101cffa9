"""llama.cpp's grammar sampler: the judge of which tokens a grammar allows."""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.engine.llama.binding import c, forget_error, last_error
from runtime.engine.llama.sampler import CANDIDATE, candidate_array
from runtime.errors import EngineError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runtime.engine.llama.model import Model


class GrammarSampler:
    """Where one sequence stands in a grammar, as llama.cpp sees it. Must be freed on the engine's thread."""

    def __init__(self, model: Model, text: str) -> None:
        """text: GBNF with the root rule `root`, passed by `runtime.grammar.check`: others end the process."""
        if not text or "\0" in text:  # of nothing llama.cpp makes a sampler that allows everything
            raise EngineError("A grammar is empty, or holds a NUL, behind which llama.cpp reads nothing.")
        try:
            data = text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise EngineError(f"A grammar has a lone surrogate at position {error.start}.") from None
        model.check_open()
        self._model = model
        forget_error()
        self._sampler = c.llama_sampler_init_grammar(model.vocab, data, b"root")
        if not self._sampler:
            raise EngineError(f"llama.cpp cannot use a grammar of {len(text)} characters: {last_error()}.")
        self._one = np.zeros(1, CANDIDATE)
        self._one_struct = candidate_array(self._one)

    def allows(self, token: int) -> bool:
        """May the token come next?"""
        self._check(token)
        self._one["id"], self._one["logit"] = token, 0.0
        return bool(self._judge(self._one, self._one_struct)[0])

    def allowed(self, tokens: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Which of the tokens (n,) may come next: a mask (n,)."""
        if not len(tokens):
            return np.zeros(0, bool)
        self._check(int(tokens.min()))
        self._check(int(tokens.max()))
        data = np.zeros(len(tokens), CANDIDATE)
        data["id"] = tokens
        return self._judge(data, candidate_array(data))

    def accept(self, token: int) -> None:
        """Go on behind the token. Raises `EngineError` where the grammar refuses it, which would end the process."""
        if not self.allows(token):
            raise EngineError(f"The grammar does not allow token {token}.")
        c.llama_sampler_accept(self._sampler, token)

    def _judge(self, data: NDArray[Any], struct: Any) -> NDArray[np.bool_]:
        if not self._sampler:
            raise EngineError("A grammar was used that has been freed.")
        self._model.check_open()
        c.llama_sampler_apply(self._sampler, ctypes.byref(struct))
        allowed: NDArray[np.bool_] = data["logit"] != -math.inf
        return allowed

    def _check(self, token: int) -> None:
        if not 0 <= token < self._model.n_vocab:
            raise EngineError(f"Token {token} is outside of the vocabulary of {self._model.n_vocab}.")

    def free(self) -> None:
        if self._sampler:
            c.llama_sampler_free(self._sampler)
            self._sampler = None
