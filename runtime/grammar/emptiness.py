"""Whether anything at all fulfils a formula.

The answer "empty" is always right. "Not empty" may be wrong for what is deeply nested, recursive or involved: then a
branch stays that could go, or the compiler refuses what it could take.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runtime.grammar import automaton, keys, numbers
from runtime.grammar.formula import ANY, NEVER, Formula, every
from runtime.grammar.shapes import Array, Consts, Number, Object, Shape, Text

if TYPE_CHECKING:
    from runtime.grammar.logic import Logic

DEPTH = 12  # of formulas within formulas that are looked into


@dataclass(slots=True)
class Emptiness:
    logic: Logic
    _known: dict[Formula, bool] = field(default_factory=dict)
    _open: set[Formula] = field(default_factory=set)

    def of_formula(self, formula: Formula) -> bool:
        if formula in (ANY, NEVER):
            return formula == NEVER
        known = self._known.get(formula)
        if known is None:
            if formula in self._open or len(self._open) >= DEPTH:
                return False
            self._open.add(formula)
            try:
                normal = self.logic.normal(formula)
                known = all(self.of_shape(shape) for shapes in normal.values() for shape in shapes)
            finally:
                self._open.remove(formula)
            self._known[formula] = known
        return known

    def of_shape(self, shape: Shape) -> bool:
        match shape:
            case Consts(values):
                return not values
            case Text(language, low, high, excluded):
                if excluded and set(automaton.few(language, len(excluded)) or [""]) <= excluded:
                    return True
                return language is automaton.NOTHING or not automaton.has_length(language, low, high)
            case Number():
                return numbers.is_empty(shape)
            case Array():
                return self._of_array(shape)
        return self._of_object(shape)

    def _of_array(self, shape: Array) -> bool:
        if shape.high is not None and shape.low > shape.high:
            return True
        length = max((len(layer.prefix) for layer in shape.layers), default=0)
        if any(self.of_formula(element(shape, at)) for at in range(min(shape.low, length + 1))):
            return True
        for counted in shape.counts:
            places = length + 1 if shape.high is None else min(length + 1, shape.high)
            good = (at for at in range(counted.start, max(places, counted.start + (shape.high is None))))
            if counted.low and all(self.of_formula(every(element(shape, at), counted.formula)) for at in good):
                return True
            if counted.high is not None and counted.low > counted.high:
                return True
        return False

    def _of_object(self, shape: Object) -> bool:
        if shape.high is not None and shape.low > shape.high:
            return True
        single = [claim for clause in shape.clauses if len(clause) == 1 for claim in clause]
        required = {name for name, there, _ in single if there}
        if shape.high is not None and len(required) > shape.high:
            return True
        if any(not keys.usable(self.logic, shape, name) for name in required):
            return True
        if not shape.low and not shape.witnesses:
            return False
        return self._lacks_members(shape)

    def _lacks_members(self, shape: Object) -> bool:
        known = keys.named(self.logic, shape)
        if keys.free(self.logic, shape, known):
            return False
        good = [name for name in known if keys.usable(self.logic, shape, name)]
        if len(good) < shape.low:
            return True
        return not all(
            any(
                witness.language.label(name)
                and self.logic.accepts(witness.name, name)
                and not self.of_formula(every(keys.value(shape, name), witness.value))
                for name in good
            )
            for witness in shape.witnesses
        )


def element(shape: Array, at: int) -> Formula:
    """What the element at that place must be."""
    return every(*(layer.at(at) for layer in shape.layers))
