"""What Llama 3 answers -> text and tool calls, whatever form the calls have.

Six forms, also mixed and several in one answer:

    {"name": "f", "parameters": {...}}              the chat template's, bare, in lists, in fences, after prose
    <|python_tag|>{"type": "function", ...}         Meta's
    {...}; {...}                                    several: "; ", ", ", new lines, nothing, a JSON array, a tag each
    [f(a=1), g(b="x")]                              as code, in a list or as the whole answer
    <function=f>{...}</function>
    <|python_tag|>f.call(a="x")                     and raw code, where a tool for code is declared

What is a call, and what stays content, is decided in `objects`, `units` and `lead`; docs/tool-calls.md has the list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.toolcalls.output import Given
from runtime.toolcalls.parser import ToolCallParser
from runtime.toolcalls.units import Begun

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from runtime.values import Tool, ToolCall

__all__ = ["Begun", "Given", "ToolCallParser", "parse"]


def parse(text: str, tools: Iterable[Mapping[str, Any] | Tool] | None) -> tuple[str, list[ToolCall]]:
    """The content and the calls of a whole answer. It takes any text, and raises nothing."""
    parser = ToolCallParser(tools)
    content = parser.feed(text)[0] + parser.finish()[0]
    return content, parser.calls
