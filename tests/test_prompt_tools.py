"""Tools, calls and results in the prompt where no template is the judge: several calls, other styles, lost turns."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import prompt, tools
from runtime.errors import InvalidRequest
from runtime.toolcalls import parse
from runtime.toolstyles import IN_SYSTEM, IN_USER, STYLES
from runtime.values import Message, Tool, ToolCall
from tests.conversations import ASKED, FLAT, ROME, WEATHER, assistant, call, result, system, user

DATE = "26 Jul 2024"
ASSISTANT = "<|start_header_id|>assistant<|end_header_id|>\n\n"
RESULT = "<|start_header_id|>ipython<|end_header_id|>\n\n"
USER = "<|start_header_id|>user<|end_header_id|>\n\n"
EOT = "<|eot_id|>"


def turns(messages: list[Any], **options: Any) -> str:
    """The prompt behind its system block."""
    return prompt.render(messages, date=DATE, **options).split(EOT, 1)[1]


def block(messages: list[Any], **options: Any) -> str:
    """The text of the system block."""
    return prompt.render(messages, date=DATE, **options).split(EOT)[0].split("\n\n", 1)[1]


def two_calls(**more: Any) -> dict[str, Any]:
    functions = [{"name": "f", "arguments": '{"x": 1}'}, {"name": "g", "arguments": "{}"}]
    calls = [{"id": f"c{at}", "type": "function", "function": one} for at, one in enumerate(functions)]
    return {"role": "assistant", "content": None, "tool_calls": calls, **more}


WRITTEN = {
    "json": '{"name": "f", "parameters": {"x": 1}}; {"name": "g", "parameters": {}}',
    "pythonic": "[f(x=1), g()]",
    "function": '<function=f>{"x": 1}</function>\n<function=g>{}</function>',
}


@pytest.mark.parametrize("style", STYLES)
def test_several_calls_in_a_turn_stand_one_after_the_other(style: str) -> None:
    text = turns([ASKED, two_calls()], style=style)
    assert text == f"{USER}Weather in Rome?{EOT}{ASSISTANT}{WRITTEN[style]}{EOT}{ASSISTANT}"


@pytest.mark.parametrize("content", [None, "", [], "Let me look.", json.dumps([{"name": "f", "arguments": {"x": 1}}])])
def test_the_content_beside_several_calls_is_not_shown(content: Any) -> None:
    assert turns([ASKED, two_calls(content=content)]) == turns([ASKED, two_calls()])


def test_several_calls_may_be_the_content() -> None:
    spoken = json.dumps([{"name": "f", "arguments": {"x": 1}}, {"name": "g", "arguments": {}}])
    results = [result("1"), result("2")]
    assert turns([ASKED, assistant(spoken), *results]) == turns([ASKED, two_calls(), *results])


def results(*ids: str | None) -> list[dict[str, Any]]:
    return [result(f"of {one}", tool_call_id=one) for one in ids]


def shown_results(messages: list[Any]) -> list[str]:
    return [json.loads(part.split(EOT)[0]) for part in turns(messages).split(RESULT)[1:]]


def test_results_come_in_the_order_of_their_calls() -> None:
    assert shown_results([ASKED, two_calls(), *results("c1", "c0")]) == ["of c0", "of c1"]


@pytest.mark.parametrize("ids", [("c1", "c0", None), ("c1", "other"), (None, None)])
def test_results_that_no_id_ties_to_a_call_stay_where_they_are(ids: tuple[str | None, ...]) -> None:
    assert shown_results([ASKED, two_calls(), *results(*ids)]) == [f"of {one}" for one in ids]


def test_results_are_not_moved_past_another_turn() -> None:
    messages = [ASKED, two_calls(), *results("c1"), user(), *results("c0")]
    assert shown_results(messages) == ["of c1", "of c0"]


def test_a_history_that_begins_with_a_call_keeps_it() -> None:
    text = turns([call(ROME), result("18 C"), ASKED], tools=[FLAT])
    shown = json.dumps(FLAT, indent=4)
    written = '{"name": "get_weather", "parameters": {"place": "Rome", "days": 2}}'
    assert text == (
        f'{USER}{IN_USER}{shown}\n\n{EOT}{ASSISTANT}{written}{EOT}{RESULT}"18 C"{EOT}'
        f"{USER}Weather in Rome?{EOT}{ASSISTANT}"
    )


def test_tools_in_the_system_block_need_no_turn() -> None:
    shown = json.dumps(FLAT, indent=4)
    assert block([system("Be kind.")], tools=[FLAT], tools_in="system").endswith(f"{IN_SYSTEM}{shown}\n\nBe kind.")


# The tool of Meta's examples, in models/llama3_2/text_prompt_format.md and models/llama3_3/prompt_format.md.
META = {
    "name": "get_weather",
    "description": "Get weather info for places",
    "parameters": {
        "type": "dict",
        "required": ["city"],
        "properties": {"city": {"type": "string", "description": "The name of the city to get the weather for"}},
    },
}
META_OPENAI = {"type": "function", "function": META}
SONGS = {
    "name": "trending_songs",
    "description": "Returns the trending songs on a Music site",
    "parameters": {"n": {"description": "The number of songs to return", "param_type": "int", "required": True}},
}


@pytest.mark.parametrize("tool", [META, META_OPENAI])
def test_pythonic_tools_stand_in_the_system_block_as_in_metas_example(tool: dict[str, Any]) -> None:
    text = block([user("What is the weather in SF?")], tools=[tool], tools_in="system", style="pythonic")
    expected = """\
