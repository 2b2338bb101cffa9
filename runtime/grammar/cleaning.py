"""A grammar without the parts that no text can come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.grammar.gbnf import EMPTY, Choice, Expr, Grammar, Ref, Repeat, Sequence, choice, sequence

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def trimmed(grammar: Grammar, sure: Collection[str] = ()) -> Grammar | None:
    """The same language, without what ends nowhere and what nothing leads to. None if it is empty.

    Rules that are `sure` are known to end somewhere in all their alternatives.
    """
    survey = _Survey({name: body for name, body in grammar.rules.items() if name not in sure})
    if "root" in survey.barren:
        return None
    if not survey.barren and not survey.dead_end:
        return grammar
    rules = {name: _without(body, survey.barren) or EMPTY for name, body in grammar.rules.items()}
    reached, todo = {"root": None}, ["root"]
    while todo:
        new = [name for name in _names(rules[todo.pop()]) if name not in reached]
        reached |= dict.fromkeys(new)
        todo += new
    return Grammar({name: rules[name] for name in reached})


class _Survey:
    """Which rules are `barren`: no text of finite length comes from them. And is there a choice of nothing anywhere?"""

    def __init__(self, rules: Mapping[str, Expr]) -> None:
        self.barren = set(rules)
        users: dict[str, list[str]] = {}
        for name, body in rules.items():
            for used in _names(body):
                users.setdefault(used, []).append(name)
        self.dead_end = "" in users
        todo = list(rules)
        while todo:
            name = todo.pop()
            if name in self.barren and self._ends(rules[name]):
                self.barren.remove(name)
                todo += users.get(name, ())

    def _ends(self, expr: Expr) -> bool:
        if isinstance(expr, Ref):
            return expr.name not in self.barren
        if isinstance(expr, Sequence):
            return all(map(self._ends, expr.items))
        if isinstance(expr, Choice):
            return any(map(self._ends, expr.options))
        return not isinstance(expr, Repeat) or not expr.low or self._ends(expr.item)


def _without(expr: Expr, barren: set[str]) -> Expr | None:
    """The expression without alternatives that end nowhere; None if nothing is left."""
    match expr:
        case Ref(name):
            return None if name in barren else expr
        case Sequence(items):
            kept = [_without(item, barren) for item in items]
            return None if None in kept else sequence(*(item for item in kept if item))
        case Choice(options):
            left = [option for option in (_without(option, barren) for option in options) if option]
            return choice(*left) if left else None
        case Repeat(item, low, high):
            inner = _without(item, barren)
            return Repeat(inner, low, high) if inner else None if low else EMPTY
    return expr


def _names(expr: Expr) -> list[str]:
    """The rules that an expression refers to; "" stands for a choice of nothing."""
    found, todo = [], [expr]
    while todo:
        one = todo.pop()
        if isinstance(one, Ref):
            found.append(one.name)
        elif isinstance(one, Sequence):
            todo += reversed(one.items)
        elif isinstance(one, Choice):
            todo += reversed(one.options)
            if not one.options:
                found.append("")
        elif isinstance(one, Repeat):
            todo.append(one.item)
    return found
