"""`Runtime`: Workers AI's `run`, in this process."""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import queue
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack, overload

from runtime import catalog, documents, pipeline, prompt, settings, toolrounds
from runtime.errors import EngineClosed
from runtime.pipeline import Deadline, Job, Stream, Ticket, new_id
from runtime.values import Done, Failed
from runtime.wire import workers_ai

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from runtime.documents import Result
    from runtime.engine import Emit, Engine, EngineConfig
    from runtime.toolrounds import Messages, Tools
    from runtime.values import Event, Request

    Model = str | os.PathLike[str]
    Inputs = Mapping[str, Any] | None

__all__ = ["Runtime", "Stream"]

log = logging.getLogger("llamalet")
log.addHandler(logging.NullHandler())  # else Python itself prints a library's warnings


class Runtime:
    """Runs the catalogue's models, one at a time, each loaded on first use.

    Safe from any number of threads. Use it in a `with` block, or call `close()`.

        with Runtime() as ai:
            ai.run("@cf/meta/llama-3.2-1b-instruct", {"prompt": "Why is the sky blue?"})["response"]
    """

    def __init__(
        self,
        *,
        on_load: Callable[[float], None] | None = None,
        today: Callable[[], datetime.date] = datetime.date.today,
        make_engine: Callable[[EngineConfig, Callable[[float], None]], Engine] | None = None,
        files: Iterable[str | os.PathLike[str]] = (),
        **options: Unpack[settings.Options],
    ) -> None:
        """Options are the settings (README, Settings), and win over the environment and the configuration file.

        files: GGUF files that may be run by their path; no other path can be.
        on_load: called with 0.0 to 1.0 while a model is loaded, on the thread that waits for it; an exception in it
        stops the load. today: where the date in the prompt comes from. make_engine: puts another engine in place of
        llama.cpp's. Raises `ConfigError`.
        """
        self.settings = settings.load(options)
        self.catalog = catalog.load(self.settings.models).with_files(files)
        if self.settings.origin("log") != "default":  # else an application's own choice stands
            log.setLevel(self.settings.log.upper())
        self._on_load, self._today = on_load or (lambda done: None), today
        self._make_engine = make_engine or pipeline.local_engine
        # Held by whoever loads, so those after him wait for the same model; reentrant since on_load may call close().
        self._turn = threading.RLock()
        self._state = threading.Condition(threading.RLock())  # guards what follows; reentrant as the engine's
        self._engine: Engine | None = None
        self._loaded: EngineConfig | None = None
        self._names: set[str] = set()  # that mean what is loaded
        self._running = 0
        self._idle_timer: threading.Timer | None = None
        self._closed = False

    @overload
    def run(self, model: Model, inputs: Inputs = None, /, *, stream: Literal[True], **options: Any) -> Stream: ...

    @overload
    def run(self, model: Model, inputs: Inputs = None, /, **options: Any) -> Any: ...

    def run(self, model: Model, inputs: Inputs = None, /, **options: Any) -> Any:
        """Answer `inputs` as `env.AI.run(model, inputs)` of Workers AI does; keywords are added to the inputs.

        model: an id or alias of the catalogue, with `:QUANT` if it shall be that one, or one of the `files`.
        inputs: `prompt` or `messages`, and the options of the model's published schema; ours are `stop`, `min_p`,
        `logit_bias`, `logprobs`, `top_logprobs`, `date`, `timeout` (seconds), `approximate`, `grammar` (GBNF), and in
        `response_format` a Pydantic model, a dataclass or another type: then `parsed` of the answer is one.

        Gives `{"response": text, "tool_calls": [], "usage": {}, "finish_reason": "stop", ...}`, or a `Stream` of it.
        """
        job = self.prepare(model, workers_ai.merged(inputs, options))
        if not job.inputs.stream:
            return self.answer(job)
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        return Stream(self.start(job, events.put), events, job.answer())

    def run_with_tools(
        self, model: Model, messages: Messages, *, tools: Tools, max_rounds: int = toolrounds.ROUNDS, **options: Any
    ) -> dict[str, Any]:
        """Ask, and run the `tools` that the model calls, until it answers: see `runtime.toolrounds.run`."""
        return toolrounds.run(self, model, messages, tools, max_rounds, **options)

    def prepare(self, model: Model, body: Mapping[str, Any]) -> Job:
        """What `run` is about to do, with everything checked that can be checked without the model."""
        choice = self.catalog.find(os.fspath(model))
        body, python_type = documents.without_types(body)
        inputs = workers_ai.parse(body, choice.spec.id, parity=self.settings.parity)
        grammar, check = pipeline.constrain(inputs, python_type)
        request = pipeline.prepare(
            inputs,
            choice.spec,
            request_id=new_id(),
            date=self.settings.date or prompt.date_string(self._today()),
            timeout=self.settings.timeout,
            grammar=grammar,
        )
        return Job(choice, inputs, request, check, self._deadline(request.timeout), self.settings.parity)

    def answer(self, job: Job) -> Result:
        """Run to the end, and give the whole answer; again where it is not what could not be enforced."""
        while (result := job.result(self._answer(job))) is None:
            job = job.again()
        return result

    def _answer(self, job: Job) -> dict[str, Any]:
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        ticket, answer = self.start(job, events.put), job.answer()
        try:
            while (whole := answer.add(events.get())) is None:
                pass
            return whole
        finally:
            ticket.cancel()  # does nothing to a request that has ended: this is for Ctrl-C

    def start(self, job: Job, emit: Emit) -> Ticket:
        """Begin a run, loading the model if need be. Its events go to `emit`, as `Engine.submit` says."""
        with self._my_turn(job.deadline):
            try:
                return self._begin(job, emit)
            except EngineClosed:
                if self._closed:
                    raise
                self._drop_engine()  # it has failed since; its caller was told, and this request can have a new one
                return self._begin(job, emit)

    def withdraw(self, job: Job) -> None:
        """Give up a job that `start` has not begun, and may be waiting with: it ends that wait, and loads nothing."""
        job.deadline.give_up()
        with self._state:
            self._state.notify_all()

    def load(self, model: Model) -> None:
        """Load a model before its first run. Raises what `run` would for a model that cannot be had."""
        deadline = self._deadline(None)
        with self._my_turn(deadline):
            self._ready(self.catalog.find(os.fspath(model)), deadline)
            with self._state:
                if not self._running:
                    self._start_timer()

    def unload(self) -> None:
        """Give the model's memory back, once the requests that run are done. The next run loads it again."""
        with self._turn:
            with self._state:
                self._state.wait_for(self._is_idle)
            self._drop_engine()

    def close(self) -> None:
        """Free everything. Requests that run end with `EngineClosed`, as does every later one."""
        with self._state:
            self._closed = True
            engine = self._engine
            self._stop_timer()
            self._state.notify_all()
        if engine:
            engine.close()
        with self._turn:
            self._drop_engine()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- loading and unloading, one model at a time ----------------------------------------------------------------

    def _deadline(self, seconds: float | None) -> Deadline:
        return Deadline(self.settings.timeout if seconds is None else seconds)

    @contextlib.contextmanager
    def _my_turn(self, deadline: Deadline) -> Iterator[None]:
        if not self._turn.acquire(timeout=deadline.left):
            raise deadline.missed()
        try:
            deadline.check()
            yield
        finally:
            self._turn.release()

    def _begin(self, job: Job, emit: Emit) -> Ticket:
        """Submit to the engine of the job's model, with the turn held. It gets what is left of the request's time."""
        engine = self._ready(job.choice, job.deadline)
        job.deadline.check()
        return self._submit(engine, replace(job.request, waited=job.deadline.waited), emit)

    def _ready(self, choice: catalog.Choice, deadline: Deadline) -> Engine:
        """The engine of this model, loaded if need be, with the turn held."""
        self._check_open()
        name = f"{choice.spec.id}:{choice.quant.name if choice.quant else ''}"
        if self._engine is None or name not in self._names:
            # Before anything is given up: a model that is not there changes nothing.
            config = pipeline.configure(choice, self.settings)
            if config != self._loaded:
                self._load(config, deadline)
            self._names.add(name)
        assert self._engine is not None  # noqa: S101 - loaded above
        return self._engine

    def _load(self, config: EngineConfig, deadline: Deadline) -> None:
        """Put this model in the place of the one that is loaded, once that has answered all it runs."""
        with self._state:
            self._state.wait_for(lambda: self._is_idle() or not deadline.left, deadline.left)
        deadline.check()
        self._check_open()
        self._drop_engine()
        log.info("loading %s", config.model)
        engine = self._make_engine(config, self._report_load)
        with self._state:
            self._engine, self._loaded = engine, config
        self._check_open()

    def _report_load(self, done: float) -> None:
        self._check_open()  # closing stops a load
        self._on_load(done)

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosed("This runtime is closed.")

    def _is_idle(self) -> bool:
        return self._closed or not self._running

    def _drop_engine(self) -> None:
        with self._state:
            engine, self._engine, self._loaded, self._names = self._engine, None, None, set()
            self._stop_timer()
        if engine:
            engine.close()

    # -- requests that run, and keep-alive -------------------------------------------------------------------------

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
        if self._closed or self.settings.keep_alive < 0:
            return
        self._stop_timer()
        self._idle_timer = threading.Timer(self.settings.keep_alive, self._unload_idle)
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
            log.info("unloading the model, unused for %g seconds", self.settings.keep_alive)
            self._drop_engine()
