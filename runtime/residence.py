"""The models in memory: each loaded when it is asked for, beside others while there is room, and unloaded again."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from runtime import fit, loading, machine
from runtime.crashes import Crashes
from runtime.errors import EngineClosed, EngineDied
from runtime.observer import Observer
from runtime.pipeline import Deadline, Job, Ticket
from runtime.resident import Loaded, Resident
from runtime.values import Done, Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from runtime.catalog import Choice, ModelSpec
    from runtime.engine import Emit, Engine, EngineConfig
    from runtime.settings import Settings
    from runtime.values import Event, Request

log = logging.getLogger("llamalet")


class Residence:
    """Holds as many models as there is memory for. Safe from any thread."""

    def __init__(
        self,
        settings: Settings,
        catalog: Iterable[ModelSpec],
        make_engine: Callable[[EngineConfig, Callable[[float], None]], Engine],
        on_load: Callable[[float], None],
        crashes: Crashes | None = None,
    ) -> None:
        self._settings, self._catalog = settings, catalog
        self._make_engine, self._on_load = make_engine, on_load
        # Held by whoever loads or unloads, so that one does at a time, and what there is room for can be counted on;
        # reentrant since on_load may call close(). Requests to a model that is there do without it.
        self._turn = threading.RLock()
        self._state = threading.Condition(threading.RLock())  # guards what follows; reentrant as the engine's
        self._residents: list[Resident] = []  # comes and goes with the turn held as well
        self._leaving: list[Resident] = []  # waited for, to be unloaded: they take no new requests
        self._closed = False
        self._crashes = crashes or Crashes()
        self.observer = Observer()

    def has(self, choice: Choice) -> bool:
        """Whether this model is in memory, so that nothing is asked of the disk."""
        return self._find(choice) is not None

    def is_ready(self, choice: Choice) -> bool:
        """Whether a run of this model can begin without waiting for a load."""
        with self._state:
            resident = self._find(choice)
            return resident is not None and resident not in self._leaving

    def loaded(self) -> tuple[Loaded, ...]:
        """What is in memory. To ask prolongs nothing."""
        with self._state:
            return tuple(one.shown() for one in self._residents if not one.engine.death)

    def check_open(self) -> None:
        """Raises `EngineClosed` once it is closed."""
        if self._closed:
            raise EngineClosed("This runtime is closed.")

    def start(self, job: Job, emit: Emit) -> Ticket:
        """Begin a run, loading its model if need be."""
        resident = self._begin(job.choice, job.deadline, job.inputs.keep_alive)
        try:
            return self._submit(resident, job, emit)
        except EngineClosed:
            if self._closed:
                raise
            with self._my_turn(job.deadline):  # it has failed; its callers were told, and this one can have another
                self._bury([resident])
            return self._submit(self._begin(job.choice, job.deadline, job.inputs.keep_alive), job, emit)

    def withdraw(self, job: Job) -> None:
        """Give up a job that `start` has not begun, and may be waiting with."""
        job.deadline.give_up()
        with self._state:
            self._state.notify_all()

    def load(self, choice: Choice, deadline: Deadline) -> None:
        """Have a model in memory before its first run. It counts as used, and what engines died of as looked after."""
        self._crashes.forget()
        self._ended(self._begin(choice, deadline))

    def unload(self, choice: Choice | None = None) -> None:
        """Give the memory of this model back, or of all, once the requests that run in them are done."""
        self._crashes.forget()
        with self._turn:
            self._unload(lambda: [one for one in self._residents if choice is None or one.is_meant_by(choice)])

    def close(self) -> None:
        """Free everything. What runs ends with `EngineClosed`."""
        with self._state:
            self._closed = True
            here = list(self._residents)
            self._state.notify_all()
        for one in here:
            one.engine.close()
        with self._turn:
            self._unload(lambda: list(self._residents))

    @contextlib.contextmanager
    def _my_turn(self, deadline: Deadline) -> Iterator[None]:
        if not self._turn.acquire(timeout=deadline.left):
            raise deadline.missed()
        try:
            deadline.check()
            yield
        finally:
            self._turn.release()

    def _begin(self, choice: Choice, deadline: Deadline, keep_alive: float | None = None) -> Resident:
        """This model's resident, loaded if need be, with a request more counted in it: so it stays."""
        self.check_open()
        with self._state:
            resident = self._find(choice)
            if resident and resident not in self._leaving:
                resident.begin(keep_alive)
                return resident
        with self._my_turn(deadline):
            resident = self._resident(choice, deadline)
            with self._state:
                resident.begin(keep_alive)
        return resident

    def _find(self, choice: Choice) -> Resident | None:
        known = (one for one in tuple(self._residents) if choice.label in one.labels)
        return next((one for one in known if not one.engine.death), None)

    def _resident(self, choice: Choice, deadline: Deadline) -> Resident:
        """The one that has this model, loaded if need be, with the turn held."""
        self.check_open()
        self._bury([one for one in self._residents if one.engine.death])
        resident = self._find(choice)
        while resident is None:
            # Before anything is given up: a model that is not there, or can never fit, changes nothing.
            configs = [one.config for one in self._residents]
            room = loading.room(self._settings, sum(one.config.at_once for one in self._residents))
            config = loading.configure(choice, self._settings, room, loaded=configs, catalog=self._catalog)
            resident = next((one for one in self._residents if one.config is config), None)
            if resident is None:
                self._crashes.check(config.model)
            if resident is None and (missing := self._missing(config, room)) > 0:
                self._unload(partial(self._in_the_way, missing), deadline)
                self.check_open()
            elif resident is None:
                resident = self._load(choice, config)
        resident.labels.add(choice.label)
        return resident

    def _missing(self, config: EngineConfig, room: fit.Room) -> int:
        """Bytes that are lacking to load this model beside those that are here; none are when nothing else is."""
        held = sum(one.config.memory for one in self._residents)
        if self._settings.gpu_layers:
            return held  # how much memory a GPU has is not known: one model at a time
        return held + config.memory + fit.MARGIN - room.available

    def _in_the_way(self, missing: int) -> list[Resident]:
        """As many as give so many bytes: those that are idle, the least recently used first, then those that answer."""
        going: list[Resident] = []
        for one in sorted(self._residents, key=lambda one: (one.running > 0, one.used)):
            if missing > 0:
                going.append(one)
                missing -= one.config.memory
        return going

    def _load(self, choice: Choice, config: EngineConfig) -> Resident:
        log.info("loading %s", config.model)
        start = time.monotonic()
        try:
            engine = self._make_engine(config, self._report_load)
        except EngineDied as error:
            raise self._crashes.died_loading(config.model, error) from error
        self.observer.has_loaded(choice.spec, time.monotonic() - start)
        quant = loading.quant_of(choice.spec, config.model)
        resident = Resident(engine, config, choice, quant, self._settings.keep_alive)
        with self._state:
            if not self._closed:
                self._residents.append(resident)
                return resident
        engine.close()
        raise EngineClosed("This runtime is closed.")

    def _report_load(self, done: float) -> None:
        self.check_open()  # closing stops a load
        self._on_load(done)

    def _unload(self, choose: Callable[[], list[Resident]], deadline: Deadline | None = None) -> None:
        """Unload those chosen, with the turn held, as soon as none of them answers. Until then they take no new
        requests, since one that many ask would never be done."""
        with self._state:
            going = choose()
            try:
                while any(one.running for one in going) and not self._closed:
                    self._leaving = going
                    self._state.wait(deadline.left if deadline else None)
                    if deadline and not self._closed:
                        deadline.check()
                    going = choose()
            finally:
                self._leaving = []
            self._take_out(going)
        self._free(going)

    def _take_out(self, going: list[Resident]) -> None:
        with self._state:
            for one in going:
                one.stop_timer()
            self._residents = [one for one in self._residents if one not in going]

    def _bury(self, dead: list[Resident]) -> None:
        """Take out those that have failed, with the turn held; somebody else may have done so."""
        dead = [one for one in dead if one in self._residents]
        for one in dead:
            if one.engine.death:
                self._crashes.died(one.config.model, one.engine, one.engine.death, answered=one.answered)
        self._take_out(dead)
        self._free(dead)

    def _free(self, gone: list[Resident]) -> None:
        """Free what was taken out; without the lock, which those need who are told that their requests have ended."""
        for one in gone:
            if not self._closed:
                log.info("unloading %s", one.config.model)
            self.observer.has_unloaded(one.choice.spec)
            one.engine.close()
        if gone:
            machine.give_back()

    def _submit(self, resident: Resident, job: Job, emit: Emit) -> Ticket:
        """Submit to the engine, which gets what is left of the request's time."""

        def emit_and_count(event: Event) -> None:
            if isinstance(event, Failed) and isinstance(event.error, EngineDied):
                self._died(resident, event.error, job.request)
            if isinstance(event, Done | Failed):
                self._ended(resident)
                resident.answered |= isinstance(event, Done)
            emit(event)

        try:
            job.deadline.check()
            self._crashes.check_request(job.request)
            request = replace(job.request, waited=job.deadline.waited)
            resident.engine.submit(request, emit_and_count)
        except BaseException as error:
            if isinstance(error, EngineDied):
                self._died(resident, error, job.request)
            self._ended(resident)
            raise
        return Ticket(request.id, resident.engine)

    def _died(self, resident: Resident, error: EngineDied, request: Request) -> None:
        self._crashes.died(resident.config.model, resident.engine, error, request, answered=resident.answered)

    def _ended(self, resident: Resident) -> None:
        with self._state:
            resident.end()
            if resident.running:
                return
            if resident in self._residents and not self._closed:
                resident.start_timer(self._unload_idle)
            self._state.notify_all()

    def _unload_idle(self, resident: Resident) -> None:
        timer = threading.current_thread()
        with self._turn:
            with self._state:
                if resident.timer is not timer or resident.running:
                    return  # somebody came in the meantime
                self._take_out([resident])
            self._free([resident])
