"""The tools of a request and the choice among them -> fields of `Inputs`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeGuard

from runtime.errors import InvalidRequest
from runtime.prompt import PLACES
from runtime.tools import as_tool, from_functions
from runtime.toolstyles import STYLES
from runtime.wire.body import cut

log = logging.getLogger("llamalet.wire")

REQUIRED = ("required", "any")  # OpenAI's word and Mistral's

_NAMED = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
_FUNCTION = {"type": "object", "required": ["type"], "properties": {"type": {"const": "function"}}}
# Ours, beside the published ones. The first two are OpenAI's names, and later models of the service honour the first.
OPTIONS: dict[str, Any] = {
    "tool_choice": {
        "description": '"auto", "none", "required" or an object that names a function',
        "anyOf": [
            {"enum": ["auto", "none", *REQUIRED]},
            {"allOf": [_FUNCTION, {"required": ["function"], "properties": {"function": _NAMED}}]},
            {"allOf": [_FUNCTION, _NAMED]},  # of OpenAI's Responses API
        ],
    },
    "parallel_tool_calls": {"type": "boolean"},
    "constrain_tools": {"type": "boolean"},
    "tools_in": {"enum": list(PLACES)},
    "tool_style": {"enum": list(STYLES)},
}


def read(given: Mapping[str, Any]) -> dict[str, Any]:
    """What options that satisfy their schemas say of tools.

    The deprecated `functions` become tools without parameters. Raises `InvalidRequest` for names that are empty or
    there twice, a choice of what is not there, and tools beside a `raw` prompt, to which nothing is added.
    """
    names = _names(given)
    tools = (*given.get("tools", ()), *from_functions(given.get("functions", ())))
    if tools and given.get("raw"):
        raise InvalidRequest(
            "raw: must be false beside tools, since they cannot be shown in a prompt that stays as it is.",
            "Leave out raw, or the tools.",
        )
    if given.get("functions"):
        log.warning("functions is deprecated: say tools")
    choice, name = _choice(given.get("tool_choice", "auto"), names)
    return {
        "tools": tools,
        "tool_choice": choice,
        "tool_name": name,
        "parallel_tool_calls": given.get("parallel_tool_calls", True),
        "constrain_tools": given.get("constrain_tools", True),
        "tools_in": given.get("tools_in", "user"),
        "tool_style": given.get("tool_style", "json"),
        "deprecated": ("functions",) if given.get("functions") else (),
    }


def _names(given: Mapping[str, Any]) -> list[str]:
    names: list[str] = []
    for option in ("tools", "functions"):
        for at, tool in enumerate(given.get(option, ())):
            path = f"{option}[{at}]{'.function' if isinstance(tool.get('function'), Mapping) else ''}.name"
            known = as_tool(tool)
            if known is None:
                raise InvalidRequest(f'{path}: must not be empty, found "".')
            if known.name in names:
                raise InvalidRequest(f"{path}: must be the only tool of its name, found {_shown(known.name)} again.")
            names.append(known.name)
    return names


def _choice(choice: Any, names: list[str]) -> tuple[str, str | None]:
    """Whether a tool must be called, and which one if it must be a certain one."""
    if isinstance(choice, Mapping):
        inner = choice.get("function")
        name = (inner if _is_named(inner) else choice)["name"]
        if name not in names:
            known = ", ".join(map(_shown, names)) or "none"
            raise InvalidRequest(f"tool_choice: must name a tool, found {_shown(name)}; there are: {known}.")
        return "required", name
    if choice not in REQUIRED:
        return "auto", None
    if not names:
        raise InvalidRequest(f'tool_choice: must be "auto" or "none" where there are no tools, found "{choice}".')
    return "required", None


def _is_named(holder: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(holder, Mapping) and isinstance(holder.get("name"), str)


def _shown(name: str) -> str:
    return f'"{cut(name)}"'
