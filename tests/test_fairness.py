"""A long prompt beside short streams: none of them waits for more than two of its chunks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from runtime import Runtime
from runtime.engine import EngineConfig
from runtime.values import Done, Failed, Progress, Text
from tests.engines import PATIENCE, ask, submit
from tests.gate import GatedEngine
from tests.load import HOMES, Asked, at
from tests.models import expected

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.values import Event

CHUNKS = 2  # of the long prompt, in which a stream may get nothing
SHORT, LONG = range(1, 8), 9  # keys
PROMPT = 8000  # tokens
ENDLESS = 5000  # tokens of a short stream: more than are written while the long prompt is read


class Log:
    """All events of all requests, in the order in which they come."""

    def __init__(self) -> None:
        self.events: list[tuple[int, Event]] = []
        self._came = threading.Condition()

    def of(self, key: int) -> Any:
        def emit(event: Event) -> None:
            with self._came:
                self.events.append((key, event))
                self._came.notify_all()

        return emit

    def wait_for(self, kind: type[Any], *keys: int) -> None:
        """Until each of these has an event of that kind."""
        with self._came:
            assert self._came.wait_for(lambda: all(self.has(key, kind) for key in keys), PATIENCE)

    def has(self, key: int, kind: type[Any]) -> bool:
        return any(one == key and isinstance(event, kind) for one, event in self.events)

    def text(self, key: int) -> str:
        return "".join(event.text for one, event in self.events if one == key and isinstance(event, Text))


def stalls(events: list[tuple[int, Event]]) -> dict[int, int]:
    """By short stream, the most chunks of the long prompt that came between two pieces of its text."""
    most, now = dict.fromkeys(SHORT, 0), dict.fromkeys(SHORT, 0)
    for key, event in events:
        if key == LONG and isinstance(event, Progress):
            now = {one: count + 1 for one, count in now.items()}
        elif key in now and isinstance(event, Text):
            most[key], now[key] = max(most[key], now[key]), 0
    return {key: max(most[key], now[key]) for key in SHORT}


@pytest.mark.parametrize("home", HOMES)
def test_no_stream_waits_for_more_than_two_chunks_of_a_long_prompt(home: str, canary: Path) -> None:
    log = Log()
    with Runtime(files=[canary], threads=1, slots=8, context=65536, **at(home)) as ai:
        model = ai.catalog.models[-1].id
        tickets = [ai.start(ai.prepare(model, Asked(key, ENDLESS).body), log.of(key)) for key in SHORT]
        log.wait_for(Text, *SHORT)
        ai.start(ai.prepare(model, Asked(LONG, 3, before=PROMPT).body), log.of(LONG))
        log.wait_for(Done, LONG)
        for ticket in tickets:
            ticket.cancel()
        log.wait_for(Done, *SHORT)
    first, last = (next(i for i in order if log.events[i][0] == LONG) for order in orders(log))
    while_read = log.events[first:last]
    chunks = sum(key == LONG and isinstance(event, Progress) for key, event in while_read)
    assert chunks >= PROMPT / 256
    assert not [key for key, event in while_read if key in SHORT and isinstance(event, Done | Failed)]
    assert max(stalls(while_read).values()) <= CHUNKS
    assert log.text(LONG) == expected(LONG, 3)
    assert all(expected(key, ENDLESS).startswith(log.text(key)) for key in SHORT)


def orders(log: Log) -> tuple[range, range]:
    count = len(log.events)
    return range(count), range(count - 1, -1, -1)


def test_who_comes_with_a_short_prompt_is_answered_within_two_chunks_of_a_long_one(canary: Path) -> None:
    engine = GatedEngine(EngineConfig(canary, context=16384, slots=8))
    try:
        engine.hold()
        long = submit(engine, ask(LONG, 3, before="~" * PROMPT, name="long"))
        reading = engine.sequence(LONG)
        engine.step_until(lambda: reading.n_past > 0)
        for key in SHORT:
            short = submit(engine, ask(key, 300, name=f"short {key}"))
            writing = engine.sequence(key)
            engine.steps(CHUNKS)
            assert len(writing.tokens) > writing.n_prompt
            assert short.next() is not None
        assert reading.is_reading
        engine.release()
        assert long.whole() == expected(LONG, 3)
    finally:
        engine.close()
