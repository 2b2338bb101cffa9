"""Follows a grammar over a text, and looks ahead: what may come, what must come, how it ends soonest.

It reads as llama.cpp's grammar engine does, which stays the judge of tokens: the same stacks, so the same prefixes,
dead ends included. Sets of stacks are the states of an automaton that is made as the text goes, so what was seen before
costs a look into a dictionary.

Where the engine takes what is no text the matcher does not: overlong characters, surrogates, a character broken off in
the middle of a piece, and a NUL there, behind which the engine reads nothing.
"""

from __future__ import annotations

import math
from codecs import utf_8_decode
from typing import TYPE_CHECKING

from runtime.grammar import characters, limits
from runtime.grammar.endings import Endings
from runtime.grammar.gbnf import Chars, Grammar, Literal
from runtime.grammar.stacks import Cell, Stack, Stacks, takes, writable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runtime.grammar.characters import Ranges


class Matcher:
    """A place in a grammar. It never changes, so to go back is to keep the one before; copies cost nothing.

    Of a grammar in use, the first one is worth keeping: all that come from it share what they have found out. The
    grammar has to have passed `runtime.grammar.check`.
    """

    __slots__ = ("_held", "_state", "_states")

    def __init__(self, grammar: Grammar) -> None:
        self._states = _States(grammar)
        self._state = self._states.start
        self._held = b""

    def accept(self, piece: str | bytes) -> Matcher | None:
        """The place after the piece, which may end inside a character, or None where the grammar refuses it."""
        held = b""
        if self._held or isinstance(piece, bytes):
            data = self._held + (piece if isinstance(piece, bytes) else piece.encode("utf-8", "surrogatepass"))
            try:
                text, whole = utf_8_decode(data)
            except UnicodeDecodeError:
                return None
            held = data[whole:]
        else:
            text = piece
        state, step = self._state, self._states.step
        for char in text:
            state = state.steps.get(char) or step(state, char)
        if not state.leaves or (held and not state.begins(held)):
            return None
        return self._at(state, held)

    @property
    def held(self) -> bytes:
        """The beginning of a character, accepted already. What lies ahead is told with that character, whole."""
        return self._held

    @property
    def allowed(self) -> Ranges:
        """The characters that may come next; none where nothing may follow."""
        return _meeting(self._state.allowed(), self._held)

    @property
    def is_complete(self) -> bool:
        """May the document end here?"""
        return None in self._state.leaves and not self._held

    def forced(self, most: int = limits.FORCED) -> str:
        """The text that must come next, up to where the document may end or more than one character may come."""
        found: list[str] = []
        state, allowed = self._state, self.allowed
        ends = self.is_complete
        while len(found) < most and not ends and _is_one(allowed):
            found.append(chr(allowed[0][0]))
            state = state.steps.get(found[-1]) or self._states.step(state, found[-1])
            allowed, ends = state.allowed(), None in state.leaves
        return "".join(found)

    @property
    def end_length(self) -> float:
        """The fewest characters that complete the document; `math.inf` if it has no end within `limits.END`."""
        return min(map(self._states.endings.length, self._leaves()), default=math.inf)

    def shortest_end(self) -> str | None:
        """A text of the fewest characters that completes the document; None if there is none within `limits.END`."""
        length, leaves, least = self._states.endings.length, self._leaves(), self.end_length
        # Of several the first by its letters, since sets come in any order and a seed is to give the same text again.
        return min((self._end_of(leaf) for leaf in leaves if length(leaf) == least < math.inf), default=None)

    def _leaves(self) -> Iterable[Stack]:
        """The stacks that may be gone on with."""
        leaves, held = self._state.leaves, self._held
        return [leaf for leaf in leaves if leaf and _meeting(_next(leaf), held)] if held else leaves

    def _end_of(self, leaf: Stack) -> str:
        text = self._states.endings.text
        if not self._held or not leaf:
            return text(leaf)
        return chr(_meeting(_next(leaf), self._held)[0][0]) + text(self._states.stacks.after(leaf))

    def _at(self, state: _State, held: bytes) -> Matcher:
        matcher = object.__new__(Matcher)
        matcher._states, matcher._state, matcher._held = self._states, state, held
        return matcher


