"""The engine in a process of its own, which may die or hang without this one."""

from __future__ import annotations

import copy
import itertools
import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runtime.engine import OUTSIDE
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
)
from runtime.engine.failures import quietly
from runtime.engine.page import Page
from runtime.engine.process import Process
from runtime.engine.watchdog import Watchdog
from runtime.errors import EngineClosed, EngineDied, EngineError
from runtime.values import Done, Failed, Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.engine import Emit, EngineConfig
    from runtime.errors import LlamaletError
    from runtime.values import Event, Request

log = logging.getLogger("llamalet.engine")

LOAD = "load"
MIB = 1 << 20


@dataclass(eq=False, slots=True)
class _Call:
    """A request that is in the engine, or on its way there; `answered` is set when that is known, `begun` when the
    process has taken it up."""

    emit: Emit
    begun: bool = False
    answered: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None


class RemoteEngine:
    """Runs one model in a process of its own. See `runtime.engine.Engine` for what the methods promise.

    What that process does not do for `watchdog` seconds it will never do, and is ended. When it ends by itself, all
    requests in it end with `EngineDied`, and `death` is why; later ones are refused as by an engine that is closed.
    """

    def __init__(
        self, config: EngineConfig, *, progress: Callable[[float], None] | None = None, watchdog: float = 30.0
    ) -> None:
        """Start the process, and load the model. Raises as `LocalEngine` does, and `EngineDied`."""
        self._config, self._seconds = config, watchdog
        self._lock = threading.RLock()  # reentrant, since the garbage collector may drop a stream in the middle
        self._calls: dict[int, _Call] = {}
        self._numbers = itertools.count(1)
        self._closing = False
        self._ended = ""  # why this process has ended the other
        self._over = False  # takes no more requests
        self._held = 0
        self.death: EngineDied | None = None
        self._page = Page.new()
        try:
            self._process = Process(self._page)
        except BaseException:
            self._page.close()
            raise
        self._outbox = Outbox(self._process.stdin, "llamalet-submit")
        self._watchdog = Watchdog(watchdog, self._signs, self._hung)
        self._messages = messages(self._process.stdout, trusted=False)
        try:
            self._load(progress)
        except BaseException:
            self._process.kill()
            self._let_go()
            raise
        self._thread = threading.Thread(target=self._run, name="llamalet-events", daemon=True)
        self._thread.start()

    def _load(self, progress: Callable[[float], None] | None) -> None:
        """Wait until the model is loaded, on the thread that asked for it."""
        self._watchdog.begin(LOAD)
        self._outbox.put(Start(self._config, self._page.address, logging.getLogger("llamalet").getEffectiveLevel()))
        for message in self._messages:
            match message:
                case Ready():
                    self._watchdog.end(LOAD)
                    return
                case Broken(error):
                    raise error
                case Loading(done):
                    if progress:
                        progress(done)
                case _:
                    self._handle(message)
        raise self._died(*self._let_go(), f"while it loaded {self._config.model}")

    # -- called from any thread ------------------------------------------------------------------------------------

    def submit(self, request: Request, emit: Emit) -> None:
        call = _Call(quietly(emit, request, self.cancel))
        with self._lock:
            if self._over or self._closing:
                raise EngineClosed("The engine is closed.")
            number = next(self._numbers)
            self._calls[number] = call
        self._watchdog.begin(number)
        try:
            self._outbox.put(Submit(number, request))
            call.answered.wait()
        except BaseException:  # of the caller's own: the request was too large, or somebody pressed Ctrl-C
            self._take(number)
            self.cancel(request.id)
            raise
        if call.error:
            raise call.error

    def cancel(self, request_id: str) -> None:
        self._outbox.put(Cancel(request_id))

    def close(self) -> None:
        self._closing = True
        self._outbox.close()
        self._process.leave()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    # -- the thread of the events ----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            for message in self._messages:
                self._handle(message)
        except Exception as error:  # of a process that says what it never should
            self._ended = str(error) if isinstance(error, EngineError) else f"It sent nonsense: {error!r}."
            self._process.kill()
        self._finish(*self._let_go())

    def _handle(self, message: Any) -> None:
        match message:
            case (number, told):
                event = Text(told) if isinstance(told, str) else told
                call = self._take(number) if isinstance(event, Done | Failed) else self._calls.get(number)
                if call:
                    self._emit(call, event)
            case Begun(number):
                self._watchdog.expect(number)
                self._call(number).begun = True
            case Taken(number):
                self._watchdog.met(number)
                self._call(number).answered.set()
            case Refused(number, error):
                if call := self._take(number):
                    self._answer(call, error)
            case Held(memory):
                self._held = memory
            case Logged(name, level, text):
                logging.getLogger(f"llamalet.{name}").log(level, "%s", text)
            case _:  # as one of another version would, where the package was replaced under a program that runs
                raise EngineError(f"It sent {type(message).__name__}, which means nothing here.")

    def _call(self, number: int) -> _Call:
        """That of the number; one that nobody waits for where its caller has left."""
        return self._calls.get(number) or _Call(lambda event: None)

    def _take(self, number: int) -> _Call | None:
        """Nothing more comes of this one."""
        self._watchdog.end(number)
        with self._lock:
            return self._calls.pop(number, None)

    @staticmethod
    def _emit(call: _Call, event: Event) -> None:
        call.answered.set()
        call.emit(event)

    @staticmethod
    def _answer(call: _Call, error: Exception) -> None:
        call.error = error
        call.answered.set()

    def _let_go(self) -> tuple[str, str]:
        """Free all that belongs to the process, which has ended, or is ended now."""
        how = self._process.end()
        self._watchdog.close()
        self._outbox.close()
        self._outbox.join()
        self._page.close()
        return how

    def _finish(self, by: str, words: str) -> None:
        """Nobody who is left waits for ever."""
        error: LlamaletError = EngineClosed("The engine was closed while the request was in it.")
        if not self._closing:
            error = self.death = self._died(by, words, "while it had requests" if self._calls else "while it was idle")
            log.warning("%s", error)
        with self._lock:
            self._over = True
            left, self._calls = list(self._calls.values()), {}
        for call in left:
            if call.answered.is_set():
                self._emit(call, Failed(copy.copy(error)))
            elif call.begun or error.facts.get("by") not in OUTSIDE:
                self._answer(call, copy.copy(error))
            else:  # it was in nobody's hands yet, and is not what the engine died of: another may have it
                self._answer(call, EngineClosed("The engine ended before it took the request up."))

    # -- how it ends -----------------------------------------------------------------------------------------------

    def _signs(self) -> object:
        """What goes on in the process. A load reads, where the disk is slow for longer than it reports."""
        return self._page.counts(), self._process.disk() if LOAD in self._watchdog.under_way else None

    def _hung(self) -> None:
        self._ended = f"It did nothing for {self._seconds:g} s."
        self._process.kill()

    def _died(self, by: str, words: str, when: str) -> EngineDied:
        how = f"was ended by {by}" if by.startswith("SIG") else f"ended by itself ({by})"
        if self._ended:
            by, how = "watchdog", "was ended"
        said = f" {self._ended}" if self._ended else f' It said: "{words}".' if words else ""
        planned = self._config.memory // MIB
        if planned and (when.startswith("while it loaded") or "bad_alloc" in words):
            bound = f" and held to {self._held // MIB:,} MiB" if self._held else ""
            said += f" It was planned to take {planned:,} MiB{bound}."
        return EngineDied(f"The engine's process {how} {when}.{said}", "The next request starts a new one.", by=by)
