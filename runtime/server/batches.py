"""Batches: requests that nobody waits for. They run in the background, and who sent them asks for the answers later.

Their requests come one by one into the queue that all others stand in, and leave a slot free where there are several;
when that queue is full they wait outside. All that is kept is bounded, and gone when the server ends.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runtime.errors import (
    EngineClosed,
    EngineError,
    InvalidRequest,
    LlamaletError,
    QueueFull,
    TooLarge,
    Unsupported,
)
from runtime.server.guards import check_inputs
from runtime.wire import envelope
from runtime.wire.body import cut, plain
from runtime.wire.listing import name_of

if TYPE_CHECKING:
    from runtime.aio import AsyncRuntime

log = logging.getLogger("llamalet.server")

MAX_BODY = 10_000_000  # bytes of one batch, as published
BATCHES = 100  # that are kept at once, ended ones among them
REQUESTS = 1000  # in one
SIZE = 32 * 1024 * 1024  # bytes of JSON of all that are kept, requests and answers together
KEPT = 3600.0  # seconds that answers are kept once all of a batch are there
AGAIN = 0.5  # seconds until a request that found the queue full tries again


@dataclass(slots=True, eq=False)
class Batch:
    """Requests of one caller, with what it calls each of them. `asked` is the model as it was named; `sent` and `kept`
    are bytes, of the requests until all are answered, and of the answers."""

    asked: str
    model: str
    requests: list[Any]
    references: list[Any]
    sent: int
    kept: int = 0
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    responses: dict[int, dict[str, Any]] = field(default_factory=dict)
    has_begun: bool = False
    was_read: bool = False
    ignored: set[str] = field(default_factory=set)
    deprecated: set[str] = field(default_factory=set)

    @property
    def is_done(self) -> bool:
        return len(self.responses) == len(self.requests)

    def state(self) -> dict[str, Any]:
        """What its caller gets: where it stands, or all answers in the order of the requests."""
        if not self.is_done:
            return {"status": "running" if self.has_begun else "queued", "request_id": self.id, "model": self.model}
        responses = [self.responses[at] for at in range(len(self.requests))]
        usages = [one["result"]["usage"] for one in responses if one["success"]]
        counts = ("prompt_tokens", "completion_tokens", "total_tokens")
        return {"responses": responses, "usage": {name: sum(one[name] for one in usages) for name in counts}}


def is_poll(body: Any) -> bool:
    """Whether it asks for a batch, which the service's binding does without the word queueRequest."""
    return isinstance(body, dict) and "request_id" in body and not body.keys() & {"prompt", "messages"}


