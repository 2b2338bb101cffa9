"""The server at a socket file: who can connect, what is replaced, and what is left."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from runtime import settings
from runtime.errors import ConfigError
from runtime.server import listen, socketfile
from tests.fake_engine import FakeEngine
from tests.rawgguf import model_bytes
from tests.servers import MODELS, PATIENCE, code_of, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.commands import Shell

TOKEN = "s3cret-t0ken-of-these-tests"
needs_files = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")


@pytest.fixture
def path() -> Iterator[Path]:
    """With a short name: systems take about a hundred characters."""
    with tempfile.TemporaryDirectory(prefix="llamalet") as folder:
        yield Path(folder) / "socket"


@pytest.fixture
def client(path: Path, tmp_path: Path) -> Iterator[httpx.Client]:
    """Of a server that has the model "tiny", and would ask for a token at an address."""
    (tmp_path / "tiny.gguf").write_bytes(model_bytes())
    (tmp_path / "models.toml").write_text(MODELS)
    options: dict[str, Any] = {"models": tmp_path / "models.toml", "make_engine": lambda *_: FakeEngine()}
    with (
        serving(unix=path, token=TOKEN, **options),
        httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://anything", timeout=PATIENCE) as one,
    ):
        yield one


def opened(path: Path) -> socket.socket:
    (one,) = listen.open_sockets(settings.load({"unix": path}, env={}, folder=path.parent))
    return one


@needs_files
def test_whoever_may_open_the_file_is_answered_without_a_token_and_under_any_host(client: httpx.Client) -> None:
    assert client.post("/ai/run/tiny", json={"prompt": "Hi"}).json()["result"]["response"] == "ok"


@needs_files
def test_a_page_is_refused_there_too(client: httpx.Client) -> None:
    reply = client.post("/ai/run/tiny", json={"prompt": "Hi"}, headers={"origin": "https://evil.com"})
    assert code_of(reply) == (403, 9109)


@needs_files
def test_llamalet_ps_asks_there(
    client: httpx.Client, path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/ai/run/tiny", json={"prompt": "Hi"})
    monkeypatch.setenv("LLAMALET_UNIX", str(path))
    for args in ([], ["--url", f"unix:{path}"]):
        assert shell("ps", *args).stdout.splitlines()[1].startswith("t      GGUF   ")


@needs_files
def test_llamalet_ps_says_that_nobody_listens(path: Path, shell: Shell) -> None:
    done = shell("ps", "--url", f"unix:{path}")
    assert done.exit_code == 69
    assert done.stderr.startswith(f"llamalet: No server answers at unix:{path}: No such file")


@needs_files
def test_the_file_is_its_users_alone(path: Path) -> None:
    with opened(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@needs_files
def test_no_file_is_left_when_the_server_has_ended(path: Path) -> None:
    with serving(unix=path) as running:
        assert (running.url, path.exists()) == (f"unix:{path}", True)
    assert not path.exists()


@needs_files
def test_a_file_that_has_become_anothers_stays(path: Path) -> None:
    first = opened(path)
    path.unlink()
    with opened(path):
        first.close()
        assert path.exists()


@needs_files
def test_a_file_that_a_killed_server_left_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    with opened(path), socket.socket(socket.AF_UNIX) as found:
        found.connect(str(path))


@needs_files
def test_a_file_at_which_somebody_listens_is_left_alone(path: Path) -> None:
    with opened(path):
        with pytest.raises(ConfigError, match=r"^argument: another program listens at .*socket already\."):
            opened(path)
        with socket.socket(socket.AF_UNIX) as found:
            found.connect(str(path))


@needs_files
@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_never_replaced(path: Path, kind: str) -> None:
    if kind == "link":
        path.symlink_to("nowhere")
    else:
        path.touch() if kind == "file" else path.mkdir()
    with pytest.raises(ConfigError, match=r"^argument: .*socket is there, and is no socket\."):
        opened(path)
    assert os.path.lexists(path)


@needs_files
@pytest.mark.parametrize("name", ["nowhere/socket", "x" * 200])
def test_where_no_file_can_be_made_the_reason_is_told(path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"^argument: cannot listen at .*: .+\."):
        opened(path.parent / name)


def test_a_system_without_such_files_refuses_by_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX", raising=False)
    with pytest.raises(ConfigError, match=r"^here: this system has no Unix sockets\. Give --host and --port"):
        socketfile.open_at(path, "here")
