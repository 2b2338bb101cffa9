"""Arrays to rules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import ceil, comb, floor
from typing import TYPE_CHECKING, Any

from runtime.grammar import limits
from runtime.grammar.emptiness import element
from runtime.grammar.formula import Formula, every, negation
from runtime.grammar.gbnf import EMPTY, Choice, Expr, Literal, choice, sequence
from runtime.grammar.shapes import Array, Const, Consts, Number, identity
from runtime.grammar.strings import repeat
from runtime.grammar.tries import of_values

if TYPE_CHECKING:
    from runtime.grammar.writer import Writer

_OPEN, _CLOSE = Literal("["), Literal("]")
_FEW = 16  # integers of a range that are taken as a list of values


def write(writer: Writer, shape: Array, hint: str) -> Expr:
    shape = _bounded(writer, shape)
    if shape.high is not None and shape.low > shape.high:
        return Choice(())
    if shape.unique and (shape.high is None or shape.high > 1):
        return sequence(_OPEN, _Unique(writer, shape, hint).after(frozenset(), 0))
    if shape.counts:
        return sequence(_OPEN, _Counting(writer, shape, hint).after(0, (0,) * len(shape.counts)))
    return sequence(_OPEN, _plain(writer, shape, hint, 0))


def length(shape: Array) -> int:
    """From this place on, elements are alike."""
    return max((len(layer.prefix) for layer in shape.layers), default=0)


def _comma(writer: Writer, at: int) -> Expr:
    return writer.comma if at else EMPTY


def _bounded(writer: Writer, shape: Array) -> Array:
    """The shape, its length bounded by the first place where nothing can stand."""
    for at in range(length(shape) + 1):
        if shape.high is not None and at >= shape.high:
            break
        if writer.logic.emptiness.of_formula(element(shape, at)):
            return replace(shape, high=at)
    return shape


def _plain(writer: Writer, shape: Array, hint: str, at: int) -> Expr:
    """What follows when `at` elements are there."""
    parts: list[Expr] = []
    while at < length(shape) and at != shape.high:
        item = sequence(_comma(writer, at), writer.value(element(shape, at), f"{hint}-{at}"))
        if at >= shape.low:
            following = writer.rule(("items", shape, at), hint, _later(writer, shape, hint, at, item))
            return sequence(*parts, choice(_CLOSE, following))
        parts.append(item)
        at += 1
    if at == shape.high:
        return sequence(*parts, _CLOSE)
    return sequence(*parts, _rest(writer, shape, hint, at))


def _later(writer: Writer, shape: Array, hint: str, at: int, item: Expr) -> Any:
    return lambda: sequence(item, _plain(writer, shape, hint, at + 1))


def _rest(writer: Writer, shape: Array, hint: str, at: int) -> Expr:
    """All elements from the first on that is like those after it."""
    item = writer.value(element(shape, at), f"{hint}-item")
    more = writer.rule(("more", item), f"{hint}-more", lambda: sequence(writer.comma, item))
    low, high = max(0, shape.low - at), None if shape.high is None else shape.high - at
    if at:
        return sequence(repeat(writer, more, low, high), _CLOSE)
    some = sequence(item, repeat(writer, more, max(0, low - 1), None if high is None else high - 1), _CLOSE)
    return some if low else choice(_CLOSE, some)


@dataclass(frozen=True, slots=True, eq=False)
class _Unique:
    """Elements of few values, none of which comes twice: a rule for each set of values that are taken."""

    writer: Writer
    shape: Array
    hint: str

    def after(self, taken: frozenset[str], at: int) -> Expr:
        options: list[Expr] = [_CLOSE] if at >= self.shape.low else []
        if self.shape.high is None or at < self.shape.high:
            for const in self._values(at):
                if const.key not in taken:
                    text = of_values(self.writer, Consts((const,)), self.hint)
                    options.append(sequence(_comma(self.writer, at), text, self._later(taken | {const.key}, at + 1)))
        return choice(*options)

    def _later(self, taken: frozenset[str], at: int) -> Expr:
        return self.writer.rule((self, taken, at), self.hint, lambda: self.after(taken, at))

    def _values(self, at: int) -> list[Const]:
        """The values of the element at a place. Raises `UnsupportedSchema` when they are many."""
        found: list[Const] = []
        for shapes in self.writer.logic.normal(element(self.shape, min(at, length(self.shape)))).values():
            for shape in shapes:
                values = few_values(shape)
                if values is None:
                    raise self._refuse("the items are of more values than can be followed")
                found += values
        most = len(found) if self.shape.high is None else min(len(found), self.shape.high)
        if sum(comb(len(found), size) for size in range(most + 1)) > limits.UNIQUE_STATES or self.shape.counts:
            raise self._refuse(f"{len(found)} values have over {limits.UNIQUE_STATES:,} subsets")
        return found

    def _refuse(self, why: str) -> Exception:
        return self.writer.refuse("uniqueItems", why, "Give the items an enum of at most nine values, or leave it out.")


def few_values(shape: Any) -> list[Const] | None:
    """All values of a shape, if they are listed or a short range of integers."""
    if isinstance(shape, Consts):
        return list(shape.values)
    if not isinstance(shape, Number) or shape.low is None or shape.high is None or shape.step is None or shape.unlike:
        return None
    first, last = ceil(shape.low / shape.step), floor(shape.high / shape.step)
    if last - first >= _FEW or shape.step.denominator != 1:
        return None
    numbers = [n * shape.step.numerator for n in range(first, last + 1)]
    numbers = [n for n in numbers if n not in shape.excluded]
    numbers = [
        n for n in numbers if not (shape.low_open and n == shape.low) and not (shape.high_open and n == shape.high)
    ]
    return [Const(identity(n), n) for n in numbers]


@dataclass(frozen=True, slots=True, eq=False)
class _Counting:
    """`contains`: a rule for each place and each count of good elements so far, as far as they matter."""

    writer: Writer
    shape: Array
    hint: str

    def after(self, at: int, counts: tuple[int, ...]) -> Expr:
        options: list[Expr] = []
        enough = all(low.low <= count for low, count in zip(self.shape.counts, counts, strict=True))
        if at >= self.shape.low and enough:
            options.append(_CLOSE)
        if self.shape.high is None or at < self.shape.high:
            for formula, grown in self._elements(at, counts):
                item = self.writer.value(formula, f"{self.hint}-item")
                options.append(sequence(_comma(self.writer, at), item, self._later(self._next(at), grown)))
        return choice(*options)

    def _later(self, at: int, counts: tuple[int, ...]) -> Expr:
        return self.writer.rule((self, at, counts), self.hint, lambda: self.after(at, counts))

    def _next(self, at: int) -> int:
        """The next place, or one like it: from some place on only the number of elements matters, if that."""
        start = max(counted.start for counted in self.shape.counts)
        last = max(length(self.shape), start, self.shape.low, self.shape.high or 0, 1)
        if last > limits.UNIQUE_STATES:
            raise self.writer.refuse("contains", f"arrays of {last:,} items are too long for it")
        return min(at + 1, last)

    def _elements(self, at: int, counts: tuple[int, ...]) -> list[tuple[Formula, tuple[int, ...]]]:
        """For each way in which the element can count: what it must be, and the counts after it."""
        base = element(self.shape, min(at, length(self.shape)))
        found = []
        for good in product((True, False), repeat=len(counts)):
            parts, grown = [base], []
            for counted, hit, count in zip(self.shape.counts, good, counts, strict=True):
                if at < counted.start:
                    hit = False
                else:
                    parts.append(counted.formula if hit else negation(counted.formula))
                # One above the most is for ever too many; without a most, the least is enough to know.
                grown.append(min(count + hit, counted.low if counted.high is None else counted.high + 1))
            allowed = all(c.high is None or n <= c.high for c, n in zip(self.shape.counts, grown, strict=True))
            formula = every(*parts)
            if allowed and not self.writer.logic.emptiness.of_formula(formula):
                found.append((formula, tuple(grown)))
        return list(dict.fromkeys(found))
