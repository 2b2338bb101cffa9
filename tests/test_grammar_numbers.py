"""Numbers under a schema, as llama.cpp's engine sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from runtime.errors import UnsupportedSchema
from runtime.grammar import compile_schema
from runtime.grammar.document import Document
from runtime.grammar.logic import Logic
from runtime.grammar.numbers import language
from runtime.grammar.shapes import Number

if TYPE_CHECKING:
    from decimal import Decimal

    from tests.grammars import Check, Judge


def test_an_integer_has_no_fraction_but_zero(check: Check) -> None:
    for value, accept in [(0, True), (-7, True), (10**18, True), (2.0, True), (2.5, False), ("2", False)]:
        check({"type": "integer"}, value, accept)


def test_an_integer_is_written_without_a_point_where_the_runtime_writes(check: Check) -> None:
    check({"type": "integer"}, 2.0, False, closed=True)


def test_before_draft_6_an_integer_had_no_point(check: Check) -> None:
    check({"$schema": "http://json-schema.org/draft-04/schema#", "type": "integer"}, 2.0, False)


def test_a_number_may_have_an_exponent(judge: Judge) -> None:
    grammar = compile_schema({"type": "number"})
    for text, accept in [("1e5", True), ("-1.5E-10", True), ("01", False), ("+1", False), (".5", False), ("1.", False)]:
        assert judge.accepts(grammar, text) is accept


def test_digits_come_to_an_end(judge: Judge) -> None:
    for schema in ({"type": "number"}, {"type": "integer"}, {"type": "number", "minimum": 0}):
        assert judge.accepts(compile_schema(schema), "1" * 18)
        assert not judge.accepts(compile_schema(schema), "1" * 50)


def test_minimum_and_maximum_are_inclusive(check: Check) -> None:
    for value, accept in [(-3, True), (4.5, True), (-3.01, False), (4.51, False), (0, True), (-3.0, True)]:
        check({"minimum": -3, "maximum": 4.5, "type": "number"}, value, accept)


def test_exclusive_bounds_exclude_themselves(check: Check) -> None:
    for value, accept in [(0, False), (0.0, False), (0.001, True), (10, False), (9.999, True)]:
        check({"exclusiveMinimum": 0, "exclusiveMaximum": 10, "type": "number"}, value, accept)


def test_in_draft_4_exclusive_bounds_are_booleans(check: Check) -> None:
    schema = {"minimum": 5, "exclusiveMinimum": True, "maximum": 9, "exclusiveMaximum": False}
    for value, accept in [(5, False), (6, True), (9, True)]:
        check(schema, value, accept)


def test_multiples_of_a_whole_number(check: Check) -> None:
    for value, accept in [(0, True), (21, True), (-14, True), (22, False), (10**15 * 7, True)]:
        check({"type": "integer", "multipleOf": 7}, value, accept)


def test_multiples_of_a_fraction(check: Check) -> None:
    for value, accept in [(4.02, True), (4.025, False), (4, True), (0.01, True), (4.020, True)]:
        check({"type": "number", "multipleOf": 0.01}, value, accept)
    for value, accept in [(0.75, True), (0.8, False), (1.5, True)]:
        check({"type": "number", "multipleOf": 0.25}, value, accept)


def test_a_multiple_within_bounds(check: Check) -> None:
    for value, accept in [(10, True), (15, False), (0, False), (50, True), (60, False)]:
        check({"type": "integer", "multipleOf": 10, "minimum": 5, "maximum": 50}, value, accept)


def test_the_bounds_of_doubles_cost_nothing(check: Check) -> None:
    schema = {"type": "number", "minimum": -1.7976931348623157e308, "maximum": 1.7976931348623157e308}
    check(schema, 12.5, True)
    assert len(compile_schema(schema)) < 400


def test_bounds_are_only_for_numbers(check: Check) -> None:
    check({"minimum": 5}, "text", True)
    check({"minimum": 5}, 4, False)


_bounds = st.one_of(st.integers(-2000, 2000), st.decimals(-200, 200, places=2).map(float))


@given(
    st.dictionaries(
        st.sampled_from(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]), _bounds, min_size=1
    ),
    st.sampled_from([{}, {"type": "integer"}, {"multipleOf": 3}, {"multipleOf": 0.5}, {"not": {"multipleOf": 2}}]),
    st.lists(st.one_of(st.integers(-2100, 2100), st.decimals(-210, 210, places=3)), min_size=20, max_size=20),
)
@settings(max_examples=150, deadline=None)
def test_a_number_is_written_if_and_only_if_it_is_valid(
    bounds: dict[str, Any], more: dict[str, Any], values: list[int | Decimal]
) -> None:
    schema = {"type": "number", **bounds, **more}
    logic = Logic(Document(schema))
    shapes = logic.normal(logic.document.root.formula()).get("number", ())
    near = [value + step for value in bounds.values() for step in (-1, 0, 1)]
    for value in [*values, *near]:
        text = str(value) if isinstance(value, int) or value % 1 else str(int(value))
        if text == "-0":
            continue
        valid = Draft202012Validator(schema).is_valid(float(value) if "." in text else int(text))
        written = any(isinstance(shape, Number) and language(shape).label(text) for shape in shapes)
        assert written is valid, (schema, text)


@pytest.mark.parametrize("step", [0.123456789, 99991.5])
def test_a_step_that_needs_too_many_states_is_refused(step: float) -> None:
    with pytest.raises(UnsupportedSchema, match=r"#, multipleOf: .* too many states"):
        compile_schema({"multipleOf": step})
