"""`llamalet serve` as a process of its own, with the real engine: how it starts, and every way in which it ends."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.gate import Client
from tests.models import expected
from tests.servers import serving
from tests.test_cli_process import CODE, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 60  # seconds until a test that waits for a process gives up
AT_ONCE = 3.0  # seconds; what is promised is one, on a machine that does nothing else
LONG = 1000  # tokens of each of eight answers that take a second together, at least
ENDLESS = 60_000  # tokens; two such answers fit the context
CONTEXT = ("--context", "131072")
MOST_MEMORY = 80 * 1024 * 1024  # bytes
posix = pytest.mark.skipif(sys.platform == "win32", reason="a process there gets no signals from another")

# Ends answers that take longer than half a second after the signal.
IMPATIENT = "from runtime.server.listen import Server; Server.__init__.__kwdefaults__['drain'] = 0.5\n"
# Gets the signal when it has said that it listens, and does not yet heed signals as it does later.
EARLY = """
import os, signal, uvicorn
run = uvicorn.Server.run
def signalled(self, sockets):
    os.kill(os.getpid(), signal.SIGTERM)
    return run(self, sockets)
uvicorn.Server.run = signalled
"""
# Loads a model slowly, and says when it begins.
SLOWLY = """
import time
from runtime.cli import main
from runtime.cli.scene import Scene
def on_load(done):
    print("begun", flush=True)
    time.sleep(1)
