"""What llama.cpp's own grammar engine says of a grammar and a text. It is the judge of all grammar tests.

It offers the text byte by byte, and each byte first with `apply`, since to accept one that is not allowed ends the
process. Grammars come from our compiler, or have passed our check: some others kill the process too.
"""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any, Protocol

from tests.models import random_model
from tests.vocabulary import NORMAL, spell, vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Check(Protocol):
    def __call__(self, schema: Any, value: Any, accept: bool, *, closed: bool = False) -> None: ...


class Judge:
    """llama.cpp with a vocabulary of a few hundred tokens, every single byte among them, and of these pieces."""

    def __init__(self, path: Path, pieces: Iterable[bytes] = ()) -> None:
        from runtime.engine.llama.binding import c  # where tests run, and not where they are collected

        self._c = c
        known = set(vocabulary().tokens)
        vocab = vocabulary(extra={spell(piece): NORMAL for piece in pieces if spell(piece) not in known})
        words = random_model(path, layers=1, embedding=32, heads=1, kv_heads=1, ff=32, vocab=vocab)
        params = c.llama_model_default_params()
        params.vocab_only = True
        self._model = c.llama_model_load_from_file(str(path).encode(), params)
        self._vocab = c.llama_model_get_vocab(self._model)
        self._end = words.id("<|eot_id|>")
        self._ids = {token: number for number, token in enumerate(vocab.tokens)}
        self._known: dict[str, object] = {}
        self._one = c.llama_token_data()
        self._array = c.llama_token_data_array(data=ctypes.pointer(self._one), size=1, selected=-1, sorted=False)

    def takes(self, grammar: str) -> bool:
        """Does the engine take the grammar at all?"""
        sampler = self._c.llama_sampler_init_grammar(self._vocab, grammar.encode(), b"root")
        if sampler:
            self._c.llama_sampler_free(sampler)
        return bool(sampler)

    def accepts(self, grammar: str, text: str) -> bool:
        """Is the text, to its end, one that the grammar allows?"""
        sampler = self._c.llama_sampler_clone(self._sampler(grammar))
        try:
            for byte in text.encode():  # and so the token: a vocabulary of ours begins with the 256 bytes
                if not self._allows(sampler, byte):
                    return False
                self._c.llama_sampler_accept(sampler, byte)
            return self._allows(sampler, self._end)
        finally:
            self._c.llama_sampler_free(sampler)

    def ends(self, grammar: str, pieces: Iterable[bytes]) -> list[bool]:
        """May the text end: before the first piece, and after each one up to the first that is refused."""
        sampler = self._c.llama_sampler_clone(self._sampler(grammar))
        found = [self._allows(sampler, self._end)]
        try:
            for token in (self._ids[spell(piece)] for piece in pieces):
                if not self._allows(sampler, token):
                    break
                self._c.llama_sampler_accept(sampler, token)
                found.append(self._allows(sampler, self._end))
            return found
        finally:
            self._c.llama_sampler_free(sampler)

    def _sampler(self, grammar: str) -> object:
        if grammar not in self._known:
            made = self._c.llama_sampler_init_grammar(self._vocab, grammar.encode(), b"root")
            assert made, f"llama.cpp refuses the grammar:\n{grammar[:2000]}"
            self._known[grammar] = made
        return self._known[grammar]

    def _allows(self, sampler: object, token: int) -> bool:
        self._one.id, self._one.logit, self._one.p = token, 0.0, 0.0
        self._array.size = 1
        self._c.llama_sampler_apply(sampler, ctypes.byref(self._array))
        return bool(self._one.logit != -math.inf)

    def close(self) -> None:
        for sampler in self._known.values():
            self._c.llama_sampler_free(sampler)
        self._c.llama_model_free(self._model)
