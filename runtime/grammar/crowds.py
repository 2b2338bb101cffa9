"""The engine's stacks, followed on purpose into trouble.

Where a rule leads back to itself in two ways that begin alike, stacks double with each level: fifteen tokens take
llama.cpp ten seconds. `explodes` takes always the characters that most ways allow, and sees whether they run away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.grammar import characters, limits
from runtime.grammar.gbnf import Chars, Grammar, Literal
from runtime.grammar.stacks import Stack, Stacks, takes

if TYPE_CHECKING:
    from collections.abc import Iterable


def explodes(grammar: Grammar) -> bool:
    """Do the ways of reading become more than `limits.STACKS` within some characters, or are there many for long?"""
    stacks = Stacks(grammar, most=limits.STACKS)
    texts = [_unfolded(stacks, [stacks.start()])]
    seen: set[int] = set()  # hashes, since the sets are large; two alike would hide a text, not make one up
    doubled, since, total = 1, 0, 0
    for step in range(limits.LOOKAHEAD):
        work = texts[0][0]
        if work > limits.STACKS:
            return True
        if work >= 2 * doubled:
            doubled, since = work, step
        elif step - since >= limits.LOOKAHEAD // 6:
            return False  # at that rate it does not come to so many in time
        # Where a text leads back to what was there before, as blanks may, it goes nowhere.
        following = {}
        for _, current in texts:
            for code in _crowded(current):
                work, leaves = _step(stacks, current, code)
                total += work
                if (key := hash(frozenset(leaves))) not in seen:
                    following[key] = work, leaves
        if total > limits.CROWD_WORK:
            return True
        if not following:
            return False
        chosen = sorted(following, key=lambda key: -following[key][0])[: limits.CROWDS]
        seen.update(chosen)
        texts = [following[key] for key in chosen]
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
