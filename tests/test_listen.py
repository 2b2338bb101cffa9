"""At which addresses the server listens, and when it refuses to; how `serve` ends."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from runtime import AsyncRuntime, settings
from runtime.errors import ConfigError, EngineClosed, EngineError
from runtime.server import listen
from tests.fake_engine import FakeEngine, FakeEngines
from tests.gate import comes_true
from tests.servers import read_all, request, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Opener = Callable[..., list[socket.socket]]

TOKEN = "s3cret-t0ken-of-these-tests"
V4, V6 = socket.AF_INET, socket.AF_INET6
posix = pytest.mark.skipif(sys.platform == "win32", reason="a process there gets no signals")


def _has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=V6):
        return True
    return False


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="there is no IPv6 on this machine")


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Opens sockets by settings, and closes them."""
    made: list[socket.socket] = []

    def make(host: str, port: int = 0, **arguments: Any) -> list[socket.socket]:
        given = settings.load({"host": host, "port": port, **arguments}, env={}, folder=tmp_path)
        made.extend(sockets := listen.open_sockets(given))
        return sockets

    yield make
    for one in made:
        one.close()


def resolves_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[int, str]) -> None:
    """Whatever the name of the host is."""
    found = [(family, socket.SOCK_STREAM, 6, "", (address, 0)) for family, address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def names(sockets: list[socket.socket]) -> list[str]:
    return [one.getsockname()[0] for one in sockets]


def test_port_0_is_any_that_is_free(opened: Opener) -> None:
    ports = {opened("127.0.0.1")[0].getsockname()[1] for _ in range(2)}
    assert len(ports) == 2
    assert 0 not in ports


@needs_ipv6
def test_localhost_is_both_its_addresses_on_one_port(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, (V6, "::1"), (V4, "127.0.0.1"), (V6, "::1"))
    sockets = opened("localhost")
    assert names(sockets) == ["::1", "127.0.0.1"]
    assert len({one.getsockname()[1] for one in sockets}) == 1


def test_localhost_is_what_it_is_on_this_machine(opened: Opener) -> None:
    sockets = opened("localhost")
    with socket.create_connection(("localhost", sockets[0].getsockname()[1])) as connection:
        assert connection.getpeername()[0] in names(sockets)


@pytest.mark.parametrize("missing", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
def test_a_machine_without_ipv6_listens_at_the_other_address(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    create = socket.create_server

    def create_server(address: Any, *, family: int, **options: Any) -> socket.socket:
        if family == V6:
            raise OSError(missing, "none")
        return create(address, family=family, **options)

    resolves_to(monkeypatch, (V6, "::1"), (V4, "127.0.0.1"))
    monkeypatch.setattr(socket, "create_server", create_server)
    assert names(opened("localhost")) == ["127.0.0.1"]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "2001:db8::1"])
def test_without_a_token_others_are_not_let_in(opened: Opener, host: str) -> None:
    with pytest.raises(ConfigError) as raised:
        opened(host)
    assert raised.value.message == f"Listening at {host} lets other machines in, and no token is set."
    assert "--token-file FILE" in str(raised.value.hint)


@pytest.mark.parametrize("other", [(V4, "192.0.2.1"), (V6, "fe80::1%lo"), (V4, "0.0.0.0")])
def test_a_name_with_one_address_that_others_reach_takes_a_token(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, other: tuple[int, str]
) -> None:
    resolves_to(monkeypatch, (V4, "127.0.0.1"), other)
    with pytest.raises(ConfigError, match="lets other machines in"):
        opened("box.lan")


@pytest.mark.parametrize("address", [(V4, "127.0.0.1"), (V4, "127.3.2.1"), (V6, "::1")])
def test_no_address_of_loopback_takes_a_token(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, address: tuple[int, str]
) -> None:
    def create_server(*_: object, **__: object) -> socket.socket:
        raise OSError(errno.EADDRNOTAVAIL, "not tried here")

    resolves_to(monkeypatch, address)
    monkeypatch.setattr(socket, "create_server", create_server)
    with pytest.raises(ConfigError, match="not tried here"):
        opened("box.lan")


def test_with_a_token_it_listens_everywhere(opened: Opener) -> None:
    assert names(opened("0.0.0.0", token=TOKEN)) == ["0.0.0.0"]


def test_a_token_that_cannot_be_used_is_none(opened: Opener) -> None:
    with pytest.raises(ConfigError, match="the token is not accepted"):
        opened("0.0.0.0", token="short")


def test_a_port_that_is_taken_is_told_with_what_to_do(opened: Opener) -> None:
    port = opened("127.0.0.1")[0].getsockname()[1]
    with pytest.raises(ConfigError) as raised:
        opened("127.0.0.1", port)
    assert raised.value.message.startswith(f"Cannot listen at 127.0.0.1, port {port}: ")
    assert "give another --port" in str(raised.value.hint)


@needs_ipv6
def test_a_port_that_is_taken_at_one_address_leaves_none_open(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    port = opened("127.0.0.1")[0].getsockname()[1]
    resolves_to(monkeypatch, (V6, "::1"), (V4, "127.0.0.1"))
    with pytest.raises(ConfigError, match=r"Cannot listen at 127\.0\.0\.1"):
        opened("localhost", port)
    with socket.create_server(("::1", port), family=V6):
        pass  # which is free again


def test_an_address_that_is_not_this_machines_is_refused(opened: Opener) -> None:
    with pytest.raises(ConfigError, match=r"Cannot listen at 192\.0\.2\.1, port 0: "):
        opened("192.0.2.1", token=TOKEN)


def test_a_port_of_the_systems_is_told_as_one(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    def create_server(*_: object, **__: object) -> socket.socket:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "create_server", create_server)
    with pytest.raises(ConfigError, match=r"port 80: Permission denied\. The ports below 1024 are the system's"):
        opened("127.0.0.1", 80)


def test_a_host_that_nobody_knows_is_refused(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object, **__: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(ConfigError, match=r"there is no host 'nowhere': Name or service not known\."):
        opened("nowhere")


class Bound(socket.socket):
    """A socket that says it is bound here."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.close()
        self._name = name

    def getsockname(self) -> tuple[str, int]:
        return (self._name, 8788)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8788"),
        ("192.0.2.1", "http://192.0.2.1:8788"),
        ("::1", "http://[::1]:8788"),
        ("2001:db8::1", "http://[2001:db8::1]:8788"),
        ("0.0.0.0", "http://127.0.0.1:8788"),
        ("::", "http://[::1]:8788"),
        ("fe80::1%lo", "http://[fe80::1]:8788"),
    ],
)
def test_the_url_is_one_for_clients_on_this_machine(name: str, url: str) -> None:
    assert listen.url([Bound(name)]) == url


# -- serve -----------------------------------------------------------------------------------------------------------


def test_a_model_that_cannot_be_loaded_ends_the_server_with_its_error(model: str, opened: Opener) -> None:
    def make(*_: object) -> FakeEngine:
        raise EngineError("broken")

    sockets = opened("127.0.0.1")
    with pytest.raises(EngineError, match="broken"):
        listen.serve(AsyncRuntime(files=[model], make_engine=make), sockets, model=model)
    assert [one.fileno() for one in sockets] == [-1]


@posix
def test_a_signal_ends_the_server_and_closes_the_runtime(model: str, opened: Opener) -> None:
    engines = FakeEngines()
    ai = AsyncRuntime(files=[model], make_engine=engines)
    listen.serve(ai, opened("127.0.0.1"), model=model, loaded=lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert [engine.closed.is_set() for engine in engines.made] == [True]
    with pytest.raises(EngineClosed):
        ai._runtime.run(model, prompt="Hi")


@posix
def test_a_signal_is_handled_afterwards_as_before(model: str, opened: Opener) -> None:
    before = signal.getsignal(signal.SIGTERM)
    ai = AsyncRuntime(files=[model], make_engine=FakeEngines())
    listen.serve(ai, opened("127.0.0.1"), model=model, loaded=lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("sent", [b"", b"POST /ai/run/tiny HTTP/1.1\r\nHost: local"], ids=["nothing", "half"])
def test_a_connection_whose_head_does_not_come_is_closed(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr("runtime.server.connection.HEAD_SECONDS", 0.05)
    with serving() as running, socket.create_connection(("127.0.0.1", running.port), 30) as client:
        client.sendall(sent)
        assert read_all(client) == b""


def test_the_clock_of_a_head_stops_when_it_has_come() -> None:
    with serving() as running, socket.create_connection(("127.0.0.1", running.port), 30) as client:
        client.sendall(request(path="/ai/run/nothing")[:-3])
        assert comes_true(lambda: [one._late for one in running.server.server_state.connections] == [None])  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "sent", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nno field\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\r\n\r\n"]
)
def test_what_is_no_http_is_answered_in_the_envelope_and_the_connection_closed(sent: bytes) -> None:
    with serving() as running, socket.create_connection(("127.0.0.1", running.port), 30) as client:
        client.sendall(sent)
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    error = {"code": 6003, "message": "Invalid HTTP request"}
    assert json.loads(body) == {"result": None, "success": False, "errors": [error], "messages": []}
    assert head.startswith(b"HTTP/1.1 400 ")
    fields = head.lower()
    assert [
        name in fields for name in (b"content-type: application/json", b"connection: close", b"cf-ai-req-id: ")
    ] == [
        True,
        True,
        True,
    ]


def test_what_is_no_http_behind_a_request_cuts_nothing_into_its_answer() -> None:
    with serving() as running, socket.create_connection(("127.0.0.1", running.port), 30) as client:
        client.sendall(b"POST /ai/run/1b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
        assert read_all(client).count(b"HTTP/1.1") <= 1
