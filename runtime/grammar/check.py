"""Whether llama.cpp can be given a grammar. It is asked before the engine sees any, ours included.

Some grammars end the process, fill the memory or never come back, and no `except` helps: left recursion behind a rule
that may be empty, `{5,2}`, rules doubled in a chain, deep nesting, repetitions of repetitions, recursion that is
ambiguous. Each is found here by looking at the rules, in time about linear in their size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.errors import InvalidRequest
from runtime.grammar import crowds, limits
from runtime.grammar.gbnf import Chars, Choice, Expr, Grammar, Literal, Ref, Repeat, Sequence

if TYPE_CHECKING:
    from collections.abc import Mapping


def check(grammar: Grammar, *, ambiguous: bool = True) -> None:
    """Raises `InvalidRequest`, with the rule and the numbers, for a grammar that the engine should not see.

    `ambiguous` is False where its maker knows that it is not, since to find that out takes longer than all the rest.
    """
    survey = _Survey(grammar.rules)
    if survey.unrolled > limits.UNROLLED:
        raise _wrong("", f"unrolled, it has {survey.unrolled:,} elements; {limits.UNROLLED:,} are the most")
    _Beginnings(grammar.rules, survey).check()
    if ambiguous and crowds.explodes(grammar):
        why = f"it is ambiguous: there come to be over {limits.STACKS:,} ways to read a text, or hundreds for long"
        raise _wrong("", why, "Let alternatives begin differently, above all where a rule leads back to itself.")


def _wrong(rule: str, why: str, hint: str | None = None) -> InvalidRequest:
    return InvalidRequest(f"grammar{f', rule {rule}' if rule else ''}: {why}.", hint)


class _Survey:
    """What one look at every rule finds: what the engine makes of it, who uses whom, what is repeated for ever."""

    def __init__(self, rules: Mapping[str, Expr]) -> None:
        if "root" not in rules:
            raise _wrong("", "it has no rule root")
        if len(rules) > limits.RULES:
            raise _wrong("", f"it has {len(rules):,} rules; {limits.RULES:,} are the most")
        self.users: dict[str, list[str]] = {}
        self.long: list[tuple[str, Expr]] = []  # what is repeated without end, or often
        self.unrolled = sum(self._size(name, body) for name, body in rules.items())
        for name in self.users.keys() - rules.keys():
            raise _wrong(self.users[name][0], f"there is no rule {name}")

    def _size(self, rule: str, body: Expr) -> int:
        """The elements of a rule once the engine has unrolled its repetitions."""
        size, todo = 0, [(body, 0, 1)]
        while todo:
            expr, depth, times = todo.pop()
            if isinstance(expr, Ref):
                self.users.setdefault(expr.name, []).append(rule)
                size += times
            elif isinstance(expr, Literal):
                size += times * len(expr.text)
            elif isinstance(expr, Chars):
                size += times * (len(expr.ranges) or 1)
            elif depth > 2 * limits.NESTING:
                raise _wrong(rule, f"groups are nested deeper than {limits.NESTING}")
            elif isinstance(expr, Repeat):
                # A rule of its own for each that may be missing; and `*` is one.
                size += 2 * times * self._optional(rule, expr)
                todo.append((expr.item, depth + 1, times * max(1, expr.low, expr.high or 0)))
            else:
                parts = expr.items if isinstance(expr, Sequence) else expr.options
                size += times * len(parts)
                todo += [(part, depth + 1, times) for part in parts]
        return size

    def _optional(self, rule: str, expr: Repeat) -> int:
        """How many of the rounds may be missing."""
        low, high = expr.low, expr.high
        _counts(rule, low, high)
        if high is None or high > limits.EMPTY_ROUNDS:
            self.long.append((rule, expr.item))
        return (high or low + 1) - low


def _counts(rule: str, low: int, high: int | None) -> None:
    if high is not None and high < low:
        raise _wrong(rule, f"{{{low},{high}}} ends before it begins")
    if max(low, high or 0) > limits.REPEAT:
        why = f"it counts to {max(low, high or 0):,} in one repetition; {limits.REPEAT:,} is the most"
        raise _wrong(rule, why, f"Make a rule of {limits.REPEAT:,} and repeat that.")


@dataclass(frozen=True, slots=True)
class _Start:
    """How a rule begins: in how many ways with a character, through how long a chain of groups; and with which rules,
    those behind what may be empty too. A rule is there so many times, behind so many groups."""

    ways: int
    chain: int
    rules: list[tuple[str, int, int]]


class _Beginnings:
    """What each rule can begin with. The engine walks there without remembering where it has been."""

    def __init__(self, rules: Mapping[str, Expr], survey: _Survey) -> None:
        self._rules = rules
        self._empty: set[str] = set()  # the rules that may match nothing
        self._find_empty(survey.users)
        for rule, item in survey.long:
            if self._may_be_empty(item):
                why = f"what is repeated without end, or over {limits.EMPTY_ROUNDS} times, may be empty"
                raise _wrong(rule, why, "Let each round match something.")
        self._starts = {name: self._start(body) for name, body in rules.items()}

    def check(self) -> None:
        """No rule begins with itself, none in too many ways, nor through too long a chain of others."""
        known: dict[str, tuple[int, int]] = {}
        for name in self._order():
            start = self._starts[name]
            ways = start.ways + sum(times * known[one][0] for one, times, _ in start.rules)
            chain = max((known[one][1] + before for one, _, before in start.rules), default=0)
            if max(chain, start.chain) > limits.LEFT_CHAIN:
                raise _wrong(name, f"it begins with a chain of over {limits.LEFT_CHAIN:,} rules")
            if ways > limits.LEFT_PATHS:
                raise _wrong(
                    name, f"it can begin in over {limits.LEFT_PATHS:,} ways", "Let its alternatives share a beginning."
                )
            known[name] = (ways + 1, max(chain, start.chain) + 1)

    def _find_empty(self, users: Mapping[str, list[str]]) -> None:
        todo = list(self._rules)
        while todo:
            name = todo.pop()
            if name not in self._empty and self._may_be_empty(self._rules[name]):
                self._empty.add(name)
                todo += users.get(name, ())

    def _may_be_empty(self, expr: Expr) -> bool:
        if isinstance(expr, Literal):
            return not expr.text
        if isinstance(expr, Ref):
            return expr.name in self._empty
        if isinstance(expr, Sequence):
            return all(map(self._may_be_empty, expr.items))
        if isinstance(expr, Choice):
            return any(map(self._may_be_empty, expr.options))
        if isinstance(expr, Repeat):
            return not expr.low or self._may_be_empty(expr.item)
        return False

    def _order(self) -> list[str]:
        """The rules, each behind those it can begin with. With left recursion there is no such order, and it raises."""
        order, opened, done = [], set(), set()
        for start in self._rules:
            path = [start]
            while path:
                name = path[-1]
                if name not in opened:
                    opened.add(name)
                    new = [one for one, _, _ in self._starts[name].rules if one not in done]
                    if any(one in opened for one in new):
                        raise _wrong(
                            name, "it can begin with itself (left recursion)", "Write the repetition with * or +."
                        )
                    path += new
                    continue
                path.pop()
                if name not in done:
                    done.add(name)
                    order.append(name)
        return order

    def _start(self, body: Expr) -> _Start:
        ways, chain, rules, todo = 0, 0, [], [(body, 1, 0)]
        while todo:
            expr, times, before = todo.pop()
            if isinstance(expr, Ref):
                rules.append((expr.name, times, before))
            elif isinstance(expr, Choice):
                todo += [(option, times, before) for option in expr.options]
            elif isinstance(expr, Sequence):
                for item in expr.items:
                    todo.append((item, times, before))
                    if not self._may_be_empty(item):
                        break
            else:
                ways += times
                if isinstance(expr, Repeat):
                    rounds = (expr.high or 1) if self._may_be_empty(expr.item) else 1
                    before += rounds
                    todo.append((expr.item, times * rounds, before))
                chain = max(chain, before)
        return _Start(ways, chain, rules)
