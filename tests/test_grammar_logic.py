"""Schemas side by side: references, all, any, one, not, if."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runtime.errors import UnsupportedSchema
from runtime.grammar import compile_schema

if TYPE_CHECKING:
    from tests.grammars import Check


def test_boolean_schemas(check: Check) -> None:
    check(True, {"a": [1, None]}, True)
    with pytest.raises(UnsupportedSchema, match="Nothing is valid"):
        compile_schema(False)


def test_a_schema_without_a_type_takes_all_of_them(check: Check) -> None:
    values: list[Any] = [None, True, 1, 1.5, "a", [1], {"a": 1}]
    for value in values:
        check({"description": "anything"}, value, True)
        check({"minLength": 3}, value, value != "a")


def test_a_list_of_types(check: Check) -> None:
    cases: list[tuple[Any, bool]] = [(None, True), ("a", True), (1, False), ({}, False)]
    for value, accept in cases:
        check({"type": ["string", "null"]}, value, accept)


def test_what_stands_beside_a_reference_holds_too(check: Check) -> None:
    schema = {"$ref": "#/$defs/a", "minLength": 2, "$defs": {"a": {"type": "string", "maxLength": 3}}}
    for value, accept in [("a", False), ("ab", True), ("abcd", False), (1, False)]:
        check(schema, value, accept)


def test_up_to_draft_7_nothing_beside_a_reference_is_read(check: Check) -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {"x": {"$ref": "#/definitions/a", "minLength": 2}},
    }
    schema |= {"definitions": {"a": {"type": "string"}}, "type": "object"}
    check(schema, {"x": "a"}, True)


def test_a_reference_may_name_an_anchor_a_resource_or_an_escaped_place(check: Check) -> None:
    schema: dict[str, Any] = {
        "$id": "http://example.com/root.json",
        "$defs": {
            "a": {"$anchor": "here", "type": "integer"},
            "b": {"$id": "other.json", "$defs": {"c": {"type": "null"}}, "type": "string"},
            "t~/%": {"type": "boolean"},
        },
    }
    for reference, good in [
        ("#here", 1),
        ("other.json", "x"),
        ("http://example.com/other.json#/$defs/c", None),
        ("root.json#/$defs/a", 1),
        ("#/$defs/t~0~1%25", True),
    ]:
        check({**schema, "$ref": reference}, good, True)
        check({**schema, "$ref": reference}, [1], False)


def test_where_no_draft_is_said_id_names_a_resource_too(check: Check) -> None:
    schema = {"id": "http://example.com/s.json", "definitions": {"a": {"id": "#here", "type": "null"}}}
    check({**schema, "properties": {"x": {"$ref": "http://example.com/s.json#/definitions/a"}}}, {"x": 1}, False)
    check({**schema, "properties": {"x": {"$ref": "#here"}}}, {"x": None}, True)


def test_draft_3_requires_in_the_property(check: Check) -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-03/schema#",
        "properties": {"a": {"type": "any", "required": True}},
    }
    check({**schema, "type": "object"}, {"a": 1}, True)
    check({**schema, "type": "object"}, {}, False)


def test_recursion_goes_as_deep_as_it_likes(check: Check) -> None:
    tree = {
        "type": "object",
        "properties": {"v": {"type": "integer"}, "kids": {"type": "array", "items": {"$ref": "#"}}},
    }
    value: dict[str, Any] = {"v": 0, "kids": []}
    for _ in range(60):
        value = {"v": 1, "kids": [value, {"v": 2}]}
    check(tree, value, True)
    check(tree, {"v": 1, "kids": [{"v": "x"}]}, False)


def test_recursion_without_an_end_is_unsatisfiable() -> None:
    with pytest.raises(UnsupportedSchema, match="Nothing is valid"):
        compile_schema({"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]})


def test_a_reference_to_itself_is_refused() -> None:
    with pytest.raises(UnsupportedSchema, match=r"\$ref"):
        compile_schema({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}})


def test_all_of_holds_all(check: Check) -> None:
    schema = {
        "allOf": [{"properties": {"a": {"type": "integer"}}}, {"properties": {"a": {"minimum": 3}}, "required": ["a"]}]
    }
    for value, accept in [({"a": 3}, True), ({"a": 2}, False), ({}, False), ({"a": "x"}, False)]:
        check({"type": "object", **schema}, value, accept)


def test_any_of_holds_one_at_least_and_what_stands_beside_it(check: Check) -> None:
    schema = {"type": "object", "properties": {"a": {}, "b": {}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}
    for value, accept in [({"a": 1}, True), ({"b": 1}, True), ({"a": 1, "b": 1}, True), ({}, False), ({"c": 1}, False)]:
        check(schema, value, accept)


def test_one_of_disjoint_branches_is_any_of_them(check: Check) -> None:
    for value, accept in [("a", True), (1, True), (None, False)]:
        check({"oneOf": [{"type": "string"}, {"type": "integer"}]}, value, accept)


def test_one_of_overlapping_branches_is_exactly_one(check: Check) -> None:
    for value, accept in [(3, True), (10, True), (15, False), (4, False), (5, True)]:
        check({"type": "integer", "oneOf": [{"multipleOf": 3}, {"multipleOf": 5}]}, value, accept)
    required = {"type": "object", "properties": {"a": {}, "b": {}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
    for given, accept in [({"a": 1}, True), ({"b": 1}, True), ({"a": 1, "b": 1}, False), ({}, False)]:
        check(required, given, accept)


def test_a_tagged_union_keeps_each_tag_to_its_members(check: Check) -> None:
    cat = {"properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}, "required": ["kind", "lives"]}
    dog = {"properties": {"kind": {"const": "dog"}, "name": {"type": "string"}}, "required": ["kind", "name"]}
    schema = {"oneOf": [{"type": "object", **cat}, {"type": "object", **dog}]}
    for value, accept in [({"kind": "cat", "lives": 9}, True), ({"kind": "dog", "name": "x"}, True)]:
        check(schema, value, accept)
    for wrong in ({"kind": "cat", "name": "x"}, {"kind": "cow", "lives": 1}, {"lives": 9}):
        check(schema, wrong, False)


def test_not_a_type_a_value_a_key_a_length(check: Check) -> None:
    for schema, value, accept in [
        ({"not": {"type": "string"}}, 1, True),
        ({"not": {"type": "string"}}, "a", False),
        ({"not": {"type": "integer"}}, 1.5, True),
        ({"not": {"type": "integer"}}, 1, False),
        ({"type": "string", "not": {"enum": ["a", "ab"]}}, "abc", True),
        ({"type": "string", "not": {"enum": ["a", "ab"]}}, "ab", False),
        ({"type": "integer", "not": {"const": 0}}, 0, False),
        ({"type": "integer", "not": {"const": 0}}, 10, True),
        ({"type": "string", "not": {"pattern": "^x-"}}, "x-a", False),
        ({"type": "string", "not": {"pattern": "^x-"}}, "a", True),
        ({"type": "string", "not": {"maxLength": 2}}, "abc", True),
        ({"type": "string", "not": {"maxLength": 2}}, "ab", False),
        ({"type": "object", "not": {"required": ["a", "b"]}}, {"a": 1}, True),
        ({"type": "object", "not": {"required": ["a", "b"]}}, {"a": 1, "b": 1}, False),
        ({"type": "array", "not": {"items": {"type": "integer"}}}, [1, "a"], True),
        ({"type": "array", "not": {"items": {"type": "integer"}}}, [1, 2], False),
        ({"type": "array", "not": {"minItems": 2}}, [1, 2], False),
        ({"not": {"not": {"type": "null"}}}, None, True),
        ({"type": "object", "not": {"additionalProperties": False, "properties": {"a": {}}}}, {"b": 1}, True),
        ({"type": "object", "not": {"additionalProperties": False, "properties": {"a": {}}}}, {"a": 1}, False),
        ({"not": {"const": {"a": 1}}}, {"a": 2}, True),
        ({"not": {"const": {"a": 1}}}, {"a": 1}, False),
    ]:
        check(schema, value, accept)


def test_if_then_else(check: Check) -> None:
    schema = {
        "type": "object",
        "properties": {"country": {"enum": ["us", "nl"]}, "zip": {"type": "string"}},
        "required": ["country", "zip"],
        "if": {"properties": {"country": {"const": "us"}}},
        "then": {"properties": {"zip": {"pattern": "^[0-9]{5}$"}}},
        "else": {"properties": {"zip": {"pattern": "^[0-9]{4}[A-Z]{2}$"}}},
    }
    for country, code, accept in [
        ("us", "12345", True),
        ("us", "1234AB", False),
        ("nl", "1234AB", True),
        ("nl", "12345", False),
    ]:
        check(schema, {"country": country, "zip": code}, accept)


def test_then_without_if_says_nothing(check: Check) -> None:
    check({"then": {"type": "string"}, "else": {"type": "null"}}, 1, True)


def test_an_enum_is_filtered_by_all_that_stands_beside_it(check: Check) -> None:
    schema = {
        "enum": [1, 2, "abc", "x", {"a": 1}, {"b": 1}],
        "not": {"type": "object", "required": ["b"]},
        "minimum": 2,
        "maxLength": 1,
    }
    for value, accept in [(1, False), (2, True), ("abc", False), ("x", True), ({"a": 1}, True), ({"b": 1}, False)]:
        check(schema, value, accept)


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": []},
        {"type": "integer", "minimum": 2, "maximum": 1},
        {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2},
        {"type": "string", "minLength": 2, "maxLength": 1},
        {"type": "string", "pattern": "^a$", "minLength": 2},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"type": "object", "minProperties": 2, "maxProperties": 1},
        {"type": "array", "items": False, "minItems": 1},
        {"const": 1, "enum": [2]},
        {"type": "string", "enum": ["a"], "not": {"enum": ["a"]}},
    ],
)
def test_a_schema_under_which_nothing_is_valid_says_so(schema: Any) -> None:
    with pytest.raises(UnsupportedSchema, match="Nothing is valid"):
        compile_schema(schema)


def test_what_is_impossible_for_an_optional_key_leaves_it_out(check: Check) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": []}, "b": {}}, "additionalProperties": False}
    check(schema, {"b": 1}, True)
    check(schema, {"a": 1, "b": 1}, False)


def test_recursive_alternatives_with_the_same_key_do_not_multiply(check: Check) -> None:
    def branch(name: str) -> dict[str, Any]:
        own = {"child": {"$ref": "#/$defs/node"}, name: {"type": "integer"}}
        return {"type": "object", "properties": own, "required": [name]}

    schema = {"$ref": "#/$defs/node", "$defs": {"node": {"anyOf": [branch("x"), branch("y")]}}}
    value: dict[str, Any] = {"x": 1}
    for at in range(40):
        value = {"child": value, "xy"[at % 2]: 1}
    check(schema, value, True)


def test_a_definition_that_is_used_twice_at_each_of_forty_levels_is_written_once() -> None:
    levels = {f"d{at}": {"anyOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(40)}
    assert len(compile_schema({"$ref": "#/$defs/d0", "$defs": {**levels, "d40": {"type": "string"}}})) < 1000


def test_unknown_words_are_annotations(check: Check) -> None:
    check({"type": "integer", "x-order": 3, "widget": {"kind": "slider"}}, 5, True)
