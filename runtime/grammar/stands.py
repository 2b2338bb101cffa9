"""Where the alternatives of an object stand, some keys into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from runtime.grammar.formula import Formula
    from runtime.grammar.shapes import Clause


@dataclass(frozen=True, slots=True)
class Stand:
    """How far an alternative has come: clauses still open, and members so far, as far as that matters. `late`: the key
    that may come at the end instead of in its place has not come there."""

    alternative: int
    clauses: tuple[Clause, ...]
    count: int = 0
    late: bool = False


Stands = tuple[Stand, ...]


def fewest(stands: list[Stand]) -> Stands:
    """The stands but for those of which another has fewer clauses to fulfil."""
    if len(stands) < 2:
        return tuple(stands)
    found = list(dict.fromkeys(stands))
    return tuple(one for one in found if not any(_easier(other, one) for other in found))


def _easier(one: Stand, other: Stand) -> bool:
    same = (one.alternative, one.count, one.late) == (other.alternative, other.count, other.late)
    return same and set(one.clauses) < set(other.clauses)


def assigned(
    clauses: tuple[Clause, ...], name: str, *, there: bool, false: AbstractSet[Formula] = frozenset()
) -> tuple[Clause, ...] | None:
    """What is left of the clauses once it is known whether a key is there. None if one cannot hold any more.

    false: the claims about its value that do not hold, while all others do.
    """
    left = []
    for clause in clauses:
        own = {claim for claim in clause if claim[0] == name}
        if any(claim[1] is there and claim[2] not in false for claim in own):
            continue
        shorter = clause - own
        if not shorter:
            return None
        left.append(shorter)
    return tuple(left)
