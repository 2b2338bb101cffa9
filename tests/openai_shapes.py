"""What OpenAI's shapes make of scripted answers: the way from events to JSON, without an engine or a server."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runtime.values import Done, TokenLogprob
from runtime.wire import workers_ai
from runtime.wire.openai.head import Head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.server.openai import Shape
    from runtime.values import Event

HEAD = Head("id", 1700000000, "@cf/meta/tiny")
HI = TokenLogprob(3, b"Hi", -0.25, ((3, b"Hi", -0.25), (4, b"\xe2", -2.0)))


def cached(events: list[Event], tokens: int) -> list[Event]:
    """The same answer, of whose prompt so many tokens were in the cache."""
    *others, end = events
    assert isinstance(end, Done)
    return [*others, replace(end, usage=replace(end.usage, cached_tokens=tokens))]


def whole(shape: Shape, *runs: list[Event]) -> dict[str, Any]:
    results = []
    for events in runs:
        answer = workers_ai.Answer()
        results += [found for event in events if (found := answer.add(event)) is not None]
    return shape.whole(results)


def streamed(shape: Shape, *runs: list[Event]) -> bytes:
    """All that is written of the runs, one behind the other."""
    written = b""
    for at, events in enumerate(runs):
        answer = workers_ai.Answer()
        shown = [answer.stream(event) for event in events]
        written += b"".join(shape.lines(at, event) for event in shown if event is not None)
    return written + shape.end()


def data(stream: bytes) -> list[Any]:
    """What the events hold; "[DONE]" where one is that."""
    *found, rest = stream.decode().split("\n\n")
    assert rest == ""
    lines = [line.removeprefix("data: ") for event in found for line in event.split("\n") if line.startswith("data: ")]
    assert len(lines) == len(found)
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def names(stream: bytes) -> Sequence[str]:
    """What the events are called, by their own lines."""
    return [line.removeprefix("event: ") for line in stream.decode().split("\n") if line.startswith("event: ")]
