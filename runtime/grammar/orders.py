"""The other orders in which an object's keys may come by the standard reading, beside the declared one.

Each is one that people and models write, and costs about as many rules as there are keys: the required ones first, and
an array or object at the end. All orders would be a set of keys for each state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.grammar.formula import ANY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runtime.grammar.formula import Formula
    from runtime.grammar.logic import Logic
    from runtime.grammar.shapes import Object
    from runtime.grammar.stands import Stands

_LONG = frozenset({"array", "object"})


def required_first(
    shapes: Sequence[Object], begins: Stands, usable: Sequence[Mapping[str, Formula]]
) -> tuple[str, ...]:
    """The required keys in their order, if they may also come before all others and would not anyway."""
    if len(begins) > 1 or any(map(counted, shapes)):
        return ()
    clauses = begins[0].clauses
    claims = [claim for clause in clauses for claim in clause if len(clause) == 1 and claim[2] == ANY]
    wanted = tuple(name for name, there, _ in claims if there)
    apart = len(claims) < len(clauses) or not usable[0].keys() >= set(wanted)
    return () if apart or tuple(usable[0])[: len(wanted)] == wanted else wanted


def late(
    logic: Logic, shapes: Sequence[Object], usable: Sequence[Mapping[str, Formula]], wanted: tuple[str, ...]
) -> str | None:
    """The last key that is always an array or object: it may come at the end. None if it comes among `wanted`."""
    values: dict[str, list[Formula]] = {}
    for own in usable:
        for name, value in own.items():
            values.setdefault(name, []).append(value)
    long = [name for name, some in values.items() if all(logic.normal(one).keys() <= _LONG for one in some)]
    return long[-1] if long and long[-1] not in wanted and not any(map(counted, shapes)) else None


def counted(shape: Object) -> bool:
    """Does it matter how many members there are, or whether one of the free ones is a witness?"""
    return shape.low > 1 or shape.high is not None or bool(shape.witnesses)
