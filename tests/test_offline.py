"""After one pull nothing opens a connection: every verb, in a process that ends when anything tries to."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from runtime import store
from tests.hub import REPO
from tests.stores import environment, loopback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 120  # seconds until a test that waits gives up
BLOCK = """
import os, sys
asks = "connect sendto sendmsg getaddrinfo gethostbyname gethostbyaddr"
asks = {f"socket.{name}" for name in asks.split()}
def refuse(event, where):  # of all of Python, C modules included
    if event in asks and where[0] not in ("127.0.0.1", "localhost"):  # names of where a server listens
        sys.stderr.write(f"{event}: {where}\\n")
        sys.stderr.flush()
        os._exit(99)
sys.addaudithook(refuse)
import json
from runtime.cli import main
"""
EACH = """
for args in json.loads(sys.argv[1]):
    try:
        main(args, prog_name="llamalet")
    except SystemExit as end:
        print("#", args[0], end.code, flush=True)
"""
ONE = "main(json.loads(sys.argv[1]), prog_name='llamalet')"


@pytest.fixture
def env(home: Path, canary: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Of a process on a machine that has pulled a model once, "mine", and has the hub's address."""
    with loopback(monkeypatch, {"canary.gguf": canary.read_bytes()}) as hub:
        store.add(f"hf:{REPO}/canary.gguf", home / "models.toml", name="mine")
        hub.requests.clear()
        yield environment(hub) | {"LLAMALET_MODELS": str(home / "models.toml"), "LLAMALET_THREADS": "1"}
        assert hub.requests == []


def run(env: dict[str, str], code: str, args: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCK + code, json.dumps(args)]
    return subprocess.run(
        command, env=env, input="<K07>\n", capture_output=True, text=True, check=False, timeout=PATIENCE
    )


def test_the_block_holds(env: dict[str, str]) -> None:
    """Else the others would show nothing."""
    assert run(env, ONE, ["pull", "1b"]).returncode == 99


def test_what_is_not_here_and_not_to_be_fetched_asks_nobody(env: dict[str, str]) -> None:
    done = run(env | {"HF_HUB_OFFLINE": "1"}, ONE, ["pull", "1b", "--anyway"])
    assert (done.returncode, "Run: llamalet pull 1b:Q4_K_M" in done.stderr) == (66, True)


def test_no_verb_opens_a_connection(env: dict[str, str]) -> None:
    verbs = [
        ["run", "mine", "--max-tokens", "2", "<K07>"],
        ["chat", "mine", "--max-tokens", "2"],
        ["pull", "mine"],
        ["list"],
        ["info", "mine"],
        ["path", "mine"],
        ["verify"],
        ["schema", "-"],
        ["run", "mine", "--offline", "--max-tokens", "2", "<K07>"],
        ["run", "1b", "--offline", "Hi"],
        ["rm", "mine"],
    ]
    done = run(env, EACH, verbs)
    ended = re.findall(r"^# (\w+) (\w+)$", done.stdout, re.MULTILINE)
    # The schema is none, and the 1B model is not here.
    codes = {"schema": "65"}
    assert ended == [(verb[0], "66" if "1b" in verb else codes.get(verb[0], "0")) for verb in verbs], done.stderr
    assert "Run: llamalet pull 1b:Q4_K_M" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="asyncio itself connects to loopback there")
def test_serving_opens_no_connection(env: dict[str, str]) -> None:
    command = [sys.executable, "-c", BLOCK + ONE, json.dumps(["serve", "--port", "0", "--model", "mine"])]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        found = re.search(r"http://[\w.:]+", process.stderr.readline())
        assert found
        body = {"prompt": "<K07>", "max_tokens": 2}
        reply = httpx.post(f"{found[0]}/ai/run/mine", json=body, trust_env=False, timeout=PATIENCE)
        process.terminate()
        process.stderr.read()
    assert (reply.status_code, process.returncode) == (200, 0)
