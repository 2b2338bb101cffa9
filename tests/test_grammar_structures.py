"""Arrays and objects under a schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime.errors import UnsupportedSchema
from runtime.grammar import compile_schema

if TYPE_CHECKING:
    from tests.grammars import Check, Judge

NAME = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}


def test_keys_come_in_the_order_of_the_schema(check: Check) -> None:
    check(NAME, {"name": "a", "age": 1}, True)
    check(NAME, {"age": 1, "name": "a"}, False)


def test_optional_keys_may_each_be_left_out(check: Check) -> None:
    for value in ({}, {"name": "a"}, {"age": 1}, {"name": "a", "age": 1}):
        check(NAME, value, True)


def test_required_keys_may_not(check: Check) -> None:
    schema = {**NAME, "required": ["age"]}
    check(schema, {"age": 1}, True)
    check(schema, {"name": "a"}, False)


def test_keys_that_are_only_required_follow_the_declared_ones(check: Check) -> None:
    schema = {**NAME, "required": ["other"]}
    check(schema, {"name": "a", "other": [1]}, True)
    check(schema, {"name": "a"}, False)


def test_by_the_standard_other_keys_may_stand_anywhere(check: Check) -> None:
    check(NAME, {"name": "a", "extra": [1]}, True)
    check(NAME, {"extra": [1], "name": "a"}, True)


def test_closed_leaves_out_what_the_schema_does_not_speak_of(check: Check) -> None:
    check(NAME, {"name": "a", "age": 1}, True, closed=True)
    check(NAME, {"name": "a", "extra": 1}, False, closed=True)
    check({"type": "object"}, {"any": 1}, True, closed=True)
    check({"additionalProperties": {"type": "integer"}, **NAME}, {"name": "a", "extra": 1}, True, closed=True)
    check({"patternProperties": {"^x": {}}, **NAME}, {"x-1": 1}, True, closed=True)
    check({"patternProperties": {"^x": {}}, **NAME}, {"y": 1}, False, closed=True)
    check({**NAME, "required": ["other"]}, {"other": 1}, True, closed=True)


def test_closed_holds_for_schemas_side_by_side_together(check: Check) -> None:
    schema = {"allOf": [NAME, {"properties": {"more": {}}}]}
    check(schema, {"name": "a", "more": 1}, True, closed=True)
    check(schema, {"name": "a", "else": 1}, False, closed=True)


def test_a_declared_key_cannot_come_twice(judge: Judge) -> None:
    grammar = compile_schema(NAME)
    for text in ('{"name": "a", "name": "b"}', '{"age": 1, "age": 1}', '{"age": 1, "name": 5}', r'{"n\u0061me": 1}'):
        assert not judge.accepts(grammar, text)
    for text in (
        '{"nam": 1}',
        '{"names": 1}',
        '{"": 1}',
        '{"Name": 1, "é": 2}',
        r'{"n\n": 1}',
    ):
        assert judge.accepts(grammar, text)


def test_additional_properties_hold_for_the_other_keys(check: Check) -> None:
    schema = {**NAME, "additionalProperties": {"type": "boolean"}}
    check(schema, {"name": "a", "x": True, "y": False}, True)
    check(schema, {"name": "a", "x": 1}, False)
    check({**NAME, "additionalProperties": False}, {"name": "a", "x": True}, False)


def test_keys_with_special_characters_are_told_apart(check: Check) -> None:
    schema = {"properties": {'a"b': {"type": "integer"}, "c\\d\n": {"type": "integer"}, "é😀": {"type": "integer"}}}
    for name in ('a"b', "c\\d\n", "é😀"):
        check({**schema, "type": "object"}, {name: 1}, True)
        check({**schema, "type": "object"}, {name: "1"}, False)
    check({**schema, "type": "object"}, {'a"c': "1", "é": "x"}, True)


def test_pattern_properties_hold_where_the_name_matches(check: Check) -> None:
    schema = {"type": "object", "patternProperties": {"^n": {"type": "integer"}, "s$": {"type": "string"}}}
    for value, accept in [
        ({"n1": 1}, True),
        ({"n1": "x"}, False),
        ({"xs": "x"}, True),
        ({"xs": 1}, False),
        ({"ns": 1}, False),
        ({"other": None}, True),
    ]:
        check(schema, value, accept)
    check({**schema, "additionalProperties": False}, {"other": None}, False)


def test_pattern_properties_hold_for_declared_keys_too(check: Check) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"minLength": 2}},
        "patternProperties": {"^n": {"type": "string"}},
    }
    for value, accept in [("ab", True), ("a", False), (1, False)]:
        check(schema, {"name": value}, accept)


def test_names_that_few_match_come_at_most_once(judge: Judge) -> None:
    grammar = compile_schema({"type": "object", "patternProperties": {"^[ab]$": {"type": "integer"}}})
    assert judge.accepts(grammar, '{"a": 1, "b": 2}')
    assert not judge.accepts(grammar, '{"a": 1, "a": 2}')


def test_property_names_hold_for_every_key(check: Check) -> None:
    schema = {"type": "object", "propertyNames": {"pattern": "^[a-z]+$", "maxLength": 3}}
    for value, accept in [({"abc": 1}, True), ({"abcd": 1}, False), ({"A": 1}, False), ({}, True)]:
        check(schema, value, accept)
    check({"type": "object", "propertyNames": {"enum": ["a", "b"]}}, {"a": 1, "b": 1}, True)
    check({"type": "object", "propertyNames": {"enum": ["a", "b"]}}, {"c": 1}, False)


def test_members_are_counted(check: Check) -> None:
    schema = {"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "minProperties": 1, "maxProperties": 2}
    for value, accept in [({}, False), ({"b": 1}, True), ({"a": 1, "c": 1}, True), ({"a": 1, "b": 1, "c": 1}, False)]:
        check(schema, value, accept)
    for value, accept in [({"x": 1}, True), ({"a": 1, "x": 1}, True), ({"a": 1, "x": 1, "y": 2}, False)]:
        check(schema, value, accept)


def test_a_key_may_ask_for_others(check: Check) -> None:
    for schema in (
        {"type": "object", "properties": {"a": {}, "b": {}}, "dependentRequired": {"a": ["b"]}},
        {"type": "object", "properties": {"a": {}, "b": {}}, "dependencies": {"a": ["b"]}},
    ):
        for value, accept in [({"a": 1}, False), ({"a": 1, "b": 1}, True), ({"b": 1}, True), ({}, True)]:
            check(schema, value, accept)


def test_a_key_may_ask_for_a_schema(check: Check) -> None:
    for keyword in ("dependentSchemas", "dependencies"):
        schema = {
            "type": "object",
            "properties": {"a": {}, "b": {}},
            keyword: {"a": {"properties": {"b": {"type": "null"}}}},
        }
        for value, accept in [
            ({"a": 1, "b": None}, True),
            ({"a": 1, "b": 1}, False),
            ({"b": 1}, True),
            ({"a": 1}, True),
        ]:
            check(schema, value, accept)


def test_a_hundred_optional_keys_stay_small(judge: Judge) -> None:
    schema = {"type": "object", "properties": {f"key{at}": {"type": "integer"} for at in range(100)}}
    grammar = compile_schema(schema, closed=True)
    assert len(grammar) < 12_000
    assert judge.accepts(grammar, '{"key3": 1, "key77": 2, "key99": 3}')


def test_items_hold_for_every_element(check: Check) -> None:
    schema = {"type": "array", "items": {"type": "integer"}}
    for value, accept in [([], True), ([1], True), ([1, 2, 3], True), ([1, "a"], False)]:
        check(schema, value, accept)


def test_items_are_counted(check: Check) -> None:
    schema = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 4}
    for length, accept in [(1, False), (2, True), (4, True), (5, False)]:
        check(schema, [1] * length, accept)


@pytest.mark.parametrize("most", [999, 1000, 1001, 2300])
def test_any_number_of_items_is_counted_exactly(judge: Judge, most: int) -> None:
    grammar = compile_schema({"type": "array", "items": {"type": "null"}, "maxItems": most})
    assert judge.accepts(grammar, f"[{', '.join(['null'] * most)}]")
    assert not judge.accepts(grammar, f"[{', '.join(['null'] * (most + 1))}]")


def test_the_first_items_have_schemas_of_their_own(check: Check) -> None:
    first = [{"type": "integer"}, {"type": "string"}]
    for schema in (
        {"prefixItems": first, "items": {"type": "null"}},
        {"items": first, "additionalItems": {"type": "null"}},
    ):
        for value, accept in [([], True), ([1], True), ([1, "a", None], True), (["a"], False), ([1, "a", 1], False)]:
            check({"type": "array", **schema}, value, accept)
    check({"type": "array", "prefixItems": first, "items": False}, [1, "a", 1], False)


def test_an_array_contains_as_many_as_it_is_asked_to(check: Check) -> None:
    schema = {"type": "array", "contains": {"type": "integer"}, "minContains": 2, "maxContains": 3}
    for value, accept in [
        ([1], False),
        ([1, "a", 2], True),
        ([1, 2, 3], True),
        ([1, 2, 3, 4], False),
        (["a", 1, 2], True),
    ]:
        check(schema, value, accept)
    for value, accept in [([], False), (["a"], False), (["a", 1], True)]:
        check({"type": "array", "contains": {"type": "integer"}}, value, accept)


def test_unique_items_of_few_values_are_unique(check: Check) -> None:
    schema = {"type": "array", "items": {"enum": ["a", "b", 1]}, "uniqueItems": True}
    for value, accept in [([], True), (["a", 1, "b"], True), (["a", "a"], False), ([1, 1.0], False)]:
        check(schema, value, accept)
    check(
        {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 3}, "uniqueItems": True}, [3, 1], True
    )


def test_one_item_is_always_unique(check: Check) -> None:
    check({"type": "array", "uniqueItems": True, "maxItems": 1}, ["anything"], True)


def test_unique_items_of_many_values_are_refused() -> None:
    with pytest.raises(UnsupportedSchema) as caught:
        compile_schema({"properties": {"tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}}})
    assert (caught.value.pointer, caught.value.keyword) == ("/properties/tags", "uniqueItems")


def test_white_space_is_written_one_way_where_the_runtime_writes(judge: Judge) -> None:
    grammar = compile_schema(NAME, closed=True)
    assert judge.accepts(grammar, '{"name": "a", "age": 1}')
    for text in ('{"name":"a"}', '{ "name": "a"}', '{"name": "a","age": 1}', '{"name": "a"}\n', '{"name":  "a"}'):
        assert not judge.accepts(grammar, text)


def test_by_the_standard_the_space_behind_commas_and_colons_may_be_left_out(judge: Judge) -> None:
    grammar = compile_schema({"type": "object", "properties": {"a": {"enum": [[1, 2]]}, "b": {}}})
    for text in ('{"a": [1, 2], "b": {"x": 1}}', '{"a":[1,2],"b":{"x":1}}'):
        assert judge.accepts(grammar, text)
    assert not judge.accepts(grammar, '{"a":  [1, 2]}')
