"""Two shapes of one type: what is in both, whether one covers the other, and whether a value is in a shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.grammar import automaton, numbers
from runtime.grammar.automaton import TooLarge
from runtime.grammar.formula import ANY
from runtime.grammar.shapes import (
    BOOLEAN,
    NULL,
    Array,
    Const,
    Consts,
    Number,
    Object,
    Shape,
    Text,
    exact,
    identity,
)

if TYPE_CHECKING:
    from fractions import Fraction

    from runtime.grammar.logic import Logic
    from runtime.grammar.shapes import Claim, Clause


def meet(logic: Logic, one: Shape, other: Shape) -> Shape | None:
    """What is in both, or None when it is clear that nothing is."""
    match one, other:
        case Consts(values), shape:
            return _filtered(logic, values, shape)
        case shape, Consts(values):
            return _filtered(logic, values, shape)
        case Text(), Text():
            return _meet_texts(logic, one, other)
        case Number(), Number():
            return _meet_numbers(one, other)
        case Array(), Array():
            return _meet_arrays(one, other)
        case Object(), Object():
            return _meet_objects(one, other)
    raise TypeError((one, other))


def _filtered(logic: Logic, values: tuple[Const, ...], shape: Shape) -> Consts | None:
    kept = tuple(const for const in values if admits(logic, shape, const.value))
    return Consts(kept) if kept else None


def _least(one: int | None, other: int | None) -> int | None:
    return min(bound for bound in (one, other) if bound is not None) if (one, other) != (None, None) else None


def _meet_texts(logic: Logic, one: Text, other: Text) -> Text | None:
    low, high = max(one.low, other.low), _least(one.high, other.high)
    if high is not None and low > high:
        return None
    try:
        both = one.language if one.language is other.language else automaton.intersection(one.language, other.language)
    except TooLarge:
        raise logic.refuse("pattern", "patterns or formats that hold together need too many states") from None
    return Text(both, low, high, one.excluded | other.excluded)


def _meet_numbers(one: Number, other: Number) -> Number:
    low, low_open = _bound([(one.low, one.low_open), (other.low, other.low_open)], 1)
    high, high_open = _bound([(one.high, one.high_open), (other.high, other.high_open)], -1)
    step = numbers.common(one.step, other.step)
    return Number(low, high, low_open, high_open, step, one.unlike | other.unlike, one.excluded | other.excluded)


def _bound(bounds: list[tuple[Fraction | None, bool]], sign: int) -> tuple[Fraction | None, bool]:
    """The stricter of two bounds: the higher with sign 1, the lower with -1, and of equal ones the open one."""
    known = [(value * sign, is_open) for value, is_open in bounds if value is not None]
    if not known:
        return None, False
    value, is_open = max(known)
    return value * sign, is_open


def _meet_arrays(one: Array, other: Array) -> Array | None:
    low, high = max(one.low, other.low), _least(one.high, other.high)
    if high is not None and low > high:
        return None
    layers = tuple(dict.fromkeys((*one.layers, *other.layers)))
    counts = tuple(dict.fromkeys((*one.counts, *other.counts)))
    return Array(layers, low, high, one.unique or other.unique, counts)


def _meet_objects(one: Object, other: Object) -> Object | None:
    low, high = max(one.low, other.low), _least(one.high, other.high)
    clauses = _settled(tuple(dict.fromkeys((*one.clauses, *other.clauses))))
    if clauses is None or (high is not None and low > high):
        return None
    return Object(
        tuple(dict.fromkeys((*one.layers, *other.layers))),
        clauses,
        low,
        high,
        tuple(dict.fromkeys((*one.names, *other.names))),
        tuple(dict.fromkeys((*one.witnesses, *other.witnesses))),
    )


def _settled(clauses: tuple[Clause, ...]) -> tuple[Clause, ...] | None:
    """The clauses, made shorter by what those of a single claim already say. None if they contradict one another."""
    known: set[tuple[str, bool]] = set()
    while True:
        single = {(name, there) for clause in clauses if len(clause) == 1 for name, there, _ in clause}
        if any((name, not there) in single | known for name, there in single):
            return None
        if single <= known:
            return clauses
        known |= single
        kept = (clause if len(clause) == 1 else _shortened(clause, known) for clause in clauses)
        clauses = tuple(dict.fromkeys(clause for clause in kept if clause is not None))
        if frozenset() in clauses:
            return None


def _shortened(clause: Clause, known: set[tuple[str, bool]]) -> Clause | None:
    """The clause without claims that cannot hold; None if one of them holds."""
    if any((name, there) in known and value == ANY for name, there, value in clause):
        return None
    return frozenset(claim for claim in clause if (claim[0], not claim[1]) not in known)


def holds(logic: Logic, claim: Claim, value: dict[str, Any]) -> bool:
    name, there, wanted = claim
    return (name in value) is there and (not there or logic.accepts(wanted, value[name]))


def either(one: Shape, other: Shape) -> Shape | None:
    """Both shapes as one, where each is nothing but one clause."""
    if not isinstance(one, Object) or not isinstance(other, Object):
        return None
    if any(len(shape.clauses) != 1 or shape != Object(clauses=shape.clauses) for shape in (one, other)):
        return None
    return Object(clauses=(one.clauses[0] | other.clauses[0],))


def covers(wide: Shape, narrow: Shape) -> bool:
    """Is everything of `narrow` clearly in `wide`? No means that it is not known."""
    match wide, narrow:
        case Text(), Text():
            same = wide.language in (automaton.ANYTHING, narrow.language)
            same = same and wide.excluded <= narrow.excluded
            return same and wide.low <= narrow.low and _at_most(narrow.high, wide.high)
        case Array(), Array():
            inner = set(wide.layers) <= set(narrow.layers) and set(wide.counts) <= set(narrow.counts)
            unique = narrow.unique or not wide.unique
            return inner and unique and wide.low <= narrow.low and _at_most(narrow.high, wide.high)
        case Object(), Object():
            inner = set(wide.layers) <= set(narrow.layers) and set(wide.clauses) <= set(narrow.clauses)
            names = set(wide.names) <= set(narrow.names) and set(wide.witnesses) <= set(narrow.witnesses)
            return inner and names and wide.low <= narrow.low and _at_most(narrow.high, wide.high)
        case Number(), Number():
            return _meet_numbers(wide, narrow) == narrow
    return wide == narrow


def _at_most(one: int | None, other: int | None) -> bool:
    return other is None or (one is not None and one <= other)


def admits(logic: Logic, shape: Shape, value: Any) -> bool:
    """Is the value, which is of the shape's type, in the shape?"""
    match shape:
        case Consts(values):
            return identity(value) in {const.key for const in values}
        case Text(language, low, high, excluded):
            fits = low <= len(value) and _at_most(len(value), high) and value not in excluded
            return fits and (language is automaton.ANYTHING or bool(language.label(value)))
        case Number():
            return numbers.admits(shape, exact(value))
        case Array():
            return _admits_array(logic, shape, value)
    return _admits_object(logic, shape, value)


