"""Regular expressions to automata.

An expression is a GBNF tree without recursion, so that formats can be rules in `grammars/`, and patterns share their
code. Two leaves more stand for the ends of the text, as `^` and `$` do in patterns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any

from runtime.grammar import automaton, characters, limits
from runtime.grammar.automaton import TooLarge
from runtime.grammar.gbnf import Chars, Choice, Literal, Ref, Repeat, Sequence
from runtime.grammar.minimal import minimised

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Mapping

    from runtime.grammar.automaton import Automaton
    from runtime.grammar.characters import Ranges


@dataclass(frozen=True, slots=True)
class Anchor:
    """The start of the text, or its end."""

    end: bool


@dataclass(slots=True)
class _Machine:
    """A nondeterministic automaton (Thompson, 1968): a fragment of it goes from one state to another."""

    rules: Mapping[str, Any]
    moves: list[list[tuple[Ranges, int]]] = field(default_factory=list)
    skips: list[list[tuple[int, Anchor | None]]] = field(default_factory=list)

    def state(self) -> int:
        if len(self.moves) >= 8 * limits.STATES:
            raise TooLarge
        self.moves.append([])
        self.skips.append([])
        return len(self.moves) - 1

    def add(self, expr: Any, start: int) -> int:
        """Append the expression at a state; the state where it ends."""
        match expr:
            case Anchor():
                return self._skip(start, expr)
            case Literal(text):
                return reduce(lambda at, char: self._move(at, characters.of(char)), text, start)
            case Chars(ranges, negated):
                return self._move(start, characters.complement(ranges) if negated else ranges)
            case Ref(name):
                return self.add(self.rules[name], start)
            case Sequence(items):
                return reduce(lambda at, item: self.add(item, at), items, start)
            case Choice(options):
                return self._either(options, start)
            case Repeat(item, low, high):
                return self._repeat(item, low, high, start)
        raise TypeError(expr)

    def _either(self, options: tuple[Any, ...], start: int) -> int:
        end = self.state()
        for option in options:
            self.skips[self.add(option, self._skip(start))].append((end, None))
        return end

    def _repeat(self, item: Any, low: int, high: int | None, start: int) -> int:
        for _ in range(low):
            start = self.add(item, start)
        if high is None:
            loop = self._skip(start)
            self.skips[self.add(item, loop)].append((loop, None))
            return self._skip(loop)
        end = self.state()
        for _ in range(high - low):
            self.skips[start].append((end, None))
            start = self.add(item, start)
        self.skips[start].append((end, None))
        return end

    def _skip(self, start: int, anchor: Anchor | None = None) -> int:
        target = self.state()
        self.skips[start].append((target, anchor))
        return target

    def _move(self, start: int, ranges: Ranges) -> int:
        target = self.state()
        self.moves[start].append((characters.intersection(ranges, characters.ALL), target))
        return target

    def reach(self, states: Iterable[int], *, at_start: bool, at_end: bool = False) -> frozenset[int]:
        """These states and all that no character separates from them."""
        found = set(states)
        todo = list(found)
        while todo:
            for target, anchor in self.skips[todo.pop()]:
                passes = anchor is None or (at_end if anchor.end else at_start)
                if passes and target not in found:
                    found.add(target)
                    todo.append(target)
        return frozenset(found)


def compiled(expr: Any, rules: Mapping[str, Any] | None = None, *, search: bool = False) -> Automaton:
    """The texts that the expression matches as a whole, or with `search` those that hold a match somewhere."""
    machine = _Machine(rules or {})
    first = machine.state()  # nothing leads back to it: it is where the text starts
    begin = machine._skip(first)
    last = machine.add(expr, machine._skip(begin) if search else begin)
    if search:
        machine.moves[begin].append((characters.ALL, begin))
        machine.moves[last].append((characters.ALL, last))
    spans, numbers = _classes({ranges for row in machine.moves for ranges, _ in row})
    edges = [[(numbers[ranges], target) for ranges, target in row] for row in machine.moves]
    ends = {state for state, row in enumerate(machine.skips) if any(anchor and anchor.end for _, anchor in row)}
    telling = {first, last} | ends | {state for state, row in enumerate(edges) if row}
    reached: dict[frozenset[int], frozenset[int]] = {}

    def moves(states: frozenset[int]) -> Iterable[tuple[int, int, Hashable]]:
        targets: dict[int, list[int]] = {}
        for state in states:
            for classes, target in edges[state]:
                for number in classes:
                    targets.setdefault(number, []).append(target)
        for number in sorted(targets):
            found = frozenset(targets[number])
            if found not in reached:
                reached[found] = machine.reach(found, at_start=False) & telling
            yield number, number, reached[found]

    def label(states: frozenset[int]) -> bool | None:
        # After the end nothing can be read, so what stands behind `$` counts only for whether a text may end here.
        at_end = machine.reach(states, at_start=first in states, at_end=True) if states & ends else states
        return True if last in at_end else None

    start = machine.reach({first}, at_start=True) & telling
    return automaton.respelled(minimised(automaton.explore(start, moves, label)), spans)


def _classes(sets: Collection[Ranges]) -> tuple[list[Ranges], dict[Ranges, list[int]]]:
    """The characters in classes that no set tells apart, by number; and which classes each set is made of."""
    bounds = sorted({bound for ranges in sets for low, high in ranges for bound in (low, high + 1)})
    places = {bound: place for place, bound in enumerate(bounds)}
    members: list[list[int]] = [[] for _ in bounds]
    for number, ranges in enumerate(sets):
        for low, high in ranges:
            for place in range(places[low], places[high + 1]):
                members[place].append(number)
    spans: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for place, key in enumerate(map(tuple, members)):
        if key:
            spans.setdefault(key, []).append((bounds[place], bounds[place + 1] - 1))
    numbers = {ranges: [at for at, key in enumerate(spans) if number in key] for number, ranges in enumerate(sets)}
    return [tuple(ranges) for ranges in spans.values()], numbers
