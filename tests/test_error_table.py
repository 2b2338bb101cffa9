"""The service's table of errors, row by row: each is provoked over HTTP on an engine that runs, and what is told is
compared with what the service was seen to tell.

In parity the message is the service's to the letter. Elsewhere it begins so, and goes on with what was wrong and what
to do; where that is not so, as for inputs, which are read otherwise, the row says it.

These rows cannot occur on a machine of one's own:

    5004        base64 inputs belong to models of images and sound
    3039        no finetune is uploaded
    5025        every model here can be held to a schema
    5028        no model retires
    5016, 5018, 3023, 3041, 5035
                there are no accounts, whose plans and agreements these are about
    3042        a name is looked up, so a wrong one is an unknown one: 7000 or 5007
    5019        which of Cloudflare's packages asks does not matter
    3008        whoever has taken a request back is gone, and reads no answer
    3046        the deadline is the request's own: 3007
    3036, 4006  nothing is counted in neurons
    3030, 8006, 8007
                there is no model server behind; what these are about is 5006
    10000 with 401 for a wrong account, 10000 with 403
                any account will do, and a token may do all or nothing
"""

from __future__ import annotations

import contextlib
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from runtime.server import guards
from tests.gate import PATIENCE, Client, GatedEngine
from tests.models import key_token
from tests.servers import ACCOUNT, read_all, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers import Running

TOKEN = "s3cret-t0ken-of-these-tests"
BEARER = {"authorization": f"Bearer {TOKEN}"}
CLOUDFLARES = f"/client/v4/accounts/{ACCOUNT}"
CONTEXT = 512
MODELS = '[[model]]\nid = "@cf/meta/canary"\npath = "{path}"\n'
PROMPT = {"prompt": "Hi", "max_tokens": 3}
USER = {"role": "user", "content": "Hi"}


class Server:
    """One with a token, whose engine has a single slot, and the client that knows the token."""

    def __init__(self, running: Running, engines: list[GatedEngine]) -> None:
        self.running, self._engines, self.n_prompt = running, engines, 0
        self.http = httpx.Client(base_url=running.url, headers=BEARER, trust_env=False, timeout=PATIENCE)

    @property
    def engine(self) -> GatedEngine:
        return self._engines[-1]

    def run(self, body: Any, path: str = f"{CLOUDFLARES}/ai/run/@cf/meta/canary") -> httpx.Response:
        return self.http.post(path, json=body)

    def anyone(self, headers: dict[str, str], path: str = f"{CLOUDFLARES}/ai/run/@cf/meta/canary") -> httpx.Response:
        """The reply to one whose headers are these."""
        with httpx.Client(base_url=self.running.url, trust_env=False, timeout=PATIENCE) as client:
            return client.post(path, json=PROMPT, headers=headers)


MODES = ("lenient", "parity")


