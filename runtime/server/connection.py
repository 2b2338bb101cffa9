"""One connection: how many there may be, and how long a client may take to send and to read."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from runtime.errors import BadHeader, HeadTooLarge, QueueFull
from runtime.server.guards import BODY_SECONDS, HEAD_BYTES
from runtime.server.replies import refusal

if TYPE_CHECKING:
    import asyncio

    from starlette.types import Receive, Scope, Send

log = logging.getLogger("llamalet.server")

ANSWERED = 256  # connections at once whose requests are answered; who comes on one more is told to come again
CONNECTIONS = 512  # at once; more are cut as they come. A process may often have 1,024 files open
HEAD_SECONDS = 10.0  # that a request's line and headers may take to come
REST_SECONDS = BODY_SECONDS  # that the rest of a body may take whose request is answered already
STALLED = 30.0  # seconds that a client may not read, before its connection is ended, and its place goes to another
LOOKS = 6  # in that time


async def crowded(scope: Scope, receive: Receive, send: Send) -> None:
    """The application of the connections that are too many."""
    refused = refusal(scope, QueueFull(f"There are {ANSWERED} connections already.", "Try again in a moment."))
    refused.headers["connection"] = "close"
    await refused(scope, receive, send)


class Connection(H11Protocol):
    """Ends when what its client is to send takes too long to come, or what was sent is not read. What is no HTTP gets
    an error in the same envelope as all."""

    conn: Counted
    _late: asyncio.TimerHandle | None = None
    _awaited: Any = None  # h11's state of the client, for which that clock runs
    _watch: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn = Counted(h11.SERVER, HEAD_BYTES)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        with contextlib.suppress(OSError):  # a socket file has no such option
            # asyncio sets it on sockets that say they are TCP, which those of `socket.create_server` do not. Without it
            # a piece of an answer waits until the client has acknowledged the one before: up to 40 ms.
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self.connections) > CONNECTIONS:
            transport.abort()
        elif len(self.connections) > ANSWERED:
            self.app = crowded
            if len(self.connections) == ANSWERED + 1:
                log.warning("there are %d connections; more are refused", ANSWERED)
        self._await_client()
        self._watch_reader(0, self.loop.time())

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._await_client()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._await_client()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for clock in (self._late, self._watch):
            if clock:
                clock.cancel()

    def send_400_response(self, msg: str) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):  # else an answer is on its way already
            error = _error()
            told = refusal({"type": "http", "path": "", "headers": []}, error, parity=error.hint is None)
            told.headers["connection"] = "close"
            reason = HTTPStatus(told.status_code).phrase.encode()
            head = h11.Response(status_code=told.status_code, headers=told.raw_headers, reason=reason)
            for event in (head, h11.Data(data=bytes(told.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _await_client(self) -> None:
        """Have a clock run while the client is to send what nobody else waits for: a head that has begun to come, or
        the rest of a body whose request is answered."""
        state: Any = self.conn.their_state
        seconds = {h11.IDLE: HEAD_SECONDS, h11.SEND_BODY: REST_SECONDS}.get(state)
        if state is h11.SEND_BODY and not self.cycle.response_complete:
            state = seconds = None  # `read_body` waits for that
        if state is self._awaited:
            return
        if self._late:
            self._late.cancel()
        self._awaited, self._late = state, None
        if seconds is not None:
            self._late = self.loop.call_later(seconds, self.transport.close)

    def _watch_reader(self, taken: int, when: float) -> None:
        """Look again and again whether the client reads: it had taken so many bytes at that time, and no more since."""
        unread, now = self.transport.get_write_buffer_size(), self.loop.time()
        if not unread or self.conn.sent - unread > taken:
            taken, when = self.conn.sent - unread, now
        elif now - when >= STALLED:
            log.warning("a client did not read for %g seconds; its connection was ended", STALLED)
            self.transport.abort()
            return
        self._watch = self.loop.call_later(STALLED / LOOKS, self._watch_reader, taken, when)


class Counted(h11.Connection):
    """Knows how many bytes it has made for the client."""

    sent = 0

    def send(self, event: Any) -> Any:
        data: bytes | None = super().send(event)
        self.sent += len(data or b"")
        return data


def _error() -> BadHeader:
    """For what h11 has just refused, which uvicorn is about to answer."""
    if getattr(sys.exception(), "error_status_hint", 0) == HeadTooLarge.status:
        return HeadTooLarge("Invalid request headers", f"A head has {HEAD_BYTES} bytes at most.")
    return BadHeader("Invalid HTTP request")
