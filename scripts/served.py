"""`llamalet serve` in a process of its own, for scripts that put load on it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[1]
CODE = "from runtime.cli import main; main(prog_name='llamalet')"
PATIENCE = 120  # seconds that it may take to load


class Served:
    """A server at `port`, for a `with` block. What it says goes into a file, `said()`."""

    def __init__(self, *args: str, environment: dict[str, str] | None = None) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        variables = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
        command = [sys.executable, "-c", CODE, "serve", "--host", "127.0.0.1", "--port", "0", *args]
        self._popen = subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL, stderr=self._log)
        found, listens = self._line(r"curl http://127\.0\.0\.1:(\d+)/ai/run/(\S+) -d")
        self.port, self.model = int(found[1]), found[2]
        _, loaded = self._line("loaded")
        self.load_seconds = loaded - listens

    def _line(self, pattern: str) -> tuple[re.Match[str], float]:
        """What it said, and when."""
        end = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self.said())) is None:
            if self._popen.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"the server did not start:\n{self.said()}")
            time.sleep(0.01)
        return found, time.monotonic()

    def said(self) -> str:
        return os.pread(self._log.fileno(), 1 << 20, 0).decode(errors="replace")

    def engine(self) -> psutil.Process | None:
        """The process that its engine lives in; None while there is none."""
        with contextlib.suppress(psutil.Error):
            for one in psutil.Process(self._popen.pid).children():
                if "runtime.engine.child" in one.cmdline():
                    return one
        return None

    def resident(self) -> int:
        """Bytes, of it and its engine's process."""
        total = 0
        for one in (psutil.Process(self._popen.pid), self.engine()):
            with contextlib.suppress(psutil.Error):
                total += one.memory_info().rss if one else 0
        return total

    def __enter__(self) -> Served:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._popen.terminate()
        try:
            self.code = self._popen.wait(60)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self.code = self._popen.wait()
        self._log.close()
