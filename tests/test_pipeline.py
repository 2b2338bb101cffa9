"""How inputs become what an engine is asked, and how a stream is told."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import Any

import pytest

from runtime import pipeline
from runtime.catalog import Adapter, ModelSpec, Quant
from runtime.errors import TimedOut, UnknownAdapter
from runtime.pipeline import Stream, Ticket
from runtime.prompt import segments
from runtime.values import Failed, Inputs, Message, Progress, Request, Sampling, Segment, Tool
from runtime.wire import workers_ai
from tests.fake_engine import FakeEngine, answer

TODAY = "26 Jul 2024"
SPEC = ModelSpec("m", (Quant("GGUF", "m.gguf"),), "GGUF", adapters=(Adapter("tales", Path("tales.gguf")),))


def prepare(inputs: Inputs) -> Request:
    return pipeline.prepare(inputs, SPEC, request_id="r", date=TODAY, timeout=600)


def test_a_prompt_is_one_turn_of_the_user() -> None:
    assert prepare(Inputs(prompt="Hi")).prompt == segments([Message("user", "Hi")], family="llama3.2", date=TODAY)


def test_messages_are_the_conversation() -> None:
    messages = (Message("system", "Be kind."), Message("user", "Hi"))
    assert prepare(Inputs(messages)).prompt == segments(messages, family="llama3.2", date=TODAY)


def test_a_raw_prompt_is_given_as_it_is() -> None:
    assert prepare(Inputs(prompt="<|eot_id|> Hi", raw=True)).prompt == (
        Segment("<|begin_of_text|><|eot_id|> Hi", special=True),
    )


def test_raw_messages_are_given_one_after_the_other() -> None:
    messages = (Message("user", "one "), Message("assistant", "two"))
    assert prepare(Inputs(messages, raw=True)).prompt == (Segment("<|begin_of_text|>one two", special=True),)


@pytest.mark.parametrize(("asked", "date"), [("1 May 2020", "1 May 2020"), (None, TODAY)])
def test_the_date_is_that_of_the_inputs_or_else_the_one_given(asked: str | None, date: str) -> None:
    text = "".join(segment.text for segment in prepare(Inputs(prompt="Hi", date=asked)).prompt)
    assert f"Today Date: {date}\n" in text


@pytest.mark.parametrize(("asked", "timeout"), [(3.5, 3.5), (None, 600)])
def test_the_timeout_is_that_of_the_inputs_or_else_the_one_given(asked: float | None, timeout: float) -> None:
    assert prepare(Inputs(prompt="Hi", timeout=asked)).timeout == timeout


TOOLS: tuple[Any, ...] = ({"name": "f"}, {"type": "function", "function": {"name": "g", "strict": True}}, Tool("h"))


def test_tools_are_shown_as_they_were_given() -> None:
    for place, style in (("user", "json"), ("system", "pythonic")):
        inputs = Inputs(prompt="Hi", tools=TOOLS, tools_in=place, tool_style=style)
        assert prepare(inputs).prompt == segments(
            [Message("user", "Hi")], tools=TOOLS, family="llama3.2", date=TODAY, tools_in=place, style=style
        )


def test_the_engine_is_told_which_tools_may_be_called_and_how() -> None:
    request = prepare(Inputs(prompt="Hi", tools=TOOLS, parallel_tool_calls=False))
    assert request.tools == (Tool("f"), Tool("g"), Tool("h"))
    assert (request.tool_choice, request.parallel_tool_calls) == ("auto", False)


def test_a_certain_tool_is_the_only_one_that_may_be_called_though_all_are_shown() -> None:
    asked = Inputs(prompt="Hi", tools=TOOLS, tool_choice="required", tool_name="g")
    request = prepare(asked)
    assert (request.tools, request.tool_choice) == ((Tool("g"),), "required")
    assert request.prompt == prepare(Inputs(prompt="Hi", tools=TOOLS)).prompt


def test_what_is_left_goes_to_the_engine_unchanged() -> None:
    sampling = Sampling(temperature=1.0, seed=3)
    request = prepare(Inputs(prompt="Hi", max_tokens=9, sampling=sampling, stop=("a",)))
    assert (request.id, request.max_tokens, request.sampling, request.stop) == ("r", 9, sampling, ("a",))


@pytest.mark.parametrize(("asked", "lora"), [("Tales", "tales"), (None, None)])
def test_an_adapter_is_found_by_its_name(asked: str | None, lora: str | None) -> None:
    assert prepare(Inputs(prompt="Hi", lora=asked)).lora == lora


def test_an_unknown_adapter_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownAdapter, match=r"m has no LoRA adapter .talse.\. .*tales"):
        prepare(Inputs(prompt="Hi", lora="talse"))


def stream_of(*events: object) -> Stream:
    arrived: queue.SimpleQueue[object] = queue.SimpleQueue()
    for event in events:
        arrived.put(event)
    return Stream(Ticket("r", FakeEngine()), arrived, workers_ai.Answer())  # type: ignore[arg-type]


def test_a_stream_gives_what_there_is_to_show() -> None:
    assert [part["response"] for part in stream_of(Progress(5, 5), *answer("a", "b"))] == ["a", "b", ""]


def test_a_stream_that_has_ended_stays_so() -> None:
    stream = stream_of(*answer("a"))
    list(stream)
    assert list(stream) == []


def test_a_stream_raises_the_failure_once() -> None:
    stream = stream_of(Failed(TimedOut("late")))
    with pytest.raises(TimedOut):
        next(stream)
    assert list(stream) == []


def test_a_closed_stream_gives_nothing_more() -> None:
    stream = stream_of(*answer("a", "b"))
    next(stream)
    stream.close()
    assert list(stream) == []
