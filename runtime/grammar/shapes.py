"""What a value of one JSON type may be: the normal form that schemas are brought into.

A schema becomes, for each of the six types, some shapes any one of which will do. Keywords are shapes too, so that
schemas side by side are met shape by shape; a shape of arrays or objects holds formulas about what is inside.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from runtime.grammar.automaton import ANYTHING
from runtime.grammar.formula import ANY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.grammar.automaton import Automaton
    from runtime.grammar.formula import Formula

KINDS = ("null", "boolean", "number", "string", "array", "object")


def kind_of(value: Any) -> str:
    """The JSON type of a value as Python has it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def exact(number: float) -> Fraction:
    """The decimal that was written, not the binary fraction nearest to it."""
    return Fraction(number) if isinstance(number, int) else Fraction(repr(number))


def identity(value: Any) -> str:
    """The same text for equal values: 1 is 1.0, and the order of keys does not matter."""
    kind = kind_of(value)
    if kind == "number":
        return str(exact(value))
    if kind == "array":
        return f"[{','.join(map(identity, value))}]"
    if kind == "object":
        return f"{{{','.join(f'{json.dumps(key)}:{identity(value[key])}' for key in sorted(value))}}}"
    return json.dumps(value)


@dataclass(frozen=True, slots=True)
class Const:
    """One value, equal to others of the same identity."""

    key: str
    value: Any = field(compare=False)


@dataclass(frozen=True, slots=True)
class Consts:
    """One of these values."""

    values: tuple[Const, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A string of this language, with a length in characters, and none of the excluded ones."""

    language: Automaton = ANYTHING
    low: int = 0
    high: int | None = None
    excluded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Number:
    """A number between two bounds, either of which may be left out of it.

    step: a multiple of it; 1 for integers. unlike: not a multiple of any of these. excluded: none of these.
    """

    low: Fraction | None = None
    high: Fraction | None = None
    low_open: bool = False
    high_open: bool = False
    step: Fraction | None = None
    unlike: frozenset[Fraction] = frozenset()
    excluded: frozenset[Fraction] = frozenset()


@dataclass(frozen=True, slots=True)
class Items:
    """What the elements of an array must be: the first ones, and all after them."""

    prefix: tuple[Formula, ...]
    rest: Formula

    def at(self, index: int) -> Formula:
        return self.prefix[index] if index < len(self.prefix) else self.rest


@dataclass(frozen=True, slots=True)
class Counted:
    """How many of the elements from `start` on are of a kind."""

    formula: Formula
    low: int = 1
    high: int | None = None
    start: int = 0


@dataclass(frozen=True, slots=True)
class Array:
    layers: tuple[Items, ...] = ()
    low: int = 0
    high: int | None = None
    unique: bool = False
    counts: tuple[Counted, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """What one schema says of an object's members: by name, by pattern of the name, and of all others.

    named_rest: the schema speaks of the others itself, as against leaving them open by saying nothing.
    """

    properties: Mapping[str, Formula]
    patterns: tuple[tuple[Automaton, Formula], ...] = ()
    rest: Formula = ANY
    named_rest: bool = False

    def at(self, key: str) -> tuple[Formula, ...]:
        found = [self.properties[key]] if key in self.properties else []
        found += [formula for language, formula in self.patterns if language.label(key)]
        return tuple(found) or (self.rest,)


@dataclass(frozen=True, slots=True)
class Witness:
    """There is a member whose name is of the language and holds `name`, and whose value holds `value`."""

    language: Automaton
    name: Formula
    value: Formula


# What may be said of a key: that it is there with a value of which a formula holds, or, with False, that it is not.
Claim = tuple[str, bool, "Formula"]
# At least one of these holds.
Clause = frozenset[Claim]


@dataclass(frozen=True, slots=True)
class Object:
    """clauses: each must hold; `required` is one of a single claim. names: what each key must be, as a string."""

    layers: tuple[Members, ...] = ()
    clauses: tuple[Clause, ...] = ()
    low: int = 0
    high: int | None = None
    names: tuple[Formula, ...] = ()
    witnesses: tuple[Witness, ...] = ()


Shape = Consts | Text | Number | Array | Object

# For each JSON type, the shapes any one of which will do. A type that is missing is not allowed.
Normal = dict[str, tuple[Shape, ...]]

NULL = Consts((Const("null", None),))
BOOLEAN = Consts((Const("true", True), Const("false", False)))
FULL: Mapping[str, Shape] = {
    "null": NULL,
    "boolean": BOOLEAN,
    "number": Number(),
    "string": Text(),
    "array": Array(),
    "object": Object(),
}


def consts(values: list[Any]) -> Normal:
    """One of these values, by their types."""
    found: dict[str, dict[Const, None]] = {}
    for value in values:
        found.setdefault(kind_of(value), {})[Const(identity(value), value)] = None
    return {kind: (Consts(tuple(each)),) for kind, each in found.items()}
