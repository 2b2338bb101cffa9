"""Objects to rules.

Alternatives that name the same keys share one chain, which splits only where the values of a key differ. So what stands
before the key that tells them apart is read once, and a recursion in it cannot multiply.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runtime.grammar import keys
from runtime.grammar.chains import Chain
from runtime.grammar.gbnf import Expr, Literal, sequence
from runtime.grammar.structures import present

if TYPE_CHECKING:
    from runtime.grammar.logic import Logic
    from runtime.grammar.shapes import Clause, Object, Witness
    from runtime.grammar.writer import Writer

_OPEN = Literal("{")


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
    if len(chains) > 1:
        writer.split()
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
