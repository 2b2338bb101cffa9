"""Arguments -> the types that the tool declares.

Llama 3 writes `"4"` for an integer and `"[1, 2]"` for an array (Meta's own sample has it). A text becomes what is
declared where that is what it says, and nothing is lost; else, and where a text is declared as well, it stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from runtime.toolcalls.literal import Unfit, container, scalar

# Python's names stand in Meta's own examples (models/llama3_2/text_prompt_format.md has "dict").
_NAMES = {"dict": "object", "list": "array", "tuple": "array", "int": "integer", "float": "number", "bool": "boolean"}
_NAMES |= {"str": "string", "NoneType": "null", "none": "null"}

Schema = Mapping[str, Any]


def converted(arguments: dict[str, Any], parameters: Schema) -> dict[str, Any]:
    """The arguments with their values converted as `parameters`, the tool's schema, declares them."""
    return {key: _value(item, schema, parameters) for key, item, schema in _members(arguments, parameters, parameters)}


def _value(value: Any, schema: Any, root: Schema) -> Any:
    """`value` as the first of the declared alternatives that takes it, or as it is."""
    options = list(_options(schema, root, set()))
    for option in options:
        if _is_of(value, option):
            return _inside(value, option, root)
    for option in options:
        found = _read(value, option)
        if found is not value:
            return _inside(found, option, root)
    return value


def _options(schema: Any, root: Schema, followed: set[str]) -> Iterator[Schema]:
    """The alternatives of a schema, each with one type or one value. References are `followed` once."""
    if not isinstance(schema, Mapping):
        return
    reference = schema.get("$ref")
    if isinstance(reference, str):
        if reference not in followed:
            followed.add(reference)
            yield from _options(_referred(reference, root), root, followed)
        return
    for branch in [branch for key in ("anyOf", "oneOf", "allOf") for branch in _list(schema.get(key))]:
        yield from _options(branch, root, followed)
    kinds = schema.get("type")
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if isinstance(kind, str):
            yield {**schema, "type": _NAMES.get(kind, kind.lower())}
    if schema.get("nullable") is True:  # OpenAPI's
        yield {"type": "null"}
    if kinds is None:
        yield from _untyped(schema)


def _untyped(schema: Schema) -> Iterator[Schema]:
    """What a schema without a type says about it."""
    yield from ({"const": one} for one in _list(schema.get("enum")))
    if "const" in schema:
        yield {"const": schema["const"]}
    for key, kind in (("properties", "object"), ("items", "array")):
        if key in schema:
            yield {**schema, "type": kind}


def _referred(reference: str, root: Schema) -> Any:
    found: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found


def _is_of(value: Any, option: Schema) -> bool:
    if "type" not in option:
        return bool(value == option["const"])
    match option["type"]:
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case kind:
            return isinstance(value, _PYTHON.get(kind, ()))


_PYTHON = {"string": str, "boolean": bool, "array": list, "object": dict, "null": type(None)}


def _read(value: Any, option: Schema) -> Any:
    """What `value` says if that is of the declared type, else `value` itself."""
    if isinstance(value, float) and value.is_integer() and option.get("type") == "integer":
        return int(value)  # JSON Schema's own reading of 4.0
    if not isinstance(value, str):
        return value
    text = value.strip()
    try:
        found = container(text) if text[:1] in ("{", "[") else scalar(text)
    except Unfit:
        return value
    if isinstance(found, float):
        if Decimal(repr(found)) != Decimal(text):
            return value  # it has more digits than a float
        if option.get("type") == "integer" and found.is_integer():
            return int(found)
    return found if _is_of(found, option) else value


def _inside(value: Any, option: Schema, root: Schema) -> Any:
    if isinstance(value, dict):
        return {key: _value(item, schema, root) for key, item, schema in _members(value, option, root)}
    if isinstance(value, list):
        return [_value(item, option.get("items"), root) for item in value]
    return value


def _members(value: dict[str, Any], schema: Schema, root: Schema) -> Iterator[tuple[str, Any, Any]]:
    properties = schema.get("properties")
    known = properties if isinstance(properties, Mapping) else {}
    for key, item in value.items():
        yield key, item, known.get(key, schema.get("additionalProperties"))


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []
