"""Deterministic automata over characters: the regular languages that strings and numbers are made of.

Every one is made by `explore`, which walks states of any kind as they are reached. A state's label says that a text may
end there, and as what; a plain language has the label True.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from runtime.grammar import characters, limits

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

Edge = tuple[int, int, int]  # first character, last character, target


class TooLarge(Exception):
    """The automaton would have more states than `limits.STATES`."""


@dataclass(frozen=True, slots=True, eq=False)
class Automaton:
    """State 0 is the start. A state's edges are in order and do not overlap; where there is none, a text ends badly."""

    edges: tuple[tuple[Edge, ...], ...]
    labels: tuple[Any, ...]

    def step(self, state: int, code: int) -> int | None:
        edges = self.edges[state]
        at = bisect_right(edges, code, key=lambda edge: edge[0]) - 1
        return edges[at][2] if at >= 0 and edges[at][1] >= code else None

    def label(self, text: str) -> Any:
        """The label of the state where the text ends, or None."""
        state = 0
        for char in text:
            following = self.step(state, ord(char))
            if following is None:
                return None
            state = following
        return self.labels[state]

    def loops(self, state: int) -> bool:
        """Does every edge of the state lead back to it?"""
        return all(edge[2] == state for edge in self.edges[state])

    def targets(self, state: int) -> dict[int, characters.Ranges]:
        """The characters that lead to each next state."""
        found: dict[int, list[tuple[int, int]]] = {}
        for low, high, target in self.edges[state]:
            found.setdefault(target, []).append((low, high))
        return {target: characters.union(tuple(ranges)) for target, ranges in found.items()}


NOTHING = Automaton(((),), (None,))
ANYTHING = Automaton((tuple((low, high, 0) for low, high in characters.ALL),), (True,))


def explore(
    start: Hashable,
    moves: Callable[[Any], Iterable[tuple[int, int, Hashable]]],
    label: Callable[[Any], Any],
    limit: int = limits.STATES,
) -> Automaton:
    """The automaton of everything that `moves` reaches from `start`, without states that lead nowhere."""
    numbers: dict[Hashable, int] = {start: 0}
    order, edges, work = [start], [], 0
    for state in order:
        row: list[Edge] = []
        for low, high, target in moves(state):
            number = numbers.setdefault(target, len(order))
            if number == len(order):
                order.append(target)
                if len(order) > limit:
                    raise TooLarge
            row.append((low, high, number))
        work += len(row)
        if work > limits.EDGES:
            raise TooLarge
        edges.append(row)
    return _trimmed(edges, [label(state) for state in order])


def _trimmed(edges: Sequence[Sequence[Edge]], labels: Sequence[Any]) -> Automaton:
    before = sources(edges)
    alive = {state for state, label in enumerate(labels) if label is not None}
    todo = list(alive)
    while todo:
        new = {state for state in before[todo.pop()] if state not in alive}
        alive |= new
        todo += new
    if 0 not in alive:
        return NOTHING
    renamed = {state: number for number, state in enumerate(sorted(alive))}
    kept = (tuple((a, b, renamed[t]) for a, b, t in edges[state] if t in alive) for state in renamed)
    return Automaton(tuple(joined(row) for row in kept), tuple(labels[state] for state in renamed))


def joined(row: Sequence[Edge]) -> tuple[Edge, ...]:
    """The edges, those side by side with one target made one."""
    found: list[Edge] = []
    for low, high, target in row:
        if found and found[-1][2] == target and found[-1][1] + 1 == low:
            found[-1] = (found[-1][0], high, target)
        else:
            found.append((low, high, target))
    return tuple(found)


def sources(edges: Iterable[Sequence[Edge]]) -> list[list[int]]:
    """The states that lead to each state."""
    rows = list(edges)
    found: list[list[int]] = [[] for _ in rows]
    for state, row in enumerate(rows):
        for edge in row:
            found[edge[2]].append(state)
    return found


def respelled(automaton: Automaton, spans: Sequence[characters.Ranges]) -> Automaton:
    """The automaton with each number that it reads replaced by the characters that it stands for."""
    rows = [
        sorted(
            (*span, target) for low, high, target in row for number in range(low, high + 1) for span in spans[number]
        )
        for row in automaton.edges
    ]
    return Automaton(tuple(map(joined, rows)), automaton.labels)


