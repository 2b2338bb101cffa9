"""Chat completions: what a body asks for, and what its answer looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runtime.errors import InvalidRequest, LlamaletError, Unsupported
from runtime.values import Message, Text, ToolCall
from runtime.wire import workers_ai
from runtime.wire.openai import errors
from runtime.wire.openai.chat import Chat, read
from tests.fake_engine import answer, calling
from tests.openai_shapes import HEAD, HI, cached, data, streamed, whole

if TYPE_CHECKING:
    from runtime.values import Event, Inputs

CHAT: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}
WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
TOOL = {"type": "function", "function": {**WEATHER, "strict": True}}
OBJECT = {"type": "object"}
LABEL = {"id": "chatcmpl-id", "created": 1700000000, "model": "@cf/meta/tiny"}


def inputs(**options: Any) -> list[Inputs]:
    return [workers_ai.parse(body) for body in read({**CHAT, **options}).bodies]


def refusal(**options: Any) -> LlamaletError:
    with pytest.raises(InvalidRequest) as refused:
        inputs(**options)
    return refused.value


# -- bodies ----------------------------------------------------------------------------------------------------------


def test_the_options_of_both_apis_are_passed_on() -> None:
    (asked,) = inputs(temperature=0.5, top_p=0.3, frequency_penalty=0.1, presence_penalty=0.2, stop=["a"], stream=True)
    sampling = asked.sampling
    assert (sampling.temperature, sampling.top_p) == (0.5, 0.3)
    assert (sampling.frequency_penalty, sampling.presence_penalty) == (0.1, 0.2)
    assert (asked.stop, asked.stream, asked.max_tokens) == (("a",), True, 256)


def test_our_own_options_are_passed_on() -> None:
    (asked,) = inputs(min_p=0.1, top_k=3, lora="tales", timeout=5)
    assert (asked.sampling.min_p, asked.sampling.top_k, asked.lora, asked.timeout) == (0.1, 3, "tales", 5)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_tokens_of_an_answer_have_two_names(name: str) -> None:
    assert inputs(**{name: 7})[0].max_tokens == 7


def test_the_newer_of_the_two_names_wins() -> None:
    assert inputs(max_tokens=7, max_completion_tokens=8)[0].max_tokens == 8


def test_what_is_null_is_not_given() -> None:
    names = ("stop", "n", "stream_options", "response_format", "tools", "audio", "seed", "logit_bias", "functions")
    assert inputs(**dict.fromkeys(names)) == inputs()
    assert inputs(stream_options={"include_usage": None}) == inputs()


@pytest.mark.parametrize(
    "habit",
    [
        {"store": True},
        {"metadata": {"a": "b"}},
        {"user": "u"},
        {"service_tier": "auto"},
        {"prediction": {"type": "content", "content": "x"}},
        {"reasoning_effort": "none"},
        {"modalities": ["text"]},
        {"response_format": {"type": "text"}},
        {"function_call": "none"},
        {"parallel_tool_calls": True},
    ],
    ids=str,
)
def test_what_clients_say_out_of_habit_changes_nothing(habit: dict[str, Any]) -> None:
    assert inputs(**habit) == inputs()


def test_the_messages_of_real_clients_are_read() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind."}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]
    assert inputs(messages=messages)[0].messages == (
        Message("system", "Be kind."),
        Message("assistant", "", (ToolCall("weather", {"city": "Rome"}, "c1"),)),
        Message("tool", "sunny", tool_call_id="c1"),
    )


def test_choices_are_runs_with_seeds_of_their_own() -> None:
    assert [one.sampling.seed for one in inputs(n=3, seed=7)] == [7, 8, 9]
    assert [one.sampling.seed for one in inputs(n=2)] == [None, None]


@pytest.mark.parametrize(("seed", "taken"), [(0, 9_999_999_999), (-1, 9_999_999_998), (10**10, 1), (42, 42)])
def test_any_whole_number_is_a_seed(seed: int, taken: int) -> None:
    assert inputs(seed=seed)[0].sampling.seed == taken


def test_a_document_has_the_schema_that_is_named() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "thing", "strict": True, "schema": OBJECT}}
    (asked,) = inputs(response_format=schema)
    assert asked.document is not None
    assert asked.document.schema == OBJECT


def test_any_object_will_do_as_a_document() -> None:
    (asked,) = inputs(response_format={"type": "json_object"})
    assert asked.document is not None
    assert asked.document.schema == OBJECT


def test_tools_are_shown_without_what_is_not_the_models() -> None:
    assert inputs(tools=[TOOL])[0].tools == ({"type": "function", "function": WEATHER},)


@pytest.mark.parametrize(
    ("choice", "read_as"),
    [
        ("auto", ("auto", None)),
        ("required", ("required", None)),
        ({"type": "function", "function": {"name": "weather"}}, ("required", "weather")),
    ],
)
def test_a_choice_of_tools(choice: Any, read_as: tuple[str, str | None]) -> None:
    (asked,) = inputs(tools=[TOOL], tool_choice=choice, parallel_tool_calls=False)
    assert (asked.tool_choice, asked.tool_name) == read_as
    assert not asked.parallel_tool_calls


def test_tools_that_shall_not_be_called_are_none() -> None:
    assert inputs(tools=[TOOL], tool_choice="none") == inputs()


@pytest.mark.parametrize(("given", "count"), [({"logprobs": True}, 0), ({"logprobs": True, "top_logprobs": 2}, 2)])
def test_logprobs(given: dict[str, Any], count: int) -> None:
    assert inputs(**given)[0].sampling.logprobs == count


def test_a_bias_is_by_the_id_of_a_token() -> None:
    assert inputs(logit_bias={"5": -100})[0].sampling.logit_bias == ((5, -100.0),)


@pytest.mark.parametrize(
    "given",
    [
        {"audio": {"voice": "alloy"}},
        {"functions": [{"name": "f"}]},
        {"function_call": {"name": "f"}},
        {"modalities": ["text", "audio"]},
        {"reasoning_effort": "low"},
        {"verbosity": "high"},
        {"web_search_options": {}},
        {"moderation": {"model": "m"}},
        {"grammar": 'root ::= "a"'},
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
        ({"model": None}, "model: must be given, found nothing."),
        ({"messages": None}, "messages: must be given, found nothing."),
        ({"n": 0}, "n: must be at least 1, found 0."),
        ({"n": 17}, "n: must be at most 16, found 17."),
        ({"seed": "x"}, 'seed: must be of type integer, found "x".'),
        ({"stream": "yes"}, 'stream: must be of type boolean, found "yes".'),
        ({"max_completion_tokens": 0}, "max_completion_tokens: must be at least 1, found 0."),
        ({"temperature": 6}, "temperature: must be at most 5, found 6."),
        ({"stream_options": True}, "stream_options: must be of type object, found true."),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "thing"}}},
            "response_format.json_schema.schema: must be given, found nothing.",
        ),
        (
            {"tools": [{"type": "custom", "custom": {"name": "f"}}]},
            'tools[0].type: must be "function", found "custom": no other tools run here.',
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages[0].content[0]: 'image_url' parts cannot be read by these models, which read text only.",
        ),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(given: dict[str, Any], message: str) -> None:
    assert refusal(**given).message == message


def test_in_parity_there_is_one_choice_and_what_the_service_publishes() -> None:
    (body,) = read({**CHAT, "n": 3, "max_completion_tokens": 9, "seed": 7, "logprobs": True}, parity=True).bodies
    asked = workers_ai.parse(body, parity=True)
    assert (asked.max_tokens, asked.sampling.seed, asked.sampling.logprobs) == (9, 7, None)


# -- answers ---------------------------------------------------------------------------------------------------------


def shape(**options: Any) -> Chat:
    return Chat(read({**CHAT, **options}), HEAD)


def test_an_answer() -> None:
    found = whole(shape(), cached(answer("Hi", " there"), 3))
    assert found.pop("system_fingerprint").startswith("llamalet-")
    assert found == {
        **LABEL,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi there", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 5,
            "completion_tokens": 2,
            "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 3},
        },
    }


def test_an_answer_that_calls() -> None:
    (choice,) = whole(shape(), calling(("weather", {"city": "Zoë"})))["choices"]
    function = {"name": "weather", "arguments": '{"city": "Zoë"}'}
    call = {"id": "id0", "type": "function", "function": function}
    assert choice["message"] == {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
    assert choice["finish_reason"] == "tool_calls"


def test_several_choices_count_their_prompt_once() -> None:
    found = whole(shape(n=2), answer("a"), cached(answer("b", "c", reason="length"), 4))
    choices = [(one["index"], one["message"]["content"], one["finish_reason"]) for one in found["choices"]]
    assert choices == [(0, "a", "stop"), (1, "bc", "length")]
    counts = [found["usage"][name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
    assert counts == [5, 3, 8]
    assert found["usage"]["prompt_tokens_details"] == {"cached_tokens": 0}


LOGPROBS = {
    "content": [
        {
            "token": "Hi",
            "logprob": -0.25,
            "bytes": [72, 105],
            "top_logprobs": [
                {"token": "Hi", "logprob": -0.25, "bytes": [72, 105]},
                {"token": "\ufffd", "logprob": -2.0, "bytes": [0xE2]},
            ],
        }
    ],
    "refusal": None,
}


def test_log_probabilities_stand_beside_the_message() -> None:
    events: list[Event] = [Text("Hi", (HI,)), *answer()]
    assert whole(shape(), events)["choices"][0]["logprobs"] == LOGPROBS
    assert data(streamed(shape(), events))[1]["choices"][0]["logprobs"] == LOGPROBS


def deltas(stream: bytes) -> list[tuple[int, dict[str, Any], str | None]]:
    *chunks, done = data(stream)
    assert done == "[DONE]"
    assert all({key: chunk[key] for key in LABEL} == LABEL for chunk in chunks)
    assert all(chunk["object"] == "chat.completion.chunk" and "usage" not in chunk for chunk in chunks)
    choices = [chunk["choices"] for chunk in chunks]
    return [(choice["index"], choice["delta"], choice["finish_reason"]) for (choice,) in choices]


def test_a_stream_has_the_role_then_the_pieces_then_the_reason() -> None:
    assert deltas(streamed(shape(), answer("Hi", " there", reason="length"))) == [
        (0, {"role": "assistant", "content": ""}, None),
        (0, {"content": "Hi"}, None),
        (0, {"content": " there"}, None),
        (0, {}, "length"),
    ]


def test_a_stream_has_calls_as_they_grow_and_not_again() -> None:
    function = {"name": "weather", "arguments": '{"city": "Rome"}'}
    call = {"id": "id0", "type": "function", "index": 0, "function": function}
    assert deltas(streamed(shape(), calling(("weather", {"city": "Rome"}))))[1:] == [
        (0, {"tool_calls": [call]}, None),
        (0, {}, "tool_calls"),
    ]


def test_each_choice_of_a_stream_has_its_role_and_its_reason() -> None:
    found = deltas(streamed(shape(n=2), answer("a"), answer("b")))
    assert [(at, delta.get("role"), reason) for at, delta, reason in found] == [
        (at, *rest) for at in (0, 1) for rest in [("assistant", None), (None, None), (None, "stop")]
    ]


def test_the_usage_of_a_stream_comes_last_if_it_is_asked_for() -> None:
    *_, last, done = data(streamed(shape(n=2, stream_options={"include_usage": True}), answer("a"), answer("b")))
    assert (last["choices"], last["usage"]["total_tokens"], done) == ([], 7, "[DONE]")


def test_no_chunk_has_what_clients_break_on() -> None:
    chunks = data(streamed(shape(stream_options={"include_usage": True}), calling(("f", {}), text="Hi")))[:-1]
    assert not any(chunk.get("usage", 0) is None for chunk in chunks)
    assert not any(value is None for chunk in chunks for one in chunk["choices"] for value in one["delta"].values())
