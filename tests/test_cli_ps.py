"""`llamalet ps`, and the route that it asks."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from runtime.cli.ps import _time
from runtime.values import Text
from tests.gate import comes_true
from tests.servers import Scripted, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

    from tests.commands import Shell

TOKEN = "s3cret-t0ken-of-these-tests"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Scripted]:
    with scripted(tmp_path / "server", keep_alive=300) as client:
        yield client


def ps(shell: Shell, server: Scripted, *args: str) -> Result:
    return shell("ps", "--url", server.running.url, *args)


def test_without_a_model_in_memory_the_table_has_its_head(shell: Shell, server: Scripted) -> None:
    done = ps(shell, server)
    assert (done.exit_code, done.stdout.split()) == (
        0,
        ["MODEL", "QUANT", "MEMORY", "CONTEXT", "REQUESTS", "UNLOADS"],
    )


def test_what_is_in_memory_is_a_line_each(shell: Shell, server: Scripted) -> None:
    server.ask()
    head, line = ps(shell, server).stdout.splitlines()
    assert line.startswith("t      GGUF   ")
    assert line.index("64") == head.index("CONTEXT")
    assert "idle for 0s" in line
    assert line.endswith(("in 5m", "in 4m 59s"))


def test_json_has_bytes_and_seconds(shell: Shell, server: Scripted) -> None:
    server.ask({"prompt": "Hi", "keep_alive": -1})
    (one,) = json.loads(ps(shell, server, "--json").stdout)
    assert one["memory"] > 0
    assert one | {"memory": 0, "idle": 0} == {
        "name": "t", "quant": "GGUF", "memory": 0, "context": 64, "running": 0, "idle": 0, "keep_alive": -1,
        "unloads_in": None,
    }  # fmt: skip


def test_one_that_answers_goes_some_time_after(shell: Shell, server: Scripted) -> None:
    server.will([Text("a")])
    with server.http.stream("POST", "/ai/run/tiny", json={"prompt": "Hi", "stream": True, "keep_alive": 90}) as reply:
        assert reply.status_code == 200
        assert ps(shell, server).stdout.splitlines()[1].split()[-4:] == ["1", "1m", "30s", "after"]


def test_the_address_is_that_of_the_settings(shell: Shell, server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMALET_HOST", "0.0.0.0")  # where a server listens that is asked here
    monkeypatch.setenv("LLAMALET_PORT", str(server.running.port))
    monkeypatch.setenv("HTTP_PROXY", "http://localhost:9")
    assert shell("ps").exit_code == 0


def test_the_token_is_sent_and_without_it_nothing_is_told(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    with scripted(tmp_path / "server", token=TOKEN) as server:
        assert server.http.get("/loaded").status_code == 400
        assert ps(shell, server, "--token-file", str(tmp_path / "token")).exit_code == 0
        refused = ps(shell, server)
        (tmp_path / "token").write_text(TOKEN[::-1])
        wrong = ps(shell, server, "--token-file", str(tmp_path / "token"))
    assert (refused.exit_code, wrong.exit_code) == (65, 65)
    assert "refuses: Missing X-Auth-Key" in refused.stderr
    assert "refuses: Authentication error" in wrong.stderr
    assert "--token-file" in wrong.stderr


def test_asking_keeps_no_model_loaded_and_loads_none(shell: Shell, tmp_path: Path) -> None:
    with scripted(tmp_path / "server", keep_alive=0.3) as server:
        server.ask()
        for path in ("/loaded", "/healthz", "/readyz"):
            assert server.http.get(path).status_code == 200
        assert comes_true(lambda: server.http.get("/loaded").json() == {"loaded": []})
        assert server.engine.closed.is_set()


def test_it_is_no_address_of_the_service(server: Scripted) -> None:
    assert server.http.get(f"/client/v4/accounts/{'0' * 32}/loaded").status_code == 400
    assert server.http.post("/loaded").status_code == 405


def test_a_server_that_is_not_there_is_one_clear_line(shell: Shell, tmp_path: Path) -> None:
    with scripted(tmp_path / "server") as server:
        url = server.running.url
    done = shell("ps", "--url", url)
    assert done.exit_code == 69
    assert done.stdout == ""
    said, hint = done.stderr.splitlines()  # between them what the system says
    assert said.startswith(f"llamalet: No server answers at {url}: ")
    assert hint == "  `llamalet serve` starts one."


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """The address of some other server."""

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "body"), [(200, b"hello"), (200, b"{}"), (200, b"[]"), (404, b"no"), (500, b"{}")])
def test_another_server_is_told_from_ours(shell: Shell, status: int, body: bytes) -> None:
    with answering(status, body) as url:
        done = shell("ps", "--url", url)
    assert done.exit_code == 69
    assert f"What answers at {url} is no llamalet server" in done.stderr


@pytest.mark.parametrize("url", ["file:///etc/hosts", "localhost:8788"])
def test_what_is_no_address_is_refused(shell: Shell, url: str) -> None:
    done = shell("ps", "--url", url)
    assert (done.exit_code, "begins with http:// or https://" in done.stderr) == (78, True)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0s"), (9.9, "9s"), (60, "1m"), (252, "4m 12s"), (3605, "1h 5s"), (86400 * 30, "720h")]
)
def test_times_are_shown_in_two_units(seconds: float, text: str) -> None:
    assert _time(seconds) == text
