"""Tool definitions as callers send them -> `values.Tool`.

Two forms: Workers AI's own, `{name, description, parameters}`, and OpenAI's `{type: "function", function: {...}}`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from runtime.errors import InvalidRequest
from runtime.messages import expected, is_array
from runtime.values import Tool

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

MAX_ERROR = 500  # characters of what is wrong with arguments
NO_PARAMETERS = {"type": "object", "properties": {}}


def declared(tools: Iterable[Mapping[str, Any] | Tool] | None) -> dict[str, Tool]:
    """The tools by their names, those without one left out: whoever takes a request in refuses them."""
    known = (as_tool(tool) for tool in tools or ())
    return {tool.name: tool for tool in known if tool is not None}


def as_tool(tool: Mapping[str, Any] | Tool) -> Tool | None:
    """The definition as a `Tool`, if it names a function."""
    if isinstance(tool, Tool):
        return tool
    function = _function(tool)
    name, description, parameters = (function.get(key) for key in ("name", "description", "parameters"))
    if not isinstance(name, str) or not name:
        return None
    return Tool(
        name,
        description if isinstance(description, str) else "",
        parameters if isinstance(parameters, Mapping) else {},
    )


def as_definition(tool: Mapping[str, Any] | Tool) -> Mapping[str, Any]:
    """The definition to be shown: a `Tool` in OpenAI's form, which Llama's own examples have; others as they are."""
    if not isinstance(tool, Tool):
        return tool
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def bare_definition(tool: Mapping[str, Any] | Tool) -> Mapping[str, Any]:
    """The definition in the flat form."""
    return _function(as_definition(tool))


def validator(
    schema: Mapping[str, Any],
    path: str = "parameters",
    kind: Callable[[type[Validator]], type[Validator]] = lambda kind: kind,
) -> Validator:
    """What judges a tool's arguments. kind: makes another kind of validator of jsonschema's own. Raises
    `InvalidRequest` for parameters that are no JSON Schema."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from referencing import Registry

    schema = dict(schema)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise InvalidRequest(f"{path}: the parameters are no JSON Schema: {error.message[:MAX_ERROR]}.") from None
    return kind(Draft202012Validator)(schema, registry=Registry())  # without one it fetches what a schema refers to


def complaints(judge: Validator, arguments: Any) -> str:
    """What of the arguments is not as the tool's schema has it; "" where all is."""
    from referencing.exceptions import Unresolvable

    try:
        errors = list(judge.iter_errors(arguments))
    except (Unresolvable, re.error, InvalidRequest) as error:
        return f"The arguments cannot be checked: {error}"[:MAX_ERROR]
    return "; ".join(f"{error.json_path.replace('$', 'arguments', 1)}: {error.message}" for error in errors)[:MAX_ERROR]


def from_functions(functions: Any) -> tuple[Tool, ...]:
    """The deprecated `functions`, each a name and code, as tools without parameters: nobody runs the code.

    Raises `InvalidRequest` for what has no name.
    """
    if not is_array(functions):
        expected("functions", "an array of functions", functions)
    return tuple(_from_function(function, f"functions[{at}]") for at, function in enumerate(functions))


def _from_function(function: Any, path: str) -> Tool:
    if not isinstance(function, Mapping):
        expected(path, "an object with name and code", function)
    name = function.get("name")
    if not isinstance(name, str) or not name:
        expected(f"{path}.name", "the name of a function", name)
    return Tool(name, parameters=NO_PARAMETERS)


def _function(tool: Any) -> Mapping[str, Any]:
    if not isinstance(tool, Mapping):
        return {}
    function = tool.get("function")
    return function if isinstance(function, Mapping) else tool
