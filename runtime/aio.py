"""`AsyncRuntime`: the same names as `Runtime`, awaited."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self, TypeVar

from runtime import toolrounds
from runtime.errors import EngineClosed, QueueFull
from runtime.observer import Observer
from runtime.session import Runtime
from runtime.values import Done, Failed
from runtime.wire import workers_ai

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from runtime.documents import Result
    from runtime.engine import Emit
    from runtime.pipeline import Job, Ticket
    from runtime.resident import Loaded
    from runtime.session import Inputs, Model
    from runtime.toolrounds import Messages, Tools
    from runtime.values import Event

E = TypeVar("E")
LOADERS = 4  # threads that begin runs: tokenizing blocks, and so does loading; waiting for events does not


class EventQueue(asyncio.Queue[E]):
    """Carries events from the engine's thread into this event loop."""

    def __init__(self) -> None:
        super().__init__()
        self._into = asyncio.get_running_loop()

    def emit(self, event: E) -> None:
        """Put an event in, from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._into.call_soon_threadsafe(self.put_nowait, event)


class AsyncStream:
    """The answer as it comes: an asynchronous iterator of the events of a `Stream`.

    Leaving it early, by `close()`, the end of an `async with` block, or by dropping it, cancels the request.
    """

    def __init__(self, ticket: Ticket, events: EventQueue[Event], answer: workers_ai.Answer) -> None:
        self._ticket, self._events, self._answer = ticket, events, answer
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        while not self._ended:
            event = await self._events.get()
            self._ended = isinstance(event, Done | Failed)
            shown = self._answer.stream(event)
            if shown is not None:
                return shown
        raise StopAsyncIteration

    def cancel(self) -> None:
        """Stop the answer. Going on to iterate gives what was written until then, and the end, whose `finish_reason`
        is "cancelled"."""
        self._ticket.cancel()

    async def close(self) -> None:
        """Cancel, and give nothing more."""
        self._ticket.cancel()
        self._ended = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __del__(self) -> None:
        self._ticket.cancel()


class AsyncRuntime:
    """`Runtime` for asyncio: takes and gives the same. A thin bridge; a task that is cancelled cancels its run.

    async with AsyncRuntime() as ai:
        answer = await ai.run("1b", {"prompt": "Why is the sky blue?"})
    """

    def __init__(self, **options: Any) -> None:
        """Options are those of `Runtime`."""
        self._runtime = Runtime(**options)
        self.settings, self.catalog = self._runtime.settings, self._runtime.catalog
        # Runs of models that are there have threads of their own, else they would wait behind those that load.
        self._threads, self._loaders = (ThreadPoolExecutor(LOADERS, thread_name_prefix="llamalet") for _ in range(2))
        self._observer = Observer()
        self._starting = 0  # runs that have not begun: they wait for the pool, or for a model

    async def run(self, model: Model, inputs: Inputs = None, /, **options: Any) -> Any:
        """As `Runtime.run`; with `stream: True` it gives an `AsyncStream`."""
        job = await self.fetch(await self.prepare(model, workers_ai.merged(inputs, options)))
        if not job.inputs.stream:
            return await self.answer(job)
        events: EventQueue[Event] = EventQueue()
        return AsyncStream(await self.start(job, events.emit), events, job.answer())

    async def run_with_tools(
        self, model: Model, messages: Messages, *, tools: Tools, max_rounds: int = toolrounds.ROUNDS, **options: Any
    ) -> dict[str, Any]:
        """As `Runtime.run_with_tools`. Coroutine functions among the tools run in this event loop."""
        return await toolrounds.run_async(self, model, messages, tools, max_rounds, **options)

    async def prepare(self, model: Model, body: Mapping[str, Any]) -> Job:
        """As `Runtime.prepare`."""
        # Not in the pool: its threads may all be waiting for a model to load, which this does not need.
        return await asyncio.to_thread(self._runtime.prepare, model, body)

    async def fetch(self, job: Job) -> Job:
        """As `Runtime.fetch`. Cancelled while the file comes, it stops that; what has come stays."""
        try:
            return await asyncio.to_thread(self._runtime.fetch, job)
        except asyncio.CancelledError:
            self.withdraw(job)
            raise

    async def pull(self, model: Model) -> Path:
        """As `Runtime.pull`."""
        return await asyncio.to_thread(self._runtime.pull, model)

    async def answer(self, job: Job) -> Result:
        """As `Runtime.answer`."""
        while (result := job.result(await self._answer(job))) is None:
            job = job.again()
        return result

    async def _answer(self, job: Job) -> dict[str, Any]:
        events: EventQueue[Event] = EventQueue()
        ticket = await self.start(job, events.emit)
        answer = job.answer()
        try:
            while (whole := answer.add(await events.get())) is None:
                pass
        finally:
            ticket.cancel()
        return whole

    async def start(self, job: Job, emit: Emit) -> Ticket:
        """As `Runtime.start`. Cancelled while it waits, it withdraws the job, or takes back the run that has begun.

        Raises `QueueFull` too when as many runs wait to begin as may wait in an engine.
        """
        with self._observer.run(job, emit) as emit:
            return await self._start(job, emit)

    async def _start(self, job: Job, emit: Emit) -> Ticket:
        room = self.settings.slots + (0 if job.request.reject_if_busy else self.settings.queue)
        if self._starting >= room:
            raise QueueFull(f"{self._starting} requests wait to begin.", "Try again in a moment.")
        self._starting += 1
        try:
            async with asyncio.timeout(job.deadline.left):
                return await self._begun(job, emit)
        except TimeoutError:
            raise job.deadline.missed() from None
        finally:
            self._starting -= 1

    async def _begun(self, job: Job, emit: Emit) -> Ticket:
        try:
            pool = self._threads if self._runtime._is_ready(job) else self._loaders
            begun = pool.submit(self._runtime._start, job, emit)  # the observer knows
        except RuntimeError:  # the pool has shut down
            raise EngineClosed("This runtime is closed.") from None
        try:
            return await asyncio.wrap_future(begun)
        except asyncio.CancelledError:
            if not begun.cancel():
                begun.add_done_callback(_take_back)
                self.withdraw(job)
            raise

    def withdraw(self, job: Job) -> None:
        """As `Runtime.withdraw`."""
        self._runtime.withdraw(job)

    async def load(self, model: Model) -> None:
        """As `Runtime.load`."""
        await asyncio.to_thread(self._runtime.load, model)

    async def unload(self, model: Model | None = None) -> None:
        """As `Runtime.unload`."""
        await asyncio.to_thread(self._runtime.unload, model)

    def loaded(self) -> tuple[Loaded, ...]:
        """As `Runtime.loaded`. It waits for nothing, so it is not awaited."""
        return self._runtime.loaded()

    def observe(self, observer: Observer) -> None:
        """As `Runtime.observe`. The observer's `run` is called in the task that begins a run."""
        self._observer = observer
        self._runtime.observe(observer)

    async def close(self) -> None:
        """As `Runtime.close`."""
        # Not in the pool: its threads may all be waiting for a model to load, which closing ends.
        await asyncio.to_thread(self._runtime.close)
        for pool in (self._threads, self._loaders):
            pool.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _take_back(begun: Future[Ticket]) -> None:
    if not begun.cancelled() and begun.exception() is None:
        begun.result().cancel()
