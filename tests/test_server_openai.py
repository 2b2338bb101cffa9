"""OpenAI's API over HTTP: its addresses, errors as either kind of client reads them, several runs at once, parity."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from runtime.errors import ContextTooLong, EngineError, QueueFull
from runtime.server import streams
from runtime.values import Failed, Text
from tests.fake_engine import FakeEngine, answer
from tests.openai_shapes import data
from tests.rawgguf import model_bytes
from tests.servers import ACCOUNT, PATIENCE, Scripted, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from runtime.engine import Emit
    from runtime.values import Request

CLOUDFLARE, SHORT, OPENAI = f"/client/v4/accounts/{ACCOUNT}/ai/v1", "/ai/v1", "/v1"
PREFIXES = [CLOUDFLARE, SHORT, OPENAI]
CHAT: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}]}
BODIES = {
    "chat/completions": CHAT,
    "completions": {"model": "tiny", "prompt": "Hi"},
    "responses": {"model": "tiny", "input": "Hi"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    with scripted(tmp_path_factory.mktemp("models")) as one:
        yield one


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    with scripted(tmp_path_factory.mktemp("models"), parity=True) as one:
        yield one


def text_of(reply: httpx.Response) -> str:
    """The first text in an answer of any shape."""
    body = reply.json()
    first: Any = body["choices"][0] if "choices" in body else body["output"][0]["content"][0]
    return str(first["message"]["content"] if "message" in first else first["text"])


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("path", BODIES)
def test_every_address_answers_without_an_envelope(server: Scripted, prefix: str, path: str) -> None:
    reply = server.will(answer("Hi", " there")).ask(BODIES[path], f"{prefix}/{path}")
    assert (reply.status_code, reply.headers["content-type"], text_of(reply)) == (200, "application/json", "Hi there")


@pytest.mark.parametrize("path", BODIES)
def test_a_stream_is_one_of_events(server: Scripted, path: str) -> None:
    reply = server.will(answer("Hi")).ask({**BODIES[path], "stream": True}, f"/v1/{path}")
    assert (reply.headers["content-type"], len(data(reply.content)) > 2) == ("text/event-stream", True)


def test_the_content_type_of_a_body_does_not_matter(server: Scripted) -> None:
    body = json.dumps(CHAT).encode()
    assert server.ask(path="/v1/chat/completions", content=body, headers={"content-type": "text/plain"}).is_success


def test_a_document_is_text(server: Scripted) -> None:
    asked = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "number"}}}
    server.will(answer("1.", "50"), answer("1.", "50"))
    body = {**CHAT, "response_format": asked}
    assert text_of(server.ask(body, "/v1/chat/completions")) == "1.50"
    chunks = data(server.ask({**body, "stream": True}, "/v1/chat/completions").content)[:-1]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "1.50"


def test_the_id_of_an_answer_is_that_of_its_request(server: Scripted) -> None:
    reply = server.ask(CHAT, "/v1/chat/completions")
    assert reply.json()["id"] == f"chatcmpl-{reply.headers['x-request-id']}"
    assert reply.headers["x-request-id"] == reply.headers["cf-ai-req-id"]


# -- models ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_models_are_those_of_the_catalogue(server: Scripted, prefix: str) -> None:
    listed = server.http.get(f"{prefix}/models").json()
    assert listed["object"] == "list"
    assert [one["id"] for one in listed["data"]] == [spec.id for spec in server.running.ai.catalog.models]
    assert listed["data"][0] == {
        "id": "@cf/meta/llama-3.2-1b-instruct",
        "object": "model",
        "created": 0,
        "owned_by": "meta",
    }


@pytest.mark.parametrize("name", ["@cf/meta/llama-3.2-1b-instruct", "@cf%2Fmeta%2Fllama-3.2-1b-instruct", "1b"])
def test_a_model_is_found_by_any_of_its_names(server: Scripted, name: str) -> None:
    assert server.http.get(f"/v1/models/{name}").json()["id"] == "@cf/meta/llama-3.2-1b-instruct"


# -- errors ----------------------------------------------------------------------------------------------------------


def error_of(reply: httpx.Response) -> tuple[int, str, str | None, str]:
    """Status, type, parameter and code, where there is nothing but OpenAI's form."""
    body = reply.json()
    assert body.keys() == {"error"}
    error = body["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return reply.status_code, error["type"], error["param"], error["code"]


def test_no_path_of_this_machine_is_told(tmp_path: Path) -> None:
    file = tmp_path / "secret" / "Other-Q8_0.gguf"
    file.parent.mkdir()
    file.write_bytes(model_bytes())
    with scripted(tmp_path, files=[file]) as server:
        listed = server.http.get("/v1/models").json()["data"]
        asked = {**CHAT, "model": listed[-1]["id"]}
        answered = server.will(answer("Hi")).ask(asked, "/v1/chat/completions").json()
    assert [listed[-1]["id"], answered["model"]] == [file.name] * 2


@pytest.mark.parametrize("prefix", [CLOUDFLARE, SHORT])
def test_at_cloudflares_addresses_errors_are_cloudflares(server: Scripted, prefix: str) -> None:
    reply = server.ask({**CHAT, "model": "nothing"}, f"{prefix}/chat/completions")
    (error,) = reply.json()["errors"]
    assert (reply.status_code, error["code"], reply.json()["success"]) == (400, 5007, False)
    assert error["message"].startswith(
        "AiError: No such model: No such model nothing or task: There is no model 'nothing'."
    )
    assert reply.json()["error"]["message"] == error["message"]  # for OpenAI's clients, which are led there


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"model": "nothing"}, (404, "invalid_request_error", None, "model_not_found")),
        ({"temperature": 6}, (400, "invalid_request_error", "temperature", "5006")),
        ({"audio": {"voice": "x"}}, (400, "invalid_request_error", "audio", "unsupported_parameter")),
        ({"messages": [{"role": "user", "content": 5}]}, (400, "invalid_request_error", "messages[0].content", "5006")),
    ],
    ids=["model", "value", "unsupported", "message"],
)
def test_at_openais_address_they_are_openais(server: Scripted, wrong: dict[str, Any], expected: Any) -> None:
    assert error_of(server.ask({**CHAT, **wrong}, "/v1/chat/completions")) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ContextTooLong("Too long."), (400, "invalid_request_error", None, "context_length_exceeded")),
        (QueueFull("Full."), (429, "rate_limit_error", None, "rate_limit_exceeded")),
        (EngineError("Broken."), (500, "server_error", None, "5000")),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_the_engine_refuses_is_told_likewise(server: Scripted, error: Exception, expected: Any) -> None:
    assert error_of(server.will(error).ask(CHAT, "/v1/chat/completions")) == expected
    server.will(error)
    assert error_of(server.ask({**CHAT, "stream": True}, "/v1/chat/completions")) == expected


