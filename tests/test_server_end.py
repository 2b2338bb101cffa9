"""How `llamalet serve` ends in the middle of things, and what several servers on one machine share.

`test_server_process.py` has the rest. Each end of an engine that may live in a process of its own leaves none behind.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from runtime.settings import SETTINGS
from tests.gate import Client
from tests.hub import COMMIT, REPO, Fault
from tests.models import expected
from tests.stores import FILE
from tests.test_cli_process import CODE
from tests.test_server_process import AT_ONCE, CONTEXT, ENDLESS, IMPATIENT, Process, posix, process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.hub import LoopbackHub

# Where the engine lives; in a process of its own where that can be asked for.
HOMES = ("none", "process") if "isolation" in SETTINGS else ("none",)
DRAINED = 0.5 + 2.0  # seconds: the drain of `IMPATIENT`, and what all else may take
LONG_PROMPT = "~" * 100_000
STREAMS = 8


@pytest.fixture(params=HOMES)
def arguments(request: pytest.FixtureRequest, canary: Path) -> list[str]:
    """For a server with the canary, whose engine lives there."""
    where = ["--isolation", request.param] if "isolation" in SETTINGS else []
    return ["--model", str(canary), "--threads", "1", *CONTEXT, *where]


@contextlib.contextmanager
def leaving_nobody(server: Process) -> Iterator[None]:
    """The server ends meanwhile, and with it whoever it has started."""
    started = psutil.Process(server.popen.pid).children(recursive=True)
    yield
    assert server.popen.poll() is not None
    gone, alive = psutil.wait_procs(started, timeout=1)
    assert (len(gone), alive) == (len(started), [])


def ends(server: Process, which: int, within: float) -> tuple[int, str]:
    """Its exit code, and what it said, after this signal."""
    with leaving_nobody(server):
        start = server.signal(which)
        ended = server.end()
    took = time.monotonic() - start
    sys.stdout.write(f"\nended in {took:.2f} s\n")  # for whoever runs this with -s
    assert took < within
    return ended


@posix
def test_sigterm_ends_an_idle_server(arguments: list[str]) -> None:
    with process(*arguments) as server:
        server.has_loaded()
        assert ends(server, signal.SIGTERM, AT_ONCE) == (0, "")


@posix
def test_sigterm_ends_8_streams_that_go_on_with_an_error_after_the_drain(arguments: list[str]) -> None:
    with process(*arguments, "--slots", str(STREAMS), code=IMPATIENT + CODE) as server, contextlib.ExitStack() as stack:
        server.has_loaded()
        clients = [stack.enter_context(server.stream(key, ENDLESS // 4)) for key in range(STREAMS)]
        ended = ends(server, signal.SIGTERM, DRAINED + AT_ONCE)
        lasts = [list(client.events())[-1] for client in clients]
        assert [last["errors"][0]["code"] for last in lasts] == [5000] * STREAMS
        assert ended == (0, "")


@posix
def test_sigterm_does_not_wait_for_a_client_that_does_not_read(arguments: list[str]) -> None:
    with process(*arguments, code=IMPATIENT + CODE) as server, Client(server.has_loaded().port, buffer=4096) as client:
        client.ask(server.model, 1, ENDLESS, stream=True)
        assert client.response.status == 200
        assert ends(server, signal.SIGTERM, DRAINED + AT_ONCE) == (0, "")


@posix
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_ctrl_c_in_a_long_prompt_ends_the_server_after_the_drain(arguments: list[str], stream: bool) -> None:
    with process(*arguments, code=IMPATIENT + CODE) as server, Client(server.has_loaded().port) as client:
        client.ask(server.model, 1, 5, stream=stream, before=LONG_PROMPT)
        server.get("/healthz")  # read after what came before
        assert ends(server, signal.SIGINT, DRAINED + AT_ONCE) == (130, "\n")


@posix
def test_a_second_ctrl_c_in_a_long_prompt_ends_the_server_at_once(arguments: list[str]) -> None:
    with process(*arguments) as server, Client(server.has_loaded().port) as client:
        client.ask(server.model, 1, 5, stream=True, before=LONG_PROMPT)
        server.get("/healthz")
        server.stop(signal.SIGINT)
        assert ends(server, signal.SIGINT, AT_ONCE) == (130, "\n")


# -- with a hub ------------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(hub: LoopbackHub, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a model that the hub has, for processes that are started meanwhile."""
    file = home / "models.toml"
    entry = f"repo = '{REPO}'\nrevision = '{COMMIT}'\nfile = '{FILE}'\nsha256 = '{hub.sha256(FILE)}'\n"
    file.write_text(f"[[model]]\nid = 'tiny'\n{entry}")
    monkeypatch.setenv("LLAMALET_MODELS", str(file))
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    return "tiny"


@posix
def test_sigterm_while_the_model_is_fetched_ends_the_server_and_keeps_what_has_come(
    hub: LoopbackHub, home: Path, tiny: str
) -> None:
    hub.always = Fault(rate=1e6)
    with process("--model", tiny, log="") as server:
        server.listens()
        while not (parts := [one for one in (home / "hub").rglob("*.part") if one.stat().st_size]):
            assert server.popen.poll() is None
            time.sleep(0.01)
        code, _ = ends(server, signal.SIGTERM, AT_ONCE)
        assert code == 0
        (part,) = parts
        assert 0 < part.stat().st_size < len(hub.files[FILE])


def test_two_servers_on_one_cache_fetch_a_model_once_and_both_serve_it(
    hub: LoopbackHub, home: Path, tiny: str, canary: Path
) -> None:
    hub.files[FILE] = canary.read_bytes()
    text = (home / "models.toml").read_text()
    (home / "models.toml").write_text(text.replace(text.split("sha256 = '")[1].split("'")[0], hub.sha256(FILE)))
    hub.always = Fault(rate=3e6)  # so that both are at it
    with process("--model", tiny, "--threads", "1") as first, process("--model", tiny, "--threads", "1") as second:
        servers = (first.has_loaded(), second.has_loaded())
        assert hub.sent == len(hub.files[FILE])
        for key, server in enumerate(servers):
            with Client(server.port).ask(server.model, key, 20) as client:
                assert client.answer() == expected(key, 20)


def test_two_servers_on_one_model_file_both_serve_it(arguments: list[str]) -> None:
    with process(*arguments) as first, process(*arguments) as second:
        for key, server in enumerate((first.has_loaded(), second.has_loaded())):
            with Client(server.port).ask(server.model, key, 20) as client:
                assert client.answer() == expected(key, 20)
