"""Strings and numbers to rules: automata, spelled as JSON spells their characters."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from runtime.grammar import automaton, characters, limits, numbers
from runtime.grammar.automaton import ANYTHING, Automaton, Tail, TooLarge
from runtime.grammar.gbnf import EMPTY, Chars, Expr, Literal, Ref, Repeat, choice, sequence

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.grammar.characters import Ranges
    from runtime.grammar.shapes import Number, Text
    from runtime.grammar.writer import Writer

QUOTE = Literal('"')
_ESCAPED: Ranges = ((0, 0x1F), (0x22, 0x22), (0x5C, 0x5C))  # what JSON does not take as it is
_SHORT = {8: "b", 9: "t", 10: "n", 12: "f", 13: "r", 0x22: '"', 0x5C: "\\"}


def text(writer: Writer, shape: Text, hint: str) -> Expr:
    """A string, with its quotes."""
    if shape.language is ANYTHING and not shape.excluded:
        return sequence(QUOTE, repeat(writer, writer.static("char"), shape.low, shape.high), QUOTE)
    return sequence(QUOTE, Walk(writer, _measured(writer, shape), hint, lambda _: QUOTE, sure=True).state(0))


def _measured(writer: Writer, shape: Text) -> Automaton:
    """The language with its length. Where that takes too many states, long texts are left out: who would miss them?"""
    language = automaton.without(shape.language, shape.excluded)
    shorter = limits.LONG_STATES // len(language.labels)
    for high in (shape.high, shorter):
        try:
            if high is None or high >= max(shape.low, min(shape.high or high, limits.LONG)):
                return automaton.with_length(language, shape.low, high)
        except TooLarge:
            continue
    why = f"together with a length of {shape.low} to {shape.high} it needs too many states"
    raise writer.refuse("pattern", why, "Write it simpler, or with a smaller maxLength.")


def number(writer: Writer, shape: Number, hint: str) -> Expr:
    try:
        language = numbers.language(shape, zero_fraction=writer.zero_fraction)
    except TooLarge:
        raise writer.refuse("", "its numbers need too many states") from None
    return Walk(writer, language, hint, lambda _: EMPTY, numbers.DIGITS, sure=True).state(0)


def walk(writer: Writer, language: Automaton, hint: str, close: Callable[[Any], Expr]) -> Expr:
    """The texts of an automaton, as they stand inside of a string; `close` writes what follows, by the label."""
    return Walk(writer, language, hint, close).state(0)


class Walk:
    """An automaton as rules, one for each state that is reached from several others."""

    def __init__(
        self,
        writer: Writer,
        language: Automaton,
        hint: str,
        close: Callable[[Any], Expr],
        loops: int | None = None,
        *,
        sure: bool = False,
    ) -> None:
        """`loops`: how often a state that leads to itself does so at most. `sure`: what `close` writes has an end."""
        self._sure = sure
        self._writer, self._language, self._hint, self._close, self._loops = writer, language, hint, close, loops
        self._sources = [0] * len(language.labels)
        for state, row in enumerate(language.edges):
            for target in {edge[2] for edge in row} - {state}:
                self._sources[target] += 1
        self._sources[0] += 1

    def state(self, state: int) -> Expr:
        """What may follow in a state. A run of states with one way on is written in one go."""
        parts: list[Expr] = []
        while True:
            label, targets = self._language.labels[state], self._language.targets(state)
            loop = targets.pop(state, None)
            if loop:
                parts.append(Repeat(self._spelled(loop), 0, self._loops))
            if label is None and len(targets) == 1:
                ((target, ranges),) = targets.items()
                parts.append(self._spelled(ranges))
                if self._sources[target] == 1:
                    state = target
                    continue
                return sequence(*merged([*parts, self._reference(target)]))
            options = [sequence(self._spelled(ranges), self._reference(target)) for target, ranges in targets.items()]
            if label is not None:
                options.append(self._end(label))
            return sequence(*merged(parts), choice(*options))

    def _reference(self, state: int) -> Expr:
        if not self._language.edges[state] and self._language.labels[state] is not None:
            return self._end(self._language.labels[state])
        return self._writer.rule((self, state), f"{self._hint}-{state}", lambda: self.state(state), sure=self._sure)

    def _end(self, label: Any) -> Expr:
        if isinstance(label, Tail):
            return sequence(repeat(self._writer, self._spelled(label.chars), label.low, label.high), self._close(True))
        return self._close(label)

    def _spelled(self, ranges: Ranges) -> Expr:
        spelled = spell(ranges)
        if isinstance(spelled, Ref):
            self._writer.static(spelled.name)
        elif not isinstance(spelled, Chars | Literal):
            self._writer.static("escape")
            return self._writer.rule(spelled, "chars", lambda: spelled)
        return spelled


def merged(parts: list[Expr]) -> list[Expr]:
    """The parts, equal ones side by side counted."""
    found: list[Expr] = []
    for part in parts:
        last = found[-1] if found else None
        if last == part and isinstance(part, Chars | Ref):
            found[-1] = Repeat(part, 2, 2)
        elif isinstance(last, Repeat) and last.item == part and last.low == last.high and last.low < limits.REPEAT:
            found[-1] = Repeat(part, last.low + 1, last.low + 1)
        else:
            found.append(part)
    return found


@lru_cache(maxsize=1024)
def spell(ranges: Ranges) -> Expr:
    """One of these characters, as a JSON string has it."""
    plain = characters.difference(ranges, _ESCAPED)
    escaped = characters.intersection(ranges, _ESCAPED)
    options: list[Expr] = []
    if plain:
        single = characters.size(plain) == 1
        options.append(Literal(chr(plain[0][0])) if single else Chars(plain))
    if escaped == _ESCAPED:
        options.append(Ref("escape"))
    else:
        options += [Literal(f"\\{_short(code)}") for low, high in escaped for code in range(low, high + 1)]
    return choice(*options)


def _short(code: int) -> str:
    return _SHORT.get(code) or f"u{code:04x}"


def repeat(writer: Writer, item: Expr, low: int, high: int | None) -> Expr:
    """The item `low` to `high` times, however many that is: above 1,000 in blocks, and blocks of blocks."""
    return sequence(_exactly(writer, item, low), _up_to(writer, item, None if high is None else high - low))


def _exactly(writer: Writer, item: Expr, count: int) -> Expr:
    if count <= limits.REPEAT:
        return _times(item, count, count)
    blocks, rest = divmod(count, limits.REPEAT)
    return sequence(_exactly(writer, _block(writer, item), blocks), _times(item, rest, rest))


def _up_to(writer: Writer, item: Expr, count: int | None) -> Expr:
    """At most so many: whole blocks and less than another one, or all blocks and what is left."""
    if count is None or count <= limits.REPEAT:
        return _times(item, 0, count)
    writer.fork()  # whether an item is in a block shows when the last has come
    blocks, rest = divmod(count, limits.REPEAT)
    block = _block(writer, item)
    return choice(
        sequence(_up_to(writer, block, blocks - 1), _times(item, 0, limits.REPEAT - 1)),
        sequence(_exactly(writer, block, blocks), _times(item, 0, rest)),
    )


def _block(writer: Writer, item: Expr) -> Ref:
    return writer.rule(("block", item), "block", lambda: Repeat(item, limits.REPEAT, limits.REPEAT))


def _times(item: Expr, low: int, high: int | None) -> Expr:
    if high == 0:
        return EMPTY
    return item if (low, high) == (1, 1) else Repeat(item, low, high)
