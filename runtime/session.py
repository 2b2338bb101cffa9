"""`Runtime`: Workers AI's `run`, in this process."""

from __future__ import annotations

import datetime
import logging
import os
import queue
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack, overload

from runtime import catalog, documents, loading, pipeline, prompt, settings, toolrounds
from runtime.arrivals import Arrivals
from runtime.observer import Observer
from runtime.pipeline import Deadline, Job, Stream, Ticket, new_id
from runtime.residence import Residence
from runtime.wire import workers_ai

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from runtime.documents import Result
    from runtime.engine import Emit, Engine, EngineConfig
    from runtime.resident import Loaded
    from runtime.store import Progress
    from runtime.toolrounds import Messages, Tools
    from runtime.values import Event

    Model = str | os.PathLike[str]
    Inputs = Mapping[str, Any] | None

__all__ = ["Runtime", "Stream"]

log = logging.getLogger("llamalet")
log.addHandler(logging.NullHandler())  # else Python itself prints a library's warnings


class Runtime:
    """Runs the catalogue's models, each loaded on first use, and as many at a time as there is memory for.

    Safe from any number of threads. Use it in a `with` block, or call `close()`.

        with Runtime() as ai:
            ai.run("@cf/meta/llama-3.2-1b-instruct", {"prompt": "Why is the sky blue?"})["response"]
    """

    def __init__(
        self,
        *,
        on_load: Callable[[float], None] | None = None,
        on_download: Callable[[Progress], None] | None = None,
        today: Callable[[], datetime.date] = datetime.date.today,
        make_engine: Callable[[EngineConfig, Callable[[float], None]], Engine] | None = None,
        files: Iterable[str | os.PathLike[str]] = (),
        **options: Unpack[settings.Options],
    ) -> None:
        """Options are the settings (README, Settings), and win over the environment and the configuration file.

        files: GGUF files that may be run by their path; no other path can be.
        on_load: called with 0.0 to 1.0 while a model is loaded, on the thread that waits for it; an exception in it
        stops the load. on_download: likewise called with a `runtime.store.Progress` while a file is fetched or checked.
        today: where the date in the prompt comes from. make_engine: puts another engine in place of llama.cpp's.
        Raises `ConfigError`.
        """
        self.settings = settings.load(options)
        self.catalog = catalog.load(self.settings.models).with_files(files)
        if self.settings.origin("log") != "default":  # else an application's own choice stands
            log.setLevel(self.settings.log.upper())
        self._today, self._observer = today, Observer()
        make_engine = make_engine or loading.engines(self.settings)
        self._residence = Residence(self.settings, self.catalog.models, make_engine, on_load or (lambda done: None))
        self._arrivals = Arrivals(self.settings, self.catalog.models, on_download, self._residence.check_open)

    @overload
    def run(self, model: Model, inputs: Inputs = None, /, *, stream: Literal[True], **options: Any) -> Stream: ...

    @overload
    def run(self, model: Model, inputs: Inputs = None, /, **options: Any) -> Any: ...

    def run(self, model: Model, inputs: Inputs = None, /, **options: Any) -> Any:
        """Answer `inputs` as `env.AI.run(model, inputs)` of Workers AI does; keywords are added to the inputs.

        model: an id or alias of the catalogue, with `:QUANT` if it shall be that one, or one of the `files`.
        inputs: `prompt` or `messages`, and the options of the model's published schema; ours are `stop`, `min_p`,
        `logit_bias`, `logprobs`, `top_logprobs`, `date`, `timeout` (seconds), `keep_alive` (as the setting, for this
        model from now on), `approximate`, `grammar` (GBNF), and in `response_format` a Pydantic model, a dataclass or
        another type: then `parsed` of the answer is one.

        Gives `{"response": text, "tool_calls": [], "usage": {}, "finish_reason": "stop", ...}`, or a `Stream` of it.
        """
        job = self.fetch(self.prepare(model, workers_ai.merged(inputs, options)))
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

    def fetch(self, job: Job) -> Job:
        """The job with its model's file on this machine, fetched if settings allow it; that takes none of its time."""
        if self._residence.has(job.choice):
            return job
        self._arrivals.obtain(job.choice, deadline=job.deadline)
        return replace(job, deadline=self._deadline(job.request.timeout))

    def pull(self, model: Model) -> Path:
        """Have a model's file on this machine, and checked, before its first use, whatever `download` says."""
        return self._arrivals.obtain(self.catalog.find(os.fspath(model)), fetch=True)

    def start(self, job: Job, emit: Emit) -> Ticket:
        """Begin a run, loading the model if need be. Its events go to `emit`, as `Engine.submit` says."""
        with self._observer.run(job, emit) as emit:
            return self._start(job, emit)

    def _start(self, job: Job, emit: Emit) -> Ticket:
        """For whoever tells the observer."""
        return self._residence.start(job, emit)

    def withdraw(self, job: Job) -> None:
        """Give up a job that `start` has not begun, and may be waiting with: it ends that wait, and loads nothing."""
        self._residence.withdraw(job)

    def load(self, model: Model) -> None:
        """Load a model before its first run. Raises what `run` would for a model that cannot be had."""
        choice = self.catalog.find(os.fspath(model))
        self._arrivals.obtain(choice)
        self._residence.load(choice, self._deadline(None))

    def unload(self, model: Model | None = None) -> None:
        """Give the memory of a model back, or of all, once the requests that run in it are done. The next run loads it
        again. A name without a quant means all quants of the model; one that is not loaded is fine."""
        self._residence.unload(None if model is None else self.catalog.find(os.fspath(model)))

    def loaded(self) -> tuple[Loaded, ...]:
        """What is in memory, as `runtime.resident.Loaded`. Asking prolongs nothing."""
        return self._residence.loaded()

    def observe(self, observer: Observer) -> None:
        """Tell `observer` of loads, unloads and runs from now on."""
        self._observer = self._residence.observer = observer

    def _is_ready(self, job: Job) -> bool:
        """Whether `start` would not wait for a load."""
        return self._residence.is_ready(job.choice)

    def close(self) -> None:
        """Free everything. Requests that run end with `EngineClosed`, as does every later one."""
        self._residence.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _deadline(self, seconds: float | None) -> Deadline:
        return Deadline(self.settings.timeout if seconds is None else seconds)
