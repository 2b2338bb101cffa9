"""Each deviation that docs/json-schema.md admits, by its number there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime.errors import UnsupportedSchema
from runtime.grammar import compile_schema

if TYPE_CHECKING:
    from tests.grammars import Check, Judge

TWO = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}


def test_1_named_keys_come_in_their_order_and_by_the_standard_free_ones_anywhere(check: Check) -> None:
    check(TWO, {"a": 1, "b": 2, "c": 3}, True)
    check(TWO, {"c": 3, "a": 1, "d": 4, "b": 2}, True)
    check(TWO, {"b": 2, "a": 1}, False)
    check(TWO, {"b": 2, "a": 1}, False, closed=True)
    check(TWO | {"additionalProperties": True}, {"c": 3, "a": 1}, False, closed=True)


def test_1_where_members_are_counted_free_keys_come_last(check: Check) -> None:
    check(TWO | {"minProperties": 2}, {"a": 1, "c": 3}, True)
    check(TWO | {"minProperties": 2}, {"c": 3, "a": 1}, False)


def test_1_by_the_standard_required_keys_may_come_first(check: Check) -> None:
    schema = {"type": "object", "properties": {key: {"type": "integer"} for key in "abcd"}, "required": ["d", "b"]}
    for order, open_ in [("bd", True), ("db", True), ("dbac", True), ("abcd", True), ("dbca", False), ("bda", False)]:
        check(schema, dict.fromkeys(order, 1), open_)
    for order, good in [("bd", True), ("db", False), ("abcd", True), ("dbac", False)]:
        check(schema, dict.fromkeys(order, 1), good, closed=True)
    for order in ("b", "d", "abc", "dac", "xd"):
        check(schema, dict.fromkeys(order, 1), False)
    check(schema, {"x": 0, "d": 1, "y": 0, "b": 1, "a": 1, "z": 0}, True)
    check(schema | {"not": {"required": ["a"]}}, {"d": 1, "b": 1, "a": 1}, False)


def test_1_by_the_standard_an_array_or_object_may_come_last(check: Check) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array"}, "b": {}, "c": {"type": "integer"}}}
    for required in ([], ["a"]):
        check(schema | {"required": required}, {"b": 1, "c": 1, "a": []}, True)
        check(schema | {"required": required}, {"b": 1, "a": [], "c": 1}, False)
        check(schema | {"required": required}, {"b": 1, "c": 1, "a": []}, False, closed=True)
    check(schema | {"required": ["a"]}, {"b": 1, "c": 1}, False)
    check(schema | {"required": ["b", "a"]}, {"b": 1, "c": 1}, False)
    excluded = schema | {"not": {"required": ["a", "c"]}}
    check(excluded, {"b": 1, "c": 1, "a": []}, False)
    check(excluded, {"b": 1, "a": []}, True)


def test_1_keys_are_in_the_order_in_which_the_schema_speaks_of_them(check: Check) -> None:
    part = {"properties": {"a": {"type": "integer"}}}
    for closed in (False, True):
        check({"allOf": [part], "properties": {"b": {}}}, {"a": 1, "b": 1}, True, closed=closed)
        check({"properties": {"b": {}}, "allOf": [part]}, {"a": 1, "b": 1}, False, closed=closed)


def test_2_white_space_is_written_in_one_or_two_ways(judge: Judge) -> None:
    for text, open_, closed in [
        ('{"a": 1, "b": 2}', True, True),
        ('{"a":1,"b":2}', True, False),
        ('{ "a": 1}', False, False),
    ]:
        assert judge.accepts(compile_schema(TWO), text) is open_
        assert judge.accepts(compile_schema(TWO, closed=True), text) is closed


def test_3_a_pattern_allows_no_needless_escapes(judge: Judge) -> None:
    assert judge.accepts(compile_schema({"type": "string"}), r'"\u0061\/"')
    assert not judge.accepts(compile_schema({"type": "string", "pattern": "a"}), r'"\u0061"')
    assert judge.accepts(compile_schema({"type": "string", "pattern": "^.$"}), r'"\""')


def test_4_a_free_key_may_come_twice(judge: Judge) -> None:
    assert judge.accepts(compile_schema({"type": "object"}), '{"x": 1, "x": 2}')
    assert judge.accepts(compile_schema({"type": "object", "minProperties": 2}), '{"x": 1, "x": 2}')
    assert not judge.accepts(compile_schema(TWO), '{"a": 1, "a": 2}')
    with pytest.raises(UnsupportedSchema, match="keys that are not declared may come twice"):
        compile_schema({"type": "object", "minProperties": 2}, closed=True)


def test_5_numbers_have_so_many_digits(judge: Judge) -> None:
    for text, accept in [
        ("1" * 21, True),
        ("1" * 22, False),
        (f"0.{'1' * 20}", True),
        (f"0.{'1' * 21}", False),
        ("1e99", True),
    ]:
        assert judge.accepts(compile_schema({"type": "number"}), text) is accept
    for text, accept in [("1e100", False), ("1e5", True)]:
        assert judge.accepts(compile_schema({"type": "number"}), text) is accept
    assert not judge.accepts(compile_schema({"type": "number", "minimum": 0}), "1e5")
    assert not judge.accepts(compile_schema({"type": "integer"}), "-0")


def test_6_a_number_in_an_enum_is_written_as_it_stands(judge: Judge) -> None:
    for text, accept in [("2.5", True), ("2.50", False), ("25e-1", False)]:
        assert judge.accepts(compile_schema({"enum": [2.5]}), text) is accept


def test_7_objects_in_an_enum_keep_the_order_of_their_keys(check: Check) -> None:
    check({"const": {"a": 1, "b": 2}}, {"a": 1, "b": 2}, True)
    check({"const": {"a": 1, "b": 2}}, {"b": 2, "a": 1}, False)


def test_8_formats_leave_out_what_nobody_writes(check: Check) -> None:
    for name, text in [
        ("time", "23:59:60Z"),
        ("date", "0000-01-01"),
        ("time", "00:00:00.1234567890Z"),
        ("email", '"joe bloggs"@example.com'),
        ("regex", "(((a)))"),
    ]:
        check({"type": "string", "format": name}, text, False)


def test_9_long_strings_under_a_pattern_are_kept_shorter(check: Check) -> None:
    schema = {"type": "string", "format": "email", "maxLength": 100_000}
    check(schema, f"{'a' * 60}@example.com", True)
    check(schema, f"{'a' * 20_000}@example.com", False)


def test_10_the_whole_of_a_hostname_has_no_limit(check: Check) -> None:
    check({"type": "string", "format": "hostname"}, ".".join(["a" * 60] * 5), True)


def test_11_a_byte_order_mark_is_neither_a_space_nor_none_and_a_line_end_no_end(check: Check) -> None:
    check({"type": "string", "pattern": r"^\s$"}, "\ufeff", False)
    check({"type": "string", "pattern": r"^\S$"}, "\ufeff", False)
    check({"type": "string", "pattern": "^a$"}, "a\n", False)


def test_12_where_patterns_sort_texts_line_ends_are_left_out(check: Check) -> None:
    schema = {"type": "object", "patternProperties": {"^.$": {"type": "integer"}}}
    check(schema, {"ab": "text"}, True)
    check(schema, {"\u2028": "text"}, False)
    check({"type": "string", "not": {"pattern": "^a$"}}, "a\n", False)
    check({"type": "string", "not": {"pattern": "^a$"}}, "a\nb", True)
