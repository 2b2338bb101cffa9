"""The engine's process: `python -P -m runtime.engine.child`, started by `runtime.engine.remote`.

It takes requests from its stdin and answers on its stdout. Its parent is gone when stdin ends, and then it ends at
once, whatever it is at.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from runtime import machine
from runtime.engine.channel import (
    Begun,
    Broken,
    Cancel,
    Held,
    Loading,
    Logged,
    Outbox,
    Ready,
    Refused,
    Start,
    Submit,
    Taken,
    messages,
    portable,
    told,
)
from runtime.engine.page import Page
from runtime.errors import EngineError, ModelBroken
from runtime.values import Failed

if TYPE_CHECKING:
    from runtime.engine.llama import Pulse
    from runtime.engine.local import LocalEngine
    from runtime.values import Event

FAULT = "LLAMALET_TEST_FAULT"  # see `runtime.engine.faults`
SUBMITS = 4  # requests that are tokenized at once: a long one keeps no short one waiting
SPARE, THREAD = 512 << 20, 16 << 20  # bytes beyond the plan: what Python makes of requests, and of each thread
MIB = 1 << 20


class Child:
    """The engine, and the requests on their way to it."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._pool = ThreadPoolExecutor(SUBMITS, "llamalet-submit")
        self._lock = threading.Lock()
        self._arriving: dict[str, bool] = {}  # by id, whether it was cancelled meanwhile
        self._installed = contextlib.ExitStack()  # faults, for good
        self._engine: LocalEngine
        self._pulse: Pulse

    def load(self, start: Start) -> None:
        """On a thread of its own, so that the end of stdin is noticed."""
        held = 0
        try:
            from runtime.engine.llama import Pulse
            from runtime.engine.local import LocalEngine

            self._faults()
            self._pulse = Pulse(Page.open(start.page).memory)
            if held := machine.hold_to(_allowance(start)):
                self._outbox.put(Held(held))
            self._engine = LocalEngine(start.config, progress=self._report, pulse=self._pulse)
        except BaseException as error:
            self._outbox.put(Broken(portable(_explained(error, held))))
            self._outbox.close()
            self._outbox.join()
            os._exit(0)
        self._outbox.put(Ready())

    def handle(self, message: Any) -> None:
        """Returns at once."""
        match message:
            case Start():
                threading.Thread(target=self.load, args=[message], name="llamalet-load", daemon=True).start()
            case Submit(number, request):
                with self._lock:
                    self._arriving[request.id] = False
                self._pool.submit(self._submit, number, request)
            case Cancel(name):
                with self._lock:
                    if name in self._arriving:
                        self._arriving[name] = True
                self._engine.cancel(name)

    def _submit(self, number: int, request: Any) -> None:
        self._pulse.beat()
        self._outbox.put(Begun(number))
        try:
            self._engine.submit(request, partial(self._tell, number))
        except BaseException as error:
            self._outbox.put(Refused(number, portable(error)))
        else:
            self._outbox.put(Taken(number))
        with self._lock:
            cancelled = self._arriving.pop(request.id, False)
        if cancelled:
            self._engine.cancel(request.id)
        self._pulse.beat()

    def _tell(self, number: int, event: Event) -> None:
        if isinstance(event, Failed):
            event = replace(event, error=portable(event.error))
        self._outbox.put(told(number, event))

    def _report(self, done: float) -> None:
        self._outbox.put(Loading(done))

    def _faults(self) -> None:
        if plan := os.environ.get(FAULT):
            from runtime.engine import faults

            self._installed.enter_context(faults.installed(plan))


class Sent(logging.Handler):
    """Sends records to the parent."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__()
        self._outbox = outbox

    def emit(self, record: logging.LogRecord) -> None:
        name = record.name.removeprefix("llamalet").removeprefix(".") or "engine"
        self._outbox.put(Logged(name, record.levelno, self.format(record)))


def _allowance(start: Start) -> int:
    """Bytes that the process may take from now on; 0 where nothing was planned."""
    config = start.config
    if not config.memory or config.gpu_layers:
        return 0
    return config.memory + config.memory // 4 + SPARE + THREAD * max(config.threads, config.prompt_threads)


def _explained(error: BaseException, held: int) -> BaseException:
    """With the bound, where memory was short: that is not the file's fault."""
    is_short = isinstance(error, MemoryError) or (isinstance(error, ModelBroken) and "alloc" in error.message)
    if held and is_short:
        return EngineError(
            f"{error} The engine's process was held to {held // MIB:,} MiB, a quarter over what was planned.",
            "Try a smaller context, or fewer slots.",
        )
    return error


def _take_over() -> tuple[BinaryIO, BinaryIO]:
    """The streams to the parent. What else reads from stdin finds nothing, and what prints prints to stderr."""
    commands, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(commands, "rb"), os.fdopen(answers, "wb")


def _log(outbox: Outbox, level: int) -> None:
    """Send warnings, and all there is where the parent looks for it."""
    logger = logging.getLogger("llamalet")
    logger.setLevel(logging.DEBUG if level <= logging.DEBUG else logging.WARNING)
    logger.addHandler(Sent(outbox))
    logger.propagate = False


def main() -> None:
    """Serve the parent until it is gone. Never returns."""
    # Ctrl-C goes to every process of a terminal, and SIGTERM to every one of a service: the parent decides when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    faulthandler.enable(2, all_threads=False)  # sys.stderr is None in a program without a console
    commands, answers = _take_over()
    outbox = Outbox(answers, "llamalet-answers")
    child = Child(outbox)
    for message in messages(commands, trusted=True):
        if isinstance(message, Start):
            _log(outbox, message.level)
        child.handle(message)
    os._exit(0)


if __name__ == "__main__":
    main()
