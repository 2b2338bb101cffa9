"""Notices an engine that hangs: nothing that it counts goes on, though there is work."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

TICK = 1.0  # seconds between two looks, at most


class Watchdog:
    """Calls `hung` once, on its own thread, when `counts` gave the same for `seconds` while something was under way, or
    when something that is `due` was not done in that time. Seconds are counted in ticks: a machine that slept, or a
    program that was stopped, has taken no time. 0 seconds is never.
    """

    def __init__(self, seconds: float, counts: Callable[[], object], hung: Callable[[], None]) -> None:
        self._counts, self._hung = counts, hung
        self._tick = min(TICK, seconds / 10)
        self._patience = round(seconds / self._tick) if seconds else 0
        self._state = threading.Condition(threading.RLock())
        self.under_way: set[Hashable] = set()
        self._due: dict[Hashable, int] = {}  # ticks since
        self._closed = not seconds
        self.thread = threading.Thread(target=self._run, name="llamalet-watchdog", daemon=True)
        self.thread.start()

    def begin(self, key: Hashable) -> None:
        """Something is under way."""
        with self._state:
            self.under_way.add(key)
            self._state.notify()

    def expect(self, key: Hashable) -> None:
        """It has to be done in time, whatever the counts say."""
        with self._state:
            self._due[key] = 0

    def met(self, key: Hashable) -> None:
        """It was, and may be under way for as long as it likes."""
        with self._state:
            self._due.pop(key, None)

    def end(self, key: Hashable) -> None:
        with self._state:
            self._due.pop(key, None)
            self.under_way.discard(key)

    def close(self) -> None:
        with self._state:
            self._closed = True
            self._state.notify()
        if threading.current_thread() is not self.thread:
            self.thread.join()

    def _run(self) -> None:
        last, still = None, 0
        while self._wait():
            counts = self._counts()
            still = still + 1 if counts == last else 0
            last = counts
            if still >= self._patience or self._is_late():
                self._hung()
                return

    def _wait(self) -> bool:
        """Until the next look; False when it is time to stop."""
        with self._state:
            self._state.wait_for(lambda: self._closed or self.under_way)
            self._state.wait_for(lambda: self._closed, self._tick)
            return not self._closed

    def _is_late(self) -> bool:
        with self._state:
            for key in self._due:
                self._due[key] += 1
            return any(ticks > self._patience for ticks in self._due.values())
