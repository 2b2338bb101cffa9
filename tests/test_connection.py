"""How many connections there may be, and how long a client may take to send and to read, down to the socket."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import h11
import pytest

from runtime.server import connection, streams
from runtime.server.connection import Connection
from runtime.values import Text
from tests.fake_engine import answer
from tests.gate import PATIENCE, comes_true
from tests.servers import Scripted, read_all, request, scripted
from tests.test_server_streams import Slow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STREAM = json.dumps({"prompt": "Hi", "stream": True}).encode()
SMALL = 65_536  # bytes that a socket of these tests buffers on each side; with fewer, TCP over loopback stands still


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Scripted]:
    with scripted(tmp_path) as one:
        yield one


def connections(server: Scripted) -> list[Connection]:
    return [one for one in server.running.server.server_state.connections if isinstance(one, Connection)]


def status_on(client: socket.socket) -> int:
    """Of the next answer, which is read whole."""
    reply = http.client.HTTPResponse(client)
    reply.begin()
    reply.read()
    return reply.status


def test_no_piece_of_an_answer_waits_for_the_one_before_to_be_acknowledged(server: Scripted) -> None:
    with server.connection():
        assert comes_true(lambda: len(connections(server)) == 1)
        (one,) = connections(server)
        assert one.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


# -- how many --------------------------------------------------------------------------------------------------------


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two are answered, and one more is told to come again."""
    monkeypatch.setattr(connection, "ANSWERED", 2)
    monkeypatch.setattr(connection, "CONNECTIONS", 3)


