"""One request on its way through the engine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runtime import callgrammar
from runtime.engine.output import Output
from runtime.errors import TimedOut
from runtime.values import Done, Progress, Text, Timings, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Sequence as Many

    import numpy as np
    from numpy.typing import NDArray

    from runtime.engine import Emit
    from runtime.engine.constraint import Constraint
    from runtime.engine.llama import Candidates, Model
    from runtime.engine.sampling import Sampler
    from runtime.toolcalls import Begun
    from runtime.values import FinishReason, Request, TokenLogprob, ToolCallDelta


MISGUESSES = 2  # a model whose guesses fail so often in a row spells otherwise, and each costs a row in a batch


@dataclass(slots=True)
class Times:
    """When things happened, in seconds of the engine's clock."""

    submitted: float
    admitted: float = 0.0
    prompt_read: float = 0.0


@dataclass(eq=False, slots=True)
class Sequence:
    """The tokens of one request: first those of its prompt, then those of its answer.

    `n_past` of them are in the KV cache; what is left goes into the next batches, whether it is prompt or answer, and
    when nothing is left the logits of the last one say what comes next. The last `n_guessed` are no part of the answer
    yet: the logits of the token before each say whether it is what would be sampled.
    """

    request: Request
    tokens: list[int]
    emit: Emit
    times: Times
    n_prompt: int = field(init=False)
    n_past: int = 0
    slot: int = -1  # llama.cpp's sequence id, while admitted
    n_guessed: int = 0
    n_misguessed: int = 0  # one after the other
    n_forced: int = 0
    sampler: Sampler | None = None
    constraint: Constraint | None = None
    constrain: Callable[[str], Constraint] | None = None  # makes one for each call, where calls may come
    output: Output = field(init=False)
    logprobs: list[TokenLogprob] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.n_prompt = len(self.tokens)
        self.output = Output(self.request)

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

    def lateness(self, now: float) -> TimedOut | None:
        """What its caller is told when its time is over, or that for waiting while it does."""
        request, passed = self.request, now - self.times.submitted
        if request.timeout is not None and passed >= request.timeout - request.waited:
            return TimedOut(f"The request took longer than its {request.timeout:g} seconds.")
        if self.slot < 0 and request.max_wait is not None and passed >= request.max_wait:
            return TimedOut(f"The request waited for a place for {request.max_wait:g} seconds.", "Try again later.")
        return None

    def decoded(self, n_past: int, now: float) -> None:
        """`n_past` of its tokens are in the KV cache now."""
        was_reading = self.is_reading
        self.n_past = n_past
        if was_reading:
            self.emit(Progress(min(n_past, self.n_prompt), self.n_prompt))
            if not self.is_reading:
                self.times.prompt_read = now

    def begin(self, model: Model) -> FinishReason | None:
        """What an answer begins with for sure is there before the prompt is read."""
        return self._look_ahead(model)

    def advance(self, rows: Many[NDArray[np.float32]], model: Model, candidates: Candidates) -> FinishReason | None:
        """Sample a token after the logits of the last token, and of those before it where tokens were guessed, and emit
        what that makes certain of the text. Gives the reason to finish, if there is one now."""
        guesses = self._take_back_guesses()
        for place, logits in enumerate(rows):
            token = self._sample(logits, model, candidates)
            if token is None:
                return self._close(model)
            reason = self._write(token, model)
            if reason:
                return reason
            is_guessed = guesses[place : place + 1] == [token]
            if place < len(guesses):
                self.n_misguessed = 0 if is_guessed else self.n_misguessed + 1
            if not is_guessed:
                break
        self.n_past = min(self.n_past, len(self.tokens) - 1)
        return self._look_ahead(model)

    def drop_guesses(self) -> None:
        """Go on without them."""
        self._take_back_guesses()

    def free(self) -> None:
        """Give back what llama.cpp holds for it. On the engine's thread."""
        if self.sampler:
            self.sampler.free()
        self._release()

    def _take_back_guesses(self) -> list[int]:
        certain = len(self.tokens) - self.n_guessed
        guesses = self.tokens[certain:]
        del self.tokens[certain:]
        self.n_guessed = 0
        return guesses

    def _sample(self, logits: NDArray[np.float32], model: Model, candidates: Candidates) -> int | None:
        """The next token, or None where its document has to be closed now."""
        assert self.sampler is not None  # noqa: S101 - admitted sequences have one
        token = self.sampler.sample(logits, candidates, self.constraint)
        if self.constraint and not self.constraint.fits(token, self._n_left - 1):
            return None
        self.logprobs += self.sampler.logprob(token, logits, model)
        return token

    def _write(self, token: int, model: Model) -> FinishReason | None:
        assert self.sampler is not None  # noqa: S101 - admitted sequences have one
        self.sampler.accept(token)
        self.tokens.append(token)
        if model.is_end(token):
            return "stop"
        piece = model.piece(token, tagged=self.output.reads_calls)
        if self.constraint:
            self.constraint.accept(token)
        elif self.constrain and b"{" in piece:
            return self._say_until_called(piece, model)
        return self._say(piece)

    def _say(self, piece: bytes) -> FinishReason | None:
        self._show(self.output.feed(piece))
        if self.output.stopped:
            return "stop"
        if self.constraint and self.constraint.is_over:
            if not self.constrain:
                return "stop"
            self._release()
        return None if self._n_left else "length"

    def _say_until_called(self, piece: bytes, model: Model) -> FinishReason | None:
        """Say the last token, which may begin a call's arguments: there a constraint takes over."""
        said = 0
        while (brace := piece.find(b"{", said)) >= 0:
            self._show(self.output.feed(piece[said : brace + 1]))
            said = brace + 1
            if begun := self.output.begun:
                return self._hold(begun, piece[:said], piece[said:], model)
        return self._say(piece[said:])

    def _hold(self, begun: Begun, said: bytes, rest: bytes, model: Model) -> FinishReason | None:
        """Hold the call that has begun to its schema. What of the last token is not said yet is taken back where the
        schema does not have it; where no room is left for the smallest call, what there is stays text."""
        assert self.constrain is not None  # noqa: S101 - nobody else gets here
        tool = next(tool for tool in self.request.tools if tool.name == begun.name)
        constraint = self.constraint = self.constrain(callgrammar.rest(tool, begun.closing))
        instead = []  # of the last token
        is_followed = constraint.follow(begun.arguments.encode("utf-8"))
        if is_followed and not constraint.follow(rest):
            instead = _tokens(said, model)
            is_followed = bool(instead)
        left = self._n_left - max(0, len(instead) - 1)
        has_room = constraint.needed(left) <= left
        if not is_followed or not has_room:
            self._release()
            reason = self._say(rest)  # if that is a call, it is judged when it is whole
            return reason if has_room else "length"
        if instead:
            self.tokens[-1:], rest = instead, b""
        self.output.pin()
        return self._say(rest)

    def _release(self) -> None:
        if self.constraint:
            self.constraint.free()
        self.constraint = None

    def _write_all(self, tokens: Iterable[int], model: Model) -> FinishReason | None:
        return next((reason for token in tokens if (reason := self._write(token, model))), None)

    def _close(self, model: Model) -> FinishReason:
        """Write the shortest end of the document, since there is room for no other."""
        assert self.constraint is not None  # noqa: S101 - nothing else is closed
        self._write_all(self.constraint.ending(), model)
        return "stop" if self.output.stopped else "length"

    def _look_ahead(self, model: Model) -> FinishReason | None:
        """Write what must come next; what probably does is guessed. With log probabilities every token is sampled."""
        if self.constraint is None or self.request.sampling.logprobs is not None:
            return None
        sure, guess = self.constraint.ahead(self._n_left)
        reason = self._write_all(sure, model)
        self.n_forced += len(sure)
        if reason is None and self.n_misguessed < MISGUESSES:
            self.tokens += guess
            self.n_guessed = len(guess)
        return reason

    @property
    def _n_left(self) -> int:
        """Tokens that it may still write."""
        return self.request.max_tokens - (len(self.tokens) - self.n_guessed - self.n_prompt)

    def finish(self, reason: FinishReason, now: float) -> None:
        """Emit what was held back, then the end."""
        self._show(self.output.finish(cut=reason != "stop"))
        if self.logprobs:
            self.emit(self._with_logprobs(Text("")))
        calls = self.output.calls
        reason = "tool_calls" if calls and reason == "stop" else reason
        self.emit(Done(reason, self._usage(), self._timings(now), calls))

    def _show(self, events: Iterable[Text | ToolCallDelta]) -> None:
        for event in events:
            self.emit(self._with_logprobs(event) if isinstance(event, Text) else event)

    def _with_logprobs(self, text: Text) -> Text:
        """The text with the tokens since the last, those of calls between them too."""
        logprobs, self.logprobs = tuple(self.logprobs), []
        return replace(text, logprobs=logprobs)

    def _usage(self) -> Usage:
        written = len(self.tokens) - self.n_guessed - self.n_prompt
        return Usage(self.n_prompt, written, forced_tokens=self.n_forced)

    def _timings(self, now: float) -> Timings:
        admitted = self.times.admitted or now
        prompt_read = self.times.prompt_read or now
        return Timings(admitted - self.times.submitted, prompt_read - admitted, now - prompt_read)


def _tokens(text: bytes, model: Model) -> list[int]:
    """None of them where it begins inside a character, which no text is."""
    try:
        return model.tokenize(text.decode("utf-8"), special=False)
    except UnicodeDecodeError:
        return []
