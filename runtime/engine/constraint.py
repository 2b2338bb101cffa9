"""What one answer is held to: a grammar, followed while it is written, and looked ahead in.

llama.cpp's grammar sampler says which tokens may come. Our matcher walks the same grammar and says the rest: what must
come, so that it need not be sampled; how the document ends soonest, so that it can be closed in time; and with which
bytes the next token begins, so that few have to be asked for.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from runtime.engine.llama import GrammarSampler
from runtime.errors import EngineError, InvalidRequest
from runtime.grammar import matcher_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runtime.engine.llama import Model
    from runtime.engine.meter import Meter
    from runtime.engine.pieces import Pieces
    from runtime.grammar.characters import Ranges
    from runtime.grammar.matcher import Matcher

ASKED_AT_ONCE = 4096  # tokens, of a vocabulary of 128,256; between two calls into llama.cpp the time is looked at
MANY = 256  # longer pieces to look at, to see whether a forced token may merge with what follows; a blank has 50,000


class Ahead(NamedTuple):
    """Tokens that must come next, and one that probably does: a longer token might stand in its place."""

    sure: list[int]
    guess: list[int]


NOTHING = Ahead([], [])


class Constraint:
    """Where one answer stands in its grammar. Lives on the engine's thread, and must be freed there."""

    def __init__(self, grammar: str, model: Model, pieces: Pieces, meter: Meter) -> None:
        """grammar: GBNF. Raises `InvalidRequest` for one that cannot be run, and `EngineError`, as all that follows,
        when it takes too long."""
        self._model, self._pieces, self._meter = model, pieces, meter
        with meter:
            self._matcher = matcher_of(grammar)
            self._judge = GrammarSampler(model, grammar)

    @property
    def is_over(self) -> bool:
        """Is the document whole, with nothing that may follow?"""
        return self._matcher.is_complete and not self._matcher.allowed

    def allows(self, token: int) -> bool:
        """May the token come next?"""
        with self._meter:
            return self._judge.allows(token) and (self._model.is_end(token) or self._after(token) is not None)

    def allowed(self, tokens: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Which of the tokens (n,) may come next: a mask (n,)."""
        mask = np.zeros(len(tokens), bool)
        with self._meter as meter:
            for start in range(0, len(tokens), ASKED_AT_ONCE):
                some = slice(start, start + ASKED_AT_ONCE)
                mask[some] = self._judge.allowed(tokens[some])
                meter.check()
            for place in np.flatnonzero(mask & self._pieces.odd[tokens]):  # elsewhere the matcher always agrees
                mask[place] = self._after(int(tokens[place])) is not None
        return mask

    @property
    def n_possible(self) -> int:
        """How many `possible` tokens there are, those that end an answer aside."""
        return self._pieces.count_beginning(self._first_bytes())

    def possible(self) -> NDArray[np.integer[Any]]:
        """The tokens among which all are that may come next: those that begin with a byte that may."""
        tokens = self._pieces.beginning(self._first_bytes())
        return np.concatenate((tokens, self._pieces.ends)) if self._matcher.is_complete else tokens

    def _first_bytes(self) -> NDArray[np.bool_]:
        with self._meter:
            return first_bytes(self._matcher.allowed, held=bool(self._matcher.held))

    def accept(self, token: int) -> None:
        """Go on behind the token. Raises `EngineError` for one that is not allowed."""
        if self._model.is_end(token):
            return
        with self._meter:
            after = self._after(token)
            if after is None:
                raise EngineError(f"The grammar does not allow token {token}.")
            self._judge.accept(token)
            self._matcher = after
        self._meter.next_token()

    def follow(self, text: bytes) -> bool:
        """Go on behind a text, however it is cut into tokens. Whether the grammar takes it; if not, nothing changes."""
        with self._meter as meter:
            after = self._matcher.accept(text)
            if after is None or not all(byte in self._pieces.of_byte for byte in text):
                return False
            for byte in text:
                self._judge.accept(self._pieces.of_byte[byte])
                meter.check()
            self._matcher = after
        return True

    def needed(self, left: int) -> float:
        """Tokens to close the document; a bound of them, where that shows that they are no more than `left`."""
        with self._meter:
            return _needed(self._model, self._pieces, self._matcher, left)

    def fits(self, token: int, left: int) -> bool:
        """Behind the token, can the document still be closed with `left` tokens?"""
        if self._model.is_end(token):
            return True
        with self._meter:
            after = self._after(token)
            return after is not None and _needed(self._model, self._pieces, after, left) <= left

    def ending(self) -> list[int]:
        """The tokens that close the document soonest."""
        with self._meter:
            return _ending(self._model, self._pieces, self._matcher) or []

    def ahead(self, left: int) -> Ahead:
        """What must come next, if it leaves room to close the document with `left` tokens in all."""
        with self._meter:
            return NOTHING if self._matcher.held else self._ahead(left)

    def _ahead(self, left: int) -> Ahead:
        text = self._matcher.forced()
        after = self._matcher.accept(text)
        if after and _goes_on_in_word(after.allowed):
            text = text.rstrip(_WORD)  # the model knows whole words, and chooses which
            after = self._matcher.accept(text)
        tokens = self._model.tokenize(text, special=False)
        if not tokens or not after or len(tokens) + _needed(self._model, self._pieces, after, left) > left:
            return NOTHING
        if not after.allowed or not self._may_merge(text, tokens[-1]):
            return Ahead(tokens, [])
        return Ahead(tokens[:-1], tokens[-1:])

    def _after(self, token: int) -> Matcher | None:
        return self._matcher.accept(self._model.piece(token))

    def _may_merge(self, text: str, last: int) -> bool:
        """Is there a longer token in the place of the last one that the grammar takes too?"""
        piece = self._model.piece(last)
        longer = self._pieces.extending(piece)
        before = self._matcher.accept(text.encode("utf-8").removesuffix(piece))
        return len(longer) > MANY or before is None or any(before.accept(one) is not None for one in longer)

    def free(self) -> None:
        self._judge.free()


def check_room(grammar: str, max_tokens: int, model: Model, pieces: Pieces) -> None:
    """Raises `InvalidRequest` where `max_tokens` do not hold the smallest document, or none has an end."""
    start = matcher_of(grammar)
    smallest = _ending(model, pieces, start)
    if smallest is None:
        raise InvalidRequest("Nothing that the grammar allows comes to an end.", "Give every recursion a way out.")
    if len(smallest) > max_tokens:
        raise InvalidRequest(
            f"max_tokens is {max_tokens}, and the smallest document has {len(smallest)} tokens.",
            f"Give at least {max(1, len(smallest))}.",
        )


_WORD = "".join(map(chr, [*range(0x30, 0x3A), *range(0x41, 0x5B), *range(0x61, 0x7B)]))


def _goes_on_in_word(allowed: Ranges) -> bool:
    return any(low <= ord(char) <= high for low, high in allowed for char in _WORD)


def _needed(model: Model, pieces: Pieces, matcher: Matcher, left: int) -> float:
    """Tokens to close the document; a bound of it, where that is enough to see that they are no more than `left`."""
    most = 4 * matcher.end_length  # bytes, and so at least as many as tokens
    if most <= left:
        return most
    ending = _ending(model, pieces, matcher)
    return float("inf") if ending is None else len(ending)


def _ending(model: Model, pieces: Pieces, matcher: Matcher) -> list[int] | None:
    """The tokens of the shortest text that completes the document. None if there is none that can be written."""
    text = matcher.shortest_end()
    if text is None:
        return None
    if not matcher.held:
        return model.tokenize(text, special=False)
    rest = text[0].encode("utf-8")[len(matcher.held) :]
    if not all(byte in pieces.of_byte for byte in rest):
        return None
    return [pieces.of_byte[byte] for byte in rest] + model.tokenize(text[1:], special=False)


@lru_cache(maxsize=4096)
def first_bytes(allowed: Ranges, *, held: bool) -> NDArray[np.bool_]:
    """The bytes (256,) with which the characters begin, or some more; with `held`, those that go on in a character."""
    found = np.zeros(256, bool)
    if held:
        found[0x80:0xC0] = True
        return found
    for low, high in allowed:
        found[low : min(high, 0x7F) + 1] = True
        if high > 0x7F:
            found[_lead(max(low, 0x80)) : _lead(high) + 1] = True
    return found


def _lead(code: int) -> int:
    return chr(code).encode("utf-8", "surrogatepass")[0]
