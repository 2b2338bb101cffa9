"""What an answer looks like, whole and as a stream."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest

from runtime.errors import EngineError, TimedOut
from runtime.values import Done, Failed, Progress, Text, Timings, TokenLogprob, ToolCall, ToolCallDelta, Usage
from runtime.wire import workers_ai

if TYPE_CHECKING:
    from runtime.values import Event

END = Done("length", Usage(12, 5, cached_tokens=4), Timings(queue=0.001, prompt=0.02, decode=0.5))
HI = TokenLogprob(3, b"Hi", -0.25, ((3, b"Hi", -0.25), (4, b"\xe2", -2.0)))
EVENTS: list[Event] = [Progress(6, 12), Progress(12, 12), Text("Hi", (HI,)), Text(" Zoë"), Text("\n"), END]


def whole(events: list[Event], parity: bool = False) -> dict[str, Any]:
    answer = workers_ai.Answer(parity=parity)
    results = [answer.add(event) for event in events]
    assert results[:-1] == [None] * (len(events) - 1)
    assert results[-1] is not None
    return results[-1]


def streamed(events: list[Event], parity: bool = False) -> list[dict[str, Any]]:
    answer = workers_ai.Answer(parity=parity)
    return [shown for event in events if (shown := answer.stream(event)) is not None]


def test_the_response_is_the_text() -> None:
    assert whole(EVENTS)["response"] == "Hi Zoë\n"


def test_an_answer_without_text_has_an_empty_response() -> None:
    assert whole([END])["response"] == ""


def test_the_texts_of_a_stream_joined_are_the_response() -> None:
    assert "".join(event["response"] for event in streamed(EVENTS)) == whole(EVENTS)["response"]


def test_the_usage_counts_tokens_as_the_service_does() -> None:
    assert whole(EVENTS)["usage"] == {
        "prompt_tokens": 12,
        "completion_tokens": 5,
        "total_tokens": 17,
        "prompt_tokens_details": {"cached_tokens": 4},
    }


def test_the_timings_are_milliseconds_and_rates_of_what_was_computed() -> None:
    assert whole(EVENTS)["timings"] == {
        "queue_ms": 1.0,
        "prompt_ms": 20.0,
        "decode_ms": 500.0,
        "prompt_tokens_per_second": 400.0,  # 12 less 4 of the cache, in 20 ms
        "decode_tokens_per_second": 8.0,  # the first of 5 came with the prompt
    }


def test_no_time_is_no_rate() -> None:
    end = Done("cancelled", Usage(12, 0), Timings(0, 0, 0))
    timings = whole([end])["timings"]
    assert (timings["prompt_tokens_per_second"], timings["decode_tokens_per_second"]) == (0.0, 0.0)


def test_only_the_last_event_of_a_stream_has_the_end() -> None:
    ends = [(event.get("finish_reason"), "usage" in event, "timings" in event) for event in streamed(EVENTS)]
    assert ends == [(None, False, False)] * 3 + [("length", True, True)]


def test_the_end_of_a_stream_says_what_the_whole_answer_says() -> None:
    end, answer = streamed(EVENTS)[-1], whole(EVENTS)
    assert {**end, "response": answer["response"]} == {key: answer[key] for key in end}


def test_progress_is_not_shown_in_a_stream() -> None:
    assert workers_ai.Answer().stream(Progress(1, 2)) is None


def test_no_logprobs_are_given_where_none_were_asked_for() -> None:
    assert "logprobs" not in whole([Text("Hi"), END])


def test_logprobs_have_text_and_bytes_of_the_token_and_of_the_likeliest() -> None:
    assert whole(EVENTS)["logprobs"] == [
        {
            "token": "Hi",
            "logprob": -0.25,
            "bytes": [72, 105],
            "top_logprobs": [
                {"token": "Hi", "logprob": -0.25, "bytes": [72, 105]},
                {"token": "\ufffd", "logprob": -2.0, "bytes": [0xE2]},
            ],
        }
    ]


def test_logprobs_of_a_stream_come_with_their_text() -> None:
    events = streamed(EVENTS)
    assert [events[0]["logprobs"], "logprobs" in events[1]] == [whole(EVENTS)["logprobs"], False]


def test_an_answer_is_json() -> None:
    assert json.loads(json.dumps(whole(EVENTS), allow_nan=False)) == whole(EVENTS)


def test_an_answer_satisfies_the_published_output_schema() -> None:
    from jsonschema import Draft202012Validator

    schema = json.loads((resources.files("runtime.wire") / "schemas" / "llama-3.2-1b-instruct.json").read_text("utf-8"))
    assert list(Draft202012Validator(schema["output"]).iter_errors(whole(EVENTS))) == []


COUNTS = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}


def test_in_parity_an_answer_has_what_is_published() -> None:
    assert whole(EVENTS, parity=True) == {"response": "Hi Zoë\n", "tool_calls": [], "usage": COUNTS}


def test_in_parity_a_stream_has_what_is_published() -> None:
    texts = [{"response": "Hi"}, {"response": " Zoë"}, {"response": "\n"}]
    assert streamed(EVENTS, parity=True) == [*texts, {"response": "", "usage": COUNTS}]


# Tool calls: the first has come as it grew, the second at once.

CALLED = Done(
    "tool_calls", END.usage, END.timings, (ToolCall("f", {"city": "Zürich"}, "id0"), ToolCall("g", {"n": 1}, "id1"))
)
CALLS: list[Event] = [
    Text("I see."),
    ToolCallDelta(0, "f", "{", "id0"),
    ToolCallDelta(0, None, '"city": "Zürich"}'),
    ToolCallDelta(1, "g", '{"n": 1}', "id1"),
    CALLED,
]


def test_a_call_has_the_services_form_and_openais_at_once() -> None:
    answer = whole(CALLS)
    assert (answer["response"], answer["finish_reason"]) == ("I see.", "tool_calls")
    assert answer["tool_calls"] == [
        {
            "id": "id0",
            "type": "function",
            "index": 0,
            "name": "f",
            "arguments": {"city": "Zürich"},
            "function": {"name": "f", "arguments": '{"city": "Zürich"}'},
        },
        {
            "id": "id1",
            "type": "function",
            "index": 1,
            "name": "g",
            "arguments": {"n": 1},
            "function": {"name": "g", "arguments": '{"n": 1}'},
        },
    ]


def test_calls_of_a_stream_come_as_they_grow_in_openais_form() -> None:
    assert streamed(CALLS)[1:-1] == [
        {"tool_calls": [{"id": "id0", "type": "function", "index": 0, "function": {"name": "f", "arguments": "{"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"city": "Zürich"}'}}]},
        {
            "tool_calls": [
                {"id": "id1", "type": "function", "index": 1, "function": {"name": "g", "arguments": '{"n": 1}'}}
            ]
        },
    ]


def test_calls_stand_in_the_end_of_a_stream_as_in_the_whole_answer_but_that_their_text_has_been_given() -> None:
    end, answer = streamed(CALLS)[-1], whole(CALLS)
    for call in answer["tool_calls"]:
        call["function"]["arguments"] = ""
    assert end == {**answer, "response": ""}


def test_the_texts_of_a_call_in_a_stream_joined_are_its_arguments() -> None:
    joined: dict[int, str] = {}
    for call in [call for event in streamed(CALLS) for call in event.get("tool_calls", [])]:
        joined[call["index"]] = joined.get(call["index"], "") + call["function"]["arguments"]
    assert [json.loads(text) for text in joined.values()] == [call["arguments"] for call in whole(CALLS)["tool_calls"]]


def test_what_streams_of_calls_must_be_for_langchain() -> None:
    """langchain-cloudflare takes calls from the first event that has both keys, and from then on no text (its _stream,
    0.4.3)."""
    both = [event for event in streamed(CALLS) if {"response", "tool_calls"} <= event.keys()]
    assert both == streamed(CALLS)[-1:]
    assert [(call["name"], call["arguments"]) for call in both[0]["tool_calls"]] == [
        ("f", {"city": "Zürich"}),
        ("g", {"n": 1}),
    ]


def test_in_parity_a_call_is_name_and_arguments_and_no_text_is_null() -> None:
    flat = [{"name": "f", "arguments": {"city": "Zürich"}}, {"name": "g", "arguments": {"n": 1}}]
    assert whole(CALLS, parity=True) == {"response": "I see.", "tool_calls": flat, "usage": COUNTS}
    assert whole(CALLS[1:], parity=True) == {"response": None, "tool_calls": flat, "usage": COUNTS}


def test_in_parity_the_calls_of_a_stream_are_deltas_only() -> None:
    assert streamed(CALLS, parity=True)[1:-1] == streamed(CALLS)[1:-1]
    assert streamed(CALLS, parity=True)[-1] == {"response": "", "usage": COUNTS}


def test_an_answer_with_calls_is_json_and_satisfies_the_published_output_schema() -> None:
    from jsonschema import Draft202012Validator

    schema = json.loads((resources.files("runtime.wire") / "schemas" / "llama-3.2-1b-instruct.json").read_text("utf-8"))
    answer = json.loads(json.dumps(whole(CALLS), allow_nan=False))
    assert list(Draft202012Validator(schema["output"]).iter_errors(answer)) == []


@pytest.mark.parametrize("parity", [False, True], ids=["lenient", "parity"])
def test_without_calls_every_event_of_a_stream_has_text_and_no_tool_calls(parity: bool) -> None:
    shown = streamed(EVENTS, parity)
    assert [type(event["response"]) for event in shown] == [str] * len(shown)
    assert all("tool_calls" not in event for event in shown)


@pytest.mark.parametrize("error", [TimedOut("late"), EngineError("broken")])
def test_a_failure_raises_its_error_in_place_of_the_answer(error: Exception) -> None:
    answer = workers_ai.Answer()
    answer.add(Text("Hi"))
    with pytest.raises(type(error)) as raised:
        answer.add(Failed(error))
    assert raised.value is error


def test_a_failure_raises_its_error_in_a_stream() -> None:
    error = TimedOut("late")
    with pytest.raises(TimedOut) as raised:
        workers_ai.Answer().stream(Failed(error))
    assert raised.value is error