class Batches:
    """Those that wait, run, or have ended not long ago. For one event loop."""

    def __init__(self, ai: AsyncRuntime) -> None:
        self._ai = ai
        self._batches: dict[str, Batch] = {}
        self._size = 0
        self._waiting: asyncio.Queue[tuple[Batch, int]] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []
        self._is_closed = False

    def take(self, model: str, body: Any, size: int) -> dict[str, Any]:
        """The envelope for a body of so many bytes: it has `requests` to be taken in, or the `request_id` of a batch.

        Raises what `submit` and `find` do.
        """
        given = body if isinstance(body, dict) else {}
        if ("requests" in given) == ("request_id" in given):
            raise InvalidRequest(
                "A queued request takes either requests, an array of inputs, or request_id.",
                "Leave out queueRequest for an answer at once.",
            )
        ignored = {cut(name) for name in given.keys() - {"requests", "request_id"}}
        if "requests" in given:
            return envelope.success(self.submit(model, given["requests"], size).state(), sorted(ignored))
        batch = self.find(model, given["request_id"])
        return envelope.success(batch.state(), sorted(ignored | batch.ignored), sorted(batch.deprecated))

    def submit(self, model: str, requests: Any, size: int) -> Batch:
        """Take requests in, which had so many bytes. Raises `UnknownModel`, `InvalidRequest`, `TooLarge`, and
        `QueueFull` when there is no room for more."""
        spec = self._ai.catalog.find(model).spec
        if not isinstance(requests, list) or not requests:
            raise InvalidRequest("requests: must be an array with at least one request.")
        if len(requests) > REQUESTS:
            raise TooLarge(f"The batch has {len(requests)} requests; it may have {REQUESTS}.", "Send several batches.")
        if self._is_closed:
            raise EngineClosed("The server is ending.")
        references = [_reference(request, at) for at, request in enumerate(requests)]
        self._make_room(size)
        batch = Batch(model, name_of(spec), requests, references, size)
        self._batches[batch.id] = batch
        self._size += size
        for at in range(len(requests)):
            self._waiting.put_nowait((batch, at))
        if not self._workers:
            count = max(1, self._ai.settings.slots - 1)
            self._workers = [asyncio.create_task(self._work()) for _ in range(count)]
        return batch

    def find(self, model: str, batch_id: Any) -> Batch:
        """The batch that has this id. Raises `UnknownModel`, and `InvalidRequest` when there is none."""
        name = name_of(self._ai.catalog.find(model).spec)
        batch = self._batches.get(batch_id) if isinstance(batch_id, str) else None
        if batch is None:
            raise InvalidRequest(
                f"request_id: there is no batch {cut(str(batch_id))!r}.",
                f"The answers of one are kept for {KEPT / 60:g} minutes, and until the server ends.",
            )
        if batch.model != name:
            raise InvalidRequest(f"request_id: that batch is of the model {batch.model}, not of {name}.")
        batch.was_read = batch.is_done
        return batch

    async def close(self) -> None:
        """End what runs, and take nothing more."""
        self._is_closed = True
        lost = sum(len(one.requests) - len(one.responses) for one in self._batches.values())
        if lost:
            log.warning("the server ended before %d requests of batches were answered", lost)
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._batches.clear()

    def _make_room(self, size: int) -> None:
        """Forget the oldest batches whose answers were read, as far as that is needed. Raises `QueueFull`."""
        for batch in [one for one in self._batches.values() if one.was_read]:
            if len(self._batches) < BATCHES and self._size + size <= SIZE:
                break
            self._forget(batch)
        if len(self._batches) >= BATCHES or self._size + size > SIZE:
            raise QueueFull(
                f"{len(self._batches)} batches of {self._size} bytes are kept; there is room for {BATCHES} of {SIZE}.",
                "Read the answers of those that have ended, and try again.",
            )

    def _forget(self, batch: Batch) -> None:
        if self._batches.pop(batch.id, None):
            self._size -= batch.sent + batch.kept

    async def _work(self) -> None:
        """Answer one request after the other."""
        while True:
            batch, at = await self._waiting.get()
            batch.has_begun = True
            response = await self._response(batch, at)
            self._keep(batch, at, response)

    def _keep(self, batch: Batch, at: int, response: dict[str, Any]) -> None:
        size = len(envelope.encode(response))
        if response["success"] and self._size + size > SIZE:
            error = TooLarge(f"There is no room for this answer: all that are kept may have {SIZE} bytes.")
            response = _failed(batch, at, error)
            size = len(envelope.encode(response))
        batch.responses[at] = response
        batch.kept += size
        self._size += size
        if batch.is_done:
            self._size -= batch.sent
            batch.sent, batch.requests = 0, [None] * len(batch.requests)
            asyncio.get_running_loop().call_later(KEPT, self._forget, batch)

    async def _response(self, batch: Batch, at: int) -> dict[str, Any]:
        try:
            result = await self._result(batch, batch.requests[at])
        except LlamaletError as error:
            return _failed(batch, at, error)
        except Exception:
            log.exception("a request of a batch failed")
            return _failed(batch, at, EngineError("Internal error.", "The server's log says more."))
        return {"id": at, "result": result, "success": True, "external_reference": batch.references[at]}

    async def _result(self, batch: Batch, request: Any) -> dict[str, Any]:
        if isinstance(request, dict):
            request = {key: value for key, value in request.items() if key != "external_reference"}
        check_inputs(request)
        while True:
            job = await self._ai.prepare(batch.asked, request)  # again each time: its time runs from here
            if job.inputs.stream:
                raise Unsupported("stream is not supported in a batch.", "Leave it out: the answers come whole.")
            batch.ignored.update(job.inputs.ignored)
            batch.deprecated.update(job.inputs.deprecated)
            try:
                return await self._ai.answer(job)
            except QueueFull:
                if job.request.reject_if_busy:
                    raise
                await asyncio.sleep(AGAIN)


def _failed(batch: Batch, at: int, error: LlamaletError) -> dict[str, Any]:
    errors = envelope.failure(error, batch.id)["errors"]
    return {"id": at, "result": {}, "success": False, "errors": errors, "external_reference": batch.references[at]}


def _reference(request: Any, at: int) -> Any:
    """What its caller calls a request. Raises `InvalidRequest` for what could not be sent back."""
    given = request.get("external_reference") if isinstance(request, dict) else None
    return plain(given, f"requests[{at}].external_reference")
