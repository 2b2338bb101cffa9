"""One request on its way through the engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runtime.parse import OutputText
from runtime.values import Done, Progress, Text, Timings, Usage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from runtime.engine import Emit
    from runtime.engine.llama import Candidates, Model
    from runtime.engine.sampling import Sampler
    from runtime.values import FinishReason, Request, TokenLogprob


@dataclass(slots=True)
class Times:
    """When things happened, in seconds of the engine's clock."""

    submitted: float
    admitted: float = 0.0
    prompt_read: float = 0.0


@dataclass(eq=False, slots=True)
class Sequence:
    """The tokens of one request: first those of its prompt, then those sampled.

    `n_past` of them are in the KV cache; what is left goes into the next batches, whether it is prompt or answer, and
    when nothing is left the logits of the last one say what comes next.
    """

    request: Request
    tokens: list[int]
    emit: Emit
    times: Times
    n_prompt: int = field(init=False)
    n_past: int = 0
    slot: int = -1  # llama.cpp's sequence id, while admitted
    sampler: Sampler | None = None
    text: OutputText = field(init=False)
    logprobs: list[TokenLogprob] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.n_prompt = len(self.tokens)
        self.text = OutputText(self.request.stop)

    @property
    def cells(self) -> int:
        """KV cells that it may need in all."""
        return self.n_prompt + self.request.max_tokens

    @property
    def n_pending(self) -> int:
        """Tokens that are not in the KV cache yet."""
        return len(self.tokens) - self.n_past

    @property
    def is_reading(self) -> bool:
        """Whether part of its prompt is still to be decoded."""
        return self.n_past < self.n_prompt

    @property
    def deadline(self) -> float:
        """When it must be done, on the engine's clock."""
        timeout = self.request.timeout
        return float("inf") if timeout is None else self.times.submitted + timeout - self.request.waited

    def decoded(self, n_past: int, now: float) -> None:
        """`n_past` of its tokens are in the KV cache now."""
        was_reading = self.is_reading
        self.n_past = n_past
        if was_reading:
            self.emit(Progress(min(n_past, self.n_prompt), self.n_prompt))
            if not self.is_reading:
                self.times.prompt_read = now

    def advance(self, logits: NDArray[np.float32], model: Model, candidates: Candidates) -> FinishReason | None:
        """Sample a token and emit what it makes certain of the text; the reason to finish, if there is one now."""
        assert self.sampler is not None  # noqa: S101 - admitted sequences have one
        token = self.sampler.sample(logits, candidates)
        self.logprobs += self.sampler.logprob(token, logits, model)
        self.tokens.append(token)
        if model.is_end(token):
            return "stop"
        self._show(self.text.feed(model.piece(token)))
        if self.text.stopped:
            return "stop"
        return "length" if len(self.tokens) - self.n_prompt >= self.request.max_tokens else None

    def finish(self, reason: FinishReason, now: float) -> None:
        """Emit what was held back, then the end."""
        self._show(self.text.finish(), last=True)
        self.emit(Done(reason, self._usage(), self._timings(now)))

    def _show(self, text: str, *, last: bool = False) -> None:
        if text or (last and self.logprobs):
            self.emit(Text(text, tuple(self.logprobs)))
            self.logprobs.clear()

    def _usage(self) -> Usage:
        return Usage(self.n_prompt, len(self.tokens) - self.n_prompt)

    def _timings(self, now: float) -> Timings:
        admitted = self.times.admitted or now
        prompt_read = self.times.prompt_read or now
        return Timings(admitted - self.times.submitted, prompt_read - admitted, now - prompt_read)
