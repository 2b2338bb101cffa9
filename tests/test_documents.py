"""What is asked for as a document, as a type or in part unenforceable, and what an answer has to pass."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, field_validator

from runtime.documents import TRIES, compiled, without_types
from runtime.errors import DocumentRefused, InvalidRequest, UnsupportedSchema
from runtime.grammar import compile_schema
from runtime.values import Document

# uniqueItems over any values is refused by name: no grammar counts them.
UNIQUE = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: float = 0.0


class Person(BaseModel):
    name: str
    colour: Colour | None = None
    home: Point

    @field_validator("name")
    @classmethod
    def _is_capitalised(cls, name: str) -> str:
        if not name.istitle():
            raise ValueError("a name begins with a capital")
        return name


def test_a_document_is_held_to_the_closed_grammar_of_its_schema() -> None:
    schema = {"properties": {"a": {"type": "integer"}}}
    assert compiled(Document(schema))[0] == compile_schema(schema, closed=True)


def test_what_the_grammar_enforces_is_not_checked_again() -> None:
    assert compiled(Document({"type": "integer"}))[1].parsed("no integer at all") == "no integer at all"


def test_what_no_grammar_enforces_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedSchema, match="uniqueItems"):
        compiled(Document(UNIQUE))


def test_an_approximate_document_is_held_to_the_rest_and_checked_for_what_is_left() -> None:
    grammar, check = compiled(Document({"properties": {"a": UNIQUE}}, approximate=True))
    assert grammar == compile_schema({"properties": {"a": {**UNIQUE, "uniqueItems": False}}}, closed=True)
    assert check.parsed({"a": [1, 2]}) == {"a": [1, 2]}
    with pytest.raises(DocumentRefused, match=r"JSON Model couldn't be met: \$\.a fails uniqueItems"):
        check.parsed({"a": [1, 1]})


def test_an_approximate_document_is_tried_more_than_once() -> None:
    assert (compiled(Document(UNIQUE, approximate=True))[1].tries, compiled(Document({}))[1].tries) == (TRIES, 1)


def test_a_schema_under_which_nothing_is_valid_is_refused_though_approximate() -> None:
    with pytest.raises(UnsupportedSchema, match="Nothing is valid"):
        compiled(Document(False, approximate=True))


@pytest.mark.parametrize(
    ("python_type", "text", "value"),
    [
        (Point, {"x": 1, "y": 2.5}, Point(1, 2.5)),
        (Person, {"name": "Ann", "home": {"x": 1}}, Person(name="Ann", home=Point(1))),
        (Literal["yes", "no"], "yes", "yes"),
        (list[Colour], ["red"], [Colour.RED]),
        (dict[str, int], {"a": 1}, {"a": 1}),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_python_type_becomes_a_schema_and_the_answer_becomes_the_type(
    python_type: Any, text: Any, value: Any
) -> None:
    body, adapter = without_types({"prompt": "Hi", "response_format": python_type})
    assert body["response_format"]["type"] == "json_schema"
    check = compiled(Document(body["response_format"]["json_schema"]), adapter)[1]
    assert check.parsed(text) == value


def test_what_a_type_demands_beyond_its_schema_is_checked() -> None:
    body, adapter = without_types({"response_format": Person})
    check = compiled(Document(body["response_format"]["json_schema"]), adapter)[1]
    with pytest.raises(DocumentRefused, match=r"name: .*a name begins with a capital"):
        check.parsed({"name": "ann", "home": {"x": 1}})


@pytest.mark.parametrize("asked", [None, {"type": "json_object"}, "json", ["a"], 5])
def test_what_is_no_type_stays_as_it_is(asked: Any) -> None:
    assert without_types({"response_format": asked}) == ({"response_format": asked}, None)


def test_a_type_that_no_schema_describes_is_refused() -> None:
    class Handle:
        pass

    with pytest.raises(InvalidRequest, match=r"there is no JSON Schema of .*Handle"):
        without_types({"response_format": Handle})
