"""What is refused: by name, with its place, and in time."""

from __future__ import annotations

import pickle
import time
from contextlib import suppress
from typing import Any

import pytest

from runtime.errors import UnsupportedSchema
from runtime.grammar import compile_schema


@pytest.mark.parametrize(
    ("schema", "pointer", "keyword"),
    [
        ({"properties": {"a": {"$ref": "http://example.com/x.json"}}}, "/properties/a", "$ref"),
        ({"items": {"$ref": "#/$defs/none"}}, "/items", "$ref"),
        ({"$ref": "#none"}, "", "$ref"),
        ({"$ref": 5}, "", "$ref"),
        ({"allOf": [{"$dynamicRef": "#x"}]}, "/allOf/0", "$dynamicRef"),
        ({"$recursiveRef": "#"}, "", "$recursiveRef"),
        ({"unevaluatedProperties": False}, "", "unevaluatedProperties"),
        ({"unevaluatedItems": {"type": "string"}}, "", "unevaluatedItems"),
        ({"properties": {"a/b": {"type": "text"}}}, "/properties/a~1b", "type"),
        ({"type": "object", "properties": []}, "", "properties"),
        ({"required": "a"}, "", "required"),
        ({"minimum": "1"}, "", "minimum"),
        ({"maxLength": -1}, "", "maxLength"),
        ({"multipleOf": 0}, "", "multipleOf"),
        ({"enum": "a"}, "", "enum"),
        ({"anyOf": {}}, "", "anyOf"),
        ({"patternProperties": {"(": {}}}, "", "patternProperties"),
        ({"format": {}}, "", "format"),
        ({"$ref": "http://["}, "", "$ref"),
        ({"$schema": "http://json-schema.org/draft-03/schema#", "extends": {}}, "", "extends"),
        ({"not": {"uniqueItems": True}}, "/not", "uniqueItems"),
    ],
)
def test_a_refusal_names_the_place_and_the_keyword(schema: Any, pointer: str, keyword: str) -> None:
    with pytest.raises(UnsupportedSchema) as caught:
        compile_schema(schema)
    assert (caught.value.pointer, caught.value.keyword) == (pointer, keyword)
    assert keyword in str(caught.value)
    assert (pointer or "#") in str(caught.value)


def test_a_refusal_is_a_client_s_error_and_crosses_processes() -> None:
    error = UnsupportedSchema("#/a: no.", "Do this.", pointer="/a", keyword="enum")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, UnsupportedSchema)
    assert (str(again), again.pointer, again.keyword, again.status) == ("#/a: no. Do this.", "/a", "enum", 400)


@pytest.mark.parametrize("schema", [{"a": {1, 2}}, {"const": float("nan")}, [1], "text", None, {"items": 5}])
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    with pytest.raises(UnsupportedSchema):
        compile_schema(schema)


def nested(depth: int, key: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {key: schema} if key != "allOf" else {key: [schema]}
    return schema


@pytest.mark.parametrize("key", ["items", "not", "allOf", "additionalProperties", "if"])
def test_a_schema_that_is_too_deep_is_refused(key: str) -> None:
    with pytest.raises(UnsupportedSchema, match="deeper than 128"):
        compile_schema(nested(100_000, key))


@pytest.mark.parametrize(
    ("key", "depth"), [("items", 120), ("not", 120), ("allOf", 60), ("additionalProperties", 120), ("if", 60)]
)
def test_a_schema_just_within_the_depth_compiles(key: str, depth: int) -> None:
    assert compile_schema(nested(depth, key))


def test_a_schema_that_is_too_large_is_refused_with_the_numbers() -> None:
    with pytest.raises(UnsupportedSchema, match=r"1,2\d\d,\d\d\d bytes; 1,048,576"):
        compile_schema({"description": "x" * 1_200_000})


HARD = {
    "many overlapping branches": {
        "oneOf": [{"properties": {f"k{n}": {"type": "integer"}, f"l{n}": {"type": "string"}}} for n in range(40)]
    },
    "conditions in conditions": {
        "allOf": [
            {"if": {"properties": {f"a{n}": {"minimum": n}}}, "then": {"properties": {f"b{n}": {"maximum": n}}}}
            for n in range(30)
        ]
    },
    "a large combination of patterns": {
        "allOf": [{"pattern": f"^(.*{'abcdefghij'[n]}.*){{{n + 2}}}$"} for n in range(8)],
    },
    "many names of many patterns": {
        "type": "object",
        "patternProperties": {f"{'abcdefghijklmnop'[n]}.{{9}}x": {} for n in range(16)},
    },
    "a huge enum": {"enum": [f"{n * 7919 % 100_003}-{n}" for n in range(60_000)]},
    "huge objects": {
        "properties": {f"k{n}": {"properties": {f"m{m}": {"minimum": m * n} for m in range(40)}} for n in range(400)}
    },
}


@pytest.mark.parametrize("name", HARD)
def test_a_hard_schema_is_compiled_or_refused_within_seconds(name: str) -> None:
    began = time.perf_counter()
    with suppress(UnsupportedSchema):
        compile_schema(HARD[name])
    assert time.perf_counter() - began < 15


def test_a_schema_that_was_compiled_before_is_remembered() -> None:
    schema = {"type": "object", "properties": {f"k{n}": {"type": "string"} for n in range(100)}}
    first = compile_schema(schema)
    assert compile_schema(dict(schema)) is first


def test_the_order_of_keys_is_part_of_what_is_remembered() -> None:
    one, other = (compile_schema({"properties": {key: {} for key in keys}}) for keys in ("ab", "ba"))
    assert one != other


def test_what_leads_back_to_itself_does_not_count_over_a_thousand() -> None:
    schema = {"type": ["array", "null"], "items": {"$ref": "#"}}
    assert compile_schema({**schema, "maxItems": 1000})
    with pytest.raises(UnsupportedSchema, match="ambiguous"):
        compile_schema({**schema, "maxItems": 3000})
