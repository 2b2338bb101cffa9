"""Objects to rules: a chain over the named keys in their order, each there or not, and then the free keys.

Alternatives that name the same keys share one chain, which splits only where the values of a key differ. So what stands
before the key that tells them apart is read once, and a recursion in it cannot multiply.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runtime.grammar import automaton, keys, limits, tries
from runtime.grammar.formula import ANY, NEVER, Formula, every, negation, spelled
from runtime.grammar.gbnf import Choice, Expr, Literal, choice, sequence
from runtime.grammar.shapes import Clause, Members, Object, Witness
from runtime.grammar.strings import QUOTE, repeat, walk
from runtime.grammar.structures import present

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator
    from collections.abc import Set as AbstractSet

    from runtime.grammar.automaton import Automaton
    from runtime.grammar.logic import Logic
    from runtime.grammar.writer import Writer

_OPEN, _CLOSE = Literal("{"), Literal("}")


def write(writer: Writer, shapes: list[Object], hint: str) -> list[Expr]:
    """An expression for all shapes that name the same keys, and another one for the next."""
    alternatives = [one for shape in shapes for one in _witnessed(writer, shape)]
    names = [keys.named(writer.logic, one) for one in alternatives]
    # One order for all, so that as many as can be share a chain.
    rank = {name: place for place, name in enumerate(dict.fromkeys(name for known in names for name in known))}
    chains: dict[tuple[str, ...], list[Object]] = {}
    for one, known in zip(alternatives, names, strict=True):
        own = tuple(rank) if writer.merged else tuple(sorted(known, key=rank.__getitem__))
        chains.setdefault(own, []).append(one)
    return [sequence(_OPEN, Chain(writer, hint, known, some).start()) for known, some in chains.items()]


def _witnessed(writer: Writer, shape: Object) -> list[Object]:
    """The shape, for each way in which named keys are its witnesses; those left over are for free keys to be."""
    found, logic = [replace(shape, witnesses=())], writer.logic
    for witness in shape.witnesses:
        split = [split for one in found for split in _split(logic, one, witness)]
        found = [one for one in split if not logic.emptiness.of_shape(one)]
        logic.spend(len(split))
    if any(len(one.witnesses) > 1 for one in found):
        raise writer.refuse("not", "two conditions on free keys at once cannot be followed")
    return found


def _split(logic: Logic, shape: Object, witness: Witness) -> list[Object]:
    known = keys.named(logic, shape)
    good = [name for name in known if witness.language.label(name) and logic.accepts(witness.name, name)]
    clause: Clause = frozenset().union(*(present(name, witness.value) for name in good))
    found = [replace(shape, clauses=tuple(dict.fromkeys((*shape.clauses, clause))))] if clause else []
    if keys.free(logic, shape, known):
        found.append(replace(shape, witnesses=(*shape.witnesses, witness)))
    return found


@dataclass(frozen=True, slots=True)
class Stand:
    """How far an alternative has come: clauses still open, and members so far, as far as that matters."""

    alternative: int
    clauses: tuple[Clause, ...]
    count: int = 0


Stands = tuple[Stand, ...]


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
        if not ends:
            return self._members(0, stands)
        return choice(*ends, self._reference(0, stands)) if self._goes_on(0, stands) else _CLOSE

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
                options = [sequence(self._member(at - 1, value), self._after(at, some)) for value, some in taken]
                options += [self._reference(at, skipped)] if self._goes_on(at, skipped) else []
                return sequence(*parts, choice(*options))
            ((value, stands),) = taken
            parts.append(self._member(at - 1, value))
            if any(self._may_end(stand, at) for stand in stands):
                return sequence(*parts, self._after(at, stands))
            parts.append(self._writer.comma)
        return sequence(*parts, choice(*dict.fromkeys(self._tail(stand) for stand in stands)))

    def _after(self, at: int, stands: Stands) -> Expr:
        """The end, or a comma and more members."""
        options: list[Expr] = [_CLOSE] if any(self._may_end(stand, at) for stand in stands) else []
        if self._goes_on(at, stands):
            options.append(sequence(self._writer.comma, self._reference(at, stands)))
        return choice(*options)

    def _reference(self, at: int, stands: Stands) -> Expr:
        return self._writer.rule((self, at, stands), f"{self._hint}-members", lambda: self._members(at, stands))

    def _member(self, at: int, value: Formula) -> Expr:
        name = self._known[at]
        return sequence(Literal(tries.spelled(name)), self._writer.colon, self._writer.value(value, name))

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
            clauses = assigned(stand.clauses, self._known[at], there=False)
            if clauses is not None:
                found.append(replace(stand, clauses=clauses))
        return fewest(found)

    def _grown(self, stand: Stand, clauses: tuple[Clause, ...]) -> Stand:
        shape = self._shapes[stand.alternative]
        most = shape.low if shape.high is None else max(shape.low, shape.high)
        return Stand(stand.alternative, clauses, min(stand.count + 1, most))

    def _may_end(self, stand: Stand, at: int) -> bool:
        shape = self._shapes[stand.alternative]
        satisfied = all(any(not there for _, there, _ in clause) for clause in stand.clauses)
        return satisfied and stand.count >= shape.low and not shape.witnesses

    def _goes_on(self, at: int, stands: Stands) -> bool:
        return any(
            self._free[stand.alternative] or any(name in self._usable[stand.alternative] for name in self._known[at:])
            for stand in stands
        )

    # --- Free keys --------------------------------------------------------------------------------------------------

    def _tail(self, stand: Stand) -> Expr:
        """One free member at least, and the end."""
        shape, free = self._shapes[stand.alternative], self._free[stand.alternative]
        if free is None or any(stand.clauses) or (shape.high is not None and stand.count >= shape.high):
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


def fewest(stands: list[Stand]) -> Stands:
    """The stands but for those of which another has fewer clauses to fulfil."""
    found = list(dict.fromkeys(stands))
    return tuple(one for one in found if not any(_easier(other, one) for other in found))


def _easier(one: Stand, other: Stand) -> bool:
    same = (one.alternative, one.count) == (other.alternative, other.count)
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
