"""Numbers as automata over their decimal digits.

Each condition reads the digits by itself and keeps a small state; the conditions of a `Number` are walked together.
Numbers under a condition are written without an exponent. Where digits no longer matter, the grammar ends them after
`DIGITS` more, so that a model cannot write digits for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor, gcd
from typing import TYPE_CHECKING, Any, Protocol

from runtime.grammar import automaton, limits
from runtime.grammar.minimal import minimised

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from fractions import Fraction

    from runtime.grammar.automaton import Automaton
    from runtime.grammar.shapes import Number

DIGITS = 20  # a 64-bit integer has 20, and no double needs more
_MOST = 10 ** (DIGITS + 1)  # more than any number that is written
_ALPHABET = "-.0123456789"


class Condition(Protocol):
    """Reads a number's characters one by one. None as a state says that no number begins like this."""

    @property
    def start(self) -> Any: ...

    def step(self, state: Any, char: str) -> Any: ...

    def holds(self, state: Any) -> bool: ...


@dataclass(frozen=True, slots=True)
class Form:
    """A JSON number without an exponent. A state is the part that was read last."""

    whole: bool  # no fraction
    zero_fraction: bool  # a fraction of one zero: 2.0, which is an integer from draft 6 on
    start: Any = "start"

    def step(self, state: str, char: str) -> str | None:
        if char == "-":
            return "minus" if state == "start" else None
        if char == ".":
            pointed = state in ("zero", "digits") and (self.zero_fraction or not self.whole)
            return "point" if pointed or (state == "minus zero" and not self.whole) else None
        if state in ("start", "minus"):
            return "digits" if char != "0" else "zero" if state == "start" else "minus zero"
        if state in ("point", "fraction"):
            return "fraction" if not self.whole else "end" if char == "0" and state == "point" else None
        return state if state == "digits" else None

    def holds(self, state: str) -> bool:
        return state in ("zero", "digits", "fraction", "end")


@dataclass(frozen=True, slots=True)
class Compared:
    """Where the number lies from `bound`: below (-1), at (0) or above it (1); `wanted` are the good ones."""

    bound: Fraction
    wanted: frozenset[int]
    digits: tuple[str, str]  # of the bound, before and behind the point
    start: Any = (False, None, 0, 0)

    def step(self, state: Any, char: str) -> Any:
        # (negative, the comparison of the whole part once it is read, digits read, comparison of the digits so far)
        negative, whole, count, order = state
        if char == "-":
            return (True, whole, count, order)
        digits = self.digits
        if char == ".":
            return (negative, self._whole_order(count, order), 0, 0)
        if whole is None:
            wanted = digits[0][count] if count < len(digits[0]) else "0"
            return (negative, None, min(count + 1, len(digits[0]) + 1), order or (char > wanted) - (char < wanted))
        if whole or order:
            return (negative, whole, 0, order)
        wanted = digits[1][count] if count < len(digits[1]) else "0"
        return (negative, whole, min(count + 1, len(digits[1])), (char > wanted) - (char < wanted))

    def holds(self, state: Any) -> bool:
        negative, whole, count, order = state
        if whole is None:
            whole, count, order = self._whole_order(count, order), 0, 0
        # What is left of the bound's digits is not all zeros.
        size = whole or order or (-1 if count < len(self.digits[1]) else 0)
        if self.bound < 0:
            found = -size if negative else 1
        else:
            found = (-1 if self.bound or size else 0) if negative else size
        return found in self.wanted

    def _whole_order(self, count: int, order: int) -> int:
        length = len(self.digits[0])
        return order if count == length else (1 if count > length else -1)


def compared(bound: Fraction, *wanted: int) -> Compared:
    return Compared(bound, frozenset(wanted), _decimal(abs(bound)))


def _decimal(number: Fraction) -> tuple[str, str]:
    """The digits before and behind the point; the latter without zeros at the end."""
    whole, rest = divmod(number, 1)
    digits = []
    while rest:
        digit, rest = divmod(rest * 10, 1)
        digits.append(str(digit))
        if len(digits) > limits.STATES:
            raise automaton.TooLarge
    return str(whole), "".join(digits)


