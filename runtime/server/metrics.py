"""What the server counts, for Prometheus to fetch: its text format, version 0.0.4.

Labels take few values, none of them a user's text: a model is named as in the catalogue, a user as in the file of
tokens, an outcome is a word or an error's code.
"""

from __future__ import annotations

import contextlib
import platform
import threading
import time
from collections import Counter as Counting
from importlib import metadata
from typing import TYPE_CHECKING

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.responses import Response

import runtime
from runtime.errors import UnknownModel
from runtime.observer import Observer
from runtime.resident import name_of
from runtime.server import logs
from runtime.server.replies import headers
from runtime.values import Done, Failed, Text, ToolCallDelta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import Metric
    from starlette.requests import Request

    from runtime.aio import AsyncRuntime
    from runtime.catalog import ModelSpec
    from runtime.engine import Emit
    from runtime.pipeline import Job
    from runtime.server.logs import Trace
    from runtime.values import Event, Usage

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# From short prompts on fast machines to long ones on slow; and tokens/s, from 8B on a small board to forced text.
SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
RATES = (1, 2, 5, 10, 20, 30, 50, 75, 100, 200, 500)


class Metrics(Observer):
    """Counts what happens in one application. Safe from any thread."""

    def __init__(self, ai: AsyncRuntime) -> None:
        self._ai = ai
        registry = self._registry = CollectorRegistry()
        model = ["model"]

        def counter(name: str, help: str, labels: list[str] = model) -> Counter:  # noqa: A002 - its usual name
            return Counter(f"llamalet_{name}", help, labels, registry=registry)

        what = ["surface", "model", "outcome", "user"]
        self._requests = counter("requests", "HTTP requests that have ended, by how.", what)
        self._prompt = counter("prompt_tokens", "Tokens of prompts.")
        self._cached = counter("cached_tokens", "Tokens of prompts that were in the KV cache already.")
        self._hits = counter("prefix_cache_hits", "Runs of whose prompt some was in the KV cache already.")
        self._completion = counter("completion_tokens", "Tokens of answers.")
        self._forced = counter("forced_tokens", "Tokens of answers that their grammar left no choice about.")
        self._unloads = counter("model_unloads", "Models that have left memory.")
        said = "Loads of models, and what they took."
        self._loads = Summary("llamalet_model_load_seconds", said, model, registry=registry)
        said = "From a request's arrival to the first piece of its answer."
        self._first = Histogram("llamalet_time_to_first_token_seconds", said, model, buckets=SECONDS, registry=registry)
        said = "Tokens a second of each answer, after its first."
        self._rate = Histogram("llamalet_decode_tokens_per_second", said, model, buckets=RATES, registry=registry)
        self.waiting = Gauge("llamalet_waiting", "Runs that wait: for their model, or for a place.", registry=registry)
        self.running = Gauge("llamalet_running", "Runs that read their prompts or write.", registry=registry)
        registry.register(_Now(ai))
        ai.observe(self)

    def text(self) -> bytes:
        """All of it, as it is now."""
        return generate_latest(_WithoutDates(self._registry))

    def ended(self, trace: Trace) -> None:
        """An HTTP request has."""
        trace.model = trace.model or self._asked_for(trace)
        self._requests.labels(trace.surface, trace.model, trace.outcome, trace.user).inc()
        if trace.first is not None:
            self._first.labels(trace.model).observe(trace.first)

    def has_loaded(self, spec: ModelSpec, seconds: float) -> None:
        self._loads.labels(name_of(spec)).observe(seconds)

    def has_unloaded(self, spec: ModelSpec) -> None:
        self._unloads.labels(name_of(spec)).inc()

    @contextlib.contextmanager
    def run(self, job: Job, emit: Emit) -> Iterator[Emit]:
        name, trace = name_of(job.choice.spec), logs.current()
        if trace is not None:
            trace.model = name
            if self._ai.settings.log_prompts:
                trace.prompts.append("".join(segment.text for segment in job.request.prompt))
        run = _Run(self, name, trace, emit)
        try:
            yield run
        except BaseException:
            run.leave()
            raise

    def count(self, model: str, done: Done) -> None:
        """The tokens of a run that has ended, and how fast they came."""
        usage = done.usage
        for counter, tokens in self._shares(usage):
            counter.labels(model).inc(tokens)
        self._hits.labels(model).inc(usage.cached_tokens > 0)
        rate = self._rate.labels(model)
        # The first token's logits are there when the prompt is read, so decoding gave the others.
        if usage.completion_tokens > 1 and done.timings.decode > 0:
            rate.observe((usage.completion_tokens - 1) / done.timings.decode)

    def _shares(self, usage: Usage) -> list[tuple[Counter, int]]:
        return [
            (self._prompt, usage.prompt_tokens),
            (self._cached, usage.cached_tokens),
            (self._completion, usage.completion_tokens),
            (self._forced, usage.forced_tokens),
        ]

    def _asked_for(self, trace: Trace) -> str:
        """The model that the address of a request names, which has not run."""
        try:
            return name_of(self._ai.catalog.find(trace.params["model"]).spec)
        except (KeyError, UnknownModel):
            return ""


