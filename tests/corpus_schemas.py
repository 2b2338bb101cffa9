"""JSON Schemas that kill, hang or mislead llama.cpp's converter or its grammars, as `response_format` over HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.corpus import Case, answered, refused

if TYPE_CHECKING:
    from collections.abc import Callable


def asking(schema: Any, max_tokens: int = 128) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": schema}, "max_tokens": max_tokens}


def nested(depth: int, text: str = '{"items": %s}') -> bytes:
    """A request whose schema is so deep, as bytes, since no `json.dumps` goes there."""
    before, after = text.split("%s")
    schema = f"{before * depth}true{after * depth}"
    return f'{{"prompt": "Go.", "response_format": {{"type": "json_schema", "json_schema": {schema}}}}}'.encode()


def document(schema: Any, fits: Callable[[Any], bool], **options: Any) -> Case:
    """Answered with a document that fits, which is JSON over HTTP."""
    return answered(asking(schema) | options, lambda result: fits(result["response"]))


def doubled(count: int) -> dict[str, Any]:
    steps = {f"d{at}": {"anyOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(count)}
    return {"$ref": "#/$defs/d0", "$defs": {**steps, f"d{count}": {"type": "null"}}}


def properties(count: int) -> dict[str, Any]:
    return {"type": "object", "properties": {f"key{at}": {"type": "boolean"} for at in range(count)}}


# Two branches that begin with the same key, and lead back: four times the stacks a level in llama.cpp.
SAME_KEY = {
    "$ref": "#/$defs/n",
    "$defs": {
        "n": {
            "anyOf": [
                {"type": "null"},
                *(
                    {
                        "type": "object",
                        "properties": {"next": {"$ref": "#/$defs/n"}, other: {"type": "null"}},
                        "required": ["next", other],
                        "additionalProperties": False,
                    }
                    for other in ("a", "b")
                ),
            ]
        }
    },
}
TREE = {
    "$defs": {"t": {"type": "object", "properties": {"n": {"type": "integer"}, "t": {"$ref": "#/$defs/t"}}}},
    "$ref": "#/$defs/t",
}
SAME_SEGMENT = {
    "type": "object",
    "properties": {"one": {"$ref": "#/$defs/x/a"}, "two": {"$ref": "#/$defs/y/a"}},
    "required": ["one", "two"],
    "$defs": {"x": {"a": {"const": 1}}, "y": {"a": {"const": "two"}}},
}
INJECTED = 'a"\nroot ::= "x" #\\'

REFUSED: dict[str, Any] = {
    "a remote $ref, https": {"$ref": "https://example.com/schema.json"},
    "a remote $ref, http": {"$ref": "http://127.0.0.1:1/schema.json"},
    "a $ref to a file": {"$ref": "file:///etc/passwd"},
    "a $ref to nothing": {"$ref": "#/$defs/none"},
    "a $ref to itself": {"$ref": "#"},
    "two $refs in a circle": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "anyOf with itself alone": {"anyOf": [{"$ref": "#"}]},
    "a type that there is not": {"type": "text"},
    "an empty enum": {"enum": []},
    "an empty anyOf": {"anyOf": []},
    "an empty type": {"type": []},
    "false": False,
    "bounds that contradict": {"type": "integer", "minimum": 5, "maximum": 4},
    "5,000 parentheses in a pattern": {"type": "string", "pattern": f"^{'(' * 5000}a{')' * 5000}$"},
    "minLength of a billion": {"type": "string", "minLength": 10**9},
    "a billion in a pattern": {"type": "string", "pattern": "^a{1000000000}$"},
    "a million items at least": {"type": "array", "items": {"type": "null"}, "minItems": 10**6},
    "a schema that is text": "text",
    "a schema that is a number": 5,
}
ANSWERED: dict[str, Case] = {
    "$defs beside the root's $ref": document(TREE, lambda value: isinstance(value, dict)),
    "two $refs that end alike": document(SAME_SEGMENT, lambda value: value == {"one": 1, "two": "two"}),
    "a property of no name": document(
        {"type": "object", "properties": {"": {"const": 1}}, "required": [""]}, lambda value: value == {"": 1}
    ),
    "minimum and maximum": document({"type": "integer", "minimum": 41, "maximum": 42}, lambda value: value in (41, 42)),
    "not": document({"enum": ["a", "b"], "not": {"const": "a"}}, lambda value: value == "b"),
    "if": document({"enum": [1, 2], "if": {"const": 1}, "then": False}, lambda value: value == 2),
    "true": document({"type": "object", "properties": {"a": True}, "maxProperties": 0}, lambda value: value == {}),
    "items without a word": document({"type": "array", "items": {}, "maxItems": 1}, lambda value: len(value) < 2),
    "an enum of one type": document({"enum": [None]}, lambda value: value is None),
    "40 definitions doubled": document(doubled(40), lambda value: value is None),
    "two branches with the same first key": document(SAME_KEY, lambda value: value is None or "next" in value),
    "an ambiguous pattern": document(
        {"type": "string", "pattern": "^(a+)+(a|a)*(.*)*$"}, lambda value: value.startswith("a")
    ),
    "GBNF in a name": document(
        {"type": "object", "properties": {INJECTED: {"const": 1}}, "required": [INJECTED]},
        lambda value: value == {INJECTED: 1},
    ),
    "GBNF in a constant": document({"const": INJECTED}, lambda value: value == INJECTED),
    "GBNF in a pattern": document({"type": "string", "pattern": '^"\n$'}, lambda value: value == '"\n'),
    **{
        f"maxLength of {length:,}": document(
            {"type": "string", "maxLength": length},
            lambda value, most=length: len(value) <= most,  # type: ignore[misc]
        )
        for length in (1500, 16_000, 20_000, 1_000_000)
    },
    **{
        f"maxItems of {count:,}": document(
            {"type": "array", "items": {"const": 1}, "maxItems": count}, lambda value: set(value) <= {1}
        )
        for count in (2000, 1_000_000)
    },
    **{
        f"{count:,} optional properties": document(properties(count), lambda value: isinstance(value, dict))
        for count in (100, 300, 1000)
    },
    **{
        f"an enum of {count:,}": document(
            {"enum": [f"value {at}" for at in range(count)]}, lambda value: value.startswith("value ")
        )
        for count in (1000, 10_000)
    },
    "any JSON": document({"type": "object"}, lambda value: isinstance(value, dict)),
}

CASES: dict[str, Case] = {
    **{f"schema: {name}": refused(400, asking(schema)) for name, schema in REFUSED.items()},
    **{f"schema: {name}": case for name, case in ANSWERED.items()},
    "schema: 10,000 levels": refused(400, nested(10_000)),
    "schema: 1,000,000 brackets": refused(400, nested(500_000, "[%s]")),
    "schema: 100,000 brackets": refused(400, nested(100_000, "[%s]")),
    "schema: 100 levels of not": refused(400, nested(101, '{"not": %s}')),
    "schema: NaN as a constant": refused(
        400, json.dumps({"prompt": "Go.", **asking({"const": float("nan")})}).encode()
    ),
    "schema: max_tokens below the smallest document": refused(400, asking(SAME_SEGMENT, 3)),
}
