"""Text to syntax trees, as llama.cpp's own parser reads it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runtime.errors import InvalidRequest
from runtime.grammar import characters, limits
from runtime.grammar.gbnf.grammar import Grammar
from runtime.grammar.gbnf.tree import EMPTY, Chars, Choice, Expr, Literal, Ref, Repeat, Sequence

if TYPE_CHECKING:
    from collections.abc import Mapping

_SPACE = re.compile(r"(?:[ \t]|#[^\r\n]*)*")
_SPACES = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_NAME = re.compile(r"[A-Za-z0-9-]+")
_CHARACTER = re.compile(
    r"\\(?:x(?P<x>[0-9A-Fa-f]{2})|u(?P<u>[0-9A-Fa-f]{4})|U(?P<U>[0-9A-Fa-f]{8})|(?P<short>[trn\\\"\[\]-]))|(?P<raw>[^\\])",
    re.DOTALL,
)
_COUNT = re.compile(r"[0-9]{1,9}(?![0-9])")
_SHORT = {"t": "\t", "r": "\r", "n": "\n"}
_TIMES: Mapping[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}


def parse(text: str) -> Grammar:
    """The grammar that the text writes. Raises `InvalidRequest` with the line; `runtime.grammar.check` judges it."""
    if len(text) > limits.GRAMMAR_BYTES or len(text.encode("utf-8", "replace")) > limits.GRAMMAR_BYTES:
        raise InvalidRequest(f"The grammar has over {limits.GRAMMAR_BYTES:,} bytes, which is the most.")
    if "\0" in text:
        raise InvalidRequest("The grammar holds a NUL, behind which llama.cpp reads nothing.", r"Write it as \x00.")
    return _Parser(text).grammar()


class _Parser:
    """One pass over the text, as llama.cpp's: `_at` is where it stands."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth = text, 0, 0
        self._names: set[str] = set()  # of rules, as they are met
        self._made = 0  # rules that llama.cpp makes of groups and repetitions

    def grammar(self) -> Grammar:
        rules: dict[str, Expr] = {}
        self._space(nested=True)
        while self._next():
            name = self._match(_NAME, "a rule's name")
            self._space(nested=False)
            if not self._text.startswith("::=", self._at):
                raise self._error(f"expected ::= after {name}")
            if name in rules:  # llama.cpp takes the last, and chokes on what is left of the others
                raise self._error(f"there is a rule {name} already")
            self._at += 3
            self._space(nested=True)
            self._names.add(name)
            rules[name] = self._choice(nested=False)
            if self._next() not in ("", "\r", "\n"):
                raise self._error("expected the end of the line")
            self._space(nested=True)
        return Grammar(rules)

    def _choice(self, *, nested: bool) -> Expr:
        options = [self._sequence(nested=nested)]
        while self._next() == "|":
            self._at += 1
            self._space(nested=True)
            options.append(self._sequence(nested=nested))
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self, *, nested: bool) -> Expr:
        items: list[Expr] = []
        weight = 1  # of the last item: the rules that llama.cpp makes of it
        while (char := self._next()) and char not in "|)\r\n":
            if char in "*+?{":
                if not items or items[-1] == EMPTY:
                    raise self._error(f"nothing before {char} to repeat")
                low, high = self._times(nested=nested)
                items[-1] = Repeat(items[-1], low, high)
                weight = self._repeated(weight, low, high)
            else:
                before = self._n_rules
                items.append(self._item(char))
                weight = max(1, self._n_rules - before) if char == "(" else 1
            self._space(nested=nested)
        return items[0] if len(items) == 1 else Sequence(tuple(items)) if items else EMPTY

    @property
    def _n_rules(self) -> int:
        return len(self._names) + self._made

    def _repeated(self, weight: int, low: int, high: int | None) -> int:
        """The weight of an item once it is repeated. llama.cpp refuses more than `limits.REPEATED`."""
        weight *= high or low or 1
        if weight > limits.REPEATED:
            hint = "Make a rule of what is repeated."
            raise self._error(f"it repeats {weight:,} rules; {limits.REPEATED:,} are the most", hint)
        self._made += 1 if high is None else max(0, high - low)
        return weight

    def _item(self, char: str) -> Expr:
        if _NAME.match(char):
            name = self._match(_NAME, "a name")
            self._names.add(name)
            return Ref(name)
        if char in "<!":
            raise self._error("token references are not supported")
        self._at += 1
        if char == '"':
            return Literal("".join(iter(lambda: self._character('"'), "")))
        if char == ".":
            return Chars((), negated=True)
        if char == "[":
            return self._chars()
        if char == "(":
            return self._group()
        raise self._error(f"unexpected {char!r}")

    def _group(self) -> Expr:
        self._depth += 1
        if self._depth > limits.NESTING:
            raise self._error(f"more than {limits.NESTING} nested groups")
        self._made += 1
        self._space(nested=True)
        inner = self._choice(nested=True)
        if self._next() != ")":
            raise self._error("expected )")
        self._at += 1
        self._depth -= 1
        return inner

    def _chars(self) -> Expr:
        negated = self._next() == "^"
        self._at += negated
        ranges = []
        while low := self._character("]"):
            high = low
            if self._next() == "-" and self._text[self._at + 1 : self._at + 2] != "]":
                self._at += 1
                high = self._character("") or low
            if high < low:
                raise self._error(f"the range {low}-{high} is empty")
            ranges.append((ord(low), ord(high)))
        if not ranges:
            raise self._error("an empty class")
        return Chars(characters.union(tuple(ranges)), negated)

    def _character(self, end: str) -> str:
        """The next character, or "" at `end`, which is passed."""
        if end and self._next() == end:
            self._at += 1
            return ""
        found = _CHARACTER.match(self._text, self._at)
        if not found:
            raise self._error("the text ends too early" if not self._next() else "unknown escape")
        self._at = found.end()
        if found["raw"]:
            return found["raw"]
        if found["short"]:
            return _SHORT.get(found["short"], found["short"])
        code = int(found["x"] or found["u"] or found["U"], 16)
        if code > characters.LAST:
            raise self._error(f"U+{code:X} is no character")
        return chr(code)

    def _times(self, *, nested: bool) -> tuple[int, int | None]:
        sign = self._next()
        self._at += 1
        if sign != "{":
            return _TIMES[sign]
        self._space(nested=nested)
        low = high = self._count()
        self._space(nested=nested)
        if self._next() == ",":
            self._at += 1
            self._space(nested=nested)
            high = self._count() if self._next().isdigit() else -1
            self._space(nested=nested)
        if self._next() != "}":
            raise self._error("expected }")
        self._at += 1
        return low, None if high < 0 else high

    def _count(self) -> int:
        return int(self._match(_COUNT, "a count of at most nine digits"))

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _space(self, *, nested: bool) -> None:
        found = (_SPACES if nested else _SPACE).match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _match(self, pattern: re.Pattern[str], what: str) -> str:
        found = pattern.match(self._text, self._at)
        if not found:
            raise self._error(f"expected {what}")
        self._at = found.end()
        return found[0]

    def _error(self, why: str, hint: str | None = None) -> InvalidRequest:
        line = self._text.count("\n", 0, self._at) + 1
        return InvalidRequest(f"grammar, line {line}: {why}.", hint)