def test_what_is_not_there_says_what_is(server: Scripted) -> None:
    reply = server.http.get("/v1/nothing")
    assert error_of(reply) == (404, "invalid_request_error", None, "unknown_url")
    assert "/v1/chat/completions" in reply.json()["error"]["message"]
    assert error_of(server.http.get("/v1/chat/completions"))[0] == 405
    assert error_of(server.http.get("/v1/models/nothing")) == (404, "invalid_request_error", None, "model_not_found")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_embeddings_are_refused(server: Scripted, prefix: str) -> None:
    reply = server.ask({"model": "tiny", "input": "Hi"}, f"{prefix}/embeddings")
    assert (reply.status_code, "none makes embeddings" in reply.text) == (400, True)


def test_a_token_that_is_missing_or_wrong_is_told_as_openai_does(tmp_path: Path) -> None:
    with scripted(tmp_path, token="a-token-of-the-suite") as server:
        for headers in ({}, {"authorization": "Bearer a-token-of-another"}):
            reply = server.ask(CHAT, "/v1/chat/completions", headers=headers)
            assert error_of(reply) == (401, "invalid_request_error", None, "invalid_api_key")
        headers = {"authorization": "Bearer a-token-of-the-suite"}
        assert server.ask(CHAT, "/v1/chat/completions", headers=headers).is_success


def test_an_account_that_cannot_be_one_is_refused(server: Scripted) -> None:
    for path in ("chat/completions", "embeddings"):
        reply = server.ask(CHAT, f"/client/v4/accounts/me/ai/v1/{path}")
        assert (reply.status_code, reply.json()["errors"][0]["code"]) == (404, 7003)
    assert server.http.get("/client/v4/accounts/me/ai/v1/models").status_code == 404


@pytest.mark.parametrize("prefix", [CLOUDFLARE, OPENAI])
@pytest.mark.parametrize("path", BODIES)
def test_a_failure_midway_is_the_last_event_and_nothing_is_done(server: Scripted, prefix: str, path: str) -> None:
    server.will([Text("Hi"), Failed(EngineError("broken"))])
    *_, last = data(server.ask({**BODIES[path], "stream": True}, f"{prefix}/{path}").content)
    assert "broken" in last["error"]["message"]
    assert ("errors" in last) is (prefix == CLOUDFLARE)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model": 3, "messages": []}'])
