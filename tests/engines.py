"""Real engines on the small models, and what tests ask of them."""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runtime.engine import EngineConfig
from runtime.engine.local import LocalEngine
from runtime.engine.remote import RemoteEngine
from runtime.values import Done, Event, Failed, Progress, Request, Sampling, Segment, Text
from tests.models import key_token

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runtime import Runtime
    from runtime.engine import Engine

GREEDY = Sampling(temperature=0.0)
PATIENCE = 60  # seconds until a test that waits for an event gives up


@dataclass
class Caller:
    """Where one request's events arrive."""

    events: list[Event] = field(default_factory=list)
    _queue: queue.SimpleQueue[Event] = field(default_factory=queue.SimpleQueue)

    def emit(self, event: Event) -> None:
        self._queue.put(event)

    def next(self) -> Event:
        self.events.append(self._queue.get(timeout=PATIENCE))
        return self.events[-1]

    def until(self, *kinds: type[Any]) -> Any:
        """The next event of these kinds."""
        while not isinstance(event := self.next(), kinds):
            pass
        return event

    def end(self) -> Done | Failed:
        """The last event, waiting for it."""
        last = self.events[-1] if self.events else None
        return last if isinstance(last, Done | Failed) else self.until(Done, Failed)

    def done(self) -> Done:
        end = self.end()
        assert isinstance(end, Done), end
        return end

    def failure(self) -> Exception:
        end = self.end()
        assert isinstance(end, Failed), end
        return end.error

    def whole(self) -> str:
        """The text of an answer, waiting for its end."""
        self.done()
        return self.text

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Text))

    @property
    def progress(self) -> list[Progress]:
        return [event for event in self.events if isinstance(event, Progress)]


def engine(model: Path, *, cpu_clock: Callable[[], float] = time.thread_time, **config: Any) -> LocalEngine:
    """An engine with one thread: on small models, more only wait for each other."""
    return LocalEngine(EngineConfig(model, **{"threads": 1, **config}), cpu_clock=cpu_clock)


def remote(model: Path, watchdog: float = 30.0, **config: Any) -> RemoteEngine:
    """The same in a process of its own."""
    return RemoteEngine(EngineConfig(model, **{"threads": 1, **config}), watchdog=watchdog)


HOMES: dict[str, Callable[..., LocalEngine | RemoteEngine]] = {"local": engine, "remote": remote}


def plain(text: str) -> tuple[Segment, ...]:
    return (Segment("<|begin_of_text|>", special=True), Segment(text))


def ask(key: int = 7, max_tokens: int = 8, *, before: str = "", name: str = "one", **options: Any) -> Request:
    """A request to the canary."""
    options = {"sampling": GREEDY, **options}
    return Request(name, plain(f"{before}{key_token(key)}"), max_tokens=max_tokens, **options)


def submit(running: Engine, request: Request) -> Caller:
    caller = Caller()
    running.submit(request, caller.emit)
    return caller


def engine_in(ai: Runtime) -> Any:
    """The engine of the one model that is in memory; None if none is."""
    return next((one.engine for one in ai._residence._residents), None)


def cells_in_use(running: LocalEngine) -> int:
    """KV cells that llama.cpp holds for any sequence. Only while the engine is idle."""
    context = running._context
    return sum(context.length(slot) for slot in range(context.n_seq_max))
