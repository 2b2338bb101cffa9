"""Tools -> the grammars that their calls are held to, in the JSON form of Llama's templates.

Each tool's parameters are compiled as a schema of their own, so that its references and draft stay what they are; the
rules are put together here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from runtime.errors import UnsupportedSchema
from runtime.grammar import Grammar, compile_grammar
from runtime.grammar.gbnf import Choice, Expr, Literal, Ref, Repeat, Sequence, choice, sequence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runtime.values import Tool

BETWEEN = "; "  # what Llama writes between calls
# What says nothing of the keys that there may be. A tool with no more than these takes no arguments.
_SILENT = {"type", "title", "description", "properties", "required", "additionalProperties", "$schema", "$id"}
_NO_ARGUMENTS = {"type": "object", "maxProperties": 0}


def calls(tools: Iterable[Tool], *, several: bool) -> str:
    """GBNF of an answer that is a call of one of the tools, or with `several` any number of calls, at least one.

    Raises `UnsupportedSchema`, which names the tool.
    """
    rules: dict[str, Expr] = {}
    options = []
    for number, tool in enumerate(tools):
        prefix = f"t{number}-"
        name = json.dumps(tool.name, ensure_ascii=False)
        options.append(sequence(Literal(f'{name}, "parameters": '), Ref(f"{prefix}root")))
        rules |= {prefix + rule: _renamed(expr, prefix) for rule, expr in _arguments(tool).rules.items()}
    rules["call"] = sequence(Literal('{"name": '), choice(*options), Literal("}"))
    more = Repeat(Sequence((Literal(BETWEEN), Ref("call"))), 0, None)
    return str(Grammar({"root": sequence(Ref("call"), more) if several else Ref("call"), **rules}))


def rest(tool: Tool, closing: str) -> str:
    """GBNF of a call from the first character of its arguments on, to its end, which is `closing`.

    Raises `UnsupportedSchema`, which names the tool.
    """
    rules = {f"t-{rule}": _renamed(expr, "t-") for rule, expr in _arguments(tool).rules.items()}
    return str(Grammar({"root": sequence(Ref("t-root"), Literal(closing)), **rules}))


def _arguments(tool: Tool) -> Grammar:
    try:
        return compile_grammar(_schema(tool.parameters), closed=True)
    except UnsupportedSchema as error:
        raise UnsupportedSchema(
            f"The parameters of the tool {tool.name}: {error.message}",
            f"{error.hint or 'Write it otherwise.'} With constrain_tools false, calls are not held to it.",
            pointer=error.pointer,
            keyword=error.keyword,
        ) from None


def _schema(parameters: Mapping[str, Any]) -> Any:
    """Arguments are an object, whatever the parameters say; and where they name none, there are none."""
    if parameters.keys() <= _SILENT and not parameters.get("properties"):
        return _NO_ARGUMENTS
    return dict(parameters) if isinstance(parameters.get("type"), str) else {**parameters, "type": "object"}


def _renamed(expr: Expr, prefix: str) -> Expr:
    match expr:
        case Ref(name):
            return Ref(prefix + name)
        case Sequence(items):
            return Sequence(tuple(_renamed(item, prefix) for item in items))
        case Choice(options):
            return Choice(tuple(_renamed(option, prefix) for option in options))
        case Repeat(item, low, high):
            return Repeat(_renamed(item, prefix), low, high)
        case _:
            return expr
