"""The shortest text of everything in a grammar, and of what is left of one.

Knuth's generalisation of Dijkstra's algorithm ("A Generalization of Dijkstra's Algorithm", 1977): expressions get their
lengths in ascending order, so each is looked at once, and a choice takes the option that came first. What never gets
one leads to no end.
"""

from __future__ import annotations

import math
import re
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

from runtime.grammar import limits
from runtime.grammar.gbnf import Chars, Choice, Expr, Grammar, Literal, Ref, Repeat, Sequence
from runtime.grammar.stacks import writable

if TYPE_CHECKING:
    from collections import abc
    from collections.abc import Mapping

    from runtime.grammar.stacks import Cell, Stack

_NEVER = re.compile("[\0\ud800-\udfff]")  # see `runtime.grammar.stacks.writable`


class Endings:
    """Lengths are in characters; `math.inf` for what has no end within `limits.END`."""

    def __init__(self, grammar: Grammar) -> None:
        self._rules = grammar.rules
        self._lengths, self._shortest = _Search(grammar.rules).run()
        self._stacks: dict[Stack, float] = {}

    def length(self, stack: Stack) -> float:
        """The least number of characters that empties the stack."""
        path: list[Cell] = []
        while stack and stack not in self._stacks:
            path.append(stack)
            stack = stack.rest
        length = self._stacks[stack] if stack else 0
        for cell in reversed(path):
            length = self._stacks[cell] = length + self._left(cell)
        return length if length <= limits.END else math.inf

    def text(self, stack: Stack) -> str:
        """As many characters, which empty the stack. It has to have an end."""
        parts: list[str] = []
        while stack:
            expr = stack.expr
            if isinstance(expr, Literal):
                parts.append(expr.text[stack.at :])
            elif isinstance(expr, Repeat):
                parts += self._parts([expr.item] * max(0, expr.low - stack.at))
            else:
                parts += self._parts([expr])
            stack = stack.rest
        return "".join(parts)

    def forget(self) -> None:
        self._stacks.clear()

    def _left(self, cell: Cell) -> float:
        expr = cell.expr
        if isinstance(expr, Repeat) and cell.at:
            rounds = max(0, expr.low - cell.at)
            return self._length(expr.item) * rounds if rounds else 0
        return self._length(expr) - cell.at

    def _length(self, expr: Expr) -> float:
        return self._lengths.get(id(expr), math.inf)

    def _parts(self, todo: list[Expr]) -> list[str]:
        parts: list[str] = []
        while todo:
            expr = todo.pop()
            match expr:
                case Literal(text):
                    parts.append(text)
                case Chars():
                    parts.append(chr(writable(expr)[0][0]))
                case _ if self._length(expr):
                    todo += reversed(self._below(expr))
        return parts

    def _below(self, expr: Expr) -> abc.Sequence[Expr]:
        match expr:
            case Ref(name):
                return [self._rules[name]]
            case Choice():
                return [self._shortest[id(expr)]]
            case Repeat(item, low):
                return [item] * low
            case Sequence(items):
                return items
        return []


class _Search:
    """All expressions by their place in memory: equal ones in two places cost more to compare than to look at twice."""

    def __init__(self, rules: Mapping[str, Expr]) -> None:
        self._rules = rules
        self._heap: list[tuple[float, int, Expr, Expr]] = []  # length, a number that decides, what, and through what
        self._numbers = count()
        self._lengths: dict[int, float] = {}
        self._shortest: dict[int, Expr] = {}
        self._users: dict[int, list[Expr]] = {}
        self._sums: dict[
            int, tuple[int, float]
        ] = {}  # of a sequence: items without a length, and lengths of the others

    def run(self) -> tuple[dict[int, float], dict[int, Expr]]:
        """The length of each expression, and the option that each choice takes."""
        self._visit()
        while self._heap:
            length, _, expr, through = heappop(self._heap)
            if id(expr) in self._lengths:
                continue
            self._lengths[id(expr)] = length
            if isinstance(expr, Choice):
                self._shortest[id(expr)] = through
            for user in self._users.get(id(expr), ()):
                self._tell(user, expr, length)
        return self._lengths, self._shortest

    def _visit(self) -> None:
        todo, seen = list(self._rules.values()), set[int]()
        while todo:
            expr = todo.pop()
            if id(expr) in seen:
                continue
            seen.add(id(expr))
            below = self._begin(expr)
            for part in below:
                self._users.setdefault(id(part), []).append(expr)
            todo += below

    def _begin(self, expr: Expr) -> list[Expr]:
        """Offers the length of what needs no other, and returns what else is needed."""
        match expr:
            case Literal(text) if not _NEVER.search(text):
                self._offer(len(text), expr)
            case Chars() if writable(expr):
                self._offer(1, expr)
            case Sequence(items):
                self._sums[id(expr)] = len(items), 0
                if not items:
                    self._offer(0, expr)
                return list(items)
            case Choice(options):
                return list(options)
            case Repeat(item, low):
                if not low:
                    self._offer(0, expr)
                return [item]
            case Ref(name):
                return [self._rules[name]]
        return []

    def _tell(self, user: Expr, part: Expr, length: float) -> None:
        if isinstance(user, Sequence):
            missing, others = self._sums[id(user)]
            missing, length = missing - 1, others + length
            self._sums[id(user)] = missing, length
            if missing:
                return
        elif isinstance(user, Repeat):
            length *= user.low
        self._offer(length, user, part)

    def _offer(self, length: float, expr: Expr, through: Expr | None = None) -> None:
        if length <= limits.END:
            heappush(self._heap, (length, next(self._numbers), expr, through or expr))
