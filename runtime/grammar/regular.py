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

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from runtime.grammar.automaton import Automaton
    from runtime.grammar.characters import Ranges


@dataclass(frozen=True, slots=True)
class Anchor:
    """The start of the text, or its end."""

    end: bool


@dataclass(frozen=True, slots=True)
class Closure:
    """The states that a text so far has led to. `at_start` while it is empty."""

    states: frozenset[int]
    at_start: bool


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
    first = machine.state()
    last = machine.add(expr, machine._skip(first) if search else first)
    if search:
        machine.moves[first].append((characters.ALL, first))
        machine.moves[last].append((characters.ALL, last))

    atoms = sorted(
        {bound for row in machine.moves for ranges, _ in row for low, high in ranges for bound in (low, high + 1)}
    )
    places = {bound: place for place, bound in enumerate(atoms)}
    edges = [
        [(range(places[low], places[high + 1]), target) for ranges, target in row for low, high in ranges]
        for row in machine.moves
    ]
    reached: dict[frozenset[int], Closure] = {}

    def moves(closure: Closure) -> Iterable[tuple[int, int, Hashable]]:
        targets: dict[int, list[int]] = {}
        for state in closure.states:
            for spots, target in edges[state]:
                for place in spots:
                    targets.setdefault(place, []).append(target)
        for place in sorted(targets):
            found = frozenset(targets[place])
            if found not in reached:
                reached[found] = Closure(machine.reach(found, at_start=False), at_start=False)
            yield atoms[place], atoms[place + 1] - 1, reached[found]

    def label(closure: Closure) -> bool | None:
        # After the end nothing can be read, so what stands behind `$` counts only for whether a text may end here.
        at_end = machine.reach(closure.states, at_start=closure.at_start, at_end=True)
        return True if last in at_end else None

    return automaton.minimised(
        automaton.explore(Closure(machine.reach({first}, at_start=True), at_start=True), moves, label)
    )
