"""What a caller asks for -> what an engine is asked for; the engine's events -> what the caller gets."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from runtime import callgrammar, documents, prompt, tools
from runtime.documents import Check, Result
from runtime.errors import DocumentRefused, TimedOut
from runtime.grammar import matcher_of
from runtime.values import Done, Failed, Message, Request
from runtime.wire import workers_ai
from runtime.wire.body import MAX_SEED

if TYPE_CHECKING:
    import queue

    from pydantic import TypeAdapter

    from runtime.catalog import Choice, ModelSpec
    from runtime.engine import Engine
    from runtime.values import Event, Inputs, Segment, Tool


@dataclass(frozen=True, slots=True)
class Job:
    """A run that was asked for and has not begun: of which model, what the caller said, what its engine is asked, what
    the answer has to pass, and until when it must have begun. `as_text`: a document is given as its text."""

    choice: Choice
    inputs: Inputs
    request: Request
    check: Check
    deadline: Deadline
    parity: bool = False
    as_text: bool = False

    def answer(self) -> workers_ai.Answer:
        """What the events of the run are folded with."""
        return workers_ai.Answer(parity=self.parity, is_document=self.inputs.document is not None and not self.as_text)

    def result(self, answer: dict[str, Any]) -> Result | None:
        """What the caller gets; None where the answer does not pass and another is worth a try. Raises
        `DocumentRefused` where none is."""
        result = Result(answer)
        if self.inputs.document is None:
            return result
        try:
            response = answer["response"]
            result.parsed = self.check.parsed(workers_ai.value(response) if self.as_text else response)
        except DocumentRefused:
            # Without chance the next answer would be the same.
            if self.check.tries == 1 or self.request.sampling.temperature == 0:
                raise
            return None
        return result

    def again(self) -> Job:
        """The next try, with another seed where the caller has given one."""
        sampling = self.request.sampling
        if sampling.seed is not None:
            sampling = replace(sampling, seed=sampling.seed % MAX_SEED + 1)
        request = replace(self.request, id=new_id(), sampling=sampling)
        return replace(self, request=request, check=replace(self.check, tries=self.check.tries - 1))


def new_id() -> str:
    """An id for a request that no other has."""
    return uuid.uuid4().hex


def prepare(
    inputs: Inputs, spec: ModelSpec, *, request_id: str, date: str, timeout: float, grammar: str | None = None
) -> Request:
    """What the engine is asked for these inputs; `date` and `timeout` (seconds) hold where the inputs say nothing.

    Raises `UnknownAdapter`.
    """
    return Request(
        id=request_id,
        prompt=_segments(inputs, spec.family, inputs.date or date),
        max_tokens=inputs.max_tokens,
        sampling=inputs.sampling,
        stop=inputs.stop,
        lora=None if inputs.lora is None else spec.adapter(inputs.lora).name,
        timeout=timeout if inputs.timeout is None else inputs.timeout,
        reject_if_busy=inputs.reject_if_busy,
        grammar=grammar,
        tools=_callable(inputs),
        tool_choice=inputs.tool_choice,
        parallel_tool_calls=inputs.parallel_tool_calls,
        constrain_tools=inputs.constrain_tools,
    )


def constrain(inputs: Inputs, python_type: TypeAdapter[Any] | None = None) -> tuple[str | None, Check]:
    """The grammar that the answer is held to, if any, and what it has to pass beyond. Raises `InvalidRequest`."""
    if inputs.document is not None:
        return documents.compiled(inputs.document, python_type)
    grammar = inputs.grammar
    if grammar is None and inputs.tools and inputs.constrain_tools:
        grammar = _calls(inputs)
    if grammar is not None:
        matcher_of(grammar)
    return grammar, Check()


def _calls(inputs: Inputs) -> str | None:
    """The grammar of an answer that must be calls. What may become one gets its grammar when its arguments begin, and
    is compiled here, since what is wrong with it is to be said now."""
    known = _callable(inputs)
    if inputs.tool_choice == "required":
        return callgrammar.calls(known, several=inputs.parallel_tool_calls)
    for tool in known:
        matcher_of(callgrammar.rest(tool, "}"))
    return None


def _callable(inputs: Inputs) -> tuple[Tool, ...]:
    known = tools.declared(inputs.tools).values()
    return tuple(tool for tool in known if inputs.tool_name in (None, tool.name))


def _segments(inputs: Inputs, family: str, date: str) -> tuple[Segment, ...]:
    """A prompt becomes one user turn; raw text goes to the model as it is, that of messages one after the other."""
    if inputs.raw:
        return prompt.raw("".join(m.content for m in inputs.messages) if inputs.prompt is None else inputs.prompt)
    messages = inputs.messages if inputs.prompt is None else (Message("user", inputs.prompt),)
    place, style = inputs.tools_in, inputs.tool_style
    return prompt.segments(messages, tools=inputs.tools, family=family, date=date, tools_in=place, style=style)


class Deadline:
    """When a request must have begun: so many seconds from now."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._end = seconds, time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds, 0 when it has passed."""
        return max(0.0, self._end - time.monotonic())

    @property
    def waited(self) -> float:
        """Seconds that are gone."""
        return self._seconds - self.left

    @property
    def given_up(self) -> bool:
        return not self._end

    def give_up(self) -> None:
        """Nobody waits any more: it has passed now."""
        self._end = 0.0

    def check(self) -> None:
        """Raises `TimedOut` when it has passed."""
        if not self.left:
            raise self.missed()

    def missed(self) -> TimedOut:
        return TimedOut(f"The request's {self._seconds:g} seconds passed before its model was loaded.")


@dataclass(frozen=True, slots=True)
class Ticket:
    """A request that an engine has taken in."""

    id: str
    engine: Engine

    def cancel(self) -> None:
        """Take the request back. It ends soon, with what was written until then."""
        self.engine.cancel(self.id)


class Stream:
    """The answer as it comes: an iterator of `{"response": ...}` events, of which the last has `usage`. Calls of tools
    come as `{"tool_calls": [...]}` while they grow, and whole in the last.

    Leaving it early, by `close()`, the end of a `with` block, or by dropping it, cancels the request.
    """

    def __init__(self, ticket: Ticket, events: queue.SimpleQueue[Event], answer: workers_ai.Answer) -> None:
        self._ticket, self._events, self._answer = ticket, events, answer
        self._ended = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> dict[str, Any]:
        while not self._ended:
            event = self._events.get()
            self._ended = isinstance(event, Done | Failed)
            shown = self._answer.stream(event)
            if shown is not None:
                return shown
        raise StopIteration

    def cancel(self) -> None:
        """From any thread: stop the answer. Going on to iterate gives what was written until then, and the end, whose
        `finish_reason` is "cancelled"."""
        self._ticket.cancel()

    def close(self) -> None:
        """Cancel, and give nothing more."""
        self._ticket.cancel()
        self._ended = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self._ticket.cancel()
