"""The bytes of an answer's tokens -> the events that they make certain."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runtime.judging import bounded
from runtime.parse import OutputText
from runtime.toolcalls import ToolCallParser
from runtime.tools import complaints, validator
from runtime.values import Text, ToolCallDelta

if TYPE_CHECKING:
    from runtime.toolcalls import Begun, Given
    from runtime.values import Request, ToolCall


class Output:
    """What one request's answer says and which of its tools it calls.

    `stopped`: a stop string is complete, or a call after which no other is wanted. Nothing comes after it.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._text = OutputText(request.stop)
        self._parser = self._parser_of(request) if request.tools else None
        self._only_one = not request.parallel_tool_calls

    @staticmethod
    def _parser_of(request: Request) -> ToolCallParser:
        if not request.constrain_tools:
            return ToolCallParser(request.tools)
        judges = {tool.name: validator(tool.parameters, kind=bounded) for tool in request.tools}

        def valid(call: ToolCall) -> bool:
            return not complaints(judges[call.name], dict(call.arguments))

        # A call may be written in a way that no grammar follows, as code; so each is looked at when it is whole.
        return ToolCallParser(request.tools, pinned=request.grammar is not None, valid=valid)

    def pin(self) -> None:
        """The call that has begun is held to its schema from here on."""
        if self._parser:
            self._parser.pin()

    @property
    def stopped(self) -> bool:
        return self._text.stopped or self._has_all_calls

    @property
    def reads_calls(self) -> bool:
        """Whether the request has tools, and control tokens that go with calls are to be fed as text."""
        return self._parser is not None

    @property
    def begun(self) -> Begun | None:
        """The call whose arguments have begun and are not whole, where a grammar can take over."""
        return self._parser.begun if self._parser and not self._has_all_calls else None

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The whole calls so far, each with its id."""
        calls = self._parser.calls if self._parser else []
        return tuple(replace(call, id=self._id(at)) for at, call in enumerate(calls[:1] if self._only_one else calls))

    def feed(self, piece: bytes) -> list[Text | ToolCallDelta]:
        """The events that one more token makes certain."""
        text = "" if self.stopped else self._text.feed(piece)
        return self._events(self._parser.feed(text) if self._parser else (text, []))

    def finish(self, *, cut: bool = False) -> list[Text | ToolCallDelta]:
        """What was held back. `cut`: the answer has not come to its own end."""
        text = "" if self._has_all_calls else self._text.finish()
        if self._parser is None:
            return self._events((text, []))
        if self._has_all_calls:
            return []
        content, deltas = self._parser.feed(text)
        rest, more = self._parser.finish(cut=cut)
        return self._events((content + rest, deltas + more))

    @property
    def _has_all_calls(self) -> bool:
        return self._only_one and self._parser is not None and bool(self._parser.calls)

    def _events(self, given: Given) -> list[Text | ToolCallDelta]:
        text, deltas = given
        wanted = [delta for delta in deltas if not (self._only_one and delta.index)]
        named = [replace(delta, id=self._id(delta.index)) if delta.name is not None else delta for delta in wanted]
        return [*([Text(text)] if text else []), *named]

    def _id(self, index: int) -> str:
        return f"chatcmpl-tool-{self._request.id}-{index}"  # as the service's begin
