"""What is asked of a value, in terms of schemas that are not yet looked into: all of these, any of these, or not.

Formulas are values. Equal ones become one rule of the grammar, and that is how recursion ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.grammar.document import Node


@dataclass(frozen=True, slots=True)
class Is:
    """Valid under a schema, or with `holds` false, not valid."""

    node: Node
    holds: bool = True


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Formula, ...]


Formula = Is | AllOf | AnyOf

ANY = AllOf(())
NEVER = AnyOf(())


def every(*parts: Formula) -> Formula:
    """All of these hold. Their order stays, since it becomes that of an object's keys."""
    if len(parts) == 1:
        return parts[0]
    flat: dict[Formula, None] = {}
    for part in parts:
        flat.update(dict.fromkeys(part.parts if isinstance(part, AllOf) else (part,)))
    if NEVER in flat:
        return NEVER
    return next(iter(flat)) if len(flat) == 1 else AllOf(tuple(flat))


def some(*parts: Formula) -> Formula:
    """At least one of these holds."""
    flat: dict[Formula, None] = {}
    for part in parts:
        flat.update(dict.fromkeys(part.parts if isinstance(part, AnyOf) else (part,)))
    if ANY in flat:
        return ANY
    return next(iter(flat)) if len(flat) == 1 else AnyOf(tuple(flat))


def negation(formula: Formula) -> Formula:
    match formula:
        case Is(node, holds):
            return Is(node, not holds)
        case AllOf(parts):
            return some(*(negation(part) for part in parts))
    return every(*(negation(part) for part in formula.parts))


def spelled(formula: Formula) -> str:
    """A text for each formula, so that they can be put in an order that is the same every time."""
    if isinstance(formula, Is):
        return f"{'' if formula.holds else 'not '}{formula.node.pointer}"
    return f"{type(formula).__name__}({', '.join(map(spelled, formula.parts))})"