class _Run:
    """One run: waits, runs, ends. Its events come on the engine's thread; the trace is told in its own event loop."""

    def __init__(self, metrics: Metrics, model: str, trace: Trace | None, emit: Emit) -> None:
        self._metrics, self._model, self._trace, self._emit = metrics, model, trace, emit
        self._started = time.monotonic()
        self._has_begun = self._has_written = False
        self._lock = threading.Lock()
        self._gauge: Gauge | None = None
        self._move(metrics.waiting)
        if trace is not None:
            trace.runs.add(self)

    def __call__(self, event: Event) -> None:
        """Take an event, and pass it on."""
        now = time.monotonic()
        if not self._has_begun:
            self._has_begun = True
            self._move(self._metrics.running)
        if not self._has_written and isinstance(event, Text | ToolCallDelta):
            self._has_written = True
            self._tell(lambda trace: trace.wrote(now))
        if isinstance(event, Done | Failed):
            self._move(None)
            if isinstance(event, Done):
                self._metrics.count(self._model, event)
            self._tell(lambda trace: trace.ended(self, event, now - self._started))
        self._emit(event)

    def leave(self) -> None:
        """It was refused or given up while it waited. Should it have begun in that moment, it is cancelled, and its
        events end soon."""
        self._move(None)
        if self._trace is not None:
            self._trace.leaves(self)

    def _move(self, gauge: Gauge | None) -> None:
        """From the gauge that it is counted in to another, or to none."""
        with self._lock:
            if self._gauge:
                self._gauge.dec()
            if gauge:
                gauge.inc()
            self._gauge = gauge

    def _tell(self, do: Callable[[Trace], None]) -> None:
        if self._trace is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody writes the line any more
                self._trace.loop.call_soon_threadsafe(do, self._trace)


class _Now(Collector):
    """What is not counted, but looked up when it is asked for."""

    def __init__(self, ai: AsyncRuntime) -> None:
        self._ai, self._process = ai, psutil.Process()

    def collect(self) -> Iterator[Metric]:
        said = "What a model in memory was planned to take, a full context included."
        memory = GaugeMetricFamily("llamalet_model_memory_bytes", said, labels=["model", "quant"])
        taken: Counting[tuple[str, str]] = Counting()
        for one in self._ai.loaded():
            taken[one.name, one.quant] += one.memory
        for labels, planned in taken.items():
            memory.add_metric(labels, planned)
        yield memory
        said = "Memory of the process that is in use."
        yield GaugeMetricFamily("process_resident_memory_bytes", said, value=self._process.memory_info().rss)
        said = "When the process began, in seconds since 1970."
        yield GaugeMetricFamily("process_start_time_seconds", said, value=self._process.create_time())
        names = ["version", "python", "llama_cpp_python"]
        build = GaugeMetricFamily("llamalet_build_info", "What runs here.", labels=names)
        build.add_metric([runtime.__version__, platform.python_version(), metadata.version("llama-cpp-python")], 1)
        yield build


class _WithoutDates(Collector):
    """The metrics of a registry without the times at which each was made: this format has no place for them, and the
    library's switch for that would be every application's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


async def metrics(request: Request) -> Response:
    """What was counted until now."""
    counted: Metrics = request.app.state.metrics
    return Response(counted.text(), headers=headers(request.scope) | {"content-type": CONTENT_TYPE})
