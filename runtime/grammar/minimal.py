"""The automaton of a language that has the fewest states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.grammar import limits
from runtime.grammar.automaton import explore, joined, sources

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from runtime.grammar.automaton import Automaton


def minimised(automaton: Automaton, work: int = limits.MINIMISING) -> Automaton:
    """The same language in the fewest states (Moore, 1956), or as it is where that would take too long.

    Blocks of states that may be the same are split until those of each block agree; only states that lead to a block
    that was split are looked at again.
    """
    block = _ranks(automaton.labels)
    blocks = [[state for state, number in enumerate(block) if number == one] for one in range(max(block) + 1)]
    before = sources(automaton.edges)
    signed: list[Hashable] = [()] * len(block)
    todo: Iterable[int] = range(len(block))
    while todo:
        for state in todo:
            work -= 1
            signed[state] = joined([(low, high, block[target]) for low, high, target in automaton.edges[state]])
        if work < 0:
            return automaton
        again: set[int] = set()
        for number in sorted({block[state] for state in todo}):
            for part in _parts(blocks[number], signed)[1:]:
                for state in part:
                    block[state] = len(blocks)
                    again.update(before[state])
                blocks.append(part)
            blocks[number] = [state for state in blocks[number] if block[state] == number]
        todo = sorted(again)
    return _quotient(automaton, block)


def _parts(states: list[int], signed: Sequence[Hashable]) -> list[list[int]]:
    """The states with the same sign together, the largest part first: it keeps its number, so least is looked at."""
    parts: dict[Hashable, list[int]] = {}
    for state in states:
        parts.setdefault(signed[state], []).append(state)
    return sorted(parts.values(), key=len, reverse=True)


def _quotient(automaton: Automaton, block: Sequence[int]) -> Automaton:
    """The automaton whose states are the blocks."""
    first = {number: state for state, number in reversed(list(enumerate(block)))}
    return explore(
        block[0],
        lambda number: [(a, b, block[target]) for a, b, target in automaton.edges[first[number]]],
        lambda number: automaton.labels[first[number]],
    )


def _ranks(keys: Iterable[Hashable]) -> list[int]:
    known: dict[Hashable, int] = {}
    return [known.setdefault(key, len(known)) for key in keys]
