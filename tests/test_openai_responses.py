"""Responses: what a body asks for, and what answers it, whole and as events."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import InvalidRequest, LlamaletError, Unsupported
from runtime.values import Inputs, Message, Text, ToolCall
from runtime.wire import workers_ai
from runtime.wire.openai import errors
from runtime.wire.openai.events import Responses
from runtime.wire.openai.responses import read
from tests.fake_engine import answer, calling
from tests.openai_shapes import HEAD, HI, cached, data, names, streamed, whole

BODY: dict[str, Any] = {"model": "tiny", "input": "Hi"}
TOOL = {"type": "function", "name": "weather", "strict": True, "description": None, "parameters": {"type": "object"}}
CALLED = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city": "Rome"}'}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "sunny"}


def inputs(**options: Any) -> Inputs:
    (body,) = read({**BODY, **options}).bodies
    return workers_ai.parse(body)


def refusal(**options: Any) -> LlamaletError:
    with pytest.raises(InvalidRequest) as refused:
        inputs(**options)
    return refused.value


# -- bodies ----------------------------------------------------------------------------------------------------------


def test_text_is_what_the_user_says() -> None:
    assert inputs().messages == (Message("user", "Hi"),)


def test_instructions_come_first() -> None:
    assert inputs(instructions="Be kind.").messages == (Message("system", "Be kind."), Message("user", "Hi"))


def test_messages_are_items_with_a_type_or_without() -> None:
    said = [
        {"role": "developer", "content": "Be kind."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Ho", "annotations": []}]},
    ]
    assert inputs(input=said).messages == (
        Message("system", "Be kind."),
        Message("user", "Hi"),
        Message("assistant", "Ho"),
    )


def test_calls_are_of_the_assistants_message_before_them_and_results_know_their_function() -> None:
    spoken = {"type": "message", "role": "assistant", "content": "Let me see."}
    said = [{"role": "user", "content": "Hi"}, spoken, CALLED, {**CALLED, "call_id": "c2"}, RESULT]
    calls = tuple(ToolCall("weather", {"city": "Rome"}, name) for name in ("c1", "c2"))
    assert inputs(input=said).messages[1:] == (
        Message("assistant", "Let me see.", calls),
        Message("tool", "sunny", name="weather", tool_call_id="c1"),
    )


def test_a_call_without_words_is_a_message_too() -> None:
    assert inputs(input=[CALLED, RESULT]).messages[0] == Message(
        "assistant", "", (ToolCall("weather", {"city": "Rome"}, "c1"),)
    )


def test_the_options_of_both_apis_are_passed_on() -> None:
    asked = inputs(temperature=0.5, top_p=0.3, max_output_tokens=7, stream=True, stop="x", seed=0)
    assert (asked.sampling.temperature, asked.sampling.top_p, asked.sampling.seed) == (0.5, 0.3, 9_999_999_999)
    assert (asked.max_tokens, asked.stream, asked.stop) == (7, True, ("x",))


def test_tools_are_shown_as_in_chat_completions() -> None:
    asked = inputs(tools=[TOOL], tool_choice={"type": "function", "name": "weather"}, parallel_tool_calls=False)
    function = {"name": "weather", "parameters": {"type": "object"}}
    assert asked.tools == ({"type": "function", "function": function},)
    assert (asked.tool_choice, asked.tool_name, asked.parallel_tool_calls) == ("required", "weather", False)


def test_a_document_has_the_schema_of_the_texts_format() -> None:
    schema = {"type": "object", "properties": {"schema": {"type": "string"}}}
    asked = inputs(text={"format": {"type": "json_schema", "name": "thing", "schema": schema, "strict": True}})
    assert asked.document is not None
    assert asked.document.schema == schema


@pytest.mark.parametrize(("kind", "is_document"), [("text", False), ("json_object", True)])
def test_other_formats(kind: str, is_document: bool) -> None:
    assert (inputs(text={"format": {"type": kind}}).document is not None) is is_document


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({}, None),
        ({"top_logprobs": 0}, None),
        ({"top_logprobs": 2}, 2),
        ({"include": ["message.output_text.logprobs"]}, 0),
        ({"include": ["message.output_text.logprobs"], "top_logprobs": 3}, 3),
    ],
    ids=str,
)
def test_logprobs_come_where_they_are_asked_for(given: dict[str, Any], count: int | None) -> None:
    assert inputs(**given).sampling.logprobs == count


@pytest.mark.parametrize(
    "habit",
    [
        {"store": True},
        {"store": False},
        {"metadata": {"a": "b"}},
        {"user": "u"},
        {"include": None},
        {"include": ["reasoning.encrypted_content"]},
        {"background": False},
        {"previous_response_id": None},
        {"reasoning": {"effort": None, "summary": None}},
        {"reasoning": {"effort": "none"}},
        {"truncation": "disabled"},
        {"text": {"format": {"type": "text"}, "verbosity": "medium"}},
        {"text": {"format": None, "verbosity": None}},
        {"max_tool_calls": 3},
        {"service_tier": "auto"},
        {"tools": []},
        {"tool_choice": "auto"},
    ],
    ids=str,
)
def test_what_clients_say_out_of_habit_changes_nothing(habit: dict[str, Any]) -> None:
    assert inputs(**habit) == inputs()


@pytest.mark.parametrize(
    "given",
    [
        {"background": True},
        {"context_management": [{"type": "compaction"}]},
        {"conversation": "conv_1"},
        {"grammar": 'root ::= "a"'},
        {"messages": [{"role": "user", "content": "Hi"}]},
        {"moderation": {"model": "m"}},
        {"previous_response_id": "resp_1"},
        {"prompt": {"id": "pmpt_1"}},
        {"reasoning": {"effort": "low"}},
        {"truncation": "auto"},
    ],
    ids=lambda given: next(iter(given)),
)
def test_what_there_is_not_is_refused_by_name(given: dict[str, Any]) -> None:
    error, (name,) = refusal(**given), given
    assert isinstance(error, Unsupported)
    assert error.message.startswith(f"{name} is not supported: ")
    assert errors.failure(error)["error"]["param"] == name


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"input": None}, "input: must be given, found nothing."),
        ({"input": []}, "input: expected at least one item, found none."),
        ({"input": 3}, "input: expected text or an array of items, found a number."),
        ({"input": ["Hi"]}, "input[0]: expected an object, found a string."),
        ({"input": [{"content": "Hi"}]}, "input[0].role: expected a string such as 'user', found no role."),
        (
            {"input": [{"type": "reasoning", "summary": []}]},
            'input[0].type: must be message, function_call or function_call_output, found "reasoning".',
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
            "input[0].content[0]: 'input_image' parts cannot be read by these models, which read text only.",
        ),
        (
            {"input": [{**CALLED, "arguments": "[]"}]},
            "input[0].arguments: expected an object, or a JSON object as text, found an array.",
        ),
        ({"max_output_tokens": 0}, "max_output_tokens: must be at least 1, found 0."),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema: must be given, found nothing."),
        ({"text": {"verbosity": "high"}}, 'text.verbosity: must be one of medium, found "high".'),
        (
            {"tools": [{"type": "web_search"}]},
            'tools[0].type: must be "function", found "web_search": no other tools run here.',
        ),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(given: dict[str, Any], message: str) -> None:
    assert refusal(**given).message == message


# -- answers ---------------------------------------------------------------------------------------------------------


def shape(**options: Any) -> Responses:
    return Responses(read({**BODY, **options}), HEAD)


def text_item(text: str, *, at: int = 0, status: str = "completed", logprobs: Any = ()) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logprobs)}
    named = {"id": f"msg_id-{at}", "type": "message", "status": status}
    return {**named, "role": "assistant", "content": [part]}


def call_item(name: str, arguments: str, *, at: int, call: int = 0) -> dict[str, Any]:
    named = {"id": f"fc_id-{at}", "type": "function_call", "status": "completed", "call_id": f"id{call}"}
    return {**named, "name": name, "arguments": arguments}


def test_an_answer_says_again_what_was_asked_for() -> None:
    given = {"instructions": "Be.", "metadata": {"a": "b"}, "tools": [TOOL], "temperature": 0.1, "top_p": 0.2}
    assert whole(shape(**given), cached(answer("Hi", " there"), 3)) == {
        "id": "resp_id",
        "object": "response",
        "created_at": 1700000000,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "max_output_tokens": None,
        "model": "@cf/meta/tiny",
        "output": [text_item("Hi there")],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "truncation": "disabled",
        "usage": {
            "input_tokens": 5,
            "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
            "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 7,
        },
        **given,
    }


def test_an_answer_that_has_no_tokens_left_is_incomplete() -> None:
    found = whole(shape(), answer("Hi", reason="length"))
    assert (found["status"], found["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert found["output"] == [text_item("Hi", status="incomplete")]


def test_calls_are_items_behind_the_text() -> None:
    events = calling(("f", {"a": 1}), ("g", {}), text="Well.")
    expected = [text_item("Well."), call_item("f", '{"a": 1}', at=1), call_item("g", "{}", at=2, call=1)]
    assert whole(shape(), events)["output"] == expected
    assert whole(shape(), calling(("f", {})))["output"] == [call_item("f", "{}", at=0)]


def test_an_answer_of_nothing_is_an_empty_message() -> None:
    assert whole(shape(), answer())["output"] == [text_item("")]


MESSAGE = ["output_item.added", "content_part.added", "output_text.delta"]
MESSAGE_END = ["output_text.done", "content_part.done", "output_item.done"]
CALL = ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"]


def test_the_events_of_a_text() -> None:
    stream = streamed(shape(), answer("Hi", " there"))
    expected = ["created", "in_progress", *MESSAGE, "output_text.delta", *MESSAGE_END, "completed"]
    assert names(stream) == [f"response.{name}" for name in expected]
    events = data(stream)
    assert [event["type"] for event in events] == names(stream)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["delta"] for event in events if "delta" in event] == ["Hi", " there"]
    assert (events[0]["response"]["status"], events[0]["response"]["output"]) == ("in_progress", [])
    assert events[2]["item"] == {**text_item("", status="in_progress"), "content": []}
    place = {"item_id": "msg_id-0", "output_index": 0, "content_index": 0}
    assert all(place.items() <= event.items() for event in events[3:8])
    assert (events[6]["text"], events[8]["item"]) == ("Hi there", text_item("Hi there"))


def test_the_events_of_calls() -> None:
    stream = streamed(shape(), calling(("f", {"a": 1}), ("g", {}), text="Well."))
    expected = ["created", "in_progress", *MESSAGE, *MESSAGE_END, *CALL, *CALL, "completed"]
    assert names(stream) == [f"response.{name}" for name in expected]
    added, delta, done, ended = data(stream)[8:12]
    assert added["item"] == {**call_item("f", "", at=1), "status": "in_progress"}
    assert (delta["delta"], delta["item_id"], delta["output_index"]) == ('{"a": 1}', "fc_id-1", 1)
    assert (done["name"], done["arguments"], ended["item"]) == ("f", '{"a": 1}', call_item("f", '{"a": 1}', at=1))


@pytest.mark.parametrize(
    "events",
    [
        answer("Hi", " there"),
        answer(),
        answer("Hi", reason="length"),
        calling(("f", {"a": 1}), ("g", {}), text="Well."),
        [Text("Hi", (HI,)), *answer("!")],
    ],
    ids=["text", "nothing", "cut", "calls", "logprobs"],
)
def test_the_last_event_has_the_whole_answer(events: Any) -> None:
    (*_, last) = data(streamed(shape(), events))
    assert last["response"] == whole(shape(), events)
    assert last["type"] == f"response.{last['response']['status']}"


def test_log_probabilities_stand_in_the_part() -> None:
    part = whole(shape(), [Text("Hi", (HI,)), *answer()])["output"][0]["content"][0]
    assert [(one["token"], one["logprob"], len(one["top_logprobs"])) for one in part["logprobs"]] == [("Hi", -0.25, 2)]


def test_an_error_is_an_event_of_its_own() -> None:
    (event,) = data(
        shape().failure({"error": {"message": "Broke.", "type": "server_error", "param": None, "code": "5"}})
    )
    assert (event["type"], event["message"], event["code"], event["error"]["message"]) == (
        "error",
        "Broke.",
        "5",
        "Broke.",
    )
