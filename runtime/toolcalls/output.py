"""What a parser has to give: text to be shown, and calls, whole or as they grow."""

from __future__ import annotations

import contextlib
import json

from runtime.toolcalls.literal import Unfit, container
from runtime.toolcalls.markers import Unmarked
from runtime.values import ToolCall, ToolCallDelta

Given = tuple[str, list[ToolCallDelta]]


class Output:
    """Collects what is certain, until it is taken. `calls` has all calls so far."""

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self.streams = False  # a call has been begun that is not whole
        self._count = 0  # of calls begun
        self._name = ""  # of the last
        self._text: list[str] = []
        self._unmarked = Unmarked()
        self._deltas: list[ToolCallDelta] = []

    def say(self, text: str) -> None:
        if text:
            self._text.append(text)

    def stream(self, name: str, more: str) -> None:
        """Some more of the arguments of a call that is not whole yet."""
        if not self.streams:
            self._begin(name, more)
            self.streams = True
        elif more:
            self._deltas.append(ToolCallDelta(self._count - 1, None, more))

    def end_stream(self, arguments: str) -> None:
        """The call that was begun gets no further. It is one if its arguments are whole."""
        with contextlib.suppress(Unfit):
            self.calls.append(ToolCall(self._name, container(arguments)))
        self.streams = False

    def call(self, call: ToolCall) -> None:
        """A whole call. If it was streamed, its text has been given."""
        self.calls.append(call)
        if not self.streams:
            self._begin(call.name, json.dumps(call.arguments, ensure_ascii=False))
        self.streams = False

    def take(self) -> Given:
        given = self._unmarked.feed("".join(self._text)), self._deltas
        self._text, self._deltas = [], []
        return given

    def finish(self) -> Given:
        content, deltas = self.take()
        return content + self._unmarked.finish(), deltas

    def _begin(self, name: str, arguments: str) -> None:
        self._name = name
        self._deltas.append(ToolCallDelta(self._count, name, arguments))
        self._count += 1