class _State:
    """A set of stacks, and the states that each character leads to, as far as they are known."""

    __slots__ = ("_allowed", "leaves", "steps")

    def __init__(self, leaves: frozenset[Stack]) -> None:
        self.leaves = leaves
        self.steps: dict[str, _State] = {}
        self._allowed: Ranges | None = None

    def allowed(self) -> Ranges:
        if self._allowed is None:
            sets = [_next(leaf) for leaf in self.leaves if leaf]
            self._allowed = sets[0] if len(sets) == 1 else characters.union(*sets)
        return self._allowed

    def begins(self, held: bytes) -> bool:
        """May one of the characters come that begin so, as far as llama.cpp looks?"""
        low, high = _completions(held)
        return any(leaf and _begins(leaf, low, high) for leaf in self.leaves)


class _States:
    """The states of a grammar that were visited. Threads may share them: each step is found whole, or made again."""

    def __init__(self, grammar: Grammar) -> None:
        self.stacks = Stacks(grammar)
        self.endings = Endings(grammar)
        self._known: dict[frozenset[Stack], _State] = {}
        self._stepped: list[_State] = []  # those that have steps
        self._size = 0
        self._nowhere = _State(frozenset())
        self.start = _State(self.stacks.leaves(self.stacks.start()))

    def step(self, state: _State, char: str) -> _State:
        """Where the character leads to from there. A state without stacks is nowhere."""
        code = ord(char)
        if self._size > limits.STEPS:
            self._forget()
        after = {self.stacks.after(leaf) for leaf in state.leaves if leaf and takes(leaf, code)}
        if not after or not code or "\ud800" <= char <= "\udfff":
            return self._nowhere
        if not state.steps:
            self._stepped.append(state)
        state.steps[char] = found = self._state(frozenset().union(*map(self.stacks.leaves, after)))
        self._size += 1
        return found

    def _state(self, leaves: frozenset[Stack]) -> _State:
        found = self._known.get(leaves)
        if found is None:
            found = self._known[leaves] = _State(leaves)
            self._size += len(leaves)
        return found

    def _forget(self) -> None:
        """Matchers in use keep their states, but no state may keep others, or nothing would ever go."""
        for state in self._stepped:
            state.steps.clear()
        self._stepped, self._known, self._size = [], {}, 0
        self.stacks.forget()
        self.endings.forget()


def _next(leaf: Cell) -> Ranges:
    return writable(leaf.expr, leaf.at)


def _is_one(ranges: Ranges) -> bool:
    return len(ranges) == 1 and ranges[0][0] == ranges[0][1]


def _meeting(ranges: Ranges, held: bytes) -> Ranges:
    """Those that begin with what is held."""
    return characters.intersection(ranges, (_completions(held),)) if held else ranges


def _completions(held: bytes) -> tuple[int, int]:
    """The least and the greatest code point that begin with these bytes of UTF-8."""
    size = 2 if held[0] < 0xE0 else 3 if held[0] < 0xF0 else 4
    value = held[0] & (0x7F >> size)
    for byte in held[1:]:
        value = value << 6 | byte & 0x3F
    left = 6 * (size - len(held))
    return max(value << left, (0x80, 0x800, 0x10000)[size - 2]), ((value + 1) << left) - 1


def _begins(leaf: Cell, low: int, high: int) -> bool:
    """As `llama_grammar_match_partial_char` has it: of a negated class, none of those it excludes may begin so."""
    expr = leaf.expr
    if isinstance(expr, Literal):
        return low <= ord(expr.text[leaf.at]) <= high
    return (
        isinstance(expr, Chars)
        and any(first <= high and low <= last for first, last in expr.ranges) is not expr.negated
    )