main(prog_name="llamalet", obj=Scene(options={"on_load": on_load}))
"""


class Process:
    """A server that listens at `port`. `model` is how it says its model is asked for."""

    def __init__(
        self, *args: str, code: str = CODE, port: int = 0, patience: float = PATIENCE, log: str = "warning"
    ) -> None:
        """log: at info, each request has a line, and the end as well."""
        command = [sys.executable, "-c", code, "serve", "--host", "127.0.0.1", "--port", str(port), *args]
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.popen = subprocess.Popen(command, env=environment(LLAMALET_LOG=log), bufsize=0, **pipes)
        self._watch = threading.Timer(patience, self.popen.kill)  # so that no read from it waits for ever
        self._watch.start()
        self.lines: list[str] = []

    def listens(self) -> Process:
        """Wait until it does."""
        asked_for = re.search(r"curl http://127\.0\.0\.1:(\d+)/ai/run/(\S+) -d", self.line("try:"))
        assert asked_for
        self.port, self.model = int(asked_for[1]), asked_for[2]
        return self

    def has_loaded(self) -> Process:
        """Wait until it listens and has its model."""
        self.listens().line("loaded")
        return self

    def line(self, part: str) -> str:
        """The next line of stderr that has this in it."""
        assert self.popen.stderr
        while line := bytes(self.popen.stderr.readline()).decode():
            self.lines.append(line)
            if part in line:
                return line
        raise AssertionError(self.lines)

    def stream(self, key: int, tokens: int) -> Client:
        """A client that reads an answer which has begun."""
        client = Client(self.port).ask(self.model, key, tokens, stream=True)
        client.read(expected(key, 1))
        return client

    def signal(self, which: int) -> float:
        self.popen.send_signal(which)
        return time.monotonic()

    def stop(self, which: int) -> Process:
        """Send a signal, and wait until it lets nobody in any more. It still runs, for the sake of who is in."""
        end = self.signal(which) + AT_ONCE
        while not is_refused(self.port):
            assert time.monotonic() < end
            time.sleep(0.02)  # each try is a connection, of which the server would tell if they were many
        assert self.popen.poll() is None
        return self

    def resident_bytes(self) -> int:
        return int(psutil.Process(self.popen.pid).memory_info().rss)

    def get(self, path: str) -> int:
        """The status of the answer, when all of it has come."""
        return self.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def send(self, request: str) -> int:
        with Client(self.port) as client:
            client.socket.sendall(request.encode())
            client.json()
            return client.status

    def end(self) -> tuple[int, str]:
        """Its exit code, and what else it said on stderr, waiting for it."""
        engines = psutil.Process(self.popen.pid).children(recursive=True) if self.popen.poll() is None else []
        _, said = self.popen.communicate(timeout=PATIENCE)
        _, orphans = psutil.wait_procs(engines, AT_ONCE)
        assert not orphans
        return self.popen.returncode, said.decode()

    def close(self) -> None:
        self._watch.cancel()
        self.popen.kill()
        self.popen.communicate()


@contextlib.contextmanager
def process(*args: str, **options: Any) -> Iterator[Process]:
    one = Process(*args, **options)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def with_canary(canary: Path) -> list[str]:
    return ["--model", str(canary), "--threads", "1"]


def is_refused(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return False
    except OSError:
        return True


# -- the end ---------------------------------------------------------------------------------------------------------


@posix
def test_sigterm_ends_an_idle_server_at_once_with_0(with_canary: list[str]) -> None:
    with process(*with_canary) as server:
        server.has_loaded()
        start = server.signal(signal.SIGTERM)
        assert server.end() == (0, "")
        assert time.monotonic() - start < AT_ONCE


@posix
def test_sigterm_ends_a_server_without_a_model_with_0() -> None:
    with process() as server:
        server.listens().get("/healthz")
        server.signal(signal.SIGTERM)
        assert server.end() == (0, "")


@posix
def test_sigterm_lets_what_runs_end_whole_and_lets_nobody_else_in(with_canary: list[str]) -> None:
    with process(*with_canary, "--slots", "8", *CONTEXT) as server, contextlib.ExitStack() as stack:
        server.has_loaded()
        clients = [stack.enter_context(server.stream(key, LONG)) for key in range(8)]
        server.stop(signal.SIGTERM)
        rest = [expected(key, LONG).removeprefix(expected(key, 1)) for key in range(8)]
        assert [client.streamed() for client in clients] == rest
        assert server.end() == (0, "")


@posix
def test_the_log_says_how_many_still_run_and_how_long_it_waits_and_who_was_answered(with_canary: list[str]) -> None:
    with process(*with_canary, *CONTEXT, log="") as server:
        with server.has_loaded().stream(1, 2 * LONG) as client:
            server.signal(signal.SIGTERM)
            client.streamed()
        code, said = server.end()
        ending, line = said.splitlines()
        told = "llamalet.server: ending; requests still running: 1; seconds that they have: 30"
        assert (code, ending) == (0, told)
        assert line.startswith("llamalet.access: id=")
        assert " status=200 outcome=ok finish=length " in line
        assert f" completion_tokens={2 * LONG} queued=" in line


@posix
def test_sigterm_lets_those_who_wait_in_the_queue_be_answered(with_canary: list[str]) -> None:
    with process(*with_canary, "--slots", "1", *CONTEXT) as server, contextlib.ExitStack() as stack:
        server.has_loaded()
        stack.enter_context(server.stream(1, LONG))
        waiting = stack.enter_context(Client(server.port).ask(server.model, 2, 40))
        server.get("/healthz")  # read after what came before
        server.signal(signal.SIGTERM)
        assert waiting.answer() == expected(2, 40)
        assert server.end() == (0, "")


@posix
def test_answers_that_take_too_long_after_sigterm_end_with_an_error(with_canary: list[str]) -> None:
    with process(*with_canary, *CONTEXT, code=IMPATIENT + CODE) as server:
        with server.has_loaded().stream(1, ENDLESS) as client:
            server.signal(signal.SIGTERM)
            *_, last = client.events()
            assert [error["code"] for error in last["errors"]] == [5000]
        assert server.end() == (0, "")


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_an_answer_that_has_not_begun_by_the_end_of_the_drain_time_is_a_503(stream: bool, canary: Path) -> None:
    with serving(files=[canary], threads=1, slots=1, context=131072, drain=0.3) as running:
        model = running.ai.catalog.models[-1].id
        with (
            Client(running.port).ask(model, 1, ENDLESS, stream=True) as first,
            Client(running.port) as second,
        ):
            first.read(expected(1, 1))
            second.ask(model, 2, 40, stream=stream)
            running.server.should_exit = True
            assert (second.response.status, second.response.headers["retry-after"]) == (503, "2")


@posix
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_second_signal_ends_what_runs_at_once_and_without_a_traceback(
    second: signal.Signals, with_canary: list[str]
) -> None:
    with process(*with_canary, *CONTEXT) as server, server.has_loaded().stream(1, ENDLESS), server.stream(2, ENDLESS):
        server.stop(signal.SIGTERM)
        start = server.signal(second)
        assert server.end() == (0, "")
        assert time.monotonic() - start < AT_ONCE


@posix
def test_an_answer_that_is_cut_by_a_second_signal_does_not_look_whole(with_canary: list[str]) -> None:
    with process(*with_canary, *CONTEXT) as server, server.has_loaded().stream(1, ENDLESS) as client:
        server.stop(signal.SIGTERM).signal(signal.SIGTERM)
        with pytest.raises((OSError, HTTPException)):
            client.response.read()


@posix
def test_ctrl_c_ends_an_idle_server_with_130(with_canary: list[str]) -> None:
    with process(*with_canary) as server:
        server.has_loaded().signal(signal.SIGINT)
        assert server.end() == (130, "\n")


@posix
def test_ctrl_c_lets_what_runs_end_whole_too(with_canary: list[str]) -> None:
    with process(*with_canary, *CONTEXT) as server, server.has_loaded().stream(1, LONG) as client:
        server.signal(signal.SIGINT)
        assert client.streamed() == expected(1, LONG).removeprefix(expected(1, 1))
        assert server.end() == (130, "\n")


@posix
def test_a_second_ctrl_c_ends_what_runs_at_once_with_130(with_canary: list[str]) -> None:
    with process(*with_canary, *CONTEXT) as server, server.has_loaded().stream(1, ENDLESS):
        server.stop(signal.SIGINT)
        start = server.signal(signal.SIGINT)
        assert server.end() == (130, "\n")
        assert time.monotonic() - start < AT_ONCE


@posix
def test_sigterm_that_comes_while_the_server_starts_is_not_lost() -> None:
    with process(code=EARLY + CODE) as server:
        assert server.listens().end() == (0, "")


@posix
def test_sigterm_while_the_model_of_the_start_loads_stops_the_load_and_ends_with_0(with_canary: list[str]) -> None:
    with process(*with_canary, code=SLOWLY) as server:
        server.listens()
        assert server.popen.stdout
        assert server.popen.stdout.readline() == b"begun\n"
        start = server.signal(signal.SIGTERM)
        assert server.end() == (0, "")
        assert time.monotonic() - start < AT_ONCE


# -- the start -------------------------------------------------------------------------------------------------------


def test_a_second_server_on_a_port_is_refused_and_the_first_lives_on(with_canary: list[str]) -> None:
    with process(*with_canary) as first:
        first.has_loaded()
        with process(port=first.port) as second:
            code, said = second.end()
        start, hint = said.splitlines()
        assert (code, "Another program listens there already" in hint) == (78, True)
        assert start.startswith(f"llamalet: Cannot listen at 127.0.0.1, port {first.port}: ")
        with Client(first.port).ask(first.model, 7, 5) as client:
            assert client.answer() == expected(7, 5)


def test_a_server_without_a_model_takes_less_than_80_mib() -> None:
    with process() as server:
        server.listens()
        post = "POST /ai/run/{} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}"
        requests = [post.format("no-model", 2, "{}"), post.format("1b", 2, "{}"), post.format("1b", 1, "{")]
        assert [server.get("/healthz"), server.get("/nowhere")] == [200, 400]
        assert [server.send(request) for request in requests] == [400, 400, 400]
        resident = server.resident_bytes()
        sys.stdout.write(f"\nresident without a model: {resident / 2**20:.1f} MiB\n")  # for whoever runs this with -s
        assert resident < MOST_MEMORY
