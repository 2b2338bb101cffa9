"""The model that is in memory: loaded when it is asked for, in the place of another, and unloaded when nobody does."""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from runtime import loading
from runtime.errors import EngineClosed
from runtime.pipeline import Deadline, Job, Ticket
from runtime.values import Done, Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from runtime.catalog import Choice, ModelSpec
    from runtime.engine import Emit, Engine, EngineConfig
    from runtime.settings import Settings
    from runtime.values import Event, Request

log = logging.getLogger("llamalet")


class Residence:
    """Holds one model at a time. Safe from any thread."""

    def __init__(
        self,
        settings: Settings,
        catalog: Iterable[ModelSpec],
        make_engine: Callable[[EngineConfig, Callable[[float], None]], Engine],
        on_load: Callable[[float], None],
    ) -> None:
        self._settings, self._catalog = settings, catalog
        self._make_engine, self._on_load = make_engine, on_load
        # Held by whoever loads, so those after him wait for the same model; reentrant since on_load may call close().
        self._turn = threading.RLock()
        self._state = threading.Condition(threading.RLock())  # guards what follows; reentrant as the engine's
        self.engine: Engine | None = None
        self._loaded: EngineConfig | None = None
        self._names: set[str] = set()  # that mean what is loaded
        self._running = 0
        self._idle_timer: threading.Timer | None = None
        self._closed = False

    def has(self, choice: Choice) -> bool:
        """Whether this model is in memory, so that nothing is asked of the disk."""
        return choice.label in self._names

    def check_open(self) -> None:
        """Raises `EngineClosed` once it is closed."""
        if self._closed:
            raise EngineClosed("This runtime is closed.")

    def start(self, job: Job, emit: Emit) -> Ticket:
        """Begin a run, loading its model if need be."""
        with self._my_turn(job.deadline):
            try:
                return self._begin(job, emit)
            except EngineClosed:
                if self._closed:
                    raise
                self._drop_engine()  # it has failed since; its caller was told, and this request can have a new one
                return self._begin(job, emit)

    def withdraw(self, job: Job) -> None:
        """Give up a job that `start` has not begun, and may be waiting with."""
        job.deadline.give_up()
        with self._state:
            self._state.notify_all()

    def load(self, choice: Choice, deadline: Deadline) -> None:
        """Have a model in memory before its first run."""
        with self._my_turn(deadline):
            self._ready(choice, deadline)
            with self._state:
                if not self._running:
                    self._start_timer()

    def unload(self) -> None:
        """Give the memory back, once the requests that run are done."""
        with self._turn:
            with self._state:
                self._state.wait_for(self._is_idle)
            self._drop_engine()

    def close(self) -> None:
        """Free everything. What runs ends with `EngineClosed`."""
        with self._state:
            self._closed = True
            engine = self.engine
            self._stop_timer()
            self._state.notify_all()
        if engine:
            engine.close()
        with self._turn:
            self._drop_engine()

    @contextlib.contextmanager
    def _my_turn(self, deadline: Deadline) -> Iterator[Deadline]:
        if not self._turn.acquire(timeout=deadline.left):
            raise deadline.missed()
        try:
            deadline.check()
            yield deadline
        finally:
            self._turn.release()

    def _begin(self, job: Job, emit: Emit) -> Ticket:
        """Submit to the engine of the job's model, with the turn held. It gets what is left of the request's time."""
        engine = self._ready(job.choice, job.deadline)
        job.deadline.check()
        return self._submit(engine, replace(job.request, waited=job.deadline.waited), emit)

    def _ready(self, choice: Choice, deadline: Deadline) -> Engine:
        """The engine of this model, loaded if need be, with the turn held."""
        self.check_open()
        if self.engine is None or choice.label not in self._names:
            # Before anything is given up: a model that is not there changes nothing.
            config = loading.configure(choice, self._settings, self._loaded, catalog=self._catalog)
            if config != self._loaded:
                self._load(config, deadline)
            self._names.add(choice.label)
        assert self.engine is not None  # noqa: S101 - loaded above
        return self.engine

    def _load(self, config: EngineConfig, deadline: Deadline) -> None:
        """Put this model in the place of the one that is loaded, once that has answered all it runs."""
        with self._state:
            self._state.wait_for(lambda: self._is_idle() or not deadline.left, deadline.left)
        deadline.check()
        self.check_open()
        self._drop_engine()
        log.info("loading %s", config.model)
        engine = self._make_engine(config, self._report_load)
        with self._state:
            self.engine, self._loaded = engine, config
        self.check_open()

    def _report_load(self, done: float) -> None:
        self.check_open()  # closing stops a load
        self._on_load(done)

    def _is_idle(self) -> bool:
        return self._closed or not self._running

    def _drop_engine(self) -> None:
        with self._state:
            engine, self.engine, self._loaded, self._names = self.engine, None, None, set()
            self._stop_timer()
        if engine:
            engine.close()

    def _submit(self, engine: Engine, request: Request, emit: Emit) -> Ticket:
        with self._state:
            self._running += 1
            self._stop_timer()

        def emit_and_count(event: Event) -> None:
            if isinstance(event, Done | Failed):
                self._ended()
            emit(event)

        try:
            engine.submit(request, emit_and_count)
        except BaseException:
            self._ended()
            raise
        return Ticket(request.id, engine)

    def _ended(self) -> None:
        with self._state:
            self._running -= 1
            if not self._running:
                self._start_timer()
                self._state.notify_all()

    def _start_timer(self) -> None:
        if self._closed or self._settings.keep_alive < 0:
            return
        self._stop_timer()
        self._idle_timer = threading.Timer(self._settings.keep_alive, self._unload_idle)
        self._idle_timer.daemon = True
        self._idle_timer.start()

    def _stop_timer(self) -> None:
        if self._idle_timer:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _unload_idle(self) -> None:
        timer = threading.current_thread()
        with self._turn:
            with self._state:
                if self._idle_timer is not timer or self._running:
                    return  # somebody came in the meantime
            log.info("unloading the model, unused for %g seconds", self._settings.keep_alive)
            self._drop_engine()
