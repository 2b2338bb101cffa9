"""Answers on their way to a client that may leave at any moment."""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from runtime.aio import EventQueue
from runtime.errors import EngineError, LlamaletError, TooSlow
from runtime.server.replies import failure, headers, refusal
from runtime.values import Done, Event, Failed
from runtime.wire import envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from starlette.types import Receive, Scope, Send

    from runtime.aio import AsyncRuntime
    from runtime.pipeline import Job, Ticket

log = logging.getLogger("llamalet.server")

T = TypeVar("T")
FIRST_BYTE = 0.8  # seconds: clients and proxies give up on those who are silent, so a byte comes within a second
HEARTBEAT = 10.0  # seconds between signs of life after that
OUTBOX = 4096  # events that wait at most for a client that does not read; some 100 KB of text, and minutes on a CPU


async def until_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` gives, or None when the client has left before; then the work is cancelled."""
    working = asyncio.ensure_future(work)
    tasks = {working, asyncio.ensure_future(_gone(receive))}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _gone(receive: Receive) -> None:
    """Until the client has closed, reset or half-closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Script(Protocol):
    """How the events of runs are written; each as `workers_ai.Answer.stream` shows it."""

    heartbeat: bytes  # a sign of life

    def lines(self, at: int, event: Mapping[str, Any]) -> bytes:
        """For an event of the run `at`."""

    def end(self) -> bytes:
        """Behind the end of the last run."""

    def failure(self, told: Mapping[str, Any]) -> bytes:
        """For an error, when others were written: the last."""


class Native:
    """As the service writes the events of one run."""

    heartbeat = envelope.line(envelope.HEARTBEAT)

    def lines(self, at: int, event: Mapping[str, Any]) -> bytes:
        return envelope.line(event)

    def end(self) -> bytes:
        return envelope.END

    def failure(self, told: Mapping[str, Any]) -> bytes:
        return envelope.line({**envelope.HEARTBEAT, **told})


class Outbox(EventQueue[tuple[int, Event]]):
    """The events that have come and are not written. While the writer waits for its client, `full` is called when they
    are too many: then they end with an error, and what comes later is dropped."""

    def __init__(self, full: Callable[[], None]) -> None:
        super().__init__()
        self._full, self._is_full = full, False
        self.is_stuck = False  # whether the writer waits

    def put_nowait(self, item: tuple[int, Event]) -> None:
        if self.is_stuck and not self._is_full and self.qsize() >= OUTBOX:
            self._is_full = True
            log.warning("%d events wait for a client that does not read; its request was cancelled", OUTBOX)
            said = f"The answer was not read: {OUTBOX} pieces of it waited to be sent."
            super().put_nowait((item[0], Failed(TooSlow(said, "Read a stream as it comes."))))
            self._full()
        elif not self._is_full:
            super().put_nowait(item)


class EventStream:
    """A response of server-sent events: those of one run, or of several side by side, as `script` writes them.

    What goes wrong before the first byte is an ordinary error; after it, the last event tells it, and the end is
    missing.
    """

    def __init__(self, ai: AsyncRuntime, jobs: Sequence[Job], script: Script) -> None:
        self._ai, self._jobs, self._script = ai, jobs, script
        self._events = Outbox(self._cancel)
        self._answers = [job.answer() for job in jobs]
        self._tickets: list[Ticket] = []
        self._running = len(jobs)
        self._has_begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await until_gone(receive, self._run(scope, receive, send))

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        starting = asyncio.ensure_future(self._start())
        try:
            await self._pass_on(scope, send)
        except LlamaletError as error:
            await refusal(scope, error, parity=self._ai.settings.parity)(scope, receive, send)
        except Exception:
            if not self._has_begun:
                raise  # the application tells it
            log.exception("a stream could not be gone on with")
            told = failure(scope, EngineError("Internal error.", "The server's log says more."))
            await self._write(scope, send, self._script.failure(told), more=False)
        finally:
            starting.cancel()
            self._cancel()

    async def _start(self) -> None:
        """Begin the runs. That one could not be begun is its first and last event."""
        for at, job in enumerate(self._jobs):
            emit = functools.partial(self._emit, at)
            try:
                self._tickets.append(await self._ai.start(job, emit))
            except LlamaletError as error:
                emit(Failed(error))
                return
            except Exception:
                log.exception("a run could not be begun")
                emit(Failed(EngineError("The run could not be begun.")))
                return

    def _cancel(self) -> None:
        for ticket in self._tickets:
            ticket.cancel()

    def _emit(self, at: int, event: Event) -> None:
        self._events.emit((at, event))

    async def _pass_on(self, scope: Scope, send: Send) -> None:
        """Write what there is as soon as it is there, all of it at once."""
        now = asyncio.get_running_loop().time
        silent_until = now() + FIRST_BYTE
        while self._running:
            lines = self._lines(scope, await self._batch(silent_until))
            if not lines and now() >= silent_until:
                lines = self._script.heartbeat
            if lines or not self._running:
                await self._write(scope, send, lines, more=bool(self._running))
                silent_until = now() + HEARTBEAT

    async def _batch(self, until: float) -> list[tuple[int, Event]]:
        """All events that have come, waiting for the first; none when the time is over."""
        events: list[tuple[int, Event]] = []
        try:
            async with asyncio.timeout_at(until):
                events.append(await self._events.get())
        except TimeoutError:
            return events
        while not self._events.empty():
            events.append(self._events.get_nowait())
        return events

    def _lines(self, scope: Scope, events: list[tuple[int, Event]]) -> bytes:
        """Raises what a run failed with, if nothing was written yet."""
        lines = b""
        for at, event in events:
            if isinstance(event, Failed) and (self._has_begun or lines):
                self._running = 0
                error = event.error if isinstance(event.error, LlamaletError) else EngineError(str(event.error))
                return lines + self._script.failure(failure(scope, error, parity=self._ai.settings.parity))
            shown = self._answers[at].stream(event)
            lines += self._script.lines(at, shown) if shown is not None else b""
            if isinstance(event, Done):
                self._running -= 1
                lines += b"" if self._running else self._script.end()
        return lines

    async def _write(self, scope: Scope, send: Send, lines: bytes, *, more: bool) -> None:
        if not self._has_begun:
            self._has_begun = True
            fields = {"content-type": "text/event-stream", **headers(scope)}
            raw = [(name.encode(), value.encode()) for name, value in fields.items()]
            await send({"type": "http.response.start", "status": 200, "headers": raw})
        self._events.is_stuck = True  # no event can come while it is not: sending gives way to nobody then
        await send({"type": "http.response.body", "body": lines, "more_body": more})
        self._events.is_stuck = False
