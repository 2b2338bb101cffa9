"""Clients that know nothing of llamalet get right answers: curl as on Cloudflare's pages, and Cloudflare's own packages
for Python and Node."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import cloudflare
import httpx
import pytest
from huggingface_hub import constants

from tests.models import canary_model, expected, key_token
from tests.programs import PACKAGES, started
from tests.servers import ACCOUNT, Hub, serving
from tests.shared import needs_shared, shared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.programs import Program
    from tests.servers import Running

TOKEN = "a-token-of-the-suite"
KEY = 7

LLAMA_1B, LLAMA_3B = "@cf/meta/llama-3.2-1b-instruct", "@cf/meta/llama-3.2-3b-instruct"
LLAMA_8B = "@cf/meta/llama-3.1-8b-instruct"
# Each canary answers to key k as the one before it does to key k + 1: so the answer tells which model gave it.
SHIFT = {LLAMA_1B: 0, "llama-3.2-1b-instruct": 0, LLAMA_3B: 1, "llama-3.1-8b-instruct": 2}
INPUTS: list[dict[str, Any]] = [
    {"messages": [{"role": "user", "content": f"Say {key_token(KEY)}."}]},
    {"prompt": f"Say {key_token(KEY)}."},
]

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Hub:
    folder = tmp_path_factory.mktemp("clients")
    models = {name: folder / f"{name}.gguf" for name in ("1b", "3b", "8b")}
    for shift, model in enumerate(models.values()):
        canary_model(model, shift=shift)
    return Hub(folder / "hub", models)


@pytest.fixture(autouse=True)
def environment(home: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Of a program that is started. This one's own names neither accounts nor proxies."""
    for name in os.environ:
        if name.startswith("CLOUDFLARE_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub.folder))
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    return kept | {"HOME": str(home), "CLOUDFLARE_ACCOUNT_ID": ACCOUNT}


@pytest.fixture(scope="module")
def server(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(token=TOKEN, make_engine=hub.engine) as running:
        yield running


# -- curl and requests, as on the pages ------------------------------------------------------------------------------

PAGES = {
    "000_39ba02a776a0f5e6.txt": r"""
curl https://api.cloudflare.com/client/v4/accounts/$CLOUDFLARE_ACCOUNT_ID/ai/run/llama-3.2-1b-instruct \
-H "Authorization: Bearer $CLOUDFLARE_AUTH_TOKEN" \
-H "Content-Type: application/json" \
-d '{
"messages": [
{ "role": "system", "content": "You are a helpful assistant." },
{ "role": "user", "content": "Explain quantum entanglement in one sentence." }
]
}'""",
    "001_1bdb91c500ceba1c.txt": r"""
curl https://api.cloudflare.com/client/v4/accounts/$CLOUDFLARE_ACCOUNT_ID/ai/run/@cf/meta/llama-3.2-1b-instruct \
  -X POST \
  -H "Authorization: Bearer $CLOUDFLARE_AUTH_TOKEN" \
  -d '{ "messages": [{ "role": "system", "content": "You are a friendly assistant" }, { "role": "user", "content": "Why is pizza so good" }]}'""",  # noqa: E501
    "003_3b1a5b210f24fbbc.txt": r"""
curl https://api.cloudflare.com/client/v4/accounts/$CLOUDFLARE_ACCOUNT_ID/ai/run/@cf/meta/llama-3.2-3b-instruct \
    -X POST \
    -H "Authorization: Bearer $CLOUDFLARE_AUTH_TOKEN" \
    -d '{ "messages": [{ "role": "system", "content": "You are a friendly assistant" }, { "role": "user", "content": "Why is pizza so good" }]}'""",  # noqa: E501
    "004_53e72ee3d2e4703c.txt": r"""
curl https://api.cloudflare.com/client/v4/accounts/$CLOUDFLARE_ACCOUNT_ID/ai/run/llama-3.1-8b-instruct \
-H "Authorization: Bearer $CLOUDFLARE_AUTH_TOKEN" \
-H "Content-Type: application/json" \
-d '{
"messages": [
{ "role": "system", "content": "You are a helpful assistant." },
{ "role": "user", "content": "Explain quantum entanglement in one sentence." }
]
}'""",
}


@pytest.fixture(scope="module")
def dated(hub: Hub) -> Iterator[Running]:
    """A server whose date is a key, so that prompts without one are answered in a way that is known."""
    with serving(token=TOKEN, date=key_token(KEY), make_engine=hub.engine) as running:
        yield running


def one_line(text: str) -> str:
    return " ".join(text.replace("\\", " ").split())


@pytest.mark.parametrize("page", [pytest.param(page, marks=needs_shared(f"seeds/{page}")) for page in PAGES])
def test_a_command_is_the_one_on_its_page(page: str) -> None:
    assert one_line(PAGES[page]) in one_line(shared(f"seeds/{page}").read_text("utf-8"))


@needs_curl
@pytest.mark.parametrize("page", PAGES)
def test_curl_as_on_the_page_gets_what_run_gives(page: str, dated: Running, environment: dict[str, str]) -> None:
    command = PAGES[page].replace("https://api.cloudflare.com", dated.url)
    environment["CLOUDFLARE_AUTH_TOKEN"] = TOKEN
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, check=True, timeout=60)
    (model,) = re.findall(r"/ai/run/(\S+)", command)
    (body,) = re.findall(r"-d '(.*)'", command, re.DOTALL)
    result = asyncio.run(dated.ai.run(model, json.loads(body)))
    envelope = json.loads(done.stdout)
    for one in (result, envelope["result"]):
        del one["timings"]
    assert envelope == {"result": result, "success": True, "errors": [], "messages": []}
    assert result["response"] == expected(KEY + SHIFT[model], 256)


@pytest.mark.parametrize("model", [LLAMA_1B, LLAMA_3B])
def test_the_pages_python_gets_the_answer(server: Running, model: str) -> None:
    response = httpx.post(  # as `requests.post` there
        f"{server.url}/client/v4/accounts/{ACCOUNT}/ai/run/{model}",
        headers={"Authorization": f"Bearer {TOKEN}"},
        json={
            "messages": [
                {"role": "system", "content": "You are a friendly assistant"},
                {"role": "user", "content": f"Tell me all about {key_token(KEY)}"},
            ]
        },
    )
    assert response.json()["result"]["response"] == expected(KEY + SHIFT[model], 256)


# -- Cloudflare's packages -------------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """How a call went: what was returned, or the lines of the stream, or the error; and how often it was sent."""

    result: Any = None
    lines: tuple[str, ...] = ()
    error: str = ""
    status: int = 0
    codes: tuple[int, ...] = ()
    message: str = ""
    tries: int = 0


class Client(Protocol):
    def __call__(self, model: str, params: dict[str, Any], *, stream: bool = False, token: str = TOKEN) -> Outcome: ...


class PythonClient:
    """The package `cloudflare`, with its defaults, but that it counts."""

    def __init__(self, server: Running) -> None:
        self.base_url = f"{server.url}/client/v4"

    def __call__(self, model: str, params: dict[str, Any], *, stream: bool = False, token: str = TOKEN) -> Outcome:
        sent: list[httpx.Request] = []
        http = cloudflare.DefaultHttpxClient(event_hooks={"request": [sent.append]})
        with cloudflare.Cloudflare(api_token=token, base_url=self.base_url, http_client=http) as client:
            try:
                if not stream:
                    outcome = Outcome(client.ai.run(model, account_id=ACCOUNT, **params))
                else:
                    with client.ai.with_streaming_response.run(model, account_id=ACCOUNT, **params) as response:
                        outcome = Outcome(lines=tuple(response.iter_lines()))
            except cloudflare.APIStatusError as error:
                outcome = failed(error)
        return outcome._replace(tries=len(sent))


class AsyncPythonClient(PythonClient):
    """Its asynchronous twin."""

    def __call__(self, model: str, params: dict[str, Any], *, stream: bool = False, token: str = TOKEN) -> Outcome:
        return asyncio.run(self._call(model, params, stream, token))

    async def _call(self, model: str, params: dict[str, Any], stream: bool, token: str) -> Outcome:
        sent: list[httpx.Request] = []

        async def count(request: httpx.Request) -> None:
            sent.append(request)

        http = cloudflare.DefaultAsyncHttpxClient(event_hooks={"request": [count]})
        async with cloudflare.AsyncCloudflare(api_token=token, base_url=self.base_url, http_client=http) as client:
            try:
                if not stream:
                    outcome = Outcome(await client.ai.run(model, account_id=ACCOUNT, **params))
                else:
                    answering = client.ai.with_streaming_response.run(model, account_id=ACCOUNT, **params)
                    async with answering as response:
                        outcome = Outcome(lines=tuple([line async for line in response.iter_lines()]))
            except cloudflare.APIStatusError as error:
                outcome = failed(error)
        return outcome._replace(tries=len(sent))


def failed(error: cloudflare.APIStatusError) -> Outcome:
    codes = tuple(int(one.code or 0) for one in error.errors)
    return Outcome(error=type(error).__name__, status=error.status_code, codes=codes, message=str(error))


class NodeClient:
    """The package `cloudflare` for Node, in a process of its own."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def __call__(self, model: str, params: dict[str, Any], *, stream: bool = False, token: str = TOKEN) -> Outcome:
        given = self._program("run", model=model, params=params, stream=stream, key=token)
        lists = {name: tuple(given[name]) for name in ("lines", "codes") if name in given}
        return Outcome(**{**given, **lists})


@pytest.fixture(scope="module")
def node(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeClient]:
    with started(PACKAGES["cloudflare.js"], server.url, TOKEN, tmp_path_factory.mktemp("node")) as program:
        yield NodeClient(program)


@pytest.fixture(params=["python", "async python", pytest.param("node", marks=PACKAGES["cloudflare.js"].mark)])
def client(request: pytest.FixtureRequest, server: Running) -> Client:
    if request.param == "node":
        found: NodeClient = request.getfixturevalue("node")
        return found
    return PythonClient(server) if request.param == "python" else AsyncPythonClient(server)


@pytest.mark.parametrize("inputs", INPUTS, ids=["messages", "prompt"])
@pytest.mark.parametrize("model", [LLAMA_1B, LLAMA_3B, "llama-3.2-1b-instruct"])
def test_the_answer_is_the_models(client: Client, model: str, inputs: dict[str, Any]) -> None:
    assert client(model, inputs).result["response"] == expected(KEY + SHIFT[model], 256)


def test_an_option_is_heeded_and_tokens_are_counted(client: Client) -> None:
    usage = client(LLAMA_1B, {**INPUTS[0], "max_tokens": 5}).result["usage"]
    assert usage["completion_tokens"] == 5
    assert usage["total_tokens"] == 5 + usage["prompt_tokens"]


def test_text_of_any_script_arrives(client: Client) -> None:
    text = "größe 🦙"  # of no two letters that are one token
    inputs = {"prompt": key_token(KEY) + text, "raw": True, "max_tokens": 1}
    assert client(LLAMA_1B, inputs).result["usage"]["prompt_tokens"] == 2 + len(text.encode())


def streamed(client: Client, **params: Any) -> list[str]:
    """What stands behind `data:` in the lines of a stream. Between them are empty lines, and nothing else."""
    lines = client(LLAMA_1B, {**INPUTS[0], "max_tokens": 40, "stream": True, **params}, stream=True).lines
    assert set(lines[1::2]) <= {""}
    assert all(line.startswith("data: ") for line in lines[::2])
    return [line.removeprefix("data: ") for line in lines[::2]]


def test_a_stream_is_the_answer_in_pieces(client: Client) -> None:
    pieces = [json.loads(piece)["response"] for piece in streamed(client)[:-1]]
    assert ("".join(pieces), len(pieces)) == (expected(KEY, 40), 41)


def test_a_stream_ends_with_the_count_of_tokens_and_then_done(client: Client) -> None:
    *_, last, done = streamed(client)
    assert (json.loads(last)["usage"]["completion_tokens"], done) == (40, "[DONE]")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_wrong_value_is_a_bad_request(client: Client, stream: bool) -> None:
    outcome = client(LLAMA_1B, {**INPUTS[0], "temperature": 6, "stream": stream}, stream=stream)
    assert (outcome.error, outcome.status, outcome.codes) == ("BadRequestError", 400, (5006,))


def test_the_message_of_an_error_says_what_is_wrong(client: Client) -> None:
    assert "temperature" in client(LLAMA_1B, {**INPUTS[0], "temperature": 6}).message


def test_a_wrong_token_fails_to_authenticate(client: Client) -> None:
    outcome = client(LLAMA_1B, INPUTS[0], token="another-token-of-20")
    assert (outcome.error, outcome.status, outcome.codes) == ("AuthenticationError", 401, (10000,))


def test_an_unknown_model_has_no_route(client: Client) -> None:
    outcome = client("@cf/meta/llama-9-1b-instruct", INPUTS[0])
    assert (outcome.error, outcome.status, outcome.codes) == ("BadRequestError", 400, (7000,))


@pytest.fixture
def unfetched(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """The hub's cache is empty; models that are loaded stay."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home))


def test_a_model_whose_file_is_missing_is_named(client: Client, unfetched: None) -> None:
    outcome = client(LLAMA_8B, INPUTS[0])
    assert (outcome.error, outcome.status) == ("InternalServerError", 503)
    assert LLAMA_8B in outcome.message


@pytest.mark.parametrize(
    ("model", "wrong"),
    [(LLAMA_1B, {"temperature": 6}), (LLAMA_1B, {"max_tokens": 10**6}), ("nothing", {}), (LLAMA_8B, {})],
    ids=["wrong value", "context too long", "unknown model", "missing file"],
)
def test_what_trying_again_cannot_help_is_sent_once(
    client: Client, unfetched: None, model: str, wrong: dict[str, Any]
) -> None:
    assert client(model, {**INPUTS[0], **wrong}).tries == 1


def test_an_accounts_key_is_a_token_too(server: Running) -> None:
    base_url = f"{server.url}/client/v4"
    with cloudflare.Cloudflare(api_email="me@mail.example", api_key=TOKEN, base_url=base_url) as client:
        result: Any = client.ai.run(LLAMA_1B, account_id=ACCOUNT, prompt=key_token(KEY), max_tokens=3)
    assert result["response"] == expected(KEY, 3)


def test_the_environment_alone_brings_a_program_here(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", f"{server.url}/client/v4")
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", TOKEN)
    with cloudflare.Cloudflare() as client:
        result: Any = client.ai.run(LLAMA_1B, account_id=ACCOUNT, prompt=key_token(KEY), max_tokens=3)
    assert result["response"] == expected(KEY, 3)
