"""What the tokens of an answer make certain of it: text, and calls of the request's tools."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.engine.output import Output
from runtime.values import Request, Text, Tool, ToolCall, ToolCallDelta

WEATHER = Tool("weather", "", {"type": "object", "properties": {"city": {"type": "string"}}})
ROME = '{"name": "weather", "parameters": {"city": "Rome"}}'
OSLO = ROME.replace("Rome", "Oslo")
FIRST, SECOND = "chatcmpl-tool-r-0", "chatcmpl-tool-r-1"


def output(*, pinned: bool = False, **options: Any) -> Output:
    made = {"tools": (WEATHER,), "grammar": 'root ::= "x"' if pinned else None, **options}
    return Output(Request("r", (), **made))


def fed(output: Output, text: str) -> list[Text | ToolCallDelta]:
    """The events of the text, a character a token."""
    return [event for char in text for event in output.feed(char.encode())]


def text_of(events: list[Text | ToolCallDelta]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def test_without_tools_all_is_text() -> None:
    one = output(tools=())
    assert text_of(fed(one, ROME)) == ROME
    assert (one.finish(), one.calls, one.begun, one.reads_calls) == ([], (), None, False)


def test_a_call_is_no_text_and_has_an_id() -> None:
    one = output()
    assert fed(one, ROME) == [ToolCallDelta(0, "weather", '{"city": "Rome"}', FIRST)]
    assert one.finish() == []
    assert one.calls == (ToolCall("weather", {"city": "Rome"}, FIRST),)


def test_calls_have_ids_of_their_own() -> None:
    one = output()
    events = fed(one, f"{ROME}; {OSLO}") + one.finish()
    assert [event.id for event in events if isinstance(event, ToolCallDelta)] == [FIRST, SECOND]
    assert [call.id for call in one.calls] == [FIRST, SECOND]


def test_text_beside_a_call_comes_in_its_order() -> None:
    one = output()
    events = fed(one, f"Let me see. {ROME}")
    assert text_of(events).strip() == "Let me see."
    assert [type(event) for event in events][-1] is ToolCallDelta


@pytest.mark.parametrize("tail", ["; ", "", " and "])
def test_where_one_call_is_wanted_the_answer_stops_behind_it(tail: str) -> None:
    one = output(parallel_tool_calls=False)
    events = fed(one, ROME)
    assert one.stopped
    assert fed(one, f"{tail}{OSLO} or so") + one.finish() == []
    assert [event.id for event in events if isinstance(event, ToolCallDelta)] == [FIRST]
    assert len(one.calls) == 1


def test_of_calls_in_one_token_the_first_is_the_one_that_is_wanted() -> None:
    one = output(parallel_tool_calls=False)
    assert one.feed(f"{ROME}; {OSLO}".encode()) == [ToolCallDelta(0, "weather", '{"city": "Rome"}', FIRST)]
    assert one.calls == (ToolCall("weather", {"city": "Rome"}, FIRST),)


def test_arguments_that_are_held_to_their_schema_come_as_they_grow() -> None:
    one = output(pinned=True)
    deltas = [event for event in fed(one, ROME) if isinstance(event, ToolCallDelta)]
    assert deltas[0] == ToolCallDelta(0, "weather", "{", FIRST)
    assert [delta.arguments for delta in deltas] == list('{"city": "Rome"}')
    assert {(delta.name, delta.id) for delta in deltas[1:]} == {(None, None)}


def test_it_says_when_arguments_have_begun() -> None:
    one = output(pinned=True)
    fed(one, ROME[:-7])
    assert one.begun is not None
    assert (one.begun.name, one.begun.arguments, one.begun.closing) == ("weather", '{"city": "', "}")
    fed(one, ROME[-7:])
    assert one.begun is None


def test_a_call_that_was_cut_off_is_text() -> None:
    one = output()
    events = fed(one, ROME[:-1])
    assert text_of(events + one.finish(cut=True)) == ROME[:-1]
    assert one.calls == ()


def test_a_stop_string_ends_a_call_too() -> None:
    one = output(stop=("city",))
    fed(one, ROME)
    assert one.stopped
    assert text_of(one.finish()) == ROME[: ROME.index("city")]


def test_what_may_begin_a_stop_string_belongs_to_the_call_that_it_ends() -> None:
    one = output(stop=("}}}",))
    assert fed(one, ROME) == []
    assert one.finish() == [ToolCallDelta(0, "weather", '{"city": "Rome"}', FIRST)]


def test_code_that_was_cut_off_is_text() -> None:
    for cut in (False, True):
        one = output(tools=(Tool("python"),))
        fed(one, "<|python_tag|>print(1)")
        assert text_of(one.finish(cut=cut)) == ("print(1)" if cut else "")
        assert len(one.calls) == (0 if cut else 1)