def product(automata: Sequence[Automaton], label: Callable[[tuple[Any, ...]], Any]) -> Automaton:
    """All the automata at once; `label` makes one of theirs, None where an automaton does not accept."""

    def moves(states: tuple[int | None, ...]) -> Iterable[tuple[int, int, Hashable]]:
        rows = [() if state is None else one.edges[state] for one, state in zip(automata, states, strict=True)]
        cuts = {bound for row in rows for low, high, _ in row for bound in (low, high + 1)}
        cuts |= {0, 0xD800, 0xE000, characters.LAST + 1}
        for low, after in pairwise(sorted(cuts)):
            if low == 0xD800:
                continue
            targets = tuple(_target(row, low) for row in rows)
            yield low, after - 1, targets

    def labels(states: tuple[int | None, ...]) -> Any:
        return label(
            tuple(None if state is None else one.labels[state] for one, state in zip(automata, states, strict=True))
        )

    return explore((0,) * len(automata), moves, labels)


def _target(row: Sequence[Edge], code: int) -> int | None:
    at = bisect_right(row, code, key=lambda edge: edge[0]) - 1
    return row[at][2] if at >= 0 and row[at][1] >= code else None


@lru_cache(maxsize=256)
def intersection(*automata: Automaton) -> Automaton:
    some = [one for one in automata if one is not ANYTHING]
    if len(some) < 2:
        return some[0] if some else ANYTHING
    return product(some, lambda labels: True if None not in labels else None)


def union(*automata: Automaton) -> Automaton:
    if len(automata) == 1 or ANYTHING in automata:
        return ANYTHING if ANYTHING in automata else automata[0]
    return product(automata, lambda labels: True if any(labels) else None)


def complement(automaton: Automaton) -> Automaton:
    return product([automaton], lambda labels: True if labels[0] is None else None)


def words(texts: Iterable[str]) -> Automaton:
    """Exactly these texts."""
    wanted = tuple(sorted(set(texts)))

    def moves(rests: tuple[str, ...]) -> Iterable[tuple[int, int, Hashable]]:
        following: dict[str, list[str]] = {}
        for rest in rests:
            if rest:
                following.setdefault(rest[0], []).append(rest[1:])
        for char in sorted(following):
            yield ord(char), ord(char), tuple(following[char])

    return explore(wanted, moves, lambda rests: True if "" in rests else None)


def without(automaton: Automaton, texts: frozenset[str]) -> Automaton:
    """The language but for these texts."""
    return intersection(automaton, complement(words(texts))) if texts else automaton


def few(automaton: Automaton, limit: int) -> list[str] | None:
    """All texts of the language, if they are at most `limit`."""
    found, todo = [], [(0, "")]
    while todo:
        state, text = todo.pop()
        if len(text) > limits.STATES // limit or len(todo) > limit:
            return None
        found += [text] if automaton.labels[state] is not None else []
        size = sum(high - low + 1 for low, high, _ in automaton.edges[state])
        if len(found) > limit or size > limit:
            return None
        todo += [
            (target, text + chr(code)) for low, high, target in automaton.edges[state] for code in range(low, high + 1)
        ]
    return sorted(found)


def has_length(automaton: Automaton, low: int, high: int | None) -> bool:
    """Does the language hold a text of `low` to `high` characters?"""
    if automaton is ANYTHING:
        return high is None or low <= high
    states, seen = frozenset({0}), set()
    for length in range(limits.STATES if high is None else min(high, limits.STATES) + 1):
        if length >= low and any(automaton.labels[state] is not None for state in states):
            return True
        states = frozenset(edge[2] for state in states for edge in automaton.edges[state])
        if not states or (length >= low and states in seen):
            return False
        seen.add(states)
    return True  # not known; so the caller keeps it


def with_length(automaton: Automaton, low: int, high: int | None, *, unrolled: bool = False) -> Automaton:
    """The texts of `low` to `high` characters. Unless `unrolled`, a state that only loops is labelled with a `Tail`."""
    if not low and high is None:
        return automaton
    top = low if high is None else high

    def moves(state: tuple[int, int]) -> Iterable[tuple[int, int, Hashable]]:
        number, count = state
        if (high is not None and count >= high) or (not unrolled and _is_tail(automaton, number)):
            return
        for first, last, target in automaton.edges[number]:
            yield first, last, (target, min(count + 1, top))

    def label(state: tuple[int, int]) -> Any:
        number, count = state
        if not unrolled and _is_tail(automaton, number):
            chars = characters.union(tuple((edge[0], edge[1]) for edge in automaton.edges[number]))
            return Tail(chars, max(0, low - count), None if high is None else high - count)
        return automaton.labels[number] if count >= low else None

    return explore((0, 0), moves, label, limits.LONG_STATES)


@dataclass(frozen=True, slots=True)
class Tail:
    """A label: the text goes on with `low` to `high` of these characters, and then it ends."""

    chars: characters.Ranges
    low: int
    high: int | None


def _is_tail(automaton: Automaton, state: int) -> bool:
    return automaton.labels[state] is not None and bool(automaton.edges[state]) and automaton.loops(state)
