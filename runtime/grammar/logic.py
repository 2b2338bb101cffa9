"""Formulas to normal forms: intersections and unions of shapes, and which of them hold nothing.

`Logic` belongs to one compilation: it remembers the normal form of each formula, and counts the work it does.
"""

from __future__ import annotations

import time
from itertools import combinations
from typing import TYPE_CHECKING, Any

from runtime.grammar import limits, meeting
from runtime.grammar.applicators import applied, branches, come_first, only_reference
from runtime.grammar.assertions import asserted, other_types, types, values
from runtime.grammar.emptiness import Emptiness
from runtime.grammar.formula import ANY, AllOf, Formula, Is, every, negation, some
from runtime.grammar.shapes import FULL, KINDS, Array, Consts, Normal, Object, Shape, consts, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runtime.errors import UnsupportedSchema
    from runtime.grammar.document import Document, Node


class Logic:
    def __init__(self, document: Document, clock: Callable[[], float] = time.monotonic) -> None:
        self.document = document
        self.emptiness = Emptiness(self)
        self._clock, self._end, self._work = clock, clock() + limits.SECONDS, 0
        self._normals: dict[Formula, Normal] = {}
        self._open: list[Formula] = []

    def normal(self, formula: Formula) -> Normal:
        """The shapes that the formula allows, by type."""
        known = self._normals.get(formula)
        if known is None:
            if formula in self._open:
                raise self.refuse("$ref", "it leads back to itself, and so says nothing", formula)
            self._open.append(formula)
            try:
                known = self._normals[formula] = self._worked_out(formula)
            finally:
                self._open.pop()
        return known

    def accepts(self, formula: Formula, value: Any) -> bool:
        """Is the value one that the formula allows?"""
        shapes = self.normal(formula).get(kind_of(value), ())
        return any(meeting.admits(self, shape, value) for shape in shapes)

    def _worked_out(self, formula: Formula) -> Normal:
        if isinstance(formula, Is):
            return self._schema(formula.node) if formula.holds else self._contrary(formula.node)
        if isinstance(formula, AllOf):
            # Formulas often grow by a part at a time, and then all but the last is known.
            known = self._normals.get(AllOf(formula.parts[:-1])) if formula.parts else None
            found: Normal = known or {kind: (shape,) for kind, shape in FULL.items()}
            for part in formula.parts[-1:] if known else formula.parts:
                found = self.meet(found, self.normal(part))
            return found
        return self.join([self.normal(part) for part in formula.parts])

    def _schema(self, node: Node) -> Normal:
        if only_reference(node):
            return self.normal(applied(node))
        found = types(node)
        for row in asserted(node):
            if row.kind in found:
                found[row.kind] = self._meet_shapes(row.kind, found[row.kind], (row.holds(node),))
        found = {kind: shapes for kind, shapes in found.items() if shapes}
        for listed in values(node):
            found = self.meet(listed, found)
        rest = applied(node)
        if "oneOf" in node.schema:
            rest = every(rest, self._exactly_one(node))
        if rest == ANY:
            return found
        # Keys come in the order in which the schema speaks of them.
        parts = (self.normal(rest), found) if come_first(node) else (found, self.normal(rest))
        return self.meet(*parts)

    def _contrary(self, node: Node) -> Normal:
        """What is not valid under a schema: it breaks one keyword at least."""
        if only_reference(node):
            return self.normal(negation(applied(node)))
        found = [other_types(node)]
        found += [{row.kind: tuple(row.fails(node))} for row in asserted(node)]
        found += [self._other_values(listed) for listed in values(node)]
        found.append(self.normal(negation(applied(node))))
        if "oneOf" in node.schema:
            found.append(self.normal(negation(self._exactly_one(node))))
        return self.join(found)

    def _other_values(self, listed: Normal) -> Normal:
        """Everything but these values."""
        found: Normal = {kind: (FULL[kind],) for kind in KINDS}
        for kind, shapes in listed.items():
            for shape in (one for one in shapes if isinstance(one, Consts)):
                if kind not in ("array", "object"):
                    found = {**found, kind: meeting.other_scalars(kind, shape)}
                    continue
                for const in shape.values:
                    spelled = meeting.spelled_out(const.value)
                    node = self.document.virtual(self.document.root, f"const {const.key}", spelled)
                    found = self.meet(found, self._contrary(node))
        return found

    def _exactly_one(self, node: Node) -> Formula:
        """One branch of `oneOf` holds, and none of those that could hold beside it."""
        parts = branches(node, "oneOf")
        rivals: dict[int, list[Formula]] = {index: [] for index in range(len(parts))}
        for one, other in combinations(range(len(parts)), 2):
            if not self.emptiness.of_formula(every(parts[one], parts[other])):
                rivals[one].append(negation(parts[other]))
                rivals[other].append(negation(parts[one]))
        return some(*(every(part, *rivals[index]) for index, part in enumerate(parts)))

    # --- Intersection and union of normal forms ---------------------------------------------------------------------

    def meet(self, one: Normal, other: Normal) -> Normal:
        """What both allow."""
        found: Normal = {}
        for kind in one:
            if kind in other and (shapes := self._meet_shapes(kind, one[kind], other[kind])):
                found[kind] = shapes
        return found

    def _meet_shapes(self, kind: str, ones: tuple[Shape, ...], others: tuple[Shape, ...]) -> tuple[Shape, ...]:
        if others == (FULL[kind],):
            return ones
        if ones == (FULL[kind],):
            return others
        self.spend(len(ones) * len(others))
        met = [meeting.meet(self, one, other) for one in ones for other in others]
        # A single shape may wait: if nothing fulfils it, that shows when its rule is written.
        certain = len(met) == 1 and isinstance(met[0], Array | Object)
        return self._tidy(kind, [shape for shape in met if shape and (certain or not self.emptiness.of_shape(shape))])

    def join(self, normals: Iterable[Normal]) -> Normal:
        """What any of them allows."""
        found: dict[str, list[Shape]] = {}
        for normal in normals:
            for kind, shapes in normal.items():
                found.setdefault(kind, []).extend(shapes)
        return {kind: self._tidy(kind, found[kind]) for kind in KINDS if found.get(kind)}

    def _tidy(self, kind: str, shapes: list[Shape]) -> tuple[Shape, ...]:
        """The shapes without those that others cover; constants as one."""
        if FULL[kind] in shapes:
            return (FULL[kind],)
        listed = [const for shape in shapes if isinstance(shape, Consts) for const in shape.values]
        kept: list[Shape] = list(consts([const.value for const in listed]).get(kind, ())) if listed else []
        for shape in dict.fromkeys(shape for shape in shapes if not isinstance(shape, Consts)):
            self.spend(len(kept))
            if kept and (both := meeting.either(kept[-1], shape)):
                kept[-1] = both
            elif not any(meeting.covers(other, shape) for other in kept):
                kept = [*(other for other in kept if not meeting.covers(shape, other)), shape]
        if len(kept) > limits.ALTERNATIVES:
            raise self.refuse(
                "", f"it has over {limits.ALTERNATIVES} alternatives of type {kind} that are not disjoint"
            )
        return tuple(kept)

    # --- Limits -----------------------------------------------------------------------------------------------------

    def spend(self, work: int) -> None:
        """Count work, and look at the clock. Raises `UnsupportedSchema` when either is too much."""
        self._work += work
        if self._work > limits.WORK or self._clock() > self._end:
            why = f"it takes over {limits.WORK:,} intersections and comparisons, or {limits.SECONDS:g} s"
            raise self.refuse("", why)

    def refuse(self, keyword: str, why: str, formula: Formula | None = None) -> UnsupportedSchema:
        opened = [one for one in ([formula] if formula else []) + self._open[::-1] if isinstance(one, Is)]
        node = opened[0].node if opened else self.document.root
        return node.refuse(keyword, why, "Write it with fewer alternatives." if not keyword else None)
