"""Where callers' threads and the engine's meet: the requests that have come in and not ended."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from runtime.errors import EngineClosed, InvalidRequest, QueueFull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime.engine.sequence import Sequence
    from runtime.values import Request


class Inbox:
    """Holds the requests that have not ended: at most `slots` that may run, and `queue` that wait.

    `abort` is called with True to end the batch that is being decoded, when nobody wants it any more, and with False
    before the next.
    """

    def __init__(self, slots: int, queue: int, abort: Callable[[bool], None]) -> None:
        self._slots, self._queue, self._abort = slots, queue, abort
        # Reentrant, since the garbage collector may drop a stream, which cancels it, in the middle of anything here.
        self._lock = threading.Condition(threading.RLock())
        self._open: dict[str, Sequence] = {}
        self._arrived: list[Sequence] = []
        self._cancelled: set[str] = set()
        self._in_batch: set[str] = set()
        self._closing = False

    # -- for callers, on any thread --------------------------------------------------------------------------------

    def check(self, request: Request) -> None:
        """Raise `EngineClosed`, `QueueFull`, or `InvalidRequest` for an id that is in use."""
        with self._lock:
            if self._closing:
                raise EngineClosed("The engine is closed.")
            if request.id in self._open:
                raise InvalidRequest(f"There is a request {request.id!r} already.")
            room = self._slots + (0 if request.reject_if_busy else self._queue)
            if len(self._open) >= room:
                raise QueueFull(
                    f"{len(self._open)} requests are running or waiting, and there is room for {room}.",
                    "Try again in a moment.",
                )

    def put(self, sequence: Sequence) -> None:
        """Hand a request to the engine; raises as `check` does."""
        with self._lock:
            self.check(sequence.request)
            self._open[sequence.request.id] = sequence
            self._arrived.append(sequence)
            self._lock.notify()

    def cancel(self, request_id: str) -> None:
        """Have the engine drop a request at its next step, which begins at once if nobody else is in this one."""
        with self._lock:
            if request_id in self._open:
                self._cancelled.add(request_id)
                if self._in_batch == {request_id}:
                    self._abort(True)

    def close(self) -> None:
        """Take nothing in any more, and have the engine stop."""
        with self._lock:
            self._closing = True
            self._abort(True)
            self._lock.notify()

    # -- for the engine's thread -----------------------------------------------------------------------------------

    def wait(self) -> bool:
        """Until there is work; False when it is time to stop."""
        with self._lock:
            while not (self._closing or self._open):
                self._lock.wait()
            if not self._closing:
                self._abort(False)
            return not self._closing

    def take(self) -> tuple[list[Sequence], list[Sequence]]:
        """What has arrived since the last time, and what was cancelled."""
        with self._lock:
            arrived, self._arrived = self._arrived, []
            cancelled = [self._open[name] for name in self._cancelled if name in self._open]
            self._cancelled.clear()
            return arrived, cancelled

    @contextlib.contextmanager
    def decoding(self, sequences: list[Sequence]) -> Iterator[None]:
        """While these are in the batch that is being decoded."""
        with self._lock:
            self._in_batch = {sequence.request.id for sequence in sequences}
        try:
            yield
        finally:
            with self._lock:
                self._in_batch = set()

    def end(self, sequence: Sequence) -> None:
        """A request has ended: there is room for another."""
        with self._lock:
            del self._open[sequence.request.id]
            self._cancelled.discard(sequence.request.id)  # else it would meet the next one of that name

    def empty(self) -> list[Sequence]:
        """Close, and give all requests that have not ended."""
        with self._lock:
            self._closing = True
            left, self._open = list(self._open.values()), {}
            return left
