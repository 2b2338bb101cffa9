"""What docs/server.md shows is true: its commands work, and its tables and examples are what there is."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from runtime import settings
from runtime.server.tokens import Tokens
from tests.gate import comes_true
from tests.servers import scripted
from tests.test_cli_process import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Scripted

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "server.md").read_text("utf-8")
ADDRESS, SOCKET = "http://localhost:8788", "/run/user/1000/llamalet.sock"
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


def block(kind: str) -> list[str]:
    """The lines of the blocks of this kind."""
    return [line for one in re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.M | re.S) for line in one.splitlines()]


def by_shell(command: str) -> str:
    env = environment() | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    quietly = command.replace("curl ", "curl --silent --show-error --noproxy '*' ", 1)
    return subprocess.run(
        ["bash", "-c", quietly], capture_output=True, text=True, check=True, timeout=60, env=env
    ).stdout


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    with scripted(tmp_path_factory.mktemp("models")) as one:
        yield one


@needs_curl
@pytest.mark.parametrize("command", block("sh server"))
def test_a_command_is_answered(server: Scripted, command: str) -> None:
    assert by_shell(command.replace(ADDRESS, server.running.url))


@needs_curl
@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")
def test_the_commands_for_the_socket_file_are_answered(tmp_path: Path) -> None:
    asked, listed = block("sh socket")
    with tempfile.TemporaryDirectory(prefix="llamalet") as folder:
        file = f"{folder}/socket"
        with scripted(tmp_path / "models", unix=file):
            assert json.loads(by_shell(asked.replace(SOCKET, file).replace("/run/1b", "/run/tiny")))["success"]
            assert by_shell(listed.replace(SOCKET, file)).splitlines()[1].startswith("t ")


def test_the_table_has_every_metric_with_its_labels(server: Scripted) -> None:
    rows = re.findall(r"^\| `(\w+)` \|([\w, ]*)\|", PAGE, re.M)
    documented = {name: set(labels.replace(",", " ").split()) for name, labels in rows}
    assert server.ask().status_code == 200
    server.ask({"prompt": "Hi", "keep_alive": 0})  # a model that leaves is counted, and one that stays has memory
    assert comes_true(lambda: "llamalet_model_unloads_total{" in server.http.get("/metrics").text)
    server.ask()
    families = text_string_to_metric_families(server.http.get("/metrics").text)
    found = {
        one.name + ("_total" if one.type == "counter" else ""): set().union(*(s.labels for s in one.samples)) - {"le"}
        for one in families
    }
    assert found == documented


def test_the_file_of_tokens_is_taken(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("\n".join(block("text")))
    found = Tokens.of(settings.load({"token_file": tmp_path / "tokens"}, env={}, folder=tmp_path))
    assert found
    assert [one.name for one in found.known] == ["ann", "ci", "ci"]


def test_the_line_of_the_log_is_what_a_request_has(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llamalet.access")
    (tmp_path / "tokens").write_text("ann r4xN0bq2t7Yw9sLkV3mE")
    (shown,) = (json.loads(line) for line in block("json"))
    with scripted(tmp_path / "models", token_file=tmp_path / "tokens") as server:
        named = {"authorization": "Bearer r4xN0bq2t7Yw9sLkV3mE", "x-request-id": shown["client_id"]}
        server.ask(headers=named)
        assert comes_true(lambda: bool(caplog.records))
    fields = vars(caplog.records[0])["fields"]
    assert list(fields) == [name for name in shown if name not in ("time", "level", "logger")]
    same = ("client_id", "peer", "user", "method", "path", "status", "outcome", "finish")
    assert {name: fields[name] for name in same} == {name: shown[name] for name in same}
