"""JSON objects that are calls: `{"name": "f", "parameters": {...}}` and what Llama 3 makes of it.

`arguments` for `parameters`; `"type": "function"`; the name under `function` or `tool_name`, or both inside
`"function": {...}`, OpenAI's form; the arguments as a JSON string. Not calls: names that nobody declared, no
`parameters` at all, a tool's own definition said again, and data that happens to have a `name`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.toolcalls.conversion import converted
from runtime.toolcalls.literal import Unfit, container
from runtime.values import Tool, ToolCall

NAMES = ("name", "function", "tool_name", "function_name", "tool")
ARGUMENTS = ("parameters", "arguments")
BESIDE = ("type", "id")  # what may stand before the name; behind it anything may
KEYS = (*NAMES, *ARGUMENTS, *BESIDE)

Tools = Mapping[str, Tool]


def call_of(found: Mapping[str, Any], tools: Tools) -> ToolCall | None:
    """The call that the whole object `found` is."""
    if refuted(found, tools):
        return None
    holder = holder_of(found)
    tool = tools.get(str(name_in(holder)))
    given = [scope[key] for scope in (holder, found) for key in ARGUMENTS if key in scope]
    if tool is None or not given:
        return None
    arguments = _arguments(given[0])
    if arguments is None or _defines(arguments, tool, described="description" in holder):
        return None
    return made(tool, arguments)


def made(tool: Tool, arguments: Mapping[Any, Any]) -> ToolCall | None:
    """The call of `tool`. Arguments by position, which have their number as key, take the names in the schema."""
    properties = tool.parameters.get("properties")
    names = list(properties) if isinstance(properties, Mapping) else []
    first = arguments.get(0)
    if len(arguments) == 1 and isinstance(first, dict) and (not names or first.keys() <= set(names)):
        arguments = first  # f({"a": 1}), as in JavaScript
    given: dict[str, Any] = {}
    for key, value in arguments.items():
        if isinstance(key, int) and key >= len(names):
            return None
        name = names[key] if isinstance(key, int) else key
        if name in given:
            return None
        given[name] = value
    return ToolCall(tool.name, converted(given, tool.parameters))


def refuted(found: Mapping[str, Any], tools: Tools, key: str | None = None) -> bool:
    """Whether no more text can make `found`, read up to `key` whose value is to come, a call."""
    if not found:
        return key is not None and key not in KEYS
    holder = holder_of(found)
    name = name_in(holder)
    if name is not None:
        return name not in tools
    if holder is not found:  # "function": {...} is whole, and names nothing
        return True
    return (key is not None and key not in KEYS) or any(one not in KEYS for one in found)


def holder_of(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object that has name and arguments: `found`, or the one under `function`."""
    inner = found.get("function")
    return inner if isinstance(inner, Mapping) else found


def name_in(holder: Mapping[str, Any]) -> Any:
    """What stands where the name should; False if that is no text."""
    for key in NAMES:
        if key in holder:
            return holder[key] if isinstance(holder[key], str) else False
    return None


def _defines(arguments: dict[str, Any], tool: Tool, *, described: bool) -> bool:
    """Whether this is the tool's definition said again: its schema stands for the arguments."""
    declared = tool.parameters.get("properties")
    known = declared if isinstance(declared, Mapping) else {}
    return (described and not arguments) or (arguments.get("type") == "object" and "type" not in known)


def _arguments(value: Any) -> dict[str, Any] | None:
    """The object. Nothing, and an empty text, are a call without arguments, as in a request's history."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return {}
    if isinstance(value, str):
        try:
            value = container(value.strip())
        except Unfit:
            return None
    return value if isinstance(value, dict) else None
