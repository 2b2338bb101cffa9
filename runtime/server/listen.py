"""Sockets, signals, and the HTTP server itself."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import signal
import socket
from typing import TYPE_CHECKING

import uvicorn

from runtime.errors import ConfigError
from runtime.server import socketfile
from runtime.server.app import application
from runtime.server.connection import CONNECTIONS, Connection
from runtime.server.guards import Access

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from starlette.types import ASGIApp

    from runtime.aio import AsyncRuntime
    from runtime.settings import Settings

log = logging.getLogger("llamalet.server")

DRAIN = 30.0  # seconds that answers may take to their end after SIGTERM; systemd kills after 90, Docker after 10
UNREAD = 1.0  # seconds that clients have to read that the engine was closed; two after DRAIN all is over
KEEP_ALIVE = 5  # seconds that an idle connection stays open; uvicorn's own
_NOT_THERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # no IPv6 on this machine, say


def open_sockets(settings: Settings) -> list[socket.socket]:
    """Listen where the settings say: at a socket file, or at every address of the host, all on one port.

    Raises `ConfigError` when others could come in without a token, or there is nothing to listen at.
    """
    tokens = Access.of(settings).tokens
    if settings.unix is not None:
        return [socketfile.open_at(settings.unix, settings.origin("unix"))]
    addresses = _addresses(settings)
    if tokens is None and not all(_is_loopback(address) for _, address in addresses):
        raise ConfigError(
            f"Listening at {settings.host} lets other machines in, and no token is set.",
            "Give --token-file FILE (or LLAMALET_TOKEN), or listen at localhost.",
        )
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    for family, address in addresses:
        port = sockets[0].getsockname()[1] if sockets else settings.port
        try:
            sockets.append(socket.create_server((address, port), family=family))
        except OSError as wrong:
            if wrong.errno not in _NOT_THERE:
                for one in sockets:
                    one.close()
                raise _cannot_listen(address, port, wrong) from None
            missing = wrong
    if not sockets and missing:
        raise _cannot_listen(settings.host, settings.port, missing)
    return sockets


def _addresses(settings: Settings) -> list[tuple[int, str]]:
    """Address family and address, each once."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as wrong:
        raise ConfigError(f"{settings.origin('host')}: there is no host {settings.host!r}: {wrong.strerror}.") from None
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def url(sockets: list[socket.socket]) -> str:
    """Where clients on this machine find the server; `unix:` and a path where that is a file."""
    if isinstance(at := sockets[0].getsockname(), str):
        return f"unix:{at}"
    address = ipaddress.ip_address(at[0].partition("%")[0])
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    host = f"[{address}]" if address.version == 6 else str(address)
    return f"http://{host}:{at[1]}"


def serve(
    ai: AsyncRuntime,
    sockets: list[socket.socket],
    *,
    started: Callable[[], None] = lambda: None,
    model: str | None = None,
    loaded: Callable[[], None] = lambda: None,
) -> None:
    """Answer on these sockets until SIGTERM or Ctrl-C, then let what runs end within DRAIN seconds, and close `ai`.

    started: called as soon as signals are listened to. model: loaded at the start; `loaded` is called when it is there.
    What loading raises ends the server, and is raised.
    """
    failures: list[Exception] = []

    def told(error: Exception | None) -> None:
        if error is None:
            loaded()
        else:
            failures.append(error)
            server.should_exit = True

    server = Server(ai, application(ai, model=model, loaded=told, is_ending=lambda: server.should_exit))
    # One that comes before the server listens to signals ends it too; so it gets the one that ended it once more, when
    # all is closed, and nothing comes of that.
    before = signal.signal(signal.SIGTERM, server.handle_exit)
    try:
        started()
        server.run(sockets)
    finally:
        signal.signal(signal.SIGTERM, before)
        asyncio.run(ai.close())  # a server that has failed has not told the application of the end
    if failures:
        raise failures[0]


class Server(uvicorn.Server):
    """The HTTP server of an application that answers with `ai`.

    When answers take longer than `drain` seconds after the signal, it closes the engine, which ends each of them with
    an error that its client reads. Connections that are open still are cut, as they all are by a second signal.
    """

    def __init__(self, ai: AsyncRuntime, app: ASGIApp, *, drain: float = DRAIN) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                backlog=CONNECTIONS,
                log_level="error",  # its warnings are about what clients send, and advise to install things
                timeout_keep_alive=KEEP_ALIVE,
            )
        )
        self._ai, self._drain = ai, drain
        self._at_once = asyncio.Event()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        running = len(self.server_state.tasks)
        log.info("ending; requests still running: %d; seconds that they have: %g", running, self._drain)
        late = asyncio.ensure_future(self._end_late())
        try:
            await super().shutdown(sockets)
        finally:
            late.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # The second is not uvicorn's to handle: it would cancel what runs, and log a traceback for each.
        if self.should_exit:
            self._at_once.set()
        else:
            super().handle_exit(sig, frame)

    async def _end_late(self) -> None:
        if not await self._is_hurried(self._drain):
            log.info("requests that are not done, and end with an error: %d", len(self.server_state.tasks))
            await self._ai.close()
            await self._is_hurried(UNREAD)
        while True:  # those too that came between the two signals
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0.1)

    async def _is_hurried(self, seconds: float) -> bool:
        """Whether a second signal comes within that time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._at_once.wait(), seconds)
        return self._at_once.is_set()


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _cannot_listen(address: str, port: int, wrong: OSError) -> ConfigError:
    hints = {
        errno.EADDRINUSE: "Another program listens there already: give another --port, or 0 for any that is free.",
        errno.EACCES: "The ports below 1024 are the system's: give another --port.",
    }
    return ConfigError(f"Cannot listen at {address}, port {port}: {wrong.strerror}.", hints.get(wrong.errno or 0))
