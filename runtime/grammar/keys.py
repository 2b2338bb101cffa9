"""The keys of an object: those with names, and what the others may be.

Named are the declared ones, those that a clause speaks of, and those of a pattern that only few names match. They come
in that order in the grammar, each at most once; all other keys follow them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.grammar import automaton, pattern
from runtime.grammar.automaton import Automaton, TooLarge
from runtime.grammar.formula import ANY, NEVER, Formula, every
from runtime.grammar.shapes import Consts, Text

if TYPE_CHECKING:
    from runtime.grammar.logic import Logic
    from runtime.grammar.shapes import Object

# Where patterns sort keys, free ones hold no line end: engines differ on whether `.` and `$` match there.
_LINE = pattern.language("^.*$").language
FEW = 16  # names of a pattern that become named keys


@dataclass(frozen=True, slots=True)
class Free:
    """The keys without a name. `values` has what the value must be as the label of each key's last state, or is, where
    the key does not matter, that formula itself."""

    values: Automaton | Formula


def named(logic: Logic, shape: Object) -> list[str]:
    """The keys that have a name, in the order of the grammar."""
    found = dict.fromkeys(name for layer in shape.layers for name in layer.properties)
    found.update(dict.fromkeys(name for clause in shape.clauses for name in sorted({claim[0] for claim in clause})))
    for layer in shape.layers:
        for language, _ in layer.patterns:
            found.update(dict.fromkeys(automaton.few(language, FEW) or ()))
    for formula in shape.names:
        shapes = logic.normal(formula).get("string", ())
        for one in shapes:
            if isinstance(one, Consts):
                found.update(dict.fromkeys(const.value for const in one.values))
    return list(found)


def value(shape: Object, name: str) -> Formula:
    """What the member of that name must be."""
    single = (next(iter(clause)) for clause in shape.clauses if len(clause) == 1)
    claimed = (wanted for key, there, wanted in single if key == name and there)
    return every(*(formula for layer in shape.layers for formula in layer.at(name)), *claimed)


def usable(logic: Logic, shape: Object, name: str) -> bool:
    """May the object have that key?"""
    if (frozenset({(name, False, ANY)})) in shape.clauses or not all(logic.accepts(one, name) for one in shape.names):
        return False
    return not logic.emptiness.of_formula(value(shape, name))


def mentioned(shape: Object, name: str) -> bool:
    """Does the schema speak of the key as one to be there?"""
    if any(claim[:2] == (name, True) for clause in shape.clauses for claim in clause):
        return True
    return any(
        name in layer.properties or layer.named_rest or any(language.label(name) for language, _ in layer.patterns)
        for layer in shape.layers
    )


def free(logic: Logic, shape: Object, known: list[str], *, closed: bool = False) -> Free | None:
    """The keys that have no name, or None if there can be none. `closed` leaves out what no layer speaks of."""
    patterns = list(dict.fromkeys(language for layer in shape.layers for language, _ in layer.patterns))
    if not patterns and not shape.names:
        formula = every(*(layer.rest for layer in shape.layers))
        left_out = closed and not any(layer.named_rest for layer in shape.layers)
        return None if left_out or logic.emptiness.of_formula(formula) else Free(formula)

    def label(labels: tuple[Any, ...]) -> Formula | None:
        if labels[0] or not all(labels[1 + len(patterns) :]):
            return None
        matched = {one for one, hit in zip(patterns, labels[1:], strict=False) if hit}
        return _value(logic, shape, matched, closed=closed)

    try:
        names = [_LINE, *(texts(logic, one) for one in shape.names)]
        languages = [automaton.words(known), *patterns, *names]
        found = automaton.product(languages, label)
    except TooLarge:
        raise logic.refuse("patternProperties", "the names of the keys need too many states") from None
    return Free(found) if found is not automaton.NOTHING else None


def _value(logic: Logic, shape: Object, matched: set[Automaton], *, closed: bool) -> Formula | None:
    """What a key must have that matches these patterns and no others."""
    parts, spoken_of = [], bool(shape.names)
    for layer in shape.layers:
        hits = [formula for language, formula in layer.patterns if language in matched]
        parts += hits or [layer.rest]
        spoken_of = spoken_of or bool(hits) or layer.named_rest
    formula = every(*parts)
    if formula == NEVER or (closed and not spoken_of) or logic.emptiness.of_formula(formula):
        return None
    return formula


def texts(logic: Logic, formula: Formula) -> Automaton:
    """The strings that a formula allows."""
    found = []
    for shape in logic.normal(formula).get("string", ()):
        if isinstance(shape, Consts):
            found.append(automaton.words(const.value for const in shape.values))
        elif isinstance(shape, Text):
            language = automaton.without(shape.language, shape.excluded)
            found.append(automaton.with_length(language, shape.low, shape.high, unrolled=True))
    return automaton.union(*found) if found else automaton.NOTHING
