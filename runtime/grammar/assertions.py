"""Keywords to shapes: what a schema itself says of each JSON type, and what breaks it.

Each row of `ASSERTIONS` is one thing that a schema can assert, with the keywords that belong together. `holds` is the
shape of the values of its type that fulfil it, `fails` are shapes of those that do not. Other types always fulfil it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.grammar import automaton, formats, numbers, pattern, structures
from runtime.grammar.automaton import TooLarge
from runtime.grammar.document import shown
from runtime.grammar.shapes import FULL, KINDS, Normal, Number, Shape, Text, consts, exact
from runtime.grammar.structures import count

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.grammar.document import Node


@dataclass(frozen=True, slots=True)
class Assertion:
    keywords: tuple[str, ...]
    kind: str
    holds: Callable[[Node], Shape]
    fails: Callable[[Node], tuple[Shape, ...]]


_INTEGER = Number(step=exact(1))
_NO_INTEGER = Number(unlike=frozenset({exact(1)}))


def types(node: Node) -> Normal:
    """The types that `type` allows, integer among them."""
    value = node.schema.get("type")
    if value is None:
        return {kind: (FULL[kind],) for kind in KINDS}
    names = value if isinstance(value, list) else [value]
    if "any" in names and node.document.draft == 3:
        return {kind: (FULL[kind],) for kind in KINDS}
    found: Normal = {}
    for name in names:
        if not isinstance(name, str) or (name not in KINDS and name != "integer"):
            raise node.refuse("type", f"there is no type {shown(name)}", f"Types are integer, {', '.join(KINDS)}.")
        if name != "integer":
            found[name] = (FULL[name],)
        elif "number" not in names:
            found["number"] = (_INTEGER,)
    return found


def other_types(node: Node) -> Normal:
    """What is of none of the types."""
    allowed = types(node)
    found: Normal = {kind: (FULL[kind],) for kind in KINDS if kind not in allowed}
    if allowed.get("number") == (_INTEGER,):
        found["number"] = (_NO_INTEGER,)
    return found


def values(node: Node) -> list[Normal]:
    """The values of `const` and those of `enum`."""
    found = [consts([node.schema["const"]])] if "const" in node.schema else []
    if "enum" in node.schema:
        if not isinstance(node.schema["enum"], list):
            raise node.refuse("enum", f"expected an array, found {shown(node.schema['enum'])}")
        found.append(consts(node.schema["enum"]))
    return found


# --- Strings ----------------------------------------------------------------------------------------------------------


def _pattern(node: Node) -> Text:
    value = node.schema["pattern"]
    if not isinstance(value, str):
        raise node.refuse("pattern", f"expected text, found {shown(value)}")
    try:
        return pattern.language(value)
    except TooLarge:
        raise node.refuse("pattern", "it needs too many states", "Write it simpler, or with smaller counts.") from None
    except ValueError as error:
        raise node.refuse("pattern", f"not a regular expression that a grammar can follow: {error}") from None


def _format(node: Node) -> Text:
    value = node.schema["format"]
    if not isinstance(value, str):
        raise node.refuse("format", f"expected the name of a format, found {shown(value)}")
    if value in formats.REFUSED:
        raise node.refuse("format", f"{value} cannot be expressed", "Leave it out, or use a pattern.")
    return Text(formats.language(value))


# Half of all engines let `$` match before a line end that is the last character, so such texts are in no complement.
_NO_LINE_END = pattern.language(r"[^\n]$|^$").language


def _other_texts(node: Node, text: Text) -> tuple[Text, ...]:
    """What is not of the language, or too short, or too long."""
    found = []
    try:
        if text.language is not automaton.ANYTHING:
            found.append(Text(automaton.intersection(automaton.complement(text.language), _NO_LINE_END)))
    except TooLarge:
        raise node.refuse("not", "its complement needs too many states") from None
    if text.low:
        found.append(Text(high=text.low - 1))
    if text.high is not None:
        found.append(Text(low=text.high + 1))
    return tuple(found)


# --- Numbers ----------------------------------------------------------------------------------------------------------


def _number(node: Node, keyword: str) -> Any:
    value = node.schema[keyword]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise node.refuse(keyword, f"expected a number, found {shown(value)}")
    return exact(value)


def _minimum(node: Node) -> Number:
    return Number(low=_number(node, "minimum"), low_open=node.schema.get("exclusiveMinimum") is True)


def _maximum(node: Node) -> Number:
    return Number(high=_number(node, "maximum"), high_open=node.schema.get("exclusiveMaximum") is True)


def _exclusive(node: Node, keyword: str) -> Number:
    if isinstance(node.schema[keyword], bool):
        return Number()  # draft 4: it belongs to `minimum` or `maximum`
    bound = _number(node, keyword)
    low = keyword == "exclusiveMinimum"
    return Number(low=bound, low_open=True) if low else Number(high=bound, high_open=True)


def _opposite(number: Number) -> tuple[Number, ...]:
    """The numbers on the other side of the bound."""
    if number.low is not None:
        return (Number(high=number.low, high_open=not number.low_open),)
    return (Number(low=number.high, low_open=not number.high_open),) if number.high is not None else ()


def _step(node: Node) -> Any:
    step = _number(node, "multipleOf")
    if step <= 0:
        raise node.refuse("multipleOf", f"expected a number above 0, found {shown(node.schema['multipleOf'])}")
    try:
        numbers.multiple(step)
    except TooLarge:
        raise node.refuse("multipleOf", f"{shown(node.schema['multipleOf'])} needs too many states") from None
    return step


# --- The table --------------------------------------------------------------------------------------------------------


def _text_row(keyword: str, holds: Callable[[Node], Text]) -> Assertion:
    return Assertion((keyword,), "string", holds, lambda node: _other_texts(node, holds(node)))


def _number_row(keyword: str, holds: Callable[[Node], Number]) -> Assertion:
    return Assertion((keyword,), "number", holds, lambda node: _opposite(holds(node)))


ASSERTIONS = (
    _text_row("pattern", _pattern),
    _text_row("format", _format),
    _text_row("minLength", lambda node: Text(low=count(node, "minLength"))),
    _text_row("maxLength", lambda node: Text(high=count(node, "maxLength"))),
    _number_row("minimum", _minimum),
    _number_row("maximum", _maximum),
    _number_row("exclusiveMinimum", lambda node: _exclusive(node, "exclusiveMinimum")),
    _number_row("exclusiveMaximum", lambda node: _exclusive(node, "exclusiveMaximum")),
    Assertion(
        ("multipleOf",),
        "number",
        lambda node: Number(step=_step(node)),
        lambda node: (Number(unlike=frozenset({_step(node)})),),
    ),
    *(Assertion(*row) for row in structures.ROWS),
)

_BY_KEYWORD = {keyword: row for row in ASSERTIONS for keyword in row.keywords}


def asserted(node: Node) -> list[Assertion]:
    """The rows that the schema has keywords of."""
    return list(dict.fromkeys(_BY_KEYWORD[keyword] for keyword in node.schema if keyword in _BY_KEYWORD))