def test_a_body_that_is_none_is_a_bad_request(server: Scripted, body: bytes) -> None:
    for path in BODIES:
        assert error_of(server.ask(path=f"/v1/{path}", content=body))[0] == 400


# -- signs of life, and several runs ---------------------------------------------------------------------------------


class Held(FakeEngine):
    """Takes requests in, and ends none but those that are cancelled."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self.full, self.cancelled = threading.Event(), threading.Event()

    def submit(self, request: Request, emit: Emit) -> None:
        self.scripts.append([])
        super().submit(request, emit)
        if len(self.running) == self._count:
            self.full.set()

    def cancel(self, request_id: str) -> None:
        super().cancel(request_id)
        if not self.running:
            self.cancelled.set()


@pytest.mark.parametrize("path", BODIES)
def test_a_silent_engine_is_covered_by_comments(tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "FIRST_BYTE", 0.02)
    engine = Held(1)
    body = {**BODIES[path], "stream": True}
    with scripted(tmp_path, make_engine=lambda *_: engine) as server:
        with server.http.stream("POST", f"/v1/{path}", json=body) as reply:
            lines = reply.iter_lines()  # to drop it would close the connection, maybe before the run has begun
            assert next(lines) == ": "
            assert engine.full.wait(PATIENCE)
        assert engine.cancelled.wait(PATIENCE)


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_takes_all_choices_along(tmp_path: Path, stream: bool) -> None:
    engine = Held(3)
    with scripted(tmp_path, make_engine=lambda *_: engine) as server:
        sent = json.dumps({**CHAT, "n": 3, "stream": stream}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(sent)}\r\n\r\n"
        with server.connection() as connection:
            connection.sendall(head.encode() + sent)
            assert engine.full.wait(PATIENCE)
        assert engine.cancelled.wait(PATIENCE)


@pytest.mark.parametrize("stream", [False, True])
def test_a_choice_that_fails_ends_the_others(tmp_path: Path, stream: bool) -> None:
    class Failing(Held):
        def submit(self, request: Request, emit: Emit) -> None:
            if len(self.running) == 2:
                raise QueueFull("Full.")
            super().submit(request, emit)

    engine = Failing(2)
    with scripted(tmp_path, make_engine=lambda *_: engine) as server:
        reply = server.ask({**CHAT, "n": 3, "stream": stream}, "/v1/chat/completions")
        assert error_of(reply)[0] == 429
        assert engine.cancelled.wait(PATIENCE)


def test_choices_have_their_own_runs_and_seeds(server: Scripted) -> None:
    reply = server.will(answer("a"), answer("b")).ask({**CHAT, "n": 2, "seed": 5}, "/v1/chat/completions")
    assert sorted(one["message"]["content"] for one in reply.json()["choices"]) == ["a", "b"]
    assert sorted(request.sampling.seed or 0 for request in server.engine.requests[-2:]) == [5, 6]


# -- parity ----------------------------------------------------------------------------------------------------------


def test_in_parity_there_is_what_the_service_has(strict: Scripted) -> None:
    assert text_of(strict.will(answer("Hi")).ask({**CHAT, "n": 2}, f"{CLOUDFLARE}/chat/completions")) == "Hi"
    for path in ("completions", "responses"):
        reply = strict.ask(BODIES[path], f"{CLOUDFLARE}/{path}")
        assert (reply.status_code, reply.json()["errors"][0]["code"]) == (400, 7000)
    reply = strict.http.get(f"{CLOUDFLARE}/models")
    assert (reply.status_code, reply.json()["errors"]) == (
        405,
        [{"code": 7001, "message": "GET not supported for requested URI."}],
    )


def test_in_parity_nothing_is_forgiven(strict: Scripted) -> None:
    wrong = {"role": "assistant", "content": None}
    reply = strict.ask({**CHAT, "messages": [wrong]}, f"{CLOUDFLARE}/chat/completions")
    assert "oneOf at '/' not met" in reply.json()["errors"][0]["message"]
    body = {**CHAT, "stream": True, "response_format": {"type": "json_object"}}
    assert strict.ask(body, f"{CLOUDFLARE}/chat/completions").json()["errors"][0]["code"] == 5023


def test_in_parity_an_answer_ends_and_counts_all_the_same(strict: Scripted) -> None:
    found = strict.will(answer("Hi", reason="length")).ask(CHAT, f"{CLOUDFLARE}/chat/completions").json()
    assert (found["choices"][0]["finish_reason"], found["usage"]["total_tokens"]) == ("length", 6)
