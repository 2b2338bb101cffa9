"""The engine's stacks, followed on purpose into trouble.

Where a rule leads back to itself in two ways that begin alike, stacks double with each level: fifteen tokens take
llama.cpp ten seconds. `explodes` takes always the character that most ways allow, and sees whether they run away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.grammar import characters, limits
from runtime.grammar.gbnf import Chars, Grammar, Literal
from runtime.grammar.stacks import Stack, Stacks, takes

if TYPE_CHECKING:
    from collections.abc import Iterable


def explodes(grammar: Grammar) -> bool:
    """Do the ways of reading become more than `limits.STACKS` within some characters?"""
    stacks = Stacks(grammar, most=limits.STACKS)
    work, current = _unfolded(stacks, [stacks.start()])
    for step in range(limits.LOOKAHEAD):
        if work > limits.STACKS:
            return True
        if step == limits.LOOKAHEAD // 3 and work < 8:
            return False  # what multiplies has done so three times by now
        following = [_step(stacks, current, code) for code in _crowded(current)]
        if not following:
            return False
        work, current = max(following, key=lambda step: step[0])
    return False


def _step(stacks: Stacks, current: Iterable[Stack], code: int) -> tuple[int, set[Stack]]:
    return _unfolded(stacks, dict.fromkeys(stacks.after(leaf) for leaf in current if leaf and takes(leaf, code)))


def _unfolded(stacks: Stacks, current: Iterable[Stack]) -> tuple[int, set[Stack]]:
    """The leaves of all these, and the work to make them: the engine unfolds each stack by itself, and throws away
    afterwards what is there already."""
    work, found = 0, set[Stack]()
    for stack in current:
        leaves = stacks.leaves(stack)
        found |= leaves
        work += len(leaves)
        if work > limits.STACKS:
            break
    return work, found


def _crowded(current: Iterable[Stack]) -> list[int]:
    """The characters that most stacks allow, a few of them."""
    votes: dict[int, int] = {}
    classes: dict[Chars, int] = {}
    for leaf in current:
        if leaf and isinstance(leaf.expr, Literal):
            code = ord(leaf.expr.text[leaf.at])
            votes[code] = votes.get(code, 0) + 1
        elif leaf and isinstance(leaf.expr, Chars):
            classes[leaf.expr] = classes.get(leaf.expr, 0) + 1
    for chars in list(classes):
        ranges = characters.complement(chars.ranges) if chars.negated else chars.ranges
        for low, high in ranges[:4]:
            votes.setdefault(low, 0)
            votes.setdefault(high, 0)
    for code in votes:
        votes[code] += sum(
            count for chars, count in classes.items() if characters.contains(chars.ranges, code) is not chars.negated
        )
    return sorted(votes, key=lambda code: -votes[code])[:4]
