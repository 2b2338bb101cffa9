"""The syntax tree of GBNF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.grammar.characters import Ranges


@dataclass(frozen=True, slots=True)
class Literal:
    """Exactly this text; "" is the empty word."""

    text: str


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of these ranges, or with `negated` one that is in none of them."""

    ranges: Ranges
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Ref:
    """What the rule of that name matches."""

    name: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Any one of these."""

    options: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`item` at least `low` times and at most `high`, where None is no end."""

    item: Expr
    low: int
    high: int | None


Expr = Literal | Chars | Ref | Sequence | Choice | Repeat

EMPTY = Literal("")


def sequence(*items: Expr) -> Expr:
    """The items one after the other, without needless nesting; literals side by side become one."""
    flat: list[Expr] = []
    for item in items:
        for part in item.items if isinstance(item, Sequence) else (item,):
            if isinstance(part, Literal):
                if not part.text:
                    continue
                if flat and isinstance(last := flat[-1], Literal):
                    flat[-1] = Literal(last.text + part.text)
                    continue
            flat.append(part)
    return flat[0] if len(flat) == 1 else Sequence(tuple(flat)) if flat else EMPTY


def choice(*options: Expr) -> Expr:
    """Any of the options, without needless nesting."""
    flat: list[Expr] = []
    for option in options:
        flat += option.options if isinstance(option, Choice) else (option,)
    return flat[0] if len(flat) == 1 else Choice(tuple(flat))
