"""Tools, and the choice among them, as clients send them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from runtime.tools import NO_PARAMETERS
from runtime.values import Tool
from runtime.wire import published
from runtime.wire.lenient import completed
from runtime.wire.workers_ai import parse
from tests.test_lenient import BIG, CHAT, refusal

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


def chosen(**options: Any) -> tuple[str, str | None]:
    inputs = parse({**CHAT, "tools": [FLAT, {"name": "g"}], **options})
    return inputs.tool_choice, inputs.tool_name


@pytest.mark.parametrize("choice", [None, "auto"])
def test_the_model_may_choose(choice: Any) -> None:
    assert chosen(tool_choice=choice) == ("auto", None)


@pytest.mark.parametrize("choice", ["required", "any"])
def test_a_tool_may_be_required(choice: str) -> None:
    assert chosen(tool_choice=choice) == ("required", None)


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "function": {"name": "g"}},
        {"type": "function", "name": "g"},
        {"type": "function", "name": "g", "function": None},
    ],
)
def test_a_certain_tool_may_be_required(choice: Any) -> None:
    assert chosen(tool_choice=choice) == ("required", "g")


def test_a_tool_that_is_required_must_be_there() -> None:
    assert refusal(tool_choice="required") == (
        'tool_choice: must be "auto" or "none" where there are no tools, found "required".'
    )


@pytest.mark.parametrize(("tools", "known"), [([], "none"), ([FLAT, {"name": "h"}], '"f", "h"')])
def test_a_certain_tool_must_be_declared(tools: Any, known: str) -> None:
    choice = {"type": "function", "function": {"name": "g"}}
    assert refusal(tools=tools, tool_choice=choice) == f'tool_choice: must name a tool, found "g"; there are: {known}.'


def test_one_call_at_a_time_may_be_asked_for() -> None:
    asked = [parse({**CHAT, "tools": [FLAT], "parallel_tool_calls": one}) for one in (None, True, False)]
    assert [inputs.parallel_tool_calls for inputs in asked] == [True, True, False]


def test_where_and_how_tools_are_shown_may_be_asked_for() -> None:
    inputs = parse({**CHAT, "tools": [FLAT], "tools_in": "system", "tool_style": "pythonic"})
    assert (inputs.tools_in, inputs.tool_style) == ("system", "pythonic")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parallel_tool_calls": 1}, "parallel_tool_calls: must be of type boolean, found 1."),
        ({"tools_in": "x"}, 'tools_in: must be one of user, system, found "x".'),
        ({"tool_style": "x"}, 'tool_style: must be one of json, pythonic, function, found "x".'),
        ({"tools": [{"name": ""}]}, 'tools[0].name: must not be empty, found "".'),
        ({"tools": [FLAT, {"function": {"name": ""}}]}, 'tools[1].function.name: must not be empty, found "".'),
        ({"tools": [FLAT, NESTED]}, 'tools[1].function.name: must be the only tool of its name, found "f" again.'),
        (
            {"tools": [FLAT], "functions": [{"name": "f", "code": ""}]},
            'functions[0].name: must be the only tool of its name, found "f" again.',
        ),
        (
            {"tools": [FLAT], "raw": True},
            "raw: must be false beside tools, since they cannot be shown in a prompt that stays as it is.",
        ),
        (
            {"functions": [{"name": "f", "code": ""}], "raw": True},
            "raw: must be false beside tools, since they cannot be shown in a prompt that stays as it is.",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(options: Any, message: str) -> None:
    assert refusal(**options) == message


def test_raw_text_may_stand_beside_tools_that_shall_not_be_called() -> None:
    assert parse({**CHAT, "tools": [FLAT], "tool_choice": "none", "raw": True}).raw


def test_a_prompt_may_have_tools() -> None:
    assert parse({"prompt": "Hi", "tools": [FLAT]}).tools == (FLAT,)


@pytest.mark.parametrize("parity", [False, True], ids=["lenient", "parity"])
def test_functions_are_tools_without_parameters_and_deprecated(parity: bool, caplog: pytest.LogCaptureFixture) -> None:
    functions = [{"name": "g", "code": "return 1"}, {"name": "h", "code": ""}]
    inputs = parse({**CHAT, "tools": [FLAT], "functions": functions}, parity=parity)
    assert inputs.tools == (FLAT, Tool("g", parameters=NO_PARAMETERS), Tool("h", parameters=NO_PARAMETERS))
    assert inputs.deprecated == ("functions",)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


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
def test_a_tool_of_any_client_is_taken_as_it_is(tool: Any, model: str) -> None:
    assert parse({**CHAT, "tools": [tool]}, model).tools == (tool,)


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
