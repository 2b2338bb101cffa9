"""The process of an engine, as the one that starts it sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import site
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from runtime.engine.lastwords import LastWords
from runtime.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.engine.page import Page

FLAG = "--llamalet-engine"  # by which a frozen program is started as an engine
LEAVE = 2.0  # seconds that a process gets to end when it is told to

_freezes = False


def freeze_support() -> None:
    """Call this first in the `main` of a program that is frozen into one file: started as an engine's process, it
    becomes one here, and does not come back. Otherwise nothing happens."""
    global _freezes
    _freezes = True
    if sys.argv[1:] == [FLAG]:
        from runtime.engine.child import main

        main()


def command() -> list[str]:
    """What starts an engine. Raises `EngineError` where that would start something else."""
    if getattr(sys, "frozen", False):
        if not _freezes:
            raise EngineError(
                "This program is frozen, and does not call runtime.freeze_support().",
                "Call it first in its main, or set isolation to none.",
            )
        return [sys.executable, FLAG]
    if not sys.executable:
        raise EngineError("Python does not know its own program here.", "Set isolation to none.")
    return [sys.executable, "-P", "-m", "runtime.engine.child"]


def environment(given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The parent's, with idle threads that sleep, and with the folder of this package, which the program may have
    found by itself."""
    made = {"OMP_WAIT_POLICY": "passive", **given}
    folder = str(Path(__file__).resolve().parents[2])
    # Modules of PYTHONPATH come before Python's own, which those beside an installed package must not.
    if folder not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages()):
        made["PYTHONPATH"] = os.pathsep.join(filter(None, (folder, given.get("PYTHONPATH"))))
    return made


class Process:
    """An engine's process that runs. It ends when its stdin does."""

    def __init__(self, page: Page) -> None:
        """Raises `EngineError` when it cannot be started."""
        windows = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - of this very program
                command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(),
                pass_fds=() if page.fd is None else (page.fd,),
                creationflags=windows,
            )
        except OSError as error:
            raise EngineError(f"The engine's process cannot be started: {error}.") from error
        finally:
            page.close_fd()
        self.pid = self._process.pid
        self.stdin = cast("BinaryIO", self._process.stdin)
        self.stdout = cast("BinaryIO", self._process.stdout)
        self._words = LastWords(cast("BinaryIO", self._process.stderr))

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            self._process.kill()

    def leave(self) -> None:
        """Wait until it has ended, its stdin being closed, and no longer than it needs for that."""
        try:
            self._process.wait(LEAVE)
        except subprocess.TimeoutExpired:
            self.kill()

    def end(self) -> tuple[str, str]:
        """Have it end now if it has not. Gives by what it ended, and its last words."""
        if self._process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.1)  # it closes its pipes a moment before it has ended
        self.kill()
        code = self._process.wait()
        self.stdout.close()
        return _name(code), self._words.wait(0.5)

    def disk(self) -> object:
        """What it has read until now, where the system tells that: a slow disk is no hang."""
        import psutil

        try:
            return psutil.Process(self.pid).io_counters()
        except (AttributeError, psutil.Error):
            return None


def _name(code: int) -> str:
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
