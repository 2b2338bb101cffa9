"""One request's tokens and events, on a model and a sampler that follow a script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.engine.sequence import Sequence, Times
from runtime.values import Done, Request, Text, TokenLogprob, Tool, ToolCall, ToolCallDelta

if TYPE_CHECKING:
    from runtime.values import Event

END, TAG = 0, 1


class Script:
    """Model and sampler: a token is the place of its text among the pieces."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = ["", "<|python_tag|>", *pieces]
        self._left: list[int] = [*range(2, len(self.pieces)), END]

    def sample(self, logits: Any, candidates: Any, constraint: None) -> int:
        return self._left.pop(0)

    def accept(self, token: int) -> None:
        pass

    def logprob(self, token: int, logits: Any, model: Any) -> tuple[TokenLogprob, ...]:
        return (TokenLogprob(token, self.pieces[token].encode(), -1.0),)

    def is_end(self, token: int) -> bool:
        return token == END

    def piece(self, token: int, *, tagged: bool = False) -> bytes:
        return b"" if token == TAG and not tagged else self.pieces[token].encode()


def events(script: Script, *tools: Tool, first: int | None = None, **options: Any) -> list[Event]:
    found: list[Event] = []
    if first is not None:
        script._left.insert(0, first)
    sequence = Sequence(Request("r", (), tools=tools, **options), [7], found.append, Times(0.0))
    any_script: Any = script
    sequence.sampler = any_script
    reason = None
    while reason is None:
        reason = sequence.advance([any_script], any_script, any_script)
    sequence.finish(reason, 0.0)
    return found


def done(found: list[Event]) -> Done:
    assert isinstance(found[-1], Done)
    return found[-1]


def test_a_tag_says_that_code_is_a_call() -> None:
    with_tag = events(Script("print(1)"), Tool("python"), first=TAG)
    assert done(with_tag).tool_calls == (ToolCall("python", {"code": "print(1)"}, "chatcmpl-tool-r-0"),)
    without = events(Script("print(1)"), Tool("python"))
    assert (done(without).tool_calls, done(without).finish_reason) == ((), "stop")


def test_without_tools_no_tag_is_shown() -> None:
    found = events(Script("print(1)"), first=TAG)
    assert [event.text for event in found if isinstance(event, Text) and event.text] == ["print(1)"]


def test_calls_are_the_reason_to_finish_where_the_model_came_to_its_end() -> None:
    call = '{"name": "f", "parameters": {}}'
    assert done(events(Script(call), Tool("f"))).finish_reason == "tool_calls"
    assert done(events(Script(call, "!"), Tool("f"), max_tokens=1)).finish_reason == "length"
    assert done(events(Script(call, "END", "!"), Tool("f"), stop=("END",))).finish_reason == "tool_calls"
    assert done(events(Script("Hi"), Tool("f"))).finish_reason == "stop"


def test_each_token_of_text_and_calls_has_its_log_probability_once_in_order() -> None:
    found = events(Script("Let me ", "see. ", '{"name": "f", ', '"parameters": {}}', " Done."), Tool("f"))
    assert any(isinstance(event, ToolCallDelta) for event in found)
    tokens = [one.token for event in found if isinstance(event, Text) for one in event.logprobs]
    assert tokens == [2, 3, 4, 5, 6, END]
