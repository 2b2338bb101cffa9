"""What real clients send, and how it is read. Options and their bounds are in test_workers_ai.py."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import InvalidRequest, Unsupported
from runtime.values import Inputs, Message, ToolCall
from runtime.wire.workers_ai import parse

BIG = "@cf/meta/llama-3.2-3b-instruct"
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}


def chat(*messages: dict[str, Any], **options: Any) -> Inputs:
    return parse({"messages": list(messages), **options})


def refusal(**options: Any) -> str:
    with pytest.raises(InvalidRequest) as refused:
        parse({**CHAT, **options})
    assert type(refused.value) is InvalidRequest
    return refused.value.message


def unsupported(model: str = "", **options: Any) -> str:
    with pytest.raises(Unsupported) as refused:
        parse({**CHAT, **options}, model)
    return refused.value.message


# Bodies as the clients of workers-ai.md, section 5, send them.


def test_langchain_sends_a_stop_that_is_null() -> None:
    assert parse({**CHAT, "temperature": 1e-8, "stop": None}).stop == ()


def test_langchain_sends_a_call_as_text_and_as_a_call_and_its_result_by_id() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    text = '{"name": "f", "parameters": {"x": 1}}'
    inputs = chat(
        {"role": "user", "content": "Go"},
        {"role": "assistant", "content": text, "tool_calls": [call]},
        {"role": "tool", "name": "f", "content": "2", "tool_call_id": "c1"},
    )
    assert inputs.messages[1:] == (
        Message("assistant", text, (ToolCall("f", {"x": 1}, "c1"),)),
        Message("tool", "2", name="f", tool_call_id="c1"),
    )


def test_the_ai_sdk_sends_empty_content_beside_a_call() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    inputs = chat({"role": "assistant", "content": "", "tool_calls": [call]})
    assert inputs.messages == (Message("assistant", "", (ToolCall("f", {}, "c1"),)),)


def test_ai_utils_sends_a_call_as_text_and_its_result_by_name() -> None:
    inputs = chat({"role": "assistant", "content": '{"name":"f"}'}, {"role": "tool", "content": "2", "name": "f"})
    assert inputs.messages == (Message("assistant", '{"name":"f"}'), Message("tool", "2", name="f"))


@pytest.mark.parametrize("message", [{"role": "assistant", "content": None}, {"role": "assistant"}])
def test_openai_clients_send_no_content(message: dict[str, Any]) -> None:
    assert chat(message).messages == (Message("assistant", ""),)


def test_openai_clients_send_content_in_parts() -> None:
    assert chat({"role": "user", "content": [{"type": "text", "text": "Hi"}]}).messages == (Message("user", "Hi"),)


def test_openai_clients_send_the_model_and_more_that_is_ignored() -> None:
    inputs = parse({**CHAT, "model": "x", "stream_options": {"include_usage": True}, "user": "u"})
    assert inputs == parse(CHAT | dict.fromkeys(inputs.ignored, 1))
    assert inputs.ignored == ("model", "stream_options", "user")


@pytest.mark.parametrize("flag", ["raw", "stream"])
@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False)])
def test_cloudflares_own_page_sends_booleans_as_text(flag: str, text: str, value: bool) -> None:
    assert getattr(parse({**CHAT, flag: text}), flag) is value


def test_other_text_is_no_boolean() -> None:
    assert refusal(raw="True") == 'raw: must be of type boolean, found "True".'


def test_keys_of_a_message_beyond_the_schema_are_not_noted() -> None:
    assert chat({"role": "user", "content": "Hi", "id": 5, "createdAt": "today"}).ignored == ()


# What nobody knows.


def test_names_that_nobody_knows_are_sorted_and_cut() -> None:
    assert parse({**CHAT, "z": 1, "a" * 70: 1}).ignored == ("a" * 57 + "...", "z")


def test_at_most_20_names_are_noted() -> None:
    assert parse({**CHAT, **{f"x{n:02}": n for n in range(30)}}).ignored == tuple(f"x{n:02}" for n in range(20))


def test_what_is_null_is_not_noted() -> None:
    assert parse({**CHAT, "zebra": None}).ignored == ()


@pytest.mark.parametrize("model", ["", BIG])
@pytest.mark.parametrize("body", [CHAT, {"prompt": "Hi"}], ids=["messages", "prompt"])
def test_an_option_that_any_model_has_is_known(body: dict[str, Any], model: str) -> None:
    assert parse({**body, "raw": True, "lora": "x", "response_format": {}, "image": "", "tools": []}, model) == (
        parse({**body, "raw": True, "lora": "x"})
    )


def test_the_3b_takes_no_more_characters_than_are_published() -> None:
    assert parse({"prompt": "x" * 131072}, BIG).prompt == "x" * 131072
    with pytest.raises(InvalidRequest) as refused:
        parse({"messages": [*CHAT["messages"], {"role": "user", "content": ["x" * 131073]}]}, BIG)
    assert refused.value.message == "messages[1].content: must have at most 131072 characters, found 131073."


def test_the_1b_takes_more_characters() -> None:
    assert parse({"prompt": "x" * 131073}, "@cf/meta/llama-3.2-1b-instruct").prompt == "x" * 131073


# options


@pytest.mark.parametrize(
    ("given", "busy"),
    [
        (None, False),
        ({}, False),
        ({"rejectIfBusy": None}, False),
        ({"rejectIfBusy": False}, False),
        ({"rejectIfBusy": True}, True),
    ],
)
def test_a_caller_may_rather_be_refused_than_wait(given: Any, busy: bool) -> None:
    assert parse({**CHAT, "options": given}).reject_if_busy is busy


def test_options_that_nobody_knows_are_noted_with_their_place() -> None:
    assert parse({**CHAT, "b": 1, "options": {"gateway": {}, "rejectIfBusy": True}}).ignored == ("b", "options.gateway")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (5, "options: must be of type object, found 5."),
        ([], "options: must be of type object, found []."),
        ({"rejectIfBusy": "yes"}, 'options.rejectIfBusy: must be of type boolean, found "yes".'),
    ],
)
def test_wrong_options_are_refused(options: Any, message: str) -> None:
    assert refusal(options=options) == message


# The rest of what is known and not honoured.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"response_format": "json"}, 'response_format: must be of type object, found "json".'),
        (
            {"response_format": {"type": "regex"}},
            'response_format.type: must be one of json_object, json_schema, found "regex".',
        ),
        ({"functions": [{"name": "f"}]}, "functions[0].code: must be given, found nothing."),
        ({"functions": "f"}, 'functions: must be of type array, found "f".'),
    ],
)
def test_what_is_not_honoured_yet_is_validated_first(options: Any, message: str) -> None:
    assert refusal(**options) == message


@pytest.mark.parametrize("model", ["", BIG])
@pytest.mark.parametrize(
    "asked",
    [
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"type": "object"}},
        {"type": "json_schema", "json_schema": {"name": "x", "schema": {}, "strict": True}},
    ],
)
def test_a_format_is_taken_for_every_model(asked: Any, model: str) -> None:
    assert parse({**CHAT, "response_format": asked}, model).document


def test_text_is_no_format() -> None:
    assert parse({**CHAT, "response_format": {"type": "text"}}) == parse(CHAT)


@pytest.mark.parametrize("image", ["x", [1, 2], [255] * 300_000, {"any": "thing"}])
@pytest.mark.parametrize("model", ["", BIG])
def test_an_image_is_refused_since_the_models_read_text(image: Any, model: str) -> None:
    assert unsupported(model, image=image) == "image is not supported: these models read text only."
