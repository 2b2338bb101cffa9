"""The engine in this process: one model, one thread, and the loop that everything is built around."""

from __future__ import annotations

import copy
import logging
import secrets
import threading
import time
from functools import cached_property, partial
from typing import TYPE_CHECKING

from runtime.engine.adapters import Adapters
from runtime.engine.constraint import Constraint, check_room
from runtime.engine.failures import as_ours, quietly
from runtime.engine.inbox import Inbox
from runtime.engine.llama import Candidates, Context, Model, Pulse
from runtime.engine.meter import Meter
from runtime.engine.pieces import Pieces
from runtime.engine.sampling import Sampler, check
from runtime.engine.scheduler import Scheduler
from runtime.engine.sequence import Sequence, Times
from runtime.errors import (
    ContextTooLong,
    EngineClosed,
    InvalidRequest,
)
from runtime.fit import BATCH
from runtime.values import Failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.engine import Emit, EngineConfig
    from runtime.engine.scheduler import Work
    from runtime.values import FinishReason, Request

log = logging.getLogger("llamalet.engine")


def _draw_seed() -> int:
    return secrets.randbits(32)


class LocalEngine:
    """Runs one model on a thread of its own. See `runtime.engine.Engine` for what the methods promise."""

    death = None  # it would be this process's

    def __init__(
        self,
        config: EngineConfig,
        *,
        progress: Callable[[float], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,  # monotonic advances by 16 ms on Windows before Python 3.13
        draw_seed: Callable[[], int] = _draw_seed,
        cpu_clock: Callable[[], float] = time.thread_time,
        pulse: Pulse | None = None,
    ) -> None:
        """Load the model, which takes seconds. pulse: where it counts what it does. Raises `ModelBroken` or
        `EngineError`, or what `progress` raises."""
        self._config, self._clock, self._draw_seed, self._cpu_clock = config, clock, draw_seed, cpu_clock
        self.pulse = pulse or Pulse()
        self._model = Model(config.model, gpu_layers=config.gpu_layers, progress=partial(self._report, progress))
        try:
            self._adapters = Adapters(config, self._model)
            self._context = Context(
                self._model,
                n_ctx=config.context,
                n_batch=BATCH,
                n_seq_max=config.slots,
                threads=config.threads,
                prompt_threads=config.prompt_threads,
                kv_type=config.kv_type,
                pulse=self.pulse,
            )
        except BaseException:
            self._model.free()
            raise
        # What one request may have: the cells that all share, and no more than the model was trained on.
        self.context = min(self._context.n_ctx, self._model.trained_context)
        self._candidates = Candidates(self._model.n_vocab)
        batch = self._context.batch.capacity
        self._scheduler = Scheduler(slots=config.slots, cells=self._context.n_ctx, batch=batch)
        self._adapter: str | None = None  # the one set in llama.cpp
        self._inbox = Inbox(config.slots, config.queue, self.pulse.abort)
        self._thread = threading.Thread(target=self._run, name="llamalet-engine", daemon=True)
        self._thread.start()

    def _report(self, progress: Callable[[float], None] | None, done: float) -> None:
        self.pulse.beat()
        if progress:
            progress(done)

    @cached_property
    def _pieces(self) -> Pieces:
        """Read when the first constrained request comes, on its caller's thread."""
        return Pieces(self._model)

    # -- called from any thread ------------------------------------------------------------------------------------

    def submit(self, request: Request, emit: Emit) -> None:
        self._inbox.check(request)  # before tokenizing, which costs time
        self._check(request)
        tokens = self._tokenize(request)
        sequence = Sequence(request, tokens, quietly(emit, request, self.cancel), Times(submitted=self._clock()))
        if sequence.cells > self.context:
            raise ContextTooLong(
                f"The prompt has {len(tokens)} tokens and max_tokens is {request.max_tokens}: together more than the "
                f"context of {self.context} tokens.",
                "Shorten the prompt, lower max_tokens, or load the model with a larger context.",
                tokens=sequence.cells,
                context=self.context,
            )
        self._inbox.put(sequence)

    def cancel(self, request_id: str) -> None:
        self._inbox.cancel(request_id)

    def close(self) -> None:
        self._inbox.close()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _check(self, request: Request) -> None:
        if request.max_tokens < 1:
            raise InvalidRequest(f"max_tokens is {request.max_tokens}; it must be at least 1.")
        if request.lora is not None:
            self._adapters.named(request.lora)
        if request.tools and request.constrain_tools:
            _ = self._pieces  # read now, and not on the engine's thread
        if request.grammar is not None:
            check_room(request.grammar, request.max_tokens, self._model, self._pieces)
        check(request.sampling, self._model.n_vocab)

    def _tokenize(self, request: Request) -> list[int]:
        tokens = []
        for segment in request.prompt:
            tokens += self._model.tokenize(segment.text, special=segment.special)
        if not tokens:
            raise InvalidRequest("The prompt is empty.")
        return tokens

    # -- the engine's thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        error: Exception = EngineClosed("The engine was closed while the request was in it.")
        try:
            while self._inbox.wait():
                self.step()
        except Exception as failure:
            log.exception("the engine failed")
            error = as_ours(failure)
        finally:
            self._shut_down(error)

    def step(self) -> None:
        """One batch: take up what has come in, decode, and let every sequence whose logits are ready advance."""
        self.pulse.beat()
        self._collect()
        work = self._scheduler.plan()
        if not work:
            return
        self._set_adapter()
        ready = self._fill(work)
        self._decode([sequence for sequence, _ in work])
        for sequence, rows in ready:
            if not sequence.n_pending:
                self._advance(sequence, rows)

    def _collect(self) -> None:
        """Take in new requests, drop the cancelled and the late, admit who fits."""
        now = self._clock()
        arrived, cancelled = self._inbox.take()
        for sequence in arrived:
            self._scheduler.add(sequence)
        for sequence in cancelled:
            self._finish(sequence, "cancelled")
        for sequence in (*self._scheduler.live, *self._scheduler.waiting):
            if late := sequence.lateness(now):
                self._fail(sequence, late)
        for sequence in self._scheduler.admit():
            self._go_on(sequence, partial(self._begin, sequence, now))

    def _begin(self, sequence: Sequence, now: float) -> FinishReason | None:
        self._start(sequence, now)
        return sequence.begin(self._model)

    def _start(self, sequence: Sequence, now: float) -> None:
        sequence.times.admitted = now
        constrain = partial(self._constrain, Meter(self._cpu_clock))
        if sequence.request.grammar is not None:
            sequence.constraint = constrain(sequence.request.grammar)
        elif sequence.request.tools and sequence.request.constrain_tools:
            sequence.constrain = constrain
        sequence.sampler = Sampler(
            sequence.request.sampling,
            seed=self._draw_seed(),
            prompt=sequence.tokens,
            n_vocab=self._model.n_vocab,
        )

    def _constrain(self, meter: Meter, grammar: str) -> Constraint:
        return Constraint(grammar, self._model, self._pieces, meter)

    def _set_adapter(self) -> None:
        name = self._scheduler.adapter
        if name != self._adapter:
            self._context.set_adapter(*((None,) if name is None else self._adapters.named(name)))
            self._adapter = name

    def _fill(self, work: list[Work]) -> list[tuple[Sequence, list[int]]]:
        """Put the work into the batch; who will have logits, and in which rows."""
        batch = self._context.batch
        batch.clear()
        ready = []
        for sequence, n_tokens in work:
            tokens = sequence.tokens[sequence.n_past : sequence.n_past + n_tokens]
            outputs = 1 + sequence.n_guessed if n_tokens == sequence.n_pending else 0
            rows = batch.add(sequence.slot, tokens, sequence.n_past, outputs=outputs)
            if rows:
                ready.append((sequence, rows))
        return ready

    def _decode(self, sequences: list[Sequence]) -> None:
        """Decode the batch. After an abort, each sequence goes on from what of it is in the KV cache."""
        started = self._clock()
        with self._inbox.decoding(sequences):
            done = self._context.decode()
        now = self._clock()
        if done:
            self._scheduler.measured(len(self._context.batch), now - started)
        for sequence in sequences:
            sequence.decoded(self._context.length(sequence.slot), now)

    def _advance(self, sequence: Sequence, rows: list[int]) -> None:
        def write() -> FinishReason | None:
            logits = [self._context.logits(row) for row in rows]
            return sequence.advance(logits, self._model, self._candidates)

        self._go_on(sequence, write)

    def _go_on(self, sequence: Sequence, write: Callable[[], FinishReason | None]) -> None:
        """Let the sequence write; what it does not keep of its guesses leaves the KV cache."""
        self.pulse.beat()
        n_past = sequence.n_past
        try:
            reason = write()
        except Exception as error:  # of this request's own; what llama.cpp holds for it can be freed, whatever it was
            self._fail(sequence, error)
            return
        if reason:
            self._finish(sequence, reason)
        elif sequence.n_past < n_past:
            self._context.forget(sequence.slot, sequence.n_past)

    def _finish(self, sequence: Sequence, reason: FinishReason) -> None:
        self._end(sequence)
        try:
            sequence.finish(reason, self._clock())
        except Exception as error:
            sequence.emit(Failed(as_ours(error)))

    def _fail(self, sequence: Sequence, error: Exception) -> None:
        self._end(sequence)
        sequence.emit(Failed(as_ours(error)))

    def _end(self, sequence: Sequence) -> None:
        """Free all that a sequence holds, before its caller hears of the end."""
        if sequence.slot >= 0:
            self._context.forget(sequence.slot)
        sequence.free()
        self._scheduler.remove(sequence)
        self._inbox.end(sequence)

    def _shut_down(self, error: Exception) -> None:
        left = self._inbox.empty()
        try:
            for sequence in left:
                sequence.free()
            self._context.free()
            self._model.free()
        except Exception:
            log.exception("what llama.cpp holds could not be freed")
        for sequence in left:
            sequence.emit(Failed(copy.copy(error)))
