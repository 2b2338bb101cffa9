"""A Worker that knows nothing of llamalet has its `env.AI` under `wrangler dev`: tests/clients/worker, with
clients/wrangler beside it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shutil
import subprocess
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import jsonschema
import pytest

from runtime.engine.local import LocalEngine
from runtime.values import Done
from tests.callers import CALL, TWO, WORDS
from tests.programs import HERE, NODE_MODULES
from tests.weather import CALLER, OSLO, RANDOM, ROME, SAYS, SCHEMA, TEXT, TOKEN, TOOLS, about, weather_service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runtime.engine import Emit
    from runtime.values import Event
    from tests.servers import Running

WRANGLER = NODE_MODULES / "wrangler"
CLIENTS = Path(__file__).resolve().parents[1] / "clients"
PATIENCE = 60  # seconds until wrangler is ready

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(
        shutil.which("node") is None or not WRANGLER.is_dir(), reason="needs wrangler: scripts/install-clients"
    ),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with weather_service(tmp_path_factory.mktemp("weather")) as running:
        yield running


@contextlib.contextmanager
def wrangler_dev(folder: Path) -> Iterator[str]:
    """The address of the Worker in `folder`/worker. It is as if there were no network: nothing is sent anywhere."""
    quiet = {"WRANGLER_SEND_METRICS": "false", "WRANGLER_SEND_ERROR_REPORTS": "false", "WRANGLER_HIDE_BANNER": "true"}
    quiet |= {"CLOUDFLARE_CF_FETCH_ENABLED": "false", "CI": "1", "NO_COLOR": "1"}
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    home = {name: str(folder) for name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "APPDATA", "TMPDIR")}
    command = ["node", str(WRANGLER / "bin" / "wrangler.js"), "dev", "--local", "--env", "local", "--ip", "127.0.0.1"]
    command += ["--port", "0", "--inspector-port", "0"]
    command += ["-c", "worker/wrangler.jsonc", "-c", "clients/wrangler/wrangler.jsonc"]
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, cwd=folder, env=kept | home | quiet, text=True, **pipes) as process:
        try:
            yield _ready(process)
        finally:
            process.terminate()


def _ready(process: subprocess.Popen[str]) -> str:
    """The address, when wrangler tells it."""
    assert process.stdout
    watch = threading.Timer(PATIENCE, process.kill)
    watch.start()
    said = []
    for line in process.stdout:
        said.append(line)
        if found := re.search(r"Ready on (http://\S+)", line):
            watch.cancel()
            threading.Thread(target=process.stdout.read, daemon=True).start()  # else it waits for a reader
            return found[1]
    raise AssertionError("".join(said))


@pytest.fixture(scope="module")
def worker(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("wrangler")
    shutil.copytree(CLIENTS, folder / "clients")
    shutil.copytree(HERE / "worker", folder / "worker")
    variables = f"LLAMALET_URL={server.url}\nLLAMALET_TOKEN={TOKEN}\n"
    (folder / "clients" / "wrangler" / ".dev.vars").write_text(variables)
    with wrangler_dev(folder) as url, httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE) as client:
        yield client


def inputs(content: str, **options: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], **options}


def question(key: int, model: str = CALLER, **options: Any) -> dict[str, Any]:
    return {"model": model, "inputs": inputs(about(key)["content"], **options)}


def test_a_run_is_the_result_itself(worker: httpx.Client) -> None:
    answer = worker.post("/run", json=question(WORDS)).json()
    assert (answer["response"], answer["usage"]["completion_tokens"]) == (TEXT, 10)


def test_a_stream_comes_as_events(worker: httpx.Client) -> None:
    answer = worker.post("/stream", json=question(WORDS))
    *events, done = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert ([json.loads(event)["response"] for event in events], done) == ([*SAYS[WORDS], ""], "[DONE]")


@pytest.mark.parametrize(("key", "calls"), [(CALL, ROME), (TWO, OSLO)], ids=["one", "two"])
def test_calls_are_found(worker: httpx.Client, key: int, calls: list[Any]) -> None:
    answer = worker.post("/run", json=question(key, tools=TOOLS)).json()
    assert [[call["name"], call["arguments"]] for call in answer["tool_calls"]] == calls


def test_a_document_satisfies_the_schema(worker: httpx.Client) -> None:
    document = {"response_format": {"type": "json_schema", "json_schema": SCHEMA}}
    answer = worker.post("/run", json=question(WORDS, RANDOM, **document)).json()
    jsonschema.validate(answer["response"], SCHEMA)


def test_an_error_has_the_name_and_the_message_of_the_bindings(worker: httpx.Client) -> None:
    answer = worker.post("/run", json=question(WORDS, temperature=9))
    error = answer.json()
    assert (answer.status_code, error["name"], error["isError"]) == (500, "InferenceUpstreamError", True)
    assert re.match(r"5006: AiError: .*temperature: must be at most 5, found 9", error["message"])


def test_a_model_that_there_is_not_has_the_bindings_code(worker: httpx.Client) -> None:
    message = worker.post("/run", json=question(WORDS, "@cf/meta/llama-3.2-1b-instuct")).json()["message"]
    assert message.startswith("5007: No such model @cf/meta/llama-3.2-1b-instuct or task. There is no model")
    assert "Did you mean" in message


def test_an_error_in_place_of_a_stream_is_thrown_too(worker: httpx.Client) -> None:
    assert worker.post("/stream", json=question(WORDS, temperature=9)).json()["message"].startswith("5006: ")


def test_the_response_itself_can_be_had(worker: httpx.Client) -> None:
    answer = worker.post("/raw", json=question(WORDS)).json()
    assert (answer["status"], answer["type"], answer["body"]["response"]) == (200, "application/json", TEXT)


def test_a_response_that_is_an_error_is_not_thrown(worker: httpx.Client) -> None:
    assert worker.post("/raw", json=question(WORDS, temperature=9)).json()["status"] == 400


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> queue.SimpleQueue[str]:
    """How the requests end that the engines are given from now on."""
    ends: queue.SimpleQueue[str] = queue.SimpleQueue()
    submit = LocalEngine.submit

    def heard(emit: Emit, event: Event) -> None:
        if isinstance(event, Done):
            ends.put(event.finish_reason)
        emit(event)

    monkeypatch.setattr(LocalEngine, "submit", lambda self, request, emit: submit(self, request, partial(heard, emit)))
    return ends


@pytest.mark.parametrize("how", ["left", "aborted"])
def test_a_run_that_nobody_waits_for_is_cancelled(worker: httpx.Client, ends: queue.SimpleQueue[str], how: str) -> None:
    worker.post(f"/{how}", json=question(WORDS, RANDOM, max_tokens=3900, temperature=0))
    assert ends.get(timeout=PATIENCE) == "cancelled"


def test_the_models_are_listed(worker: httpx.Client) -> None:
    assert {CALLER, RANDOM} <= {model["name"] for model in worker.post("/models", json={}).json()}
