"""What is said of a schema."""

from __future__ import annotations

from runtime.grammar import compile_schema
from runtime.grammar.explain import admits, explain

SCHEMA = {
    "title": "A person",
    "type": "object",
    "properties": {"age": {"type": "integer", "minimum": 0, "x-unit": "years"}},
    "minlength": 3,
}


def test_each_keyword_is_enforced_an_annotation_or_unknown() -> None:
    found = explain(SCHEMA)
    assert found.enforced == (
        ("", "type"),
        ("", "properties"),
        ("/properties/age", "type"),
        ("/properties/age", "minimum"),
    )
    assert found.annotations == (("", "title"),)
    assert found.unknown == (("", "minlength"), ("/properties/age", "x-unit"))


def test_the_grammar_is_that_of_the_compiler() -> None:
    assert explain(SCHEMA, closed=True).grammar == compile_schema(SCHEMA, closed=True)
    assert explain(SCHEMA).refusal is None


def test_a_refusal_is_part_of_the_explanation() -> None:
    found = explain({"properties": {"a": {"$ref": "http://example.com"}}})
    assert found.grammar is None
    assert found.refusal is not None
    assert found.refusal.pointer == "/properties/a"
    assert found.enforced == (("", "properties"), ("/properties/a", "$ref"))


def test_what_is_no_schema_is_explained_by_its_refusal() -> None:
    assert explain({"a": {1}}).refusal is not None


def test_an_instance_is_valid_whatever_the_order_of_its_keys() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}, "required": ["b"]}
    assert admits(schema, {"b": 1, "a": 2})
    assert not admits(schema, {"a": 2})
    assert not admits(schema, {"b": 1, "a": "x"})
