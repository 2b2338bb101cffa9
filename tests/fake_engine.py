"""An engine that follows a script: for the layers above the engine."""

from __future__ import annotations

import json
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from runtime import loading, settings
from runtime.catalog import Catalog
from runtime.errors import EngineClosed, EngineDied
from runtime.fit import MARGIN, Room
from runtime.values import Done, Failed, Text, Timings, ToolCall, ToolCallDelta, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from runtime.engine import Emit, EngineConfig
    from runtime.values import Event, FinishReason, Request

TIMINGS = Timings(queue=0.001, prompt=0.01, decode=0.1)


def answer(*pieces: str, reason: FinishReason = "stop", prompt_tokens: int = 5) -> list[Event]:
    """The events of an answer in these pieces, a token each."""
    return [*(Text(piece) for piece in pieces), Done(reason, Usage(prompt_tokens, len(pieces)), TIMINGS)]


def calling(*calls: tuple[str, dict[str, Any]], text: str = "", reason: FinishReason = "tool_calls") -> list[Event]:
    """The events of an answer that calls these tools, after some text."""
    whole = tuple(ToolCall(name, arguments, f"id{at}") for at, (name, arguments) in enumerate(calls))
    deltas = [ToolCallDelta(at, call.name, json.dumps(call.arguments), call.id) for at, call in enumerate(whole)]
    return [*([Text(text)] if text else []), *deltas, Done(reason, Usage(5, len(calls)), TIMINGS, whole)]


class FakeEngine:
    """Answers each request with the next script, at once. A script without an end waits to be cancelled or closed."""

    death: EngineDied | None = None

    def __init__(self, scripts: Iterable[list[Event] | Exception] = ()) -> None:
        self.scripts = deque(scripts)
        self.requests: list[Request] = []
        self.config: EngineConfig | None = None
        self.closed = threading.Event()
        self.running: dict[str, Emit] = {}

    def submit(self, request: Request, emit: Emit) -> None:
        if self.closed.is_set():
            raise EngineClosed("The fake engine is closed.")
        self.requests.append(request)
        script = self.scripts.popleft() if self.scripts else answer("ok")
        if isinstance(script, Exception):
            raise script
        self.running[request.id] = emit
        for event in script:
            self._emit(request.id, event)

    def cancel(self, request_id: str) -> None:
        self._emit(request_id, Done("cancelled", Usage(5, 0), TIMINGS))

    def close(self) -> None:
        self.closed.set()
        for request_id in list(self.running):
            self._emit(request_id, Failed(EngineClosed("The fake engine was closed.")))

    def _emit(self, request_id: str, event: Event) -> None:
        emit = self.running.get(request_id)
        if isinstance(event, Done | Failed):
            self.running.pop(request_id, None)
        if emit:
            emit(event)


class FakeEngines:
    """Makes an engine for each list of scripts, then some without any. `alive` counts those open as each is made."""

    def __init__(self, *scripts: list[list[Event] | Exception]) -> None:
        self.scripts = deque(scripts)
        self.made: list[FakeEngine] = []
        self.alive: list[int] = []

    def __call__(self, config: EngineConfig, progress: Callable[[float], None]) -> FakeEngine:
        progress(0.5)
        engine = FakeEngine(self.scripts.popleft() if self.scripts else ())
        engine.config = config
        self.made.append(engine)
        self.alive.append(sum(not one.closed.is_set() for one in self.made))
        return engine


def room_for(count: int, path: Path | str) -> int:
    """What to set `memory` to, so that so many models like this one fit, and not one more."""
    return MARGIN + count * planned(path).memory


def planned(path: Path | str) -> EngineConfig:
    """How a model is loaded where there is room."""
    choice = Catalog(()).with_files([path]).find(str(path))
    return loading.configure(choice, settings.load(env={}), Room(1 << 40))
