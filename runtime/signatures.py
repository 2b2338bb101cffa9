"""A Python function -> the `Tool` that shows it to a model: its type hints are the schema, its docstring the words.

A parameter is described where the docstring has a line `name: text` or `name (type): text`, as in Google's style, or
`:param name: text`, as in Sphinx's; the description of the function is what stands before these.
"""

from __future__ import annotations

import collections.abc
import inspect
import re
import types
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NoReturn,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from runtime.errors import InvalidRequest
from runtime.values import Tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_TYPES: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_ARRAYS = (list, collections.abc.Sequence, collections.abc.Iterable)
_OBJECTS = (dict, collections.abc.Mapping)
_PARAMETERS = re.compile(r"\s*(?:Args|Arguments|Parameters):\s*$")
_REST = re.compile(r"\s*(?:(?:Returns|Raises|Yields|Examples?):\s*$|:(?:returns?|raises)\b)")

Schema = dict[str, Any]


def tool_of(function: Callable[..., Any], path: str) -> Tool:
    """The tool that calls `function` with the arguments by name. `path` is what errors begin with.

    Raises `InvalidRequest` for a function without a name, and for parameters that cannot be given by name or whose type
    has no JSON Schema.
    """
    name = getattr(function, "__name__", "")
    if not name.isidentifier():
        _refuse(path, f"a function with a name, found {function!r}")
    path = f"{path} ({name})"
    try:
        hints = get_type_hints(function, include_extras=True)
        parameters = inspect.signature(function).parameters.values()
    except (NameError, TypeError, ValueError) as error:
        _refuse(path, f"a function whose signature can be read, found that {error}")
    said, told = _docstring(function, [each.name for each in parameters])
    properties = {each.name: _property(each, hints, told, path) for each in parameters}
    required = [each.name for each in parameters if each.default is each.empty]
    closed = {"required": required, "additionalProperties": False}
    return Tool(name, said, {"type": "object", "properties": properties, **closed})


def _property(parameter: inspect.Parameter, hints: dict[str, Any], told: dict[str, str], path: str) -> Schema:
    path = f"{path}.{parameter.name}"
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        _refuse(path, f"a parameter that can be given by its name, found {parameter.kind.description}")
    schema = _schema(hints.get(parameter.name, Any), path)
    if parameter.name in told and "description" not in schema:
        schema["description"] = told[parameter.name]
    if isinstance(parameter.default, str | int | float):
        schema["default"] = parameter.default
    return schema


def _schema(hint: Any, path: str) -> Schema:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return {}
    if hint in _TYPES:
        return {"type": _TYPES[hint]}
    if origin is Annotated:
        words = [each for each in arguments[1:] if isinstance(each, str)]
        return _schema(arguments[0], path) | ({"description": words[0]} if words else {})
    if origin is Literal:
        kinds = {_TYPES.get(type(value)) for value in arguments}
        return ({"type": kinds.pop()} if len(kinds) == 1 else {}) | {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return _union([_schema(each, path) for each in arguments])
    if (origin or hint) in _ARRAYS:
        return {"type": "array"} | ({"items": _schema(arguments[0], path)} if arguments else {})
    if (origin or hint) in _OBJECTS:
        return {"type": "object"} | ({"additionalProperties": _schema(arguments[1], path)} if arguments else {})
    if origin in (Required, NotRequired):
        return _schema(arguments[0], path)
    if not is_typeddict(hint):
        shown = getattr(hint, "__name__", hint)
        _refuse(path, f"a type of JSON (str, int, float, bool, list, dict, Literal, TypedDict, | None), found {shown}")
    return _object(hint, path)


def _object(hint: Any, path: str) -> Schema:
    """A TypedDict. What it says of its required keys is wrong where annotations are strings, so they are looked at."""
    known = get_type_hints(hint, include_extras=True)
    marks = {key: get_origin(each) for key, each in known.items()}
    required = [key for key, mark in marks.items() if mark is Required or (hint.__total__ and mark is not NotRequired)]
    properties = {key: _schema(each, f"{path}.{key}") for key, each in known.items()}
    return {"type": "object", "properties": properties, "required": required}


def _union(options: list[Schema]) -> Schema:
    """In one word where the options are types alone."""
    if all(option.keys() == {"type"} for option in options):
        return {"type": [option["type"] for option in options]}
    return {"anyOf": options}


def _docstring(function: Callable[..., Any], names: Iterable[str]) -> tuple[str, dict[str, str]]:
    """What it says of the function, and of the parameters of these names."""
    known = "|".join(map(re.escape, names)) or "(?!)"
    told: dict[str, list[str]] = {}
    said: list[str] = []
    current: list[str] | None = said
    for line in (inspect.getdoc(function) or "").splitlines():
        match = re.match(rf"\s*(?::param\s+(?:\w+\s+)?)?({known})\s*(?:\([^)]*\))?\s*:\s*(.*)", line)
        if _REST.match(line):
            break
        if match:
            current = told.setdefault(match[1], [])
            current.append(match[2])
        elif _PARAMETERS.match(line) or (current is not said and not line.strip()):
            current = None  # until the next parameter
        elif current is not None:
            current.append(line.strip() if current is not said else line)
    return "\n".join(said).strip(), {name: " ".join(lines).strip() for name, lines in told.items()}


def _refuse(path: str, what: str) -> NoReturn:
    raise InvalidRequest(
        f"{path}: expected {what}.",
        'Give a definition with the function in it instead: {"name", "description", "parameters", "function"}.',
    )
