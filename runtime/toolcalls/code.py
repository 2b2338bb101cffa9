"""Raw Python behind `<|python_tag|>`: a call of the code interpreter, if a tool for code is declared.

Meta's format gives such text to its built-in code interpreter. Here it is a call only of a declared tool that has one
of its names, with the text as its `code`, or as its only property.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from runtime.toolcalls.markers import ENDS, TAG
from runtime.values import Tool, ToolCall

NAMES = ("code_interpreter", "python", "ipython")
STOPS = (*ENDS, TAG)
STOP = re.compile("|".join(map(re.escape, STOPS)))

_FENCED = re.compile(r"```\w*\n(.*?)(?:\n```)?", re.DOTALL)


def code_tool(tools: Mapping[str, Tool]) -> Tool | None:
    """The declared tool that takes raw code."""
    return next((tools[name] for name in NAMES if name in tools), None)


def run(tool: Tool, code: str) -> ToolCall:
    """The call of `tool` that runs `code`."""
    properties = tool.parameters.get("properties")
    names = list(properties) if isinstance(properties, Mapping) else []
    fenced = _FENCED.fullmatch(code.strip())
    return ToolCall(tool.name, {names[0] if len(names) == 1 else "code": fenced[1] if fenced else code.strip()})
