"""What an engine's process says on stderr, of which the last lines are why it ended."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("llamalet.llama")

KEPT, WIDTH = 8192, 300  # bytes of the last lines, and characters of each
RATE = 50  # lines a second that are logged
_CHUNK = 4096

# llama.cpp prints grammars that it cannot read, and those are somebody's schema: only what is known to be no text of a
# request is kept.
_KNOWN = re.compile(
    r"\S+:\d+: (GGML_ASSERT\(|GGML_ABORT|fatal error)|terminate called|  what\(\):  |(libgomp|OMP|OpenBLAS)\b.*: "
    r"|(corrupted|double free|free\(\)|malloc\(\)|munmap_chunk\(\))[ :]|\*\*\* (stack smashing|buffer overflow)"
    r"|Fatal Python error: |(ImportError|ModuleNotFoundError|MemoryError|OSError): |\S+: error while loading shared"
    r"|  File \"[^\"]*\", line \d+ in \w+$|\S+: No module named "
)


class LastWords:
    """Reads a stream to its end, on a thread of its own."""

    def __init__(self, stream: BinaryIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._lines: deque[str] = deque()
        self._size = 0
        self._second, self._logged = 0.0, 0
        self.withheld = 0  # lines that may be text of a request
        self._thread = threading.Thread(target=self._run, name="llamalet-stderr", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> str:
        """The last lines, joined; waits so long at most for the end of the stream."""
        self._thread.join(seconds)
        return " | ".join(line.strip() for line in tuple(self._lines) if not line.startswith("  File "))

    def _run(self) -> None:
        rest = b""
        with self._stream:
            while chunk := self._stream.read1(_CHUNK):  # type: ignore[attr-defined]
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._keep(line)
                rest = rest[:_CHUNK]
            self._keep(rest)

    def _keep(self, line: bytes) -> None:
        text = line[: 4 * WIDTH].decode("utf-8", "replace").rstrip()[:WIDTH]
        if not text:
            return
        if not _KNOWN.match(text):
            self.withheld += 1
            return
        self._lines.append(text)
        self._size += len(text)
        while self._size > KEPT:
            self._size -= len(self._lines.popleft())
        self._log(text)

    def _log(self, text: str) -> None:
        now = self._clock()
        if now - self._second >= 1:
            self._second, self._logged = now, 0
        self._logged += 1
        if self._logged <= RATE:
            log.debug("%s", text)