def test_who_is_one_too_many_is_told_to_come_again_and_the_others_are_served(
    few: None, server: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    with contextlib.ExitStack() as stack:
        first, second, third = (stack.enter_context(server.connection()) for _ in range(3))
        assert comes_true(lambda: len(connections(server)) == 3)
        third.sendall(request())
        head, _, body = read_all(third).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 429 ")
        assert [field in head for field in (b"retry-after: 2", b"connection: close")] == [True, True]
        told = json.loads(body)["errors"][0]
        assert (told["code"], "There are 2 connections already." in told["message"]) == (3040, True)
        for one in (first, second):
            one.sendall(request())
            assert one.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert caplog.text.count("more are refused") == 1


def test_who_comes_beyond_those_is_cut_off(few: None, server: Scripted) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(server.connection())
        assert comes_true(lambda: len(connections(server)) == 3)
        with server.connection() as fourth, contextlib.suppress(ConnectionError):
            assert fourth.recv(1) == b""
        assert comes_true(lambda: len(connections(server)) == 3)


def test_once_there_is_room_who_comes_is_served(few: None, server: Scripted) -> None:
    with server.connection(), server.connection():
        assert comes_true(lambda: len(connections(server)) == 2)
    assert comes_true(lambda: not connections(server))
    assert b"200 OK" in server.raw(request(b'{"prompt": "Hi"}', "Connection: close"))


# -- who sends slowly ------------------------------------------------------------------------------------------------


class Drip(threading.Thread):
    """Connections on which a byte more comes now and then, behind what each begins with, until the server ends them."""

    def __init__(self, port: int, begins: list[bytes], pause: float = 0.1) -> None:
        super().__init__()
        self._pause, self.started = pause, time.monotonic()
        self.said: dict[socket.socket, bytes] = {}  # to each
        self.ended: list[float] = []  # when they were, in seconds
        self._open = selectors.DefaultSelector()
        for begin in begins:
            one = socket.create_connection(("127.0.0.1", port), PATIENCE)
            one.sendall(begin)
            self.said[one] = b""
            self._open.register(one, selectors.EVENT_READ)
        self.start()

    def run(self) -> None:
        while self._open.get_map() and time.monotonic() < self.started + PATIENCE:
            pause = time.monotonic() + self._pause
            while (left := pause - time.monotonic()) > 0 and self._open.get_map():
                for key, _ in self._open.select(left):
                    self._read(key.fileobj)
            for key in list(self._open.get_map().values()):
                with contextlib.suppress(OSError):
                    key.fileobj.send(b"x")  # type: ignore[union-attr]

    def _read(self, one: Any) -> None:
        part = b""
        with contextlib.suppress(ConnectionError):
            part = one.recv(65536)
        self.said[one] += part
        if not part:
            self._open.unregister(one)
            one.close()
            self.ended.append(time.monotonic() - self.started)


SLOW = 200
DEADLINE = 2.0  # seconds, in the place of 10 and 30
SLOW_HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
SLOW_BODY = request(b"x" * 100_000)[:-99_999]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", DEADLINE)
    monkeypatch.setattr(connection, "REST_SECONDS", DEADLINE)
    monkeypatch.setattr("runtime.server.guards.BODY_SECONDS", DEADLINE)


def test_200_who_send_a_byte_now_and_then_are_all_ended_and_others_are_served(
    impatient: None, server: Scripted
) -> None:
    drip = Drip(server.running.port, [SLOW_HEAD, SLOW_BODY] * (SLOW // 2))
    served = 0
    while drip.is_alive():
        assert server.ask().is_success
        served += 1
    assert served > 1
    assert len(drip.ended) == SLOW
    said = list(drip.said.values())
    assert [one[:13] for one in said] == [b"", b"HTTP/1.1 408 "] * (SLOW // 2)
    assert min(drip.ended) >= DEADLINE * 0.9  # clocks of two threads
    assert comes_true(lambda: len(connections(server)) <= 1)  # that of who was served


def test_the_rest_of_a_body_whose_request_is_refused_is_waited_for_only_so_long(
    impatient: None, server: Scripted
) -> None:
    """Nobody reads it: neither where the guard refused, nor where there is no such address."""
    refused = SLOW_BODY.replace(b"Host: localhost", b"Host: evil.com")
    nowhere = SLOW_BODY.replace(b"/ai/run/tiny", b"/nowhere")
    chunked = b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n"
    drip = Drip(server.running.port, [refused, nowhere, chunked])
    drip.join()
    assert len(drip.ended) == 3
    assert [one[:13] for one in drip.said.values()] == [b"HTTP/1.1 403 ", b"HTTP/1.1 400 ", b"HTTP/1.1 400 "]


def test_who_is_refused_and_sends_the_body_all_the_same_has_as_long_for_the_next_head(server: Scripted) -> None:
    with server.connection() as client:
        client.sendall(request(b"x" * 1000, path="/nowhere"))
        assert status_on(client) == 400
        client.sendall(SLOW_HEAD)
        assert comes_true(lambda: [one._awaited for one in connections(server)] == [h11.IDLE])
        client.sendall(b"\r\n\r\n")
        assert status_on(client) == 200


def test_an_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("runtime.server.listen.KEEP_ALIVE", 0.05)
    with scripted(tmp_path) as server, server.connection() as client:
        client.sendall(request())
        assert read_all(client).startswith(b"HTTP/1.1 200 ")


# -- who reads slowly ------------------------------------------------------------------------------------------------


class Reader:
    """A client whose stream soon fills the buffers on its way, or the system's own where they are not `small`."""

    def __init__(self, server: Scripted, *, small: bool = True) -> None:
        (listening,) = server.running.server.servers[0].sockets
        self.socket = socket.socket()
        if small:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", server.running.port))
        self.socket.sendall(request(STREAM, "Connection: close"))

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def slow_server(slow: Slow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scripted]:
    monkeypatch.setattr(streams, "FIRST_BYTE", 600.0)
    monkeypatch.setattr(streams, "HEARTBEAT", 600.0)
    with scripted(tmp_path, make_engine=lambda *_: slow) as one:
        yield one


def test_who_reads_little_by_little_is_not_taken_for_one_who_does_not(
    slow_server: Scripted, slow: Slow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """More comes than is read, all the time, so what waits grows."""
    monkeypatch.setattr(connection, "STALLED", 0.6)
    with Reader(slow_server, small=False) as reader:  # small ones of a reader stand still for minutes at times
        assert slow.submitted.wait(PATIENCE)
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            slow.emit(Text("Q" * 20_000))
            assert reader.socket.recv(10_000)
        slow.emit(*answer("end"))
        rest = read_all(reader.socket)
    assert b"[DONE]" in rest
    assert "did not read" not in caplog.text


def test_events_for_who_does_not_read_are_kept_up_to_a_bound(
    slow_server: Scripted, slow: Slow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(streams, "OUTBOX", 100)
    with Reader(slow_server) as reader:
        assert slow.submitted.wait(PATIENCE)
        slow.emit(Text("Q" * 1_000_000))  # fills every buffer
        assert comes_true(lambda: any(one.flow.write_paused for one in connections(slow_server)))
        slow.emit(Text("first"))
        loop = slow_server.running.server.servers[0].get_loop()
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.01), loop).result(PATIENCE)  # the writer has taken it
        emitted = 0
        with contextlib.suppress(ValueError):  # nothing runs any more
            while not slow.cancelled.wait(0.001):
                slow.emit(Text("more"))
                emitted += 1
        rest = read_all(reader.socket)
    assert slow.running == {}
    text = rest.partition(b"\r\n\r\n")[2]
    assert text.count(b"more") <= 100 <= emitted
    assert b"The answer was not read: 100 pieces of it waited to be sent." in text
    assert b"[DONE]" not in text
    assert "100 events wait for a client that does not read" in caplog.text


def test_an_engine_that_is_faster_than_its_reader_loses_nothing(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much comes at once: nobody who reads is cut off."""
    monkeypatch.setattr(streams, "OUTBOX", 100)
    pieces = [f" {number}" for number in range(5000)]
    with Reader(server.will(answer(*pieces))) as reader:
        reply = read_all(reader.socket)
    found = [one for one in b"".join(unchunked(reply)).decode().split("\n\n") if one]
    assert "".join(json.loads(one[6:])["response"] for one in found[:-1]) == "".join(pieces)


def unchunked(reply: bytes) -> Iterator[bytes]:
    """The parts of a chunked body."""
    rest = reply.partition(b"\r\n\r\n")[2]
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        yield rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