Cutting Knowledge Date: December 2023
Today Date: 26 Jul 2024

You are an expert in composing functions. You are given a question and a set of possible functions.
Based on the question, you will need to make one or more function/tool calls to achieve the purpose.
If none of the function can be used, point it out. If the given question lacks the parameters required by the function,
also point it out. You should only return the function call in tools call sections.

If you decide to invoke any of the function(s), you MUST put it in the format of [func_name1(params_name1=\
params_value1, params_name2=params_value2...), func_name2(params)]
You SHOULD NOT include any other text in the response.

Here is a list of functions in JSON format that you can invoke.

[
    {
        "name": "get_weather",
        "description": "Get weather info for places",
        "parameters": {
            "type": "dict",
            "required": [
                "city"
            ],
            "properties": {
                "city": {
                    "type": "string",
                    "description": "The name of the city to get the weather for"
                }
            }
        }
    }
]"""
    assert text == expected


def test_pythonic_tools_stand_behind_the_question_as_in_metas_example() -> None:
    text = turns([user(" Who is 7890? ")], tools=[META], style="pythonic")
    assert text.startswith(
        f"{USER}Questions: Who is 7890?\nHere is a list of functions in JSON format that you can invoke:\n[\n    {{\n"
    )
    assert text.endswith(
        "\n]\n\nShould you decide to return the function call(s),Put it in the format of [func1(params_name="
        "params_value, params_name2=params_value2...), func2(params)]\n\nNO other text MUST be included."
        f"{EOT}{ASSISTANT}"
    )


def test_pythonic_tools_stand_before_the_callers_system_text() -> None:
    assert block([system(" Be kind. ")], tools=[META], tools_in="system", style="pythonic").endswith("]\n\nBe kind.")


@pytest.mark.parametrize("place", prompt.PLACES)
def test_function_tools_are_shown_as_in_metas_example(place: str) -> None:
    whole = prompt.render([system("S"), user("Songs?")], tools=[SONGS], date=DATE, tools_in=place, style="function")
    expected = """\
You have access to the following functions:

Use the function 'trending_songs' to 'Returns the trending songs on a Music site':
{"name": "trending_songs", "description": "Returns the trending songs on a Music site", "parameters": {"n": \
{"description": "The number of songs to return", "param_type": "int", "required": true}}}

Think very carefully before calling functions.
If you choose to call a function ONLY reply in the following format with no prefix or suffix:

<function=example_function_name>{"example_name": "example_value"}</function>

Reminder:
- Function calls MUST follow the specified format, start with <function= and end with </function>
- Required parameters MUST be specified
- Only call one function at a time
- Put the entire function call reply on one line

"""
    assert f"{expected}{'Songs?' if place == 'user' else 'S'}{EOT}" in whole
    assert "Environment: ipython\n" in whole


def test_function_tools_need_a_name() -> None:
    with pytest.raises(InvalidRequest, match=r"^tools\[0\]: expected a function with a name"):
        turns([ASKED], tools=[{}], style="function")


@pytest.mark.parametrize("style", STYLES)
def test_no_tools_are_shown_in_no_style(style: str) -> None:
    for place in prompt.PLACES:
        assert prompt.render([ASKED], tools=[], date=DATE, tools_in=place, style=style) == prompt.render(
            [ASKED], date=DATE
        )


def test_a_tool_as_a_value_is_shown_in_openais_form() -> None:
    function = WEATHER["function"]
    assert isinstance(function, dict)
    assert turns([ASKED], tools=[Tool(**function)]) == turns([ASKED], tools=[WEATHER])


@pytest.mark.parametrize("calls", [[ToolCall("f", {"a b": 1})], [ToolCall("f-g", {})], [ToolCall("f", {"null": 1})]])
def test_what_python_cannot_name_is_called_in_json(calls: list[ToolCall]) -> None:
    message = Message("assistant", tool_calls=tuple(calls))
    assert turns([ASKED, message], style="pythonic") == turns([ASKED, message])


def test_functions_are_shown_as_tools_without_parameters() -> None:
    shown = tools.from_functions([{"name": "add", "code": "(a, b) => a + b"}])
    assert shown == (Tool("add", parameters={"type": "object", "properties": {}}),)
    assert '"name": "add"' in turns([ASKED], tools=shown)
    assert "=>" not in turns([ASKED], tools=shown)


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ({}, "functions: expected an array of functions, found an object."),
        (["f"], "functions[0]: expected an object with name and code, found a string."),
        ([{"code": ""}], "functions[0].name: expected the name of a function, found null."),
    ],
)
def test_functions_without_a_name_are_refused_with_their_path(functions: Any, message: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        tools.from_functions(functions)
    assert refusal.value.message == message


names = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["C"]), max_size=8)
arguments = st.dictionaries(names, st.none() | st.booleans() | st.integers() | texts | st.lists(texts, max_size=2))
asked = st.lists(st.builds(ToolCall, names, arguments), min_size=1, max_size=3)


@settings(deadline=None)
@given(asked, st.sampled_from(list(STYLES)))
def test_calls_are_read_back_as_they_were_written(calls: list[ToolCall], style: str) -> None:
    """The history shows the model what the parser reads."""
    written = STYLES[style].write(calls)
    assert parse(written, [Tool(call.name) for call in calls]) == ("", calls)