@pytest.fixture(scope="module")
def servers(canary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """By mode."""
    models = tmp_path_factory.mktemp("table") / "models.toml"
    models.write_text(MODELS.format(path=canary.as_posix()))
    with running(models, "lenient") as lenient, running(models, "parity") as parity:
        yield {"lenient": lenient, "parity": parity}


@contextlib.contextmanager
def running(models: Path, mode: str) -> Iterator[Server]:
    engines: list[GatedEngine] = []

    def make(*args: Any) -> GatedEngine:
        engines.append(GatedEngine(*args))
        return engines[-1]

    options: dict[str, Any] = {"models": models, "token": TOKEN, "slots": 1, "context": CONTEXT, "make_engine": make}
    with serving(parity=mode == "parity", keep_alive=-1, **options) as started:
        one = Server(started, engines)
        with one.http:
            one.n_prompt = one.run(PROMPT).json()["result"]["usage"]["prompt_tokens"]
            yield one


@dataclass(frozen=True)
class Row:
    """What provokes an error, and what is told of it. `mode` is where that is so, if not in both."""

    status: int
    code: int
    message: str
    provoke: Callable[[Server], httpx.Response]
    mode: str = ""
    chain: tuple[int, str] | None = None


def inputs(message: str, body: Any) -> Row:
    """An error in the service's grammar of wrong inputs."""
    said = f"AiError: Bad input: Error: oneOf at '/' not met, {message}"
    return Row(400, 5006, said, lambda server: server.run(body), mode="parity")


def busy(server: Server) -> httpx.Response:
    """What one is told who would rather not wait, while the only slot is taken."""
    server.engine.hold()
    with Client(server.running.port) as other:
        body = b'{"prompt": "%s", "max_tokens": 100}' % key_token(5).encode()
        head = f"POST /ai/run/@cf/meta/canary HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        other.socket.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        server.engine.sequence(5)
        try:
            return server.run({**PROMPT, "options": {"rejectIfBusy": True}})
        finally:
            server.engine.release()
            other.json()


def unsent(server: Server) -> httpx.Response:
    """What one is told whose body does not come."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guards, "BODY_SECONDS", 0.05)
        with socket.create_connection(("127.0.0.1", server.running.port), PATIENCE) as connection:
            head = f"POST /ai/run/@cf/meta/canary HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
            connection.sendall(f"{head}Content-Length: 9\r\n\r\n".encode())
            whole = read_all(connection)
    head_, _, body = whole.partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head_.decode().split("\r\n")[1:])
    return httpx.Response(int(head_.split()[1]), headers=fields, content=body)


SCHEMA = {"type": "json_schema", "json_schema": {"type": "array", "items": {"const": 1}, "minItems": 2}}
# Two lists that are empty, and not alike, which no grammar sees.
NEVER = {"type": "array", "items": {"type": "array", "maxItems": 0}, "minItems": 2, "maxItems": 2, "uniqueItems": True}
NO_PROMPT = "required properties at '/' are 'prompt'"
NO_MESSAGES = "required properties at '/' are 'messages'"
NO_ROUTE = "No route for that URI"

ROWS = {
    # -- the gateway
    "no token": Row(
        400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers", lambda server: server.anyone({})
    ),
    "an e-mail without its key": Row(
        400,
        9106,
        "Missing X-Auth-Key, X-Auth-Email or Authorization headers",
        lambda server: server.anyone({"x-auth-email": "me@example.org"}),
    ),
    "a malformed token": Row(
        400,
        6003,
        "Invalid request headers",
        lambda server: server.anyone({"authorization": "Bearer"}),
        chain=(6111, "Invalid format for Authorization header"),
    ),
    "a token in quotes": Row(
        400,
        6003,
        "Invalid request headers",
        lambda server: server.anyone({"authorization": f'Bearer "{TOKEN}"'}),
        chain=(6111, "Invalid format for Authorization header"),
    ),
    "a wrong token": Row(
        401, 10000, "Authentication error", lambda server: server.anyone({"authorization": f"Bearer {TOKEN}x"})
    ),
    "from a page": Row(
        403,
        9109,
        "Unauthorized to access requested resource",
        lambda server: server.anyone({**BEARER, "origin": "https://app.example"}),
    ),
    "a bad account": Row(
        404,
        7003,
        "Could not route to /client/v4/accounts/anonymous/ai/run/@cf/meta/canary, perhaps your object identifier is "
        "invalid?",
        lambda server: server.run(PROMPT, "/client/v4/accounts/anonymous/ai/run/@cf/meta/canary"),
    ),
    "no route": Row(400, 7000, NO_ROUTE, lambda server: server.run(PROMPT, f"{CLOUDFLARES}/ai/walk")),
    "no model": Row(400, 7000, NO_ROUTE, lambda server: server.run(PROMPT, f"{CLOUDFLARES}/ai/run/@cf/x/y")),
    "a wrong method": Row(
        405,
        7001,
        "GET not supported for requested URI.",
        lambda server: server.http.get(f"{CLOUDFLARES}/ai/run/@cf/meta/canary"),
    ),
    # -- inputs, in the service's words where nothing is forgiven
    "neither": inputs(f"0 matches: {NO_PROMPT}, {NO_MESSAGES}", {}),
    "both": inputs("2 matches", {**PROMPT, "messages": [USER]}),
    "a message without content": inputs(
        f"0 matches: {NO_PROMPT}, required properties at '/messages/1' are 'role,content'",
        {"messages": [USER, {"role": "assistant"}]},
    ),
    "content that is null": inputs(
        f"0 matches: {NO_PROMPT}, Type mismatch of '/messages/1/content', 'string' not in 'null'",
        {"messages": [USER, {"role": "assistant", "content": None}]},
    ),
    "a number that is null": inputs(
        "0 matches: Type mismatch of '/max_tokens', 'integer' not in 'null'",
        {"prompt": "Hi", "max_tokens": None},
    ),
    "an empty prompt": inputs(f"0 matches: Length of '/prompt' must be >= 1 not met, {NO_MESSAGES}", {"prompt": ""}),
    "neither, forgiving": Row(
        400,
        5006,
        "AiError: Bad input: Error: Give either prompt or messages: there is neither.",
        lambda server: server.run({}),
        mode="lenient",
    ),
    "an image": Row(
        400,
        5006,
        "AiError: Bad input: Error: image is not supported: these models read text only.",
        lambda server: server.run({**PROMPT, "image": [1]}, "/ai/run/@cf/meta/llama-3.2-3b-instruct"),
    ),
    # -- the rest of Workers AI
    "no model, elsewhere": Row(
        400,
        5007,
        "AiError: No such model: No such model @cf/x/y or task",
        lambda server: server.http.get(f"{CLOUDFLARES}/ai/models/schema?model=@cf/x/y"),
    ),
    "no body": Row(
        400,
        3003,
        "AiError: Request is missing headers or body: body",
        lambda server: server.http.post("/ai/run/@cf/meta/canary"),
    ),
    "JSON as a stream": Row(
        400,
        5023,
        "AiError: JSON Schema mode is not supported with stream mode",
        lambda server: server.run({**PROMPT, "stream": True, "response_format": SCHEMA}),
        mode="parity",  # elsewhere it is answered
    ),
    "JSON that is not met": Row(
        400,
        5024,
        "AiError: JSON Model couldn't be met",
        lambda server: server.run(
            {"prompt": "Hi", "approximate": True, "response_format": {"type": "json_schema", "json_schema": NEVER}}
        ),
        mode="lenient",  # in parity what cannot be enforced is refused before
    ),
    "more than the context": Row(
        413,
        5021,
        "AiError: Ai: The estimated number of input and maximum output tokens ({tokens}) exceeded this model context "
        f"window limit ({CONTEXT}).",
        lambda server: server.run({"prompt": "Hi", "max_tokens": CONTEXT}),
    ),
    "an adapter that is not there": Row(
        405,
        5005,
        "AiError: The model @cf/meta/canary does not support LoRa inference",
        lambda server: server.run({**PROMPT, "lora": "nothing"}),
    ),
    "too large a body": Row(
        413, 3006, "AiError: Request is too large", lambda server: server.run({"prompt": "x" * guards.MAX_BODY})
    ),
    "a body that does not come": Row(408, 3007, "AiError: Request timeout", unsent),
    "a deadline that passes": Row(
        408,
        3007,
        "AiError: Request timeout",
        lambda server: server.run({**PROMPT, "timeout": 1e-6}),
        mode="lenient",  # ours
    ),
    "no capacity": Row(429, 3040, "AiError: Capacity temporarily exceeded, please try again.", busy),
}


CASES = [
    pytest.param(mode, row, id=f"{mode}-{name}")
    for mode in MODES
    for name, row in ROWS.items()
    if row.mode in ("", mode)
]


@pytest.mark.parametrize(("mode", "row"), CASES)
def test_a_row_of_the_table(servers: dict[str, Server], mode: str, row: Row) -> None:
    server, parity = servers[mode], mode == "parity"
    reply = row.provoke(server)
    body = reply.json()
    (error,) = body["errors"]
    assert (reply.status_code, error["code"]) == (row.status, row.code)
    assert (body["success"], body["messages"]) == (False, [])
    request_id = reply.headers["cf-ai-req-id"]
    said = error["message"].removesuffix(f" ({request_id})")
    is_ai = row.message.startswith("AiError: ")
    assert (said != error["message"]) is is_ai
    assert body["result"] == ({} if is_ai else None)
    pattern = re.escape(row.message).replace(r"\{tokens\}", str(server.n_prompt + CONTEXT))
    assert re.fullmatch(pattern, said) if parity else re.match(pattern, said), said
    assert error.get("error_chain") == ([{"code": row.chain[0], "message": row.chain[1]}] if row.chain else None)
    assert ("error" in body) is not parity


@pytest.mark.parametrize("mode", MODES)
def test_after_all_that_the_server_answers(servers: dict[str, Server], mode: str) -> None:
    assert servers[mode].run({"prompt": key_token(7), "max_tokens": 3, "temperature": 0}).json()["success"]