@dataclass(frozen=True, slots=True)
class Multiple:
    """A multiple of `modulus / 10**places`. States: the remainder so far, and digits read behind the point."""

    modulus: int
    places: int
    wanted: bool = True
    start: Any = (0, None)

    def step(self, state: tuple[int, int | None], char: str) -> tuple[int, int | None]:
        remainder, place = state
        if char in "-.":
            return (remainder, 0 if char == "." else place)
        if place is not None and place >= self.places:
            # Behind the last place only zeros keep it a multiple; -1 is for ever none.
            return (remainder if char == "0" else -1, place)
        grown = (remainder * 10 + int(char)) % self.modulus if remainder >= 0 else -1
        return (grown, None if place is None else place + 1)

    def holds(self, state: tuple[int, int | None]) -> bool:
        remainder, place = state
        whole = remainder >= 0 and remainder * 10 ** (self.places - (place or 0)) % self.modulus == 0
        return whole is self.wanted


def multiple(step: Fraction, *, wanted: bool = True) -> Multiple:
    places = 0
    while step.denominator != 1:
        step, places = step * 10, places + 1
        if places > limits.STATES:
            raise automaton.TooLarge
    if step.numerator > limits.STATES:
        raise automaton.TooLarge
    return Multiple(step.numerator, places, wanted)


@lru_cache(maxsize=512)
def language(number: Number, *, zero_fraction: bool = False) -> Automaton:
    """The ways of writing the numbers of a shape. Raises `TooLarge`."""
    whole = number.step is not None and number.step.denominator == 1
    conditions: list[Condition] = [Form(whole, zero_fraction)]
    if number.low is not None and number.low > -_MOST:
        conditions.append(compared(number.low, *([1] if number.low_open else [0, 1])))
    if number.high is not None and number.high < _MOST:
        conditions.append(compared(number.high, *([-1] if number.high_open else [0, -1])))
    if number.step is not None and number.step != 1:
        conditions.append(multiple(number.step))
    conditions += [multiple(step, wanted=False) for step in sorted(number.unlike)]
    conditions += [compared(value, -1, 1) for value in sorted(number.excluded)]

    def moves(states: tuple[Any, ...]) -> Iterable[tuple[int, int, Hashable]]:
        for char in _ALPHABET:
            form = conditions[0].step(states[0], char)
            if form is not None:
                others = (one.step(state, char) for one, state in zip(conditions[1:], states[1:], strict=True))
                yield ord(char), ord(char), (form, *others)

    def label(states: tuple[Any, ...]) -> bool | None:
        return all(one.holds(state) for one, state in zip(conditions, states, strict=True)) or None

    return minimised(automaton.explore(tuple(one.start for one in conditions), moves, label, 4 * limits.STATES))


def common(one: Fraction | None, other: Fraction | None) -> Fraction | None:
    """The least common multiple, where None is no condition."""
    if one is None or other is None:
        return one or other
    top = one.numerator * other.numerator // gcd(one.numerator, other.numerator)
    return type(one)(top, gcd(one.denominator, other.denominator))


def is_empty(number: Number) -> bool:
    """Is there no such number? Long lists of exclusions are not looked through: it says no then."""
    low, high, step = number.low, number.high, number.step
    if low is None or high is None:
        return False
    if step is None:
        return low > high or (low == high and (number.low_open or number.high_open or low in number.excluded))
    first, last = ceil(low / step), floor(high / step)
    first += number.low_open and first * step == low
    last -= number.high_open and last * step == high
    if last - first > len(number.excluded):
        return first > last
    return all(n * step in number.excluded for n in range(first, last + 1))


def admits(number: Number, value: Fraction) -> bool:
    if number.low is not None and (value < number.low or (number.low_open and value == number.low)):
        return False
    if number.high is not None and (value > number.high or (number.high_open and value == number.high)):
        return False
    if number.step is not None and (value / number.step).denominator != 1:
        return False
    return value not in number.excluded and not any((value / step).denominator == 1 for step in number.unlike)
