"""Values are judged in time that does not explode, and without a connection."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from runtime.documents import compiled
from runtime.errors import DocumentRefused, InvalidRequest, UnsupportedSchema
from runtime.judging import bounded, judge, matches
from runtime.tools import complaints, validator
from runtime.values import Document

SLOW = "^(a+)+$"  # for a regular expression of Python's, 30 characters take minutes
ALMOST = "a" * 200 + "!"


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"pattern": "^[a-c]{2,3}$"}, ["ab", "abc", 5], ["a", "abcd", "xyz"]),
        ({"pattern": "b"}, ["abc"], ["ac"]),
        ({"patternProperties": {"^x": {"type": "integer"}}}, [{"x1": 1, "y": "a"}, "text"], [{"x1": "a"}]),
        (
            {"properties": {"a": {}}, "patternProperties": {"^x": {}}, "additionalProperties": False},
            [{"a": 1, "x": 2}, {}],
            [{"b": 1}],
        ),
        ({"additionalProperties": {"type": "integer"}}, [{"a": 1}, []], [{"a": "b"}]),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "pattern": "^a$"}, ["a"], ["b"]),
    ],
)
def test_keywords_mean_what_they_mean(schema: Any, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert [judge(schema).is_valid(value), Draft202012Validator(schema).is_valid(value)] == [True, True]
    for value in bad:
        assert [judge(schema).is_valid(value), Draft202012Validator(schema).is_valid(value)] == [False, False]


def test_a_pattern_that_would_take_for_ever_is_matched_at_once() -> None:
    began = time.thread_time()
    tool = validator({"properties": {"x": {"pattern": SLOW}}}, kind=bounded)
    assert "arguments.x: " in complaints(tool, {"x": ALMOST})
    keys = validator({"patternProperties": {SLOW: {}}, "additionalProperties": False}, kind=bounded)
    assert complaints(keys, {ALMOST: 1})
    assert not complaints(keys, {"aaa": 1})
    assert time.thread_time() - began < 1


def test_a_pattern_that_is_not_regular_cannot_be_checked() -> None:
    with pytest.raises(InvalidRequest, match=r"The pattern '\(\?=a\)' cannot be checked"):
        matches("(?=a)", "a")
    assert "cannot be checked" in complaints(validator({"pattern": "(?=a)"}, kind=bounded), "a")


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "^(?=a)(a+)+$"},
        {"patternProperties": {"(?=a)": {"type": "string"}}},
        {"properties": {"a": {"$ref": "http://127.0.0.1:9/x.json"}}},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/nowhere"},
        {"$ref": "#"},
    ],
    ids=str,
)
def test_what_cannot_be_checked_in_time_or_without_a_connection_is_refused_though_approximate(schema: Any) -> None:
    with pytest.raises(UnsupportedSchema):
        compiled(Document(schema, approximate=True))


def test_checking_opens_no_connection() -> None:
    opened: list[str] = []
    sys.addaudithook(lambda event, _: opened.append(event) if event in ("socket.connect", "urllib.Request") else None)
    with pytest.raises(Exception, match="Unresolvable"):
        judge({"$ref": "http://127.0.0.1:9/x.json"}).is_valid(1)
    assert opened == []


def test_an_answer_that_cannot_be_checked_is_refused_with_the_reason() -> None:
    unique = {"uniqueItems": True, "items": {"type": "string", "propertyNames": {"pattern": SLOW}}}
    _, check = compiled(Document(unique, approximate=True))
    assert check.schema is not None
    with pytest.raises(DocumentRefused, match="fails uniqueItems"):
        check.parsed(["a", "a"])
