"""How far a file has come: what a caller is told while it waits."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Phase = Literal["waiting", "checking", "downloading", "retrying"]

OFTEN = 0.1  # seconds between two reports; a terminal shows no more
WINDOW = 5.0  # seconds that the rate is the mean of


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment in the life of a file that is being fetched or checked.

    phase: "waiting" while another process fetches the same file, "checking" while bytes that are here are hashed,
    "retrying" while a server that is busy or gone is given time, else "downloading".
    done and total: bytes. rate: bytes a second, 0 while unknown. remaining: seconds, None while unknown.
    """

    file: str
    phase: Phase
    done: int
    total: int
    rate: float = 0.0
    remaining: float | None = None


@dataclass(frozen=True, slots=True)
class Pulled:
    """A file that is here, whole and checked. fetched: bytes that came over the network for it this time.

    sha256 is None where none is known to compare with, and nothing was fetched.
    """

    path: Path
    size: int
    sha256: str | None
    fetched: int


class Meter:
    """Counts the bytes of one file, and reports them: each change of phase, and else every tenth of a second.

    What the caller's function raises ends the work; what is on the disk by then stays.
    """

    def __init__(
        self, file: str, report: Callable[[Progress], None] | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.file, self.fetched = file, 0
        self._report, self._clock = report or (lambda _: None), clock
        self._phase: Phase = "checking"
        self._total, self._next = 0, 0.0
        self._samples: deque[tuple[float, int]] = deque()  # (when, bytes done by then), the last WINDOW seconds

    def begin(self, phase: Phase, done: int, total: int) -> None:
        """Another phase, reported at once."""
        self._phase, self._total, self._next = phase, total, 0.0
        self._samples.clear()
        self.at(done)

    def at(self, done: int) -> None:
        """So many bytes are done now."""
        now = self._clock()
        if now < self._next and done != self._total:
            return
        self._next = now + OFTEN
        self._samples.append((now, done))
        while now - self._samples[0][0] > WINDOW and len(self._samples) > 2:
            self._samples.popleft()
        since, before = self._samples[0]
        rate = (done - before) / (now - since) if now > since else 0.0
        remaining = (self._total - done) / rate if rate > 0 else None
        self._report(Progress(self.file, self._phase, done, self._total, rate, remaining))
