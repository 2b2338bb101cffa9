"""Messages as clients send them, one fact a test. What a prompt makes of them is in test_prompt.py."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest

from runtime.errors import InvalidRequest, Unsupported
from runtime.messages import check_text, json_text, kind, normalise
from runtime.values import Message, ToolCall

TEXT = {"type": "text", "text": "a"}


def one(**message: Any) -> Message:
    return normalise([message])[0]


def assistant(*calls: Any, **message: Any) -> Message:
    return one(role="assistant", tool_calls=list(calls), **message)


def test_a_plain_message_is_taken_as_it_is() -> None:
    assert one(role="user", content=" Hi\n") == Message("user", " Hi\n")


@pytest.mark.parametrize(("sent", "role"), [("developer", "system"), ("ipython", "tool"), ("function", "tool")])
def test_roles_of_other_dialects_get_the_name_of_ours(sent: str, role: str) -> None:
    assert one(role=sent, content="x").role == role


@pytest.mark.parametrize("role", ["system", "user", "tool", "critic", "User"])
def test_other_roles_are_kept(role: str) -> None:
    assert one(role=role, content="x").role == role


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("", ""),
        ([], ""),
        ([{"type": "text", "text": "a"}], "a"),
        ([{"type": "text", "text": "a "}, {"type": "text", "text": "b"}], "a b"),
        ([{"type": "input_text", "text": "a"}, {"type": "output_text", "text": "b"}], "ab"),
        (["a", {"type": "text", "text": "b"}], "ab"),
        (({"type": "text", "text": "a", "cache_control": {}},), "a"),
        ("\x00\x1b\x7f", "\x00\x1b\x7f"),
    ],
)
def test_content_becomes_text(content: Any, text: str) -> None:
    assert one(role="user", content=content) == Message("user", text)


def test_missing_content_is_empty_text() -> None:
    assert one(role="assistant") == Message("assistant", "")


@pytest.mark.parametrize(
    "data",
    [{}, [], {"sky": "ясно"}, ["Rome"], [{"type": "sunny"}], [TEXT, {"t": 1}], TEXT],
)
def test_data_from_a_tool_is_kept_as_json(data: Any) -> None:
    message = one(role="tool", content=data)
    assert (json.loads(message.content), message.is_json) == (data, True)


def test_text_from_a_tool_is_not_json_even_if_it_reads_so() -> None:
    assert one(role="tool", content='{"t": 18}') == Message("tool", '{"t": 18}')


def test_parts_from_a_tool_are_text() -> None:
    assert one(role="tool", content=[{"type": "text", "text": "18 C"}]) == Message("tool", "18 C")


def test_a_result_keeps_its_name_and_its_call() -> None:
    message = one(role="tool", content="1", name="f", tool_call_id="c1")
    assert (message.name, message.tool_call_id) == ("f", "c1")


@pytest.mark.parametrize(
    "call",
    [
        {"name": "f", "arguments": {"x": 1}},
        {"name": "f", "arguments": '{"x": 1}'},
        {"name": "f", "arguments": MappingProxyType({"x": 1})},
        {"function": {"name": "f", "arguments": {"x": 1}}},
        {"type": "function", "function": {"name": "f", "arguments": ' {"x": 1}\n'}},
        {"id": None, "function": None, "name": "f", "arguments": {"x": 1}},
    ],
)
def test_a_tool_call_in_any_form_is_the_same_call(call: Any) -> None:
    assert assistant(call).tool_calls == (ToolCall("f", {"x": 1}),)


def test_a_tool_call_keeps_its_id() -> None:
    assert assistant({"id": "c1", "function": {"name": "f", "arguments": "{}"}}).tool_calls[0].id == "c1"


@pytest.mark.parametrize("arguments", ["", " \n", None, {}, "{}"])
def test_no_arguments_are_an_empty_object(arguments: Any) -> None:
    assert assistant({"name": "f", "arguments": arguments}).tool_calls == (ToolCall("f", {}),)


def test_several_calls_keep_their_order() -> None:
    assert [call.name for call in assistant({"name": "b"}, {"name": "a"}).tool_calls] == ["b", "a"]


@pytest.mark.parametrize("none", [None, [], ()])
@pytest.mark.parametrize("role", ["assistant", "user"])
def test_no_tool_calls_are_none(none: Any, role: str) -> None:
    assert one(role=role, content="x", tool_calls=none, function_call=None).tool_calls == ()


def test_a_function_call_is_a_tool_call() -> None:
    call = {"name": "f", "arguments": '{"x": 1}'}
    assert one(role="assistant", function_call=call).tool_calls == (ToolCall("f", {"x": 1}),)


def test_tool_calls_win_over_a_function_call() -> None:
    assert assistant({"name": "new"}, function_call={"name": "old"}).tool_calls == (ToolCall("new", {}),)


def test_content_beside_a_call_is_kept() -> None:
    assert assistant({"name": "f"}, content="Let me see.").content == "Let me see."


def test_null_and_unknown_keys_of_a_message_are_ignored() -> None:
    assert one(role="user", content="x", name=None, tool_call_id=None, reasoning="y") == Message("user", "x")


def test_normalised_messages_pass_through_unchanged() -> None:
    call = assistant({"id": "c", "name": "f", "arguments": '{"é": []}'}, content="x")
    messages = (call, one(role="tool", content={"t": 1}, tool_call_id="c"))
    assert normalise(messages) == messages


CALL = {"role": "assistant", "content": None}

WRONG: list[tuple[Any, str]] = [
    ([], "messages: expected at least one message, found none."),
    (None, "messages: expected an array of messages, found null."),
    ("Hello", "messages: expected an array of messages, found a string."),
    (b"Hello", "messages: expected an array of messages, found a Python bytes."),
    ({"role": "user"}, "messages: expected an array of messages, found an object."),
    (["Hello"], "messages[0]: expected an object with role and content, found a string."),
    ([[]], "messages[0]: expected an object with role and content, found an array."),
    ([{"content": "x"}], "messages[0].role: expected a string such as 'user', found no role."),
    ([{"role": "", "content": "x"}], "messages[0].role: expected a string such as 'user', found an empty one."),
    ([{"role": None}], "messages[0].role: expected a string, found null."),
    ([{"role": 1}], "messages[0].role: expected a string, found a number."),
    ([{"role": "user"}, {"role": ["user"]}], "messages[1].role: expected a string, found an array."),
    ([{"role": "user", "content": 1.5}], "messages[0].content: expected text or an array of text parts, found a numb"),
    ([{"role": "user", "content": True}], "messages[0].content: expected text or an array of text parts, found a bool"),
    ([{"role": "tool", "content": 22}], "messages[0].content: expected text or an array of text parts, found a number"),
    ([{"role": "user", "content": {"a": 1}}], "messages[0].content: expected text or an array of text parts, found an"),
    ([{"role": "user", "content": [1]}], "messages[0].content[0]: expected a text part or a string, found a number."),
    ([{"role": "user", "content": ["a", {}]}], "messages[0].content[1].type: expected a string, found null."),
    ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text: expected a string, found null."),
    ([{"role": "user", "content": [{"type": "text", "text": 1}]}], "messages[0].content[0].text: expected a string, f"),
    ([{"role": "tool", "content": {"t": float("nan")}}], "messages[0].content: expected JSON, found what cannot be wr"),
    ([{"role": "tool", "content": {"t": {1, 2}}}], "messages[0].content: expected JSON, found what cannot be written"),
    ([{"role": "tool", "content": "", "name": 1}], "messages[0].name: expected a string, found a number."),
    ([{"role": "tool", "content": "", "tool_call_id": 1}], "messages[0].tool_call_id: expected a string, found a numb"),
    (
        [CALL | {"tool_calls": {"name": "f"}}],
        "messages[0].tool_calls: expected an array of tool calls, found an object",
    ),
    ([CALL | {"tool_calls": "f"}], "messages[0].tool_calls: expected an array of tool calls, found a string."),
    ([CALL | {"tool_calls": ["f"]}], "messages[0].tool_calls[0]: expected a tool call, found a string."),
    ([CALL | {"tool_calls": [{}]}], "messages[0].tool_calls[0].name: expected a string, found null."),
    ([CALL | {"tool_calls": [{"name": ""}]}], "messages[0].tool_calls[0].name: expected the name of a function, foun"),
    ([CALL | {"tool_calls": [{"id": 1, "name": "f"}]}], "messages[0].tool_calls[0].id: expected a string, found a num"),
    ([CALL | {"tool_calls": [{"function": "f"}]}], "messages[0].tool_calls[0].function: expected an object with name"),
    ([CALL | {"tool_calls": [{"function": {}}]}], "messages[0].tool_calls[0].function.name: expected a string, found"),
    ([CALL | {"function_call": "auto"}], "messages[0].function_call: expected a tool call, found a string."),
    (
        [{"role": "user", "content": "", "tool_calls": [{"name": "f"}]}],
        "messages[0]: expected tool calls in an assistant's message only, found role 'user'.",
    ),
]


@pytest.mark.parametrize(("messages", "message"), WRONG)
def test_a_wrong_message_is_refused_with_its_path(messages: Any, message: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        normalise(messages)
    assert refusal.value.message.startswith(message)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("{", "expected a JSON object as text, found no JSON"),
        ("place=Rome", "expected a JSON object as text, found no JSON"),
        ("{'place': 'Rome'}", "expected a JSON object as text, found no JSON"),
        ("[" * 100_000, "expected a JSON object as text, found no JSON"),
        ('{"x": ' + "9" * 5000 + "}", "expected a JSON object as text, found no JSON"),
        ("[1]", "expected an object, or a JSON object as text, found an array."),
        ("null", "expected an object, or a JSON object as text, found null."),
        ('"{}"', "expected an object, or a JSON object as text, found a string."),
        (1, "expected an object, or a JSON object as text, found a number."),
        ([], "expected an object, or a JSON object as text, found an array."),
        ('{"x": NaN}', "expected JSON, found what cannot be written as JSON"),
        ('{"x": 1e999}', "expected JSON, found what cannot be written as JSON"),
        ({"x": object()}, "expected JSON, found what cannot be written as JSON"),
    ],
)
def test_arguments_that_are_no_object_are_refused(arguments: Any, found: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        assistant({"function": {"name": "f", "arguments": arguments}})
    assert refusal.value.message.startswith(f"messages[0].tool_calls[0].function.arguments: {found}")


@pytest.mark.parametrize("kind_of_part", ["image_url", "image", "input_audio", "file", "refusal", "TEXT"])
@pytest.mark.parametrize("role", ["user", "tool"])
def test_parts_that_are_not_text_are_unsupported(kind_of_part: str, role: str) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": kind_of_part, kind_of_part: {}}]
    with pytest.raises(Unsupported) as refusal:
        normalise([{"role": "user", "content": "x"}, {"role": role, "content": parts}])
    assert refusal.value.message == (
        f"messages[1].content[1]: {kind_of_part!r} parts cannot be read by these models, which read text only."
    )


LONE = "ab\ud83d"

SURROGATES: list[tuple[Any, str]] = [
    ({"role": LONE, "content": ""}, "role"),
    ({"role": "user", "content": LONE}, "content"),
    ({"role": "user", "content": [LONE]}, "content[0]"),
    ({"role": "user", "content": [{"type": LONE}]}, "content[0].type"),
    ({"role": "user", "content": [{"type": "text", "text": LONE}]}, "content[0].text"),
    ({"role": "tool", "content": LONE}, "content"),
    ({"role": "tool", "content": "", "name": LONE}, "name"),
    ({"role": "tool", "content": "", "tool_call_id": LONE}, "tool_call_id"),
    ({"role": "assistant", "tool_calls": [{"name": LONE}]}, "tool_calls[0].name"),
    ({"role": "assistant", "tool_calls": [{"id": LONE, "name": "f"}]}, "tool_calls[0].id"),
    ({"role": "assistant", "tool_calls": [{"name": "f", "arguments": LONE}]}, "tool_calls[0].arguments"),
    (Message(LONE), "role"),
    (Message("user", LONE), "content"),
    (Message("user", name=LONE), "name"),
    (Message("tool", tool_call_id=LONE), "tool_call_id"),
    (Message("assistant", tool_calls=(ToolCall(LONE, {}),)), "tool_calls[0].name"),
]


@pytest.mark.parametrize(("message", "path"), SURROGATES)
def test_a_lone_surrogate_is_refused_with_path_and_position(message: Any, path: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        normalise([message])
    assert (
        refusal.value.message == f"messages[0].{path}: expected text, found the lone surrogate U+D83D at character 2."
    )


@pytest.mark.parametrize("arguments", [{"a": LONE}, {LONE: 1}, {"a": [{"b": LONE}]}, '{"a": "\\ud83d"}'])
def test_a_lone_surrogate_inside_arguments_is_refused(arguments: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^messages\[0\]\.tool_calls\[0\]\.arguments: .*surrogate U\+D83D"):
        assistant({"name": "f", "arguments": arguments})


def test_a_lone_surrogate_inside_a_result_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"^messages\[0\]\.content: .*surrogate U\+DC00"):
        one(role="tool", content={"a": "\udc00"})


def test_an_escaped_pair_of_surrogates_is_one_character() -> None:
    assert assistant({"name": "f", "arguments": '{"a": "\\ud83d\\ude00"}'}).tool_calls[0].arguments == {"a": "😀"}


def test_check_text_gives_the_text_back() -> None:
    assert check_text("a\x00\U0010ffff\ufffe", "prompt") == "a\x00\U0010ffff\ufffe"


def test_json_text_keeps_unicode_and_order() -> None:
    assert json_text({"z": "é", "a": [1, None]}, "x") == '{"z": "é", "a": [1, null]}'


def test_json_text_refuses_a_circle() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(InvalidRequest, match=r"^x: expected JSON"):
        json_text(circle, "x")


@pytest.mark.parametrize(
    ("value", "name"),
    [(None, "null"), (False, "a boolean"), (1, "a number"), (1.0, "a number"), ("", "a string"), ((), "an array")],
)
def test_kinds_have_their_json_names(value: Any, name: str) -> None:
    assert kind(value) == name


def test_an_object_outside_json_has_the_name_of_its_type() -> None:
    assert kind(b"") == "a Python bytes"
