"""The named keys of an object: a chain over them in their order, each there or not, and the free keys.

By the standard reading free keys may stand anywhere, the required keys first, and an array or object last (`orders`);
still, what came before says which key comes next, so that a text is read in one way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runtime.grammar import automaton, keys, limits, orders, tries
from runtime.grammar.formula import ANY, NEVER, Formula, every, negation, spelled
from runtime.grammar.gbnf import EMPTY, Choice, Expr, Literal, Repeat, choice, sequence
from runtime.grammar.shapes import Clause, Members, Object
from runtime.grammar.stands import Stand, assigned, fewest
from runtime.grammar.strings import QUOTE, repeat, walk
from runtime.grammar.structures import absent

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from runtime.grammar.automaton import Automaton
    from runtime.grammar.stands import Stands
    from runtime.grammar.writer import Writer

_CLOSE = Literal("}")


class Chain:
    """The members of an object that is one of several shapes with the same named keys."""

    def __init__(self, writer: Writer, hint: str, known: tuple[str, ...], shapes: list[Object]) -> None:
        self._writer, self._hint, self._known = writer, hint, known
        # Shapes that differ in clauses alone are one alternative, in several states.
        states: dict[Object, list[Object]] = {}
        for shape in shapes:
            states.setdefault(replace(shape, clauses=()), []).append(shape)
        self._shapes = list(states)
        self._begins = fewest([Stand(at, one.clauses) for at, some in enumerate(states.values()) for one in some])
        self._usable = [self._keys(bare, some) for bare, some in states.items()]
        self._free = [self._free_keys(at) for at in range(len(states))]
        self._wanted = () if writer.closed else orders.required_first(self._shapes, self._begins, self._usable)
        late = None if writer.closed else orders.late(writer.logic, self._shapes, self._usable, self._wanted)
        self._late = -1 if late is None else known.index(late)
        self._anywhere = self._free_anywhere()
        self._more = self._more_free()

    def _keys(self, bare: Object, shapes: list[Object]) -> dict[str, Formula]:
        """The named keys that an alternative may have, with their values."""
        return {
            name: keys.value(bare, name)
            for name in self._known
            if keys.usable(self._writer.logic, bare, name)
            and (not self._writer.closed or any(keys.mentioned(shape, name) for shape in shapes))
        }

    def _free_keys(self, at: int) -> keys.Free | None:
        shape = self._shapes[at]
        # What is closed has to have keys enough of its own.
        closed = self._writer.closed and len(self._usable[at]) >= max(1, shape.low)
        return keys.free(self._writer.logic, shape, list(self._known), closed=closed)

    def start(self) -> Expr:
        stands = self._begins
        ends = [_CLOSE] if any(self._may_end(stand, 0) for stand in stands) else []
        if not ends and self._anywhere == EMPTY:
            return self._begin(stands)
        begin = [self._first(stands)] if self._goes_on(0, stands) else []
        return choice(*ends, *begin, *self._after_free(stands))

    def _first(self, stands: Stands) -> Expr:
        return self._writer.rule((self, 0, stands), f"{self._hint}-members", lambda: self._begin(stands))

    def _begin(self, stands: Stands) -> Expr:
        return self._required(0, stands, self._wanted) if self._wanted else self._members(0, stands)

    def _after_free(self, stands: Stands) -> list[Expr]:
        """Free members, if they may be first, and then those with names."""
        if self._anywhere == EMPTY:
            return []
        grown = tuple(self._grown(stand, stand.clauses) for stand in stands)
        after = sequence(self._writer.comma, self._first(stands)) if self._wanted else self._after(0, grown)
        return [sequence(self._anywhere, self._more, after)]

    def _members(self, at: int, stands: Stands) -> Expr:
        """At least one member more, beginning with the key at that place, and the end."""
        parts: list[Expr] = []
        while at < len(self._known) and stands:
            taken, skipped = self._take(at, stands), self._skip(at, stands)
            at += 1
            if not taken:
                stands = skipped
                continue
            if len(taken) > 1:
                self._writer.fork()
            if skipped or len(taken) > 1:
                options = self._taken(at - 1, taken)
                options += [self._reference(at, skipped)] if self._goes_on(at, skipped) else []
                return sequence(*parts, choice(*options))
            ((value, stands),) = taken
            parts.append(self._member(at - 1, value))
            if any(stand.late or self._may_end(stand, at) for stand in stands):
                return sequence(*parts, self._after(at, stands))
            parts.append(self._writer.comma)
        return sequence(*parts, choice(*dict.fromkeys(self._tail(stand) for stand in stands)))

    def _taken(self, at: int, taken: list[tuple[Formula, Stands]]) -> list[Expr]:
        """The member at that place, with what follows it."""
        return [sequence(self._member(at, value), self._after(at + 1, some)) for value, some in taken]

    def _after(self, at: int, stands: Stands) -> Expr:
        """The end, or a comma and more members."""
        options: list[Expr] = [_CLOSE] if any(self._may_end(stand, at) for stand in stands) else []
        if self._goes_on(at, stands):
            options.append(sequence(self._writer.comma, self._reference(at, stands)))
        for value, some in self._take(self._late, tuple(stand for stand in stands if stand.late)):
            if any(self._may_end(stand, at) for stand in some):
                options.append(sequence(self._writer.comma, self._member(self._late, value), _CLOSE))
        return choice(*options)

    def _reference(self, at: int, stands: Stands) -> Expr:
        return self._writer.rule((self, at, stands), f"{self._hint}-members", lambda: self._members(at, stands))

    def _member(self, at: int, value: Formula) -> Expr:
        name = self._known[at]
        return sequence(Literal(tries.spelled(name)), self._writer.colon, self._writer.value(value, name), self._more)

    # --- Which keys may be there ------------------------------------------------------------------------------------

    def _take(self, at: int, stands: Stands) -> list[tuple[Formula, Stands]]:
        """With the key at that place: for each value that it may have, where the alternatives stand then."""
        found: dict[Hashable, tuple[Formula, list[Stand]]] = {}
        for stand in stands:
            shape = self._shapes[stand.alternative]
            if shape.high is not None and stand.count >= shape.high:
                continue
            for value, clauses in self._values(stand, self._known[at]):
                same = tuple(self._writer.logic.normal(value).items())
                found.setdefault(same, (value, []))[1].append(self._grown(stand, clauses))
        return [(value, fewest(some)) for value, some in found.values()]

    def _values(self, stand: Stand, name: str) -> Iterator[tuple[Formula, tuple[Clause, ...]]]:
        """What the member of that name may be, and the clauses left then. Claims about its value split it in two."""
        value = self._usable[stand.alternative].get(name)
        if value is None:
            return
        claims = {wanted for clause in stand.clauses for key, there, wanted in clause if key == name and there} - {ANY}
        for formula, false in self._ways(value, sorted(claims, key=spelled), name):
            clauses = assigned(stand.clauses, name, there=True, false=false)
            if clauses is not None:
                yield formula, clauses

    def _ways(self, value: Formula, claims: list[Formula], name: str) -> list[tuple[Formula, frozenset[Formula]]]:
        """The value with each claim true or false, as far as that can be; and which are false."""
        ways: list[tuple[Formula, frozenset[Formula]]] = [(value, frozenset())]
        for claim in claims:
            split = [(every(formula, claim), false) for formula, false in ways]
            split += [(every(formula, negation(claim)), false | {claim}) for formula, false in ways]
            ways = [way for way in split if not self._writer.logic.emptiness.of_formula(way[0])]
            if len(ways) > limits.ALTERNATIVES:
                why = f"the value of {name!r} would be told apart in over {limits.ALTERNATIVES} ways"
                raise self._writer.refuse("oneOf", why, "Write it with fewer overlapping branches.")
        return ways

    def _skip(self, at: int, stands: Stands) -> Stands:
        """Without the key at that place."""
        found = []
        for stand in stands:
            if at == self._late:
                found.append(Stand(stand.alternative, stand.clauses, stand.count, late=True))
            elif (clauses := assigned(stand.clauses, self._known[at], there=False)) is not None:
                found.append(Stand(stand.alternative, clauses, stand.count, stand.late))
        return fewest(found)

    def _grown(self, stand: Stand, clauses: tuple[Clause, ...]) -> Stand:
        shape = self._shapes[stand.alternative]
        most = shape.low if shape.high is None else max(shape.low, shape.high)
        return Stand(stand.alternative, clauses, min(stand.count + 1, most), stand.late)

    def _may_end(self, stand: Stand, at: int) -> bool:
        shape = self._shapes[stand.alternative]
        satisfied = all(any(not there for _, there, _ in clause) for clause in stand.clauses)
        return satisfied and stand.count >= shape.low and not shape.witnesses

    def _goes_on(self, at: int, stands: Stands) -> bool:
        if self._anywhere == EMPTY and any(self._free[stand.alternative] for stand in stands):
            return True
        return any(self._more_named(at, stand) for stand in stands)

    def _more_named(self, at: int, stand: Stand) -> bool:
        gone = {name for clause in stand.clauses if len(clause) == 1 for name, there, _ in clause if not there}
        usable = self._usable[stand.alternative]
        return any(name in usable and name not in gone for name in self._known[at:])

    # --- Required keys first ----------------------------------------------------------------------------------------

    def _required(self, at: int, stands: Stands, wanted: tuple[str, ...]) -> Expr:
        """The members while only required ones have come, of which `wanted` are left. At each, the order may still be
        the declared one, in which the key at that place is next."""
        parts: list[Expr] = []
        while wanted:
            options = []
            while skipped := self._skip(at, stands):
                options += self._taken(at, self._take(at, stands))
                at, stands = at + 1, skipped
            if self._known[at] != wanted[0]:
                return sequence(*parts, choice(*options, *self._taken(at, self._take(at, stands)), self._line(wanted)))
            ((value, stands),) = self._take(at, stands)
            parts.append(self._member(at, value))
            at, wanted = at + 1, wanted[1:]
            if options:
                options.append(sequence(parts.pop(), self._more_required(at, stands, wanted)))
                return sequence(*parts, choice(*options))
            parts.append(self._writer.comma)
        return sequence(*parts[:-1], self._others())

    def _more_required(self, at: int, stands: Stands, wanted: tuple[str, ...]) -> Expr:
        if not wanted:
            return self._others()
        rest = lambda: self._required(at, stands, wanted)  # noqa: E731
        return sequence(self._writer.comma, self._writer.rule((self, wanted), f"{self._hint}-members", rest))

    def _line(self, wanted: tuple[str, ...]) -> Expr:
        """The required members one after the other, and then the others."""
        members = [self._member(self._known.index(name), self._usable[0][name]) for name in wanted]
        parts = [part for member in members for part in (member, self._writer.comma)]
        return sequence(*parts[:-1], self._others())

    def _others(self) -> Expr:
        """What follows the required members: the end, or the others as declared."""
        # Each clause is a single claim; the required keys have come, and may not come again.
        gone = tuple(absent(name) for clause in self._begins[0].clauses for name, _, _ in clause)
        return self._after(0, (Stand(0, gone, self._shapes[0].low),))

    # --- Free keys --------------------------------------------------------------------------------------------------

    def _free_anywhere(self) -> Expr:
        """A free member, if by the standard reading those may stand between the named ones; else nothing."""
        free = self._free[0]
        if self._writer.closed or free is None or any(map(orders.counted, self._shapes)):
            return EMPTY
        return self._free_member(0, free) if all(other == free for other in self._free) else EMPTY

    def _more_free(self) -> Expr:
        """Behind each member, any number of free ones, where they may stand."""
        if self._anywhere == EMPTY:
            return EMPTY
        more = sequence(self._writer.comma, self._anywhere)
        return self._writer.rule((self, "more"), f"{self._hint}-more", lambda: Repeat(more, 0, None))

    def _tail(self, stand: Stand) -> Expr:
        """One free member at least, and the end."""
        shape, free = self._shapes[stand.alternative], self._free[stand.alternative]
        clauses = assigned(stand.clauses, self._known[self._late], there=False) if stand.late else stand.clauses
        full = shape.high is not None and stand.count >= shape.high
        if self._anywhere != EMPTY or free is None or full or clauses != ():
            return Choice(())
        member = self._free_member(stand.alternative, free)
        more = self._writer.rule(("more", member), f"{self._hint}-more", lambda: sequence(self._writer.comma, member))
        if shape.witnesses:
            return self._witness_tail(stand, member, more)
        low = max(0, shape.low - stand.count - 1)
        if low and self._writer.closed:
            why = "keys that are not declared may come twice, so they cannot be counted"
            raise self._writer.refuse("minProperties", why)
        high = None if shape.high is None else shape.high - stand.count - 1
        return sequence(member, repeat(self._writer, more, low, high), _CLOSE)

    def _free_member(self, alternative: int, free: keys.Free) -> Expr:
        hint = f"{self._hint}-other"
        return self._writer.rule((self, "free", alternative), hint, lambda: self._free_body(free))

    def _free_body(self, free: keys.Free) -> Expr:
        writer, hint = self._writer, f"{self._hint}-value"
        if isinstance(free.values, automaton.Automaton):
            closed = lambda value: sequence(QUOTE, writer.colon, writer.value(value, hint))  # noqa: E731
            return sequence(QUOTE, walk(writer, free.values, f"{self._hint}-key", closed))
        after = sequence(writer.colon, writer.value(free.values, hint))
        return sequence(QUOTE, tries.other_text(writer, self._known, after))

    def _witness_tail(self, stand: Stand, member: Expr, more: Expr) -> Expr:
        """Free members of which one is the witness."""
        writer, shape = self._writer, self._shapes[stand.alternative]
        witness = shape.witnesses[0]
        if shape.low > 1 or shape.high is not None:
            raise writer.refuse("not", "a condition on free keys and a number of members cannot be followed together")
        names: Automaton = automaton.intersection(witness.language, keys.texts(writer.logic, witness.name))
        layer = Members({}, ((names, witness.value),), NEVER)
        found = keys.free(writer.logic, replace(shape, layers=(*shape.layers, layer)), list(self._known))
        if found is None:
            return Choice(())
        hit = writer.rule((self, "witness", stand.alternative), f"{self._hint}-other", lambda: self._free_body(found))
        rest = sequence(repeat(writer, more, 0, None), _CLOSE)
        before = writer.rule(
            (self, "before", stand.alternative),
            f"{self._hint}-members",
            lambda: choice(sequence(hit, rest), sequence(member, writer.comma, before)),
        )
        return before
