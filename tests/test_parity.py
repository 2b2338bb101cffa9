"""What the service itself takes, and its words for what it refuses: the samples of workers-ai.md, section 4."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import InvalidRequest, Unsupported
from runtime.values import Inputs, Message, Sampling
from runtime.wire.workers_ai import parse

BIG = "@cf/meta/llama-3.2-3b-instruct"
SMALL = "@cf/meta/llama-3.2-1b-instruct"
USER = {"role": "user", "content": "Hi"}
CHAT: dict[str, Any] = {"messages": [USER]}
FLAT = {"name": "f", "description": "", "parameters": {"type": "object", "properties": {}}}
NO_PROMPT = "required properties at '/' are 'prompt'"
NO_MESSAGES = "required properties at '/' are 'messages'"


def strict(body: Any, model: str = SMALL) -> Inputs:
    return parse(body, model, parity=True)


def refusal(body: Any, model: str = SMALL) -> str:
    with pytest.raises(InvalidRequest) as refused:
        strict(body, model)
    assert type(refused.value) is InvalidRequest
    assert refused.value.hint is None
    return refused.value.message


def unmet(*errors: str, matches: int = 0) -> str:
    return f"oneOf at '/' not met, {matches} matches" + (f": {', '.join(errors)}" if errors else "")


def test_a_prompt_is_read() -> None:
    assert strict({"prompt": "Hi", "stream": True, "top_k": 3, "seed": 4, "max_tokens": 9.0, "lora": "x"}) == Inputs(
        prompt="Hi", stream=True, max_tokens=9, sampling=Sampling(top_k=3, seed=4), lora="x"
    )


def test_messages_are_read_by_role_and_content_alone() -> None:
    messages = [{"role": "developer", "content": "S"}, {**USER, "name": "n", "tool_calls": 5, "tool_call_id": None}]
    assert strict({"messages": messages}) == Inputs((Message("developer", "S"), Message("user", "Hi")))


@pytest.mark.parametrize("body", [{}, {"text": "x"}, [], None, "prompt", 5])
def test_neither_prompt_nor_messages(body: Any) -> None:
    assert refusal(body) == unmet(NO_PROMPT, NO_MESSAGES)


def test_both_prompt_and_messages() -> None:
    assert refusal({"prompt": "Hi", **CHAT}) == unmet(matches=2)


def test_an_empty_conversation_is_none() -> None:
    assert refusal({"messages": []}) == unmet(NO_PROMPT, NO_MESSAGES)


def test_the_branch_that_is_met_counts_where_the_other_is_not() -> None:
    assert strict({"prompt": "Hi", "messages": "x"}) == Inputs(prompt="Hi", ignored=("messages",))
    assert strict({"prompt": 5, **CHAT}) == Inputs((Message("user", "Hi"),), ignored=("prompt",))


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([USER, {"role": "assistant"}], "required properties at '/messages/1' are 'role,content'"),
        ([{"content": "Hi"}], "required properties at '/messages/0' are 'role,content'"),
        (["Hi"], "required properties at '/messages/0' are 'role,content'"),
        ([USER, {**USER, "content": None}], "Type mismatch of '/messages/1/content', 'string' not in 'null'"),
        (
            [{**USER, "content": [{"type": "text", "text": "Hi"}]}],
            "Type mismatch of '/messages/0/content', 'string' not in 'array'",
        ),
        (
            [{**USER, "content": ["Hi", 5]}],
            "Type mismatch of '/messages/0/content', 'string' not in 'array','binary'",
        ),
        ([{**USER, "content": {}}], "Type mismatch of '/messages/0/content', 'string' not in 'object'"),
        ([{**USER, "role": 1}], "Type mismatch of '/messages/0/role', 'string' not in 'number','integer'"),
        ("Hi", "Type mismatch of '/messages', 'array' not in 'string'"),
        (None, "Type mismatch of '/messages', 'array' not in 'null'"),
    ],
)
def test_a_wrong_message_is_named_after_the_missing_prompt(messages: Any, error: str) -> None:
    assert refusal({"messages": messages}) == unmet(NO_PROMPT, error)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_tokens": None}, "Type mismatch of '/max_tokens', 'integer' not in 'null'"),
        ({"max_tokens": "9"}, "Type mismatch of '/max_tokens', 'integer' not in 'string'"),
        ({"max_tokens": 1.5}, "Type mismatch of '/max_tokens', 'integer' not in 'number'"),
        ({"temperature": True}, "Type mismatch of '/temperature', 'number' not in 'boolean'"),
        ({"stream": "true"}, "Type mismatch of '/stream', 'boolean' not in 'string'"),
        ({"temperature": 5.1}, "'/temperature' must be <= 5"),
        ({"seed": 0}, "'/seed' must be >= 1"),
        ({"response_format": {"type": "text"}}, "enum text not in json_object,json_schema at '/response_format/type'"),
        ({"response_format": {"type": 5}}, "enum 5 not in json_object,json_schema at '/response_format/type'"),
        ({"response_format": None}, "Type mismatch of '/response_format', 'object' not in 'null'"),
    ],
)
def test_what_both_branches_say_is_said_once(options: dict[str, Any], error: str) -> None:
    assert refusal({**CHAT, **options}) == unmet(error)


def test_the_errors_of_the_branches_come_in_their_order_the_first_of_each() -> None:
    assert refusal({"prompt": "", "temperature": 9}) == unmet(
        "Length of '/prompt' must be >= 1 not met", "'/temperature' must be <= 5"
    )


def test_the_length_of_a_prompt_has_bounds() -> None:
    assert refusal({"prompt": ""}) == unmet("Length of '/prompt' must be >= 1 not met", NO_MESSAGES)
    assert refusal({"prompt": "x" * 131073}, BIG) == unmet("Length of '/prompt' must be <= 131072", NO_MESSAGES)


@pytest.mark.parametrize(
    ("tool", "errors"),
    [
        (
            {"name": "f"},
            [
                "required properties at '/tools/0' are 'name,description,parameters'",
                "required properties at '/tools/0' are 'type,function'",
            ],
        ),
        (
            {"type": "function", "function": {"name": "f"}},
            [
                "required properties at '/tools/0' are 'name,description,parameters'",
                "required properties at '/tools/0/function' are 'name,description,parameters'",
            ],
        ),
        (
            {"function": {"name": "f"}},
            [
                "required properties at '/tools/0' are 'name,description,parameters'",
                "required properties at '/tools/0/function' are 'name,description,parameters'",
            ],
        ),
        (
            {**FLAT, "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}},
            [
                "required properties at '/tools/0/parameters/properties/x' are 'type,description'",
                "required properties at '/tools/0' are 'type,function'",
            ],
        ),
        ({**FLAT, "type": "function", "function": FLAT}, ["oneOf at '/tools/0' not met, 2 matches"]),
    ],
)
def test_a_wrong_tool_is_named_by_the_errors_of_both_forms(tool: Any, errors: list[str]) -> None:
    assert refusal({**CHAT, "tools": [tool]}) == unmet(NO_PROMPT, *errors)


def test_a_wrong_image_is_named_by_the_errors_of_both_forms() -> None:
    assert refusal({"prompt": "Hi", "image": 0.5}, BIG) == unmet(
        "Type mismatch of '/image', 'array' not in 'number'", "Type mismatch of '/image', 'string' not in 'number'"
    )


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": ["x" * 10**6]},
        {**CHAT, "temperature": "x" * 10**6},
        {**CHAT, "response_format": {"type": "x" * 10**6}},
        {**CHAT, "response_format": {"type": ["x" * 1000] * 1000}},
        {**CHAT, "tools": [{**FLAT, "parameters": {"type": "object", "properties": {"x" * 10**6: {}}}}]},
        {"messages": [{}] * 10_000},
    ],
)
def test_no_message_repeats_a_huge_value(body: Any) -> None:
    assert len(refusal(body)) < 400


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("stop", "x"),
        ("stop", None),
        ("min_p", 9),
        ("timeout", -1),
        ("date", 5),
        ("logit_bias", "x"),
        ("logprobs", "x"),
        ("top_logprobs", True),
        ("tool_choice", "required"),
        ("model", "x"),
        ("options", 5),
        ("options", {"rejectIfBusy": "true"}),
    ],
)
def test_what_is_not_published_is_taken_and_noted_and_does_nothing(option: str, value: Any) -> None:
    assert strict({"prompt": "Hi", option: value}) == Inputs(prompt="Hi", ignored=(option,))


def test_an_option_of_another_model_or_branch_is_not_published() -> None:
    assert strict({"prompt": "Hi", "response_format": {"type": "json_object"}, "tools": 5}, BIG).ignored == (
        "response_format",
        "tools",
    )
    assert strict({**CHAT, "lora": 5, "raw": 5}, BIG).ignored == ("lora", "raw")
    assert strict({"prompt": "Hi", "image": 5}, SMALL).ignored == ("image",)


def test_a_caller_may_rather_be_refused_than_wait_as_the_documentation_has_it() -> None:
    assert strict({"prompt": "Hi", "options": {"rejectIfBusy": True}}) == Inputs(prompt="Hi", reject_if_busy=True)


@pytest.mark.parametrize(
    ("options", "model", "name"),
    [
        ({"image": [0, 255]}, BIG, "image"),
    ],
)
def test_what_is_published_and_not_honoured_is_refused_by_name(options: Any, model: str, name: str) -> None:
    with pytest.raises(Unsupported, match=f"^{name} is not supported"):
        strict({**CHAT, **options}, model)


def test_tools_are_read_and_a_choice_is_not() -> None:
    inputs = strict({**CHAT, "tools": [FLAT], "tool_choice": "required", "parallel_tool_calls": False})
    assert inputs == Inputs(strict(CHAT).messages, tools=(FLAT,), ignored=("parallel_tool_calls", "tool_choice"))


@pytest.mark.parametrize("options", [{"tools": []}, {"functions": []}, {"response_format": {}}])
def test_what_is_published_and_asks_for_nothing_is_taken(options: Any) -> None:
    assert strict({**CHAT, **options}) == strict(CHAT)


@pytest.mark.parametrize(
    ("count", "bound"), [(0, ">= 1"), (-5, ">= 1"), (2**31, "<= 2147483647"), (1e300, "<= 2147483647")]
)
def test_a_number_of_tokens_that_is_none_is_refused_though_the_schema_has_no_bounds(count: Any, bound: str) -> None:
    assert refusal({"prompt": "Hi", "max_tokens": count}) == f"'/max_tokens' must be {bound}"


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "assistant", "content": None}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
        {"messages": [{"role": "assistant"}]},
        {"messages": ({"role": "user", "content": None},)},
        {"prompt": "Hi", "temperature": None},
        {"prompt": "Hi", "stream": "false"},
        {**CHAT, "response_format": {"type": "text"}},
        {**CHAT, "tools": [{"name": "f"}], "tool_choice": "none"},
    ],
)
def test_what_only_parity_refuses(body: dict[str, Any]) -> None:
    assert parse(body, SMALL).ignored == ()
    assert refusal(body).startswith("oneOf at '/' not met, 0 matches: ")


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "Hi", "stop": 5},
        {"prompt": "Hi", "timeout": -1},
        {"prompt": "Hi", "messages": "x"},
        {"prompt": "Hi", "options": "x"},
        {"messages": [{**USER, "tool_calls": "x"}]},
    ],
)
def test_what_only_parity_takes(body: dict[str, Any]) -> None:
    strict(body)
    with pytest.raises(InvalidRequest):
        parse(body, SMALL)
