"""Random schemas: all that a grammar lets through is valid, by the word of `jsonschema`."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from runtime.errors import UnsupportedSchema
from runtime.grammar import compile_grammar, compile_schema
from tests.drawing import Drawer

if TYPE_CHECKING:
    from tests.grammars import Judge

NAMES = st.sampled_from(["a", "b", "ab", "c"])
_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 12),
        st.sampled_from([0.5, 2.5]),
        st.sampled_from(["", "a", "ab", "b1"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=4,
)
_scalars = st.one_of(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])}
    ),
    st.fixed_dictionaries(
        {"type": st.lists(st.sampled_from(["null", "string", "integer", "object"]), min_size=1, unique=True)}
    ),
    st.fixed_dictionaries({"enum": st.lists(_values, min_size=1, max_size=4)}),
    st.fixed_dictionaries({"const": _values}),
    st.fixed_dictionaries({"minimum": st.integers(-2, 3)}, optional={"maximum": st.integers(1, 9)}),
    st.fixed_dictionaries({"type": st.just("integer"), "multipleOf": st.integers(1, 4)}),
    st.fixed_dictionaries(
        {"type": st.just("string")}, optional={"minLength": st.integers(0, 2), "maxLength": st.integers(1, 3)}
    ),
    st.fixed_dictionaries({"type": st.just("string"), "pattern": st.sampled_from(["^a", "b", "^[ab]*1", "1"])}),
    st.booleans(),
)


def _larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    counts = {"minItems": st.integers(0, 2), "maxItems": st.integers(1, 3)}
    arrays = {"items": inner, "prefixItems": st.lists(inner, min_size=1, max_size=2), "contains": inner, **counts}
    objects = {
        "properties": st.dictionaries(NAMES, inner, max_size=3),
        "required": st.lists(NAMES, unique=True, max_size=2),
        "additionalProperties": inner,
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "b"]), inner, max_size=2),
        "propertyNames": st.sampled_from([{"maxLength": 1}, {"enum": ["a", "c"]}]),
        "minProperties": st.integers(0, 2),
        "maxProperties": st.integers(1, 3),
        "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, unique=True, max_size=2), max_size=2),
    }
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.fixed_dictionaries({"type": st.just("array")}, optional=arrays),
        st.fixed_dictionaries({"type": st.just("object")}, optional=objects),
        st.fixed_dictionaries({}, optional={"anyOf": several, "oneOf": several, "allOf": several, "not": inner}),
        st.fixed_dictionaries({"if": inner}, optional={"then": inner, "else": inner}),
    )


schemas = st.recursive(_scalars, _larger, max_leaves=6)
relaxed = settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise LookupError("a free key came twice, which no grammar of finite size keeps out")
    return dict(pairs)


def parsed(number: str) -> int | float:
    """Whole numbers as such, however they are written: a double would round long ones."""
    value = Decimal(number)
    return int(value) if value == value.to_integral_value() else float(number)


@given(schemas, st.booleans(), st.integers(0, 2**32))
@relaxed
def test_every_text_drawn_from_a_grammar_is_json_and_valid(schema: Any, closed: bool, seed: int) -> None:
    try:
        grammar = compile_grammar(schema, closed=closed)
    except UnsupportedSchema:
        return
    drawer = Drawer(grammar, random.Random(seed))
    for _ in range(8):
        text = drawer.draw()
        try:
            value = json.loads(text, object_pairs_hook=unique_pairs, parse_float=parsed)
        except LookupError:
            continue
        assert Draft202012Validator(schema).is_valid(value), (schema, text)


@given(schemas, st.lists(_values, min_size=4, max_size=8))
@relaxed
def test_what_the_engine_accepts_is_valid_and_what_has_no_keys_to_order_the_other_way_round(
    judge: Judge, schema: Any, values: list[Any]
) -> None:
    try:
        grammar = compile_schema(schema)
    except UnsupportedSchema as refusal:
        if "Nothing is valid" in str(refusal):
            assert not any(Draft202012Validator(schema).is_valid(value) for value in values)
        return
    for value in values:
        valid = Draft202012Validator(schema).is_valid(value)
        accepted = judge.accepts(grammar, json.dumps(value))
        assert valid or not accepted, (schema, value)
        if not keys_to_order(value):
            assert accepted or not valid, (schema, value)


def keys_to_order(value: Any) -> bool:
    if isinstance(value, dict):
        return len(value) > 1 or any(map(keys_to_order, value.values()))
    return isinstance(value, list) and any(map(keys_to_order, value))


@given(schemas)
@relaxed
def test_llama_cpp_takes_every_grammar_of_ours(judge: Judge, schema: Any) -> None:
    for closed in (False, True):
        try:
            grammar = compile_schema(schema, closed=closed)
        except UnsupportedSchema:
            continue
        assert judge.takes(grammar)
