"""For tests of clients that leave: an engine that steps only when it may, and a client down to its socket."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import socket
import struct
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runtime.engine.local import LocalEngine
from tests.engines import cells_in_use
from tests.models import key_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime.engine import Emit, EngineConfig
    from runtime.engine.sequence import Sequence
    from runtime.values import Request

PATIENCE = 30  # seconds until a test that waits gives up


class GatedEngine(LocalEngine):
    """Its steps are counted. Once held it stands between two of them, and a test may look into it.

    `cancelled` and `ended` give, by the id of a request, how many steps had begun when its caller took it back, and
    when all that it held was free.
    """

    def __init__(self, config: EngineConfig, progress: Callable[[float], None] | None = None) -> None:
        self._moved = threading.Condition()
        self._allowed = math.inf
        self.begun = self.done = 0
        self.cancelled: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        super().__init__(replace(config, threads=1), progress=progress)

    # -- what the server calls -------------------------------------------------------------------------------------

    def submit(self, request: Request, emit: Emit) -> None:
        super().submit(request, emit)
        with self._moved:
            self._moved.notify_all()

    def cancel(self, request_id: str) -> None:
        with self._inbox._lock:  # a step looks for the cancelled under it: so what is counted here is what it found
            begun, is_open = self.begun, request_id in self._inbox._open
            super().cancel(request_id)
        if is_open:
            with self._moved:
                self.cancelled.setdefault(request_id, begun)
                self._moved.notify_all()

    def close(self) -> None:
        self.release()
        super().close()

    # -- the engine's thread ---------------------------------------------------------------------------------------

    def step(self) -> None:
        with self._moved:
            self._moved.wait_for(lambda: self.begun < self._allowed)
            self.begun += 1
        super().step()
        with self._moved:
            self.done += 1
            self._moved.notify_all()

    def _end(self, sequence: Sequence) -> None:
        super()._end(sequence)
        self.ended[sequence.request.id] = self.begun

    # -- for the test ----------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Let the step that runs end, and begin no other."""
        with self._moved:
            self._allowed = self.begun
            self._wait(lambda: self.done == self.begun)

    def release(self) -> None:
        with self._moved:
            self._allowed = math.inf
            self._moved.notify_all()

    def steps(self, count: int = 1) -> None:
        """Take so many steps, of an engine that is held and has work for them."""
        with self._moved:
            self._allowed += count
            self._moved.notify_all()
            self._wait(lambda: self.done == self._allowed)

    def step_until(self, condition: Callable[[], bool]) -> None:
        """Take steps until it is so after one."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end
            self.steps()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Until it is so, of what callers' threads do here."""
        with self._moved:
            self._wait(condition)

    def _wait(self, condition: Callable[[], bool]) -> None:
        assert self._moved.wait_for(condition, PATIENCE)

    def sequence(self, key: int) -> Sequence:
        """That of the request with this key, waiting for it to come."""

        def found() -> Sequence | None:
            return next((one for one in self.requests() if _has_key(one.request, key)), None)

        with self._moved:
            self._wait(lambda: found() is not None)
            sequence = found()
        assert sequence is not None
        return sequence

    def requests(self) -> list[Sequence]:
        """Those that have come and not ended, in that order."""
        with self._inbox._lock:
            return list(self._inbox._open.values())

    def n_open(self) -> int:
        """Requests that have come and not ended."""
        return len(self._inbox._open)

    def has(self, sequence: Sequence) -> bool:
        """Whether anything of it is left here, while held."""
        scheduler, inbox = self._scheduler, self._inbox
        return (
            sequence in (*scheduler.live, *scheduler.waiting, *inbox._arrived)
            or sequence.request.id in {*inbox._open, *inbox._cancelled}
            or sequence.slot >= 0
        )


def accounts_agree(engine: LocalEngine) -> bool:
    """Whether slots and cells are either free or of those that run, and llama.cpp holds cells for no other; while held
    or idle."""
    scheduler, live = engine._scheduler, engine._scheduler.live
    slots = sorted(scheduler._free_slots + [one.slot for one in live])
    cells = scheduler._free_cells + sum(one.cells for one in live)
    return (
        slots == list(range(engine._config.slots))
        and cells == scheduler.cells
        and cells_in_use(engine) == sum(one.n_past for one in live)
    )


def is_empty(engine: LocalEngine) -> bool:
    """Whether no request is left, and every slot and every cell is free."""
    return not engine._inbox._open and not engine._scheduler.live and accounts_agree(engine)


def _has_key(request: Request, key: int) -> bool:
    return any(key_token(key) in segment.text for segment in request.prompt)


def comes_true(condition: Callable[[], bool]) -> bool:
    """Whether it does in good time: for what tells nobody when it happens."""
    end = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < end:
        threading.Event().wait(0.005)
    return condition()


class Client:
    """One connection to a server on this machine, which asks the canary."""

    def __init__(self, port: int, *, buffer: int = 0) -> None:
        """buffer: how many bytes the socket keeps at most before they are read, if not the system's own."""
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE)
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.connect(("127.0.0.1", port))
        self._response: http.client.HTTPResponse | None = None
        self.status = 0  # of the last answer that has begun

    def ask(
        self,
        model: str,
        key: int,
        tokens: int,
        *,
        stream: bool = False,
        before: str = "",
        sent: float = 1.0,
    ) -> Client:
        """Send a request; of its body, only the part `sent`."""
        inputs = {"prompt": f"{before}{key_token(key)}", "max_tokens": tokens, "temperature": 0, "stream": stream}
        return self.send(model, inputs, sent=sent)

    def send(self, model: str, inputs: dict[str, Any], *, sent: float = 1.0) -> Client:
        """The same for any inputs."""
        body = json.dumps(inputs).encode()
        head = f"POST /ai/run/{model} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self.socket.sendall(head.encode() + body[: int(sent * len(body))])
        return self

    @property
    def response(self) -> http.client.HTTPResponse:
        """That of the request, waiting for it to begin."""
        if self._response is None:
            self._response = http.client.HTTPResponse(self.socket)
            self._response.begin()
            self.status = self._response.status
        return self._response

    def json(self) -> Any:
        """The whole body of an answer that is no stream. The connection serves again."""
        response = self.response
        body = json.loads(response.read())
        self._response = None
        return body

    def answer(self) -> str:
        """The text of an answer that is no stream."""
        body = self.json()
        assert body["success"], body
        text: str = body["result"]["response"]
        return text

    def events(self) -> Iterator[Any]:
        """Those of a stream; None is for `[DONE]`."""
        while line := self.response.readline():
            if line.strip():
                data = line.removeprefix(b"data: ").strip()
                yield None if data == b"[DONE]" else json.loads(data)

    def read(self, text: str) -> None:
        """Read as many events of a stream as have this text, which they must."""
        got = ""
        for event in self.events():
            got += event["response"]
            if len(got) >= len(text):
                break
        assert got == text

    def streamed(self) -> str:
        """The text of what is left of a stream, which must end as streams do."""
        *events, end = self.events()
        assert end is None, events[-1:]
        self._response = None
        return "".join(event["response"] for event in events)

    def text(self, *, stream: bool) -> str:
        return self.streamed() if stream else self.answer()

    def leave(self, how: str) -> None:
        """By "close", "reset" or "half-close"; after the last, this side could still read."""
        if how == "half-close":
            self.socket.shutdown(socket.SHUT_WR)
            return
        if how == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def is_dropped(self) -> bool:
        """Whether the server ends the connection without another byte, waiting for it."""
        return self.socket.recv(1) == b""

    def close(self) -> None:
        if self._response:
            self._response.close()
        self.socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self.close()