def _admits_array(logic: Logic, shape: Array, value: list[Any]) -> bool:
    if not shape.low <= len(value) or not _at_most(len(value), shape.high):
        return False
    if shape.unique and len({identity(item) for item in value}) < len(value):
        return False
    for counted in shape.counts:
        found = sum(logic.accepts(counted.formula, item) for item in value[counted.start :])
        if found < counted.low or not _at_most(found, counted.high):
            return False
    return all(logic.accepts(layer.at(at), item) for layer in shape.layers for at, item in enumerate(value))


def _admits_object(logic: Logic, shape: Object, value: dict[str, Any]) -> bool:
    if not shape.low <= len(value) or not _at_most(len(value), shape.high):
        return False
    if not all(any(holds(logic, claim, value) for claim in clause) for clause in shape.clauses):
        return False
    if not all(logic.accepts(wanted, name) for wanted in shape.names for name in value):
        return False
    for witness in shape.witnesses:
        if not any(
            witness.language.label(name) and logic.accepts(witness.name, name) and logic.accepts(witness.value, item)
            for name, item in value.items()
        ):
            return False
    return all(
        logic.accepts(formula, item)
        for layer in shape.layers
        for name, item in value.items()
        for formula in layer.at(name)
    )


def other_scalars(kind: str, listed: Consts) -> tuple[Shape, ...]:
    """Everything of that type but these values."""
    if kind == "string":
        return (Text(excluded=frozenset(const.value for const in listed.values)),)
    if kind == "number":
        return (Number(excluded=frozenset(exact(const.value) for const in listed.values)),)
    rest = tuple(const for const in (NULL if kind == "null" else BOOLEAN).values if const not in listed.values)
    return (Consts(rest),) if rest else ()


def spelled_out(value: Any) -> dict[str, Any]:
    """A schema that only the array or object fulfils, without `const` at its top."""
    if isinstance(value, list):
        inner = [{"const": item} for item in value]
        return {"type": "array", "minItems": len(value), "prefixItems": inner, "items": False}
    inner_by_name = {name: {"const": item} for name, item in value.items()}
    return {"type": "object", "required": list(value), "properties": inner_by_name, "additionalProperties": False}
