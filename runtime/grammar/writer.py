"""Normal forms to rules.

Each formula becomes a rule once; rules are queued and written one after the other, so that a schema may be as deep or
as recursive as it likes. What nothing fulfils becomes an empty choice, and `trimmed` takes out what leads there.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from runtime.catalog import data_file
from runtime.grammar import arrays, gbnf, limits, objects, strings, tries
from runtime.grammar.formula import ANY, Formula, Is
from runtime.grammar.gbnf import Choice, Expr, Grammar, Ref, choice, sequence
from runtime.grammar.shapes import BOOLEAN, FULL, NULL, Array, Consts, Number, Object, Shape, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from runtime.errors import UnsupportedSchema
    from runtime.grammar.document import Node
    from runtime.grammar.logic import Logic

NOTHING = Choice(())


class Writer:
    """The rules of one grammar.

    `closed` leaves keys out of objects that the schema does not speak of. `merged` reads all alternatives of an object
    in one chain of keys, which is larger, but cannot be ambiguous where a key leads back to the object.
    """

    def __init__(self, logic: Logic, *, closed: bool, merged: bool = False) -> None:
        self.logic, self.closed, self.merged = logic, closed, merged
        # 2.0 is an integer from draft 6 on; who reads the answer seldom thinks so.
        self.zero_fraction = logic.document.draft > 4 and not closed
        self._rules: dict[str, Expr] = {}
        self.sure: set[str] = {"comma", "colon", *_json().rules}
        # One way of writing what the runtime writes; by the standard, the two usual ones. Both are one rule, so that
        # a caller's instance need not be written as ours are.
        self.comma = gbnf.Literal(", ") if closed else self._separator("comma", ",")
        self.colon = gbnf.Literal(": ") if closed else self._separator("colon", ":")
        self._known: dict[Hashable, Ref] = {}
        self._queue: list[tuple[str, Callable[[], Expr]]] = []
        self._forks: set[str] = set()
        self._splits: set[str] = set()
        self._rule = "root"
        self._taken: dict[str, int] = dict.fromkeys(("root", *_json().rules), 1)
        self._place = logic.document.root

    def _separator(self, name: str, sign: str) -> Ref:
        self._rules[name] = sequence(gbnf.Literal(sign), gbnf.Repeat(gbnf.Literal(" "), 0, 1))
        return Ref(name)

    def grammar(self, formula: Formula) -> Grammar:
        """The grammar of the values that the formula allows."""
        self._rules["root"] = self.value(formula, "root")
        while self._queue:
            name, build = self._queue.pop()
            self._rule = name
            self._rules[name] = build()
            self.logic.spend(1)
            if len(self._rules) > limits.RULES:
                raise self.refuse("", f"its grammar has over {limits.RULES:,} rules")
        return Grammar(self._rules)

    def rule(self, key: Hashable, hint: str, build: Callable[[], Expr], *, sure: bool = False) -> Ref:
        """The rule of that key, which `build` writes when its turn comes. `sure`: each alternative ends somewhere."""
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = Ref(self._name(hint))
            if sure:
                self.sure.add(known.name)
            self._queue.append((known.name, build))
        return known

    def static(self, name: str) -> Ref:
        """A rule of `grammars/json.gbnf`, with those it needs."""
        todo = [name]
        while todo:
            one = todo.pop()
            if one not in self._rules:
                self._rules[one] = _json().rules[one]
                todo += references(self._rules[one])
        return Ref(name)

    def fixed(self, name: str, body: Expr) -> None:
        """A rule that has the same name in every grammar."""
        if name not in self._rules:
            self._rules[name] = body
            self.sure.add(name)

    def value(self, formula: Formula, hint: str) -> Expr:
        """What writes a value that the formula allows."""
        if formula == ANY:
            return self.static("value")
        place = formula.node if isinstance(formula, Is) else self._place
        normal = self.logic.normal(formula)
        if len(normal) == 1:
            ((kind, shapes),) = normal.items()
            if shapes == (FULL[kind],):
                return self._free(kind)
        if not normal:
            return NOTHING
        return self.rule(tuple(normal.items()), hint, lambda: self._written(normal, hint, place))

    def fork(self) -> None:
        """The rule that is being written has alternatives that begin alike."""
        self._forks.add(self._rule)

    def split(self) -> None:
        """The rule that is being written reads an object in several chains of keys."""
        self._splits.add(self._rule)

    def splits_again(self) -> bool:
        """Could an object be read in several ways, and what is in it in several ways again, and so on?"""
        return any(self._returns(name) for name in self._splits)

    def may_explode(self) -> bool:
        """Could the ways of reading multiply: by recursion through a fork, or by many forks in one another?"""
        if len(self._forks) >= limits.FORKS:
            return True
        return any(self._returns(name) for name in self._forks)

    def _returns(self, name: str) -> bool:
        seen: set[str] = set()
        todo = references(self._rules[name])
        while todo:
            one = todo.pop()
            if one == name:
                return True
            if one not in seen and one not in self.sure:
                seen.add(one)
                todo += references(self._rules[one])
        return False

    def refuse(self, keyword: str, why: str, hint: str | None = None) -> UnsupportedSchema:
        """The error for the schema that is being written."""
        return self._place.refuse(keyword, why, hint)

    def _written(self, normal: dict[str, tuple[Shape, ...]], hint: str, place: Node) -> Expr:
        self._place = place
        if normal == {kind: (shape,) for kind, shape in FULL.items()}:
            return self.static("value")
        options: list[Expr] = []
        for kind, shapes in normal.items():
            some = self._options(kind, shapes, hint)
            if len(some) > 1 and kind in ("array", "object"):
                self.fork()
            options += some
        return choice(*dict.fromkeys(options))

    def _options(self, kind: str, shapes: tuple[Shape, ...], hint: str) -> list[Expr]:
        if shapes == (FULL[kind],):
            return [self._free(kind)]
        if kind == "object":
            return objects.write(self, [shape for shape in shapes if isinstance(shape, Object)], hint) + [
                tries.of_values(self, shape, hint) for shape in shapes if isinstance(shape, Consts)
            ]
        return [self._shape(shape, hint) for shape in shapes]

    def _shape(self, shape: Shape, hint: str) -> Expr:
        match shape:
            case Consts():
                return tries.of_values(self, shape, hint)
            case Text(excluded=excluded) if shape == Text(excluded=excluded):
                return sequence(strings.QUOTE, tries.other_text(self, excluded))
            case Text():
                return strings.text(self, shape, hint)
            case Number():
                return strings.number(self, shape, hint)
            case Array():
                return arrays.write(self, shape, hint)
        raise TypeError(shape)

    def _free(self, kind: str) -> Expr:
        if kind in ("null", "boolean"):
            shape = NULL if kind == "null" else BOOLEAN
            return choice(*(gbnf.Literal(const.key) for const in shape.values))
        return self.static(kind)

    def _name(self, hint: str) -> str:
        name = base = _named_after(hint)
        while name in self._taken:
            self._taken[base] += 1
            name = f"{base}-{self._taken[base]}"
        self._taken[name] = 1
        return name


@lru_cache(maxsize=4096)
def _named_after(hint: str) -> str:
    base = re.sub(r"[^A-Za-z0-9]+", "-", hint).strip("-")[-40:].strip("-") or "rule"
    return f"key-{base}" if base.startswith(tries.OTHER_THAN) else base


def references(expr: Expr) -> list[str]:
    """The names of the rules that an expression refers to."""
    found, todo = [], [expr]
    while todo:
        match todo.pop():
            case Ref(name):
                found.append(name)
            case gbnf.Sequence(items) | gbnf.Choice(items):
                todo += items
            case gbnf.Repeat(item):
                todo.append(item)
    return found


@lru_cache
def _json() -> Grammar:
    return gbnf.parse((data_file("grammars") / "json.gbnf").read_text("utf-8"))
