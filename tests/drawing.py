"""Random texts of a grammar: what a model could be led to write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.grammar.gbnf import Chars, Choice, Expr, Grammar, Literal, Ref, Repeat, Sequence

if TYPE_CHECKING:
    from random import Random

FAR = 10**6


class Drawer:
    """Draws at random, and once `fuel` choices are made goes the shortest way to an end."""

    def __init__(self, grammar: Grammar, random: Random) -> None:
        self._rules, self._random = grammar.rules, random
        self._length = dict.fromkeys(self._rules, FAR)
        before: dict[str, int] = {}
        while before != self._length:
            before = dict(self._length)
            self._length = {name: self._least(body) for name, body in self._rules.items()}

    def draw(self, fuel: int = 60) -> str:
        todo: list[Expr] = [Ref("root")]
        text = ""
        while todo:
            fuel -= 1
            match todo.pop():
                case Literal(literal):
                    text += literal
                case Chars(ranges):
                    low, high = self._random.choice(ranges)
                    text += chr(self._random.choice([low, high, self._random.randint(low, high)]))
                case Ref(name):
                    todo.append(self._rules[name])
                case Sequence(items):
                    todo += reversed(items)
                case Choice(options):
                    least = min(map(self._least, options))
                    todo.append(self._random.choice([one for one in options if fuel > 0 or self._least(one) == least]))
                case Repeat(item, low, high):
                    most = (
                        low
                        if fuel <= 0 or self._least(item) >= FAR
                        else min(low + 3, low + 3 if high is None else high)
                    )
                    todo += [item] * self._random.randint(low, most)
        return text

    def _least(self, expr: Expr) -> int:
        """The length of the shortest text, about."""
        match expr:
            case Literal(text):
                return len(text)
            case Ref(name):
                return min(FAR, self._length[name] + 1)
            case Sequence(items):
                return min(FAR, sum(map(self._least, items)))
            case Choice(options):
                return min(map(self._least, options))
            case Repeat(item, low):
                return min(FAR, self._least(item) * low)
        return 1
