"""Whether llama.cpp can be given a grammar. It is asked before the engine sees any, ours included.

Some grammars end the process, fill the memory or never come back, and no `except` helps: left recursion behind a rule
that may be empty, `{5,2}`, rules doubled in a chain, deep nesting, repetitions of repetitions, recursion that is
ambiguous. Each is found here by looking at the rules, in time about linear in their size.
"""

from __future__ import annotations

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
        why = f"it is ambiguous: after a few characters there are over {limits.STACKS:,} ways to read them"
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
        self.endless: list[tuple[str, Expr]] = []
        self._rules, self._rule = rules, ""
        self.unrolled = sum(self._in_rule(name, body) for name, body in rules.items())

    def _in_rule(self, name: str, body: Expr) -> int:
        self._rule = name
        return self._size(body, 0)

    def _size(self, expr: Expr, depth: int) -> int:
        """The elements of an expression once the engine has unrolled its repetitions."""
        if depth > 2 * limits.NESTING:
            raise _wrong(self._rule, f"groups are nested deeper than {limits.NESTING}")
        if isinstance(expr, Ref):
            return self._use(expr.name)
        if isinstance(expr, Literal):
            return len(expr.text)
        if isinstance(expr, Chars):
            return len(expr.ranges) or 1
        if isinstance(expr, Repeat):
            return self._repeat(expr, depth)
        parts = expr.items if isinstance(expr, Sequence) else expr.options
        return sum([self._size(part, depth + 1) for part in parts]) + len(parts)

    def _use(self, name: str) -> int:
        if name not in self._rules:
            raise _wrong(self._rule, f"there is no rule {name}")
        self.users.setdefault(name, []).append(self._rule)
        return 1

    def _repeat(self, expr: Repeat, depth: int) -> int:
        low, high = expr.low, expr.high
        _counts(self._rule, low, high)
        if high is None:
            self.endless.append((self._rule, expr.item))
        # A rule of its own for each that may be missing; and `*` is one.
        return self._size(expr.item, depth + 1) * max(1, low, high or 0) + 2 * ((high or low + 1) - low)


def _counts(rule: str, low: int, high: int | None) -> None:
    if high is not None and high < low:
        raise _wrong(rule, f"{{{low},{high}}} ends before it begins")
    if max(low, high or 0) > limits.REPEAT:
        why = f"it counts to {max(low, high or 0):,} in one repetition; {limits.REPEAT:,} is the most"
        raise _wrong(rule, why, f"Make a rule of {limits.REPEAT:,} and repeat that.")


class _Beginnings:
    """What each rule can begin with. The engine walks there without remembering where it has been."""

    def __init__(self, rules: Mapping[str, Expr], survey: _Survey) -> None:
        self._rules = rules
        self._empty: set[str] = set()  # the rules that may match nothing
        self._find_empty(survey.users)
        for rule, item in survey.endless:
            if self._may_be_empty(item):
                raise _wrong(rule, "what is repeated without end may be empty", "Let each round match something.")
        self._ways: dict[str, tuple[int, int]] = {}

    def check(self) -> None:
        """No rule begins with itself, none in too many ways, nor through too long a chain of others."""
        order = self._order()
        for name in order:
            ways, chain = self._of(self._rules[name])
            if chain > limits.LEFT_CHAIN:
                raise _wrong(name, f"it begins with a chain of over {limits.LEFT_CHAIN:,} rules")
            if ways > limits.LEFT_PATHS:
                raise _wrong(
                    name, f"it can begin in over {limits.LEFT_PATHS:,} ways", "Let its alternatives share a beginning."
                )
            self._ways[name] = (ways + 1, chain + 1)

    def _find_empty(self, users: Mapping[str, list[str]]) -> None:
        todo = list(self._rules)
        while todo:
            name = todo.pop()
            if name not in self._empty and self._may_be_empty(self._rules[name]):
                self._empty.add(name)
                todo += users.get(name, ())

    def _may_be_empty(self, expr: Expr) -> bool:
        if isinstance(expr, Ref):
            return expr.name in self._empty
        if isinstance(expr, Sequence):
            return all(map(self._may_be_empty, expr.items))
        if isinstance(expr, Choice):
            return any(map(self._may_be_empty, expr.options))
        if isinstance(expr, Repeat):
            return not expr.low or self._may_be_empty(expr.item)
        return isinstance(expr, Literal) and not expr.text

    def _order(self) -> list[str]:
        """The rules, each behind those it can begin with. With left recursion there is no such order, and it raises."""
        begins = {name: self._first(body) for name, body in self._rules.items()}
        order, opened, done = [], set(), set()
        for start in self._rules:
            path = [start]
            while path:
                name = path[-1]
                if name not in opened:
                    opened.add(name)
                    new = [one for one in begins[name] if one not in done]
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

    def _first(self, expr: Expr) -> list[str]:
        """The rules that stand at a beginning, those behind what may be empty too."""
        match expr:
            case Ref(name):
                return [name]
            case Choice(options):
                return [name for option in options for name in self._first(option)]
            case Sequence(items):
                found: list[str] = []
                for item in items:
                    found += self._first(item)
                    if not self._may_be_empty(item):
                        break
                return found
            case Repeat(item):
                return self._first(item)
        return []

    def _of(self, expr: Expr) -> tuple[int, int]:
        """In how many ways the expression begins, and through how many rules at most."""
        match expr:
            case Ref(name):
                return self._ways[name]
            case Choice(options):
                found = [self._of(option) for option in options]
                return sum(ways for ways, _ in found), max(chain for _, chain in found)
            case Sequence(items):
                ways = chain = 0
                for item in items:
                    more, longer = self._of(item)
                    ways, chain = ways + more, max(chain, longer)
                    if not self._may_be_empty(item):
                        break
                return ways, chain
            case Repeat(item, _, high):
                ways, chain = self._of(item)
                times = (high or 1) if self._may_be_empty(item) else 1
                return ways * times + 1, chain + times
        return 1, 0
