"""An answer on its way to a client that may leave at any moment."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.aio import EventQueue
from runtime.errors import EngineError, LlamaletError
from runtime.server.replies import failure, headers, refusal
from runtime.values import Done, Failed
from runtime.wire import envelope

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.types import Receive, Scope, Send

    from runtime.aio import AsyncRuntime
    from runtime.pipeline import Job
    from runtime.values import Event

log = logging.getLogger("llamalet.server")

T = TypeVar("T")
FIRST_BYTE = 0.8  # seconds: clients and proxies give up on those who are silent, so a byte comes within a second
HEARTBEAT = 10.0  # seconds between signs of life after that


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


class EventStream:
    """A response of server-sent events: `data:` lines, as the service streams them.

    What goes wrong before the first byte is an ordinary error; after it, the last event tells it, and `[DONE]` is
    missing.
    """

    def __init__(self, ai: AsyncRuntime, job: Job) -> None:
        self._ai, self._job = ai, job
        self._events, self._answer = EventQueue(), job.answer()
        self._parity = ai.settings.parity
        self._has_begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await until_gone(receive, self._run(scope, receive, send))

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        starting = asyncio.ensure_future(self._start())
        try:
            await self._pass_on(scope, send)
        except LlamaletError as error:
            await refusal(scope, error, parity=self._parity)(scope, receive, send)
        finally:
            starting.cancel()
            if starting.done() and not starting.cancelled() and (ticket := starting.result()):
                ticket.cancel()

    async def _start(self) -> Any:
        """Begin the run. That it could not be begun is its first and last event."""
        try:
            return await self._ai.start(self._job, self._events.emit)
        except LlamaletError as error:
            self._events.put_nowait(Failed(error))
        except Exception:
            log.exception("a run could not be begun")
            self._events.put_nowait(Failed(EngineError("The run could not be begun.")))
        return None

    async def _pass_on(self, scope: Scope, send: Send) -> None:
        """Write what there is as soon as it is there, all of it at once."""
        now = asyncio.get_running_loop().time
        silent_until = now() + FIRST_BYTE
        ended = False
        while not ended:
            events = await self._batch(silent_until)
            ended = bool(events) and isinstance(events[-1], Done | Failed)
            lines = self._lines(scope, events)
            if not lines and now() >= silent_until:
                lines = envelope.line(envelope.HEARTBEAT)
            if lines or ended:
                await self._write(scope, send, lines, more=not ended)
                silent_until = now() + HEARTBEAT

    async def _batch(self, until: float) -> list[Event]:
        """All events that have come, waiting for the first; none when the time is over."""
        events: list[Event] = []
        try:
            async with asyncio.timeout_at(until):
                events.append(await self._events.get())
        except TimeoutError:
            return events
        while not self._events.empty():
            events.append(self._events.get_nowait())
        return events

    def _lines(self, scope: Scope, events: list[Event]) -> bytes:
        """Raises what the run failed with, if nothing was written yet."""
        lines = b""
        for event in events:
            if isinstance(event, Failed) and (self._has_begun or lines):
                error = event.error if isinstance(event.error, LlamaletError) else EngineError(str(event.error))
                return lines + envelope.line(envelope.HEARTBEAT | failure(scope, error, parity=self._parity))
            shown = self._answer.stream(event)
            lines += envelope.line(shown) if shown is not None else b""
            lines += envelope.END if isinstance(event, Done) else b""
        return lines

    async def _write(self, scope: Scope, send: Send, lines: bytes, *, more: bool) -> None:
        if not self._has_begun:
            self._has_begun = True
            fields = {"content-type": "text/event-stream", **headers(scope)}
            raw = [(name.encode(), value.encode()) for name, value in fields.items()]
            await send({"type": "http.response.start", "status": 200, "headers": raw})
        await send({"type": "http.response.body", "body": lines, "more_body": more})
