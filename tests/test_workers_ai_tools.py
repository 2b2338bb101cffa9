"""Tools, and the choice among them, as clients send them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from runtime.wire import published
from runtime.wire.lenient import completed
from runtime.wire.workers_ai import parse
from tests.test_lenient import BIG, CHAT, refusal, unsupported

FLAT = {"name": "f", "description": "", "parameters": {"type": "object", "properties": {}}}
NESTED = {"type": "function", "function": FLAT}


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_a_choice_that_asks_for_no_tool_is_nothing(choice: Any) -> None:
    assert parse({**CHAT, "tool_choice": choice}) == parse(CHAT)


@pytest.mark.parametrize("tools", [[FLAT], [NESTED], [{"type": "function", "function": {"name": "f"}}]])
def test_tools_that_shall_not_be_called_are_not_asked_for(tools: Any) -> None:
    assert parse({**CHAT, "tools": tools, "tool_choice": "none"}) == parse(CHAT)


def test_tools_that_shall_not_be_called_are_validated() -> None:
    assert refusal(tools=[{}], tool_choice="none") == "tools[0].name: must be given, found nothing."


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "f"}}])
def test_a_choice_that_asks_for_a_tool_is_refused_by_name(choice: Any) -> None:
    assert unsupported(tool_choice=choice) == "tool_choice is not supported yet."


@pytest.mark.parametrize(("choice", "found"), [("some", '"some"'), (5, "5"), ({}, "{}"), (["auto"], '["auto"]')])
def test_another_choice_is_refused(choice: Any, found: str) -> None:
    assert refusal(tool_choice=choice) == (
        f'tool_choice: must be "auto", "none", "required" or an object that names a function, found {found}.'
    )


PROPERTIES: list[Any] = [
    {},
    True,
    {"type": "string"},
    {"type": ["string", "null"], "description": "d"},
    {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
    {"$ref": "#/$defs/x"},
    {"enum": ["a", 1]},
    {"type": "string", "description": None},
    {"type": "array", "items": {"anyOf": []}},
]
FUNCTIONS: list[Any] = [
    {"name": "f"},
    {"name": "f", "description": None, "parameters": None},
    {"name": "f", "parameters": {}},
    {"name": "f", "parameters": {"type": None, "properties": None, "required": None}},
    {"name": "f", "parameters": {"type": ["object", "null"]}},
    {"name": "f", "strict": True, "parameters": {"$schema": "x", "additionalProperties": False, "properties": {}}},
    *({"name": "f", "parameters": {"type": "object", "properties": {"x": one}}} for one in PROPERTIES),
]
TOOLS = [
    *FUNCTIONS,
    *({"type": "function", "function": one} for one in FUNCTIONS),
    {"function": {"name": "f"}},
    {"type": None, "function": {"name": "f"}},
    {"function": None, "name": "f"},
    {"type": "function", "name": "f"},
    {**FLAT, **NESTED},
]


@pytest.mark.parametrize("model", ["", BIG])
@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_of_any_client_is_valid(tool: Any, model: str) -> None:
    assert unsupported(model, tools=[tool]) == "tools is not supported yet."


@pytest.mark.parametrize("tool", TOOLS)
def test_a_completed_tool_satisfies_the_published_schema(tool: Any) -> None:
    schema = published.branch("llama-3.2-1b-instruct", "Messages")["properties"]["tools"]
    assert list(published.compiled(schema).iter_errors([completed(tool)])) == []


@pytest.mark.parametrize("tool", TOOLS)
def test_completing_leaves_the_callers_tool_alone(tool: Any) -> None:
    before = copy.deepcopy(tool)
    completed(tool)
    assert tool == before


@pytest.mark.parametrize("tool", [FLAT, NESTED, {**FLAT, "strict": True}])
def test_a_complete_tool_stays_as_it_is(tool: Any) -> None:
    assert completed(tool) == tool


def test_missing_parts_of_a_tool_are_filled() -> None:
    assert (completed({"name": "f"}), completed({"function": {"name": "f"}})) == (FLAT, NESTED)


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        ({}, "tools: must be of type array, found {}."),
        ("f", 'tools: must be of type array, found "f".'),
        ([5], "tools[0]: must be of type object, found 5."),
        ([FLAT, {}], "tools[1].name: must be given, found nothing."),
        ([{"name": 5}], "tools[0].name: must be of type string, found 5."),
        ([{"name": "f", "description": 5}], "tools[0].description: must be of type string, found 5."),
        ([{"name": "f", "parameters": 5}], "tools[0].parameters: must be of type object, found 5."),
        ([{"function": "f", "type": "function"}], 'tools[0].function: must be of type object, found "f".'),
        ([{"function": {}}], "tools[0].function.name: must be given, found nothing."),
        ([{"function": {"name": 5}}], "tools[0].function.name: must be of type string, found 5."),
        (
            [{"function": {"name": "f", "parameters": {"properties": {"x": 5}}}}],
            "tools[0].function.parameters.properties.x: must be of type object, found 5.",
        ),
        (
            [{"name": "f", "parameters": {"properties": {"a b": {"type": 5}}}}],
            "tools[0].parameters.properties['a b'].type: must be of type string, found 5.",
        ),
        (
            [{"name": "f", "parameters": {"required": "x"}}],
            'tools[0].parameters.required: must be of type array, found "x".',
        ),
    ],
)
def test_a_wrong_tool_is_named_with_its_path_in_the_form_that_is_meant(tools: Any, message: str) -> None:
    assert refusal(tools=tools) == message
