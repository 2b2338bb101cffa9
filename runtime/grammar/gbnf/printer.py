"""Syntax trees to text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from runtime.grammar.gbnf.tree import Chars, Choice, Expr, Literal, Ref, Repeat, Sequence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.grammar.characters import Ranges

_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}
_QUOTED = str.maketrans(_ESCAPES | {'"': '\\"'})
_QUIET = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff]")


def _escaped(code: str) -> str:
    number = ord(code)
    return f"\\x{number:02X}" if number < 0x100 else f"\\u{number:04X}" if number < 0x10000 else f"\\U{number:08X}"


@lru_cache(maxsize=4096)
def _literal(text: str) -> str:
    quoted = text.translate(_QUOTED)
    return f'"{quoted if quoted.isprintable() else _QUIET.sub(lambda m: _escaped(m[0]), quoted)}"'


def _in_class(code: int) -> str:
    char = chr(code)
    if char in "[]^-\\":
        return f"\\x{code:02X}" if char in "^-" else f"\\{char}"  # llama.cpp knows no \^ and, in older releases, no \-
    return _ESCAPES.get(char) or (char if 0x20 <= code < 0x7F else _escaped(char))


def _range(low: int, high: int) -> str:
    if low == high:
        return _in_class(low)
    return f"{_in_class(low)}{'' if high == low + 1 else '-'}{_in_class(high)}"


@lru_cache(maxsize=4096)
def _class(ranges: Ranges, negated: bool) -> str:
    if not ranges:
        return "." if negated else "[]"  # of which the latter is only shown, since no grammar holds it
    return f"[{'^' if negated else ''}{''.join(_range(*pair) for pair in ranges)}]"


def _times(low: int, high: int | None) -> str:
    short = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((low, high))
    return short or (f"{{{low}}}" if low == high else f"{{{low},{'' if high is None else high}}}")


def _alternatives(expr: Expr) -> str:
    if isinstance(expr, Choice):
        return " | ".join(map(_alternatives, expr.options))
    if isinstance(expr, Sequence):
        return " ".join(map(_item, expr.items))
    return _item(expr)


def _item(expr: Expr) -> str:
    if isinstance(expr, Ref):
        return expr.name
    if isinstance(expr, Literal):
        return _literal(expr.text)
    if isinstance(expr, Chars):
        return _class(expr.ranges, expr.negated)
    if isinstance(expr, Repeat):
        return _repeated(expr)
    return f"({_alternatives(expr)})"


def _repeated(expr: Repeat) -> str:
    # An empty literal or a repetition is grouped: llama.cpp has no item there that it could repeat.
    item = expr.item
    bare = isinstance(item, Chars | Ref) or (isinstance(item, Literal) and item.text)
    return f"{_item(item) if bare else f'({_alternatives(item)})'}{_times(expr.low, expr.high)}"


def printed(rules: Mapping[str, Expr]) -> str:
    """The rules, one on each line."""
    return "".join(f"{name} ::= {_alternatives(body)}\n" for name, body in rules.items())
